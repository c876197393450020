// Who and what does the money go to?
import { html, useMemo } from '../vendor/htm-preact.js';
import { ROOT, fineUsd, link, num, percent, plural, raw, saveText, setQuery, short, shortDate, shortModel, sum, useApi, useTenants } from '../lib.js';
import { Choice, Empty, Loaded, Page, Section, Select, Table, Verdict, say } from '../ui.js';
import { Chart } from '../chart.js';

const BY = [['model', 'Model'], ['key', 'Key'], ['user', 'User'], ['task', 'Task'], ['provider', 'Provider'], ['tenant', 'Tenant'], ['operation', 'Kind']];
const PERIODS = [['1d', '24 hours'], ['7d', '7 days'], ['30d', '30 days'], ['90d', '90 days']];
const COLOURS = ['--c1', '--c2', '--c3', '--c4', '--c5'];
const NONE = { model: 'no model', key: 'no key', user: 'no user named', task: 'no task', provider: 'the cache, or nobody', tenant: 'no tenant', operation: 'other' };

// Seconds since 1970 of each hour or day of the period, also of those without use.
function axis(start, end, hourly) {
  const step = hourly ? 3600 : 86400, from = Math.floor(Date.parse(start) / 1000 / step) * step, to = Date.parse(end) / 1000, at = [];
  for (let t = from; t < to; t += step) at.push(t);
  return at;
}

function Costs({ d, hourly }) {
  const [at, series] = useMemo(() => {
    const times = axis(d.start, d.end, hourly), unit = hourly ? 'hour' : 'day', costs = {};
    for (const r of d.data) costs[r.model] = (costs[r.model] ?? 0) + r.cost_usd;
    const order = Object.keys(costs).sort((a, b) => costs[b] - costs[a]), named = order.slice(0, 4), groups = order.length > 5 ? [...named, null] : order;
    const where = new Map(times.map((t, i) => [t, i]));
    const made = groups.map((m, n) => {
      const values = times.map(() => 0), rows = d.data.filter((r) => (m === null ? !named.includes(r.model) : r.model === m));
      for (const r of rows) { const i = where.get(Date.parse(r[unit]) / 1000); if (i !== undefined) values[i] += r.cost_usd; }
      return { label: m === null ? `${order.length - 4} others` : shortModel(m) || 'no model', color: COLOURS[n], kind: 'stack', values, sum: fineUsd(sum(values)) };
    });
    return [times, made];
  }, [d, hourly]);
  const total = d.totals.cost_usd;
  return html`<${Chart} title="Cost by ${hourly ? 'hour' : 'day'} and model" by=${hourly ? 'hour' : 'day'} at=${at} series=${series} format=${fineUsd} total="in all ${fineUsd(total)}" says="${fineUsd(total)} in all." />`;
}

