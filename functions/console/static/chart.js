// uPlot with a legend that reads out the day under the pointer, and every chart as a table.
import { html, useEffect, useRef, useState } from './vendor/htm-preact.js';
import { Table } from './ui.js';
import { exact } from './lib.js';

let library;
function uplot() {
  library ??= new Promise((resolve, reject) => {
    const css = Object.assign(document.createElement('link'), { rel: 'stylesheet', href: new URL('vendor/uPlot.min.css', import.meta.url).href });
    const js = Object.assign(document.createElement('script'), { src: new URL('vendor/uPlot.iife.min.js', import.meta.url).href, onload: () => resolve(window.uPlot), onerror: reject });
    document.head.append(css, js);
  });
  return library;
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const day = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric', month: 'short', timeZone: 'UTC' });
export const dayName = (at) => day.format(at * 1000);

// series: {label, values, color (a token), kind: 'stack' | 'line' | 'band' (low, high), dash?}
export function Chart({ title, at, series, format, total, height = 240, by = 'day', marks, says, min = 0 }) {
  const box = useRef(), [hover, setHover] = useState(null), [table, setTable] = useState(false), [theme, setTheme] = useState(0);
  useEffect(() => {
    const dark = matchMedia('(prefers-color-scheme: dark)'), change = () => setTheme((n) => n + 1);
    dark.addEventListener('change', change);
    return () => dark.removeEventListener('change', change);
  }, []);
  useEffect(() => {
    if (table) return undefined;
    let plot, gone = false, watch;
    uplot().then((uPlot) => {
      if (gone || !box.current) return;
      const stack = series.filter((s) => s.kind === 'stack'), data = [at], drawn = [{}], bands = [];
      const bars = uPlot.paths.bars({ size: [0.72, 36], radius: 0 });
      const sums = at.map(() => 0), layers = stack.map((s) => s.values.map((v, i) => { sums[i] += v; return sums[i]; }));
      layers.map((l, i) => [l, stack[i]]).reverse().forEach(([l, s]) => { data.push(l); drawn.push({ fill: css(s.color), stroke: css('--paper'), width: 1, paths: bars, points: { show: false } }); });
      series.filter((s) => s.kind === 'band').forEach((s) => {
        data.push(s.high, s.low);
        const edge = { stroke: css(s.color), width: 1, points: { show: false } };
        drawn.push(edge, edge);
        bands.push({ series: [drawn.length - 2, drawn.length - 1], fill: css('--band') });
      });
      series.filter((s) => s.kind === 'line').forEach((s) => {
        data.push(s.values);
        drawn.push({ stroke: css(s.color), width: 2, dash: s.dash, points: { show: !!marks && s.marked, size: 11, width: 2, fill: css('--paper'), stroke: css('--bad'), filter: () => marks } });
      });
      const font = '12px system-ui, sans-serif', grid = { stroke: css('--line'), width: 1 }, ink = css('--ink-2');
      plot = new uPlot({
        width: box.current.clientWidth, height, legend: { show: false }, padding: [8, by === 'day' && !stack.length ? 28 : 8, 0, 0],
        ...(by === 'day' && { tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), 'Etc/UTC') }),
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
        scales: { y: { range: (_, __, high) => [min, (high || 1) * 1.08] }, ...(stack.length && { x: { range: (_, a, b) => [a - 43200, b + 43200] } }) },
        axes: [
          { font, stroke: ink, grid: { show: false }, ticks: { ...grid, size: 4 }, size: 28, gap: 4, space: 64, values: (_, ticks) => ticks.map((t) => (by === 'day' ? dayName(t).replace(/^\w+,? /, '') : new Date(t * 1000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' }))), ...(by === 'day' && { incrs: [1, 2, 4, 7, 14].map((d) => d * 86400) }) },
          { font, stroke: ink, grid, ticks: { show: false }, size: 56, space: 40, values: (_, ticks) => ticks.map((t) => format(t, true)) },
        ],
        series: drawn, bands,
        hooks: { setCursor: [(u) => setHover(u.cursor.idx ?? null)] },
      }, data, box.current);
      watch = new ResizeObserver(() => box.current && plot.setSize({ width: box.current.clientWidth, height }));
      watch.observe(box.current);
    });
    return () => { gone = true; watch?.disconnect(); plot?.destroy(); };
  }, [at, series, table, theme, height]);
  const name = (i) => (by === 'day' ? dayName(at[i]) : exact(at[i] * 1000).replace(/ at | um /, ', '));
  const value = (s, i) => (s.kind === 'band' ? `${format(s.low[i])} to ${format(s.high[i])}` : format(s.values[i]));
  return html`<figure class="chart">
    <figcaption>${table ? html`<strong>${title}</strong>` : html`<span class="unseen">${title}</span><p class="chart-legend" aria-hidden="true">${series.map((s) => html`<span class="item"><span class="swatch ${s.kind} ${s.color.slice(2)} ${s.dash ? 'dash' : ''}"></span>${s.label}${' '}
        <span class="num">${hover != null ? value(s, hover) : s.sum ?? ''}</span></span>`)}<span class="item at">${hover != null ? name(hover) : total}</span></p>`}
      <button class="plain" aria-pressed=${table} onClick=${() => setTable(!table)}>${table ? 'Show chart' : 'Show table'}</button></figcaption>
    ${table ? html`<${Table} caption=${title} page=${31} keyOf=${(i) => i} rows=${at.map((_, i) => at.length - 1 - i)} columns=${[
      { name: 'at', label: by === 'day' ? 'Day (UTC)' : 'Hour', cell: (i) => name(i) },
      ...series.map((s) => ({ name: s.label, label: s.label, num: true, cell: (i) => value(s, i) })),
      ...(series.filter((s) => s.kind === 'stack').length > 1 ? [{ name: 'sum', label: 'Sum', num: true, cell: (i) => format(series.reduce((n, s) => n + s.values[i], 0)) }] : [])]} />`
      : html`<div ref=${box} class="plot" role="img" aria-label="${title}. ${says}" style=${{ minHeight: `${height}px` }}></div>`}
  </figure>`;
}