export default function Usage({ query, session }) {
  const range = PERIODS.some(([id]) => id === query.range) ? query.range : '30d', by = BY.some(([id]) => id === query.by) ? query.by : 'model', hourly = range === '1d';
  const tenants = useTenants(session), tenant = session.all ? query.tenant ?? '' : '', only = tenant && `&tenant=${encodeURIComponent(tenant)}`;
  const series = useApi(`v1/usage?range=${range}&group_by=${hourly ? 'hour' : 'day'},model${only}`), groups = useApi(`v1/usage?range=${range}&group_by=${by === 'key' && session.all ? 'tenant,key' : by}${only}`);
  const overview = useApi(by === 'key' && session.may('manager') && (!session.all || tenant) ? `v1/keys?limit=100&tenant=${encodeURIComponent(tenant || session.tenant.id)}` : null);
  const names = Object.fromEntries((overview.data?.data ?? []).map((k) => [k.id, k.name]));
  const csv = async () => {
    try {
      const name = `sluice-usage-by-${by}-${range}.csv`, answer = await raw(`v1/usage?range=${range}&group_by=day,${by}&format=csv${only}`);
      saveText(name, await answer.text(), 'text/csv');
      say(answer.headers.get('x-sluice-next-page') ? `Saved as ${name}; there is more: choose a shorter period for the rest.` : `Saved as ${name}.`);
    } catch (p) { say(`${p.message} ${p.remedy ?? ''}`); }
  };
  const period = PERIODS.find(([id]) => id === range)[1], label = BY.find(([id]) => id === by)[1];
  return html`<${Page} title="Usage and costs" aside=${html`${session.all && html`<${Select} id="tenant" label="Tenant" bare value=${tenant} onChange=${(v) => setQuery({ tenant: v })} options=${[['', 'All tenants'], ...tenants.map((t) => [t.id, t.name])]} />`}<${Choice} label="Period" value=${range} onChange=${(v) => setQuery({ range: v })} options=${PERIODS} />`}>
    <${Loaded} from=${series}>${(d) => {
      const t = d.totals;
      if (!t.requests && !t.guard_calls) return html`<${Section} title="Cost"><${Empty} title=${`Nothing was used in the last ${period}.`} command=${`curl ${new URL('v1/chat/completions', ROOT).href} -H "authorization: Bearer $key" -H 'content-type: application/json' -d '{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}'`}>Costs appear here as soon as something is answered. Try the <a href="#/playground">Playground</a>, or:</${Empty}></${Section}>`;
      const dearest = d.data.reduce((all, r) => { const when = r.day ?? r.hour; all[when] = (all[when] ?? 0) + r.cost_usd; return all; }, {}), peak = Object.entries(dearest).sort((a, b) => b[1] - a[1])[0];
      return html`<${Verdict} is="info">${fineUsd(t.cost_usd)} in ${period}, for ${plural(t.requests, 'request')}; AWS took about ${fineUsd(t.infra_cost_usd)} for them besides.${peak && !hourly && peak[1] ? ` The dearest day was ${shortDate(peak[0])} with ${fineUsd(peak[1])}.` : ''}</${Verdict}>
      <dl class="stats"><${Stat2} label="Models and providers" value=${fineUsd(t.cost_usd)} note="at their prices" /><${Stat2} label="The gateway itself" value=${fineUsd(t.infra_cost_usd)} note="about, of what AWS bills" /><${Stat2} label="From the cache" value=${percent(t.cache_hits / (t.requests || 1))} note=${`${num(t.cache_hits)} answers, for nothing`} /><${Stat2} label="Tokens" value=${short(t.total_tokens)} note=${`${short(t.prompt_tokens)} in, ${short(t.completion_tokens)} out`} /></dl>
      <${Section} title=${hourly ? 'Cost by hour' : 'Cost by day'} note=${`in US dollars${hourly ? '' : '; days in UTC'}${d.next_page ? '. It is too much for one answer: the latest days are missing, choose a shorter period' : ''}`}><${Costs} d=${d} hourly=${hourly} /></${Section}>
      <${Section} title="Where it went" note="last ${period}" flush aside=${html`<${Choice} label="Group by" value=${by} onChange=${(v) => setQuery({ by: v })} options=${BY.filter(([id]) => id !== 'tenant' || session.all)} /><button onClick=${csv}>Save CSV</button>`}>
        <${Loaded} from=${groups}>${(g) => {
          const whole = g.totals, most = Math.max(...g.data.map((r) => r.cost_usd), 1e-12);
          const to = (r) => (!session.may('manager') || !['model', 'key'].includes(by) ? null : link('activity', by === 'key' ? { key: r.key, tenant: session.all ? r.tenant : '' } : { q: r[by], tenant }));
          const called = (r) => names[r.key] ?? (shortModel(r[by]) || NONE[by]);
          return html`<${Table} caption="Cost by ${by}" rows=${g.data} keyOf=${(r) => `${r.tenant ?? ''} ${r[by]}`} page=${25} start=${{ by: 'usd', down: true }} foot=${{ usd: fineUsd(whole.cost_usd), infra: fineUsd(whole.infra_cost_usd), requests: num(whole.requests), part: '100 %' }} columns=${[
            { name: 'name', label, cls: 'nowrap', sort: called, cell: (r) => html`${to(r) ? html`<a class="cover" href=${to(r)}>${called(r)}</a>` : called(r)}${r.tenant && by === 'key' ? html` <span class="quiet">${r.tenant}</span>` : ''}` },
            { name: 'bar', label: 'Compared', p: 3, cls: 'share', cell: (r) => html`<div class="bar" aria-hidden="true"><span class="used" style=${{ width: `${(r.cost_usd / most) * 100}%` }}></span></div>` },
            { name: 'part', label: 'Share', num: true, cell: (r) => percent(r.cost_usd / (whole.cost_usd || 1)) },
            { name: 'requests', label: 'Requests', num: true, p: 3, sort: (r) => r.requests, cell: (r) => num(r.requests) },
            { name: 'tokens', label: 'Tokens in, out', num: true, p: 2, sort: (r) => r.total_tokens, cell: (r) => `${short(r.prompt_tokens)}, ${short(r.completion_tokens)}` },
            { name: 'infra', label: 'AWS, about', num: true, p: 2, sort: (r) => r.infra_cost_usd, cell: (r) => fineUsd(r.infra_cost_usd) },
            { name: 'usd', label: 'Cost', num: true, sort: (r) => r.cost_usd, cell: (r) => fineUsd(r.cost_usd) }]} />`;
        }}</${Loaded}></${Section}>`;
    }}</${Loaded}></${Page}>`;
}
const Stat2 = ({ label, value, note }) => html`<div class="stat"><dt>${label}</dt><dd class="value num">${value}</dd><dd class="note">${note}</dd></div>`;
