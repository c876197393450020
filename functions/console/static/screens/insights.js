// What is unusual, by how much, how sure is that, and what to do?
import { html, useEffect, useMemo, useState } from '../vendor/htm-preact.js';
import { api, exact, fineUsd, link, now, num, percent, plural, setQuery, short, shortDate, useApi, useTenants } from '../lib.js';
import { Choice, Empty, Loaded, Page, Section, Select, Skeleton, State, Table, Trouble, Verdict, When, say, useSend } from '../ui.js';
import { Chart } from '../chart.js';
import { useAsking } from './asking.js';

const FIGURES = { 'usage.requests': 'Requests', 'usage.cost': 'Cost', 'usage.tokens': 'Tokens', 'usage.errors': 'Requests that failed', 'ingestion.items': 'Events from sources', 'ingestion.without_vectors': 'Documents without vectors' };
const BY_DAY_ALONE = ['ingestion.items', 'ingestion.without_vectors'];
const PRIORITY = { critical: 'bad', high: 'bad', medium: 'warn', low: 'info' };
const TYPES = { anomaly: 'unusual', alert: 'alert', trend: 'trend', recommendation: 'what to do' };
const MUTED_DAYS = 7;
const name = (series) => FIGURES[series] ?? series;
const formatOf = (series) => { const f = series === 'usage.cost' ? fineUsd : short; return (v) => (v == null ? '–' : f(Math.abs(v) >= 100 || series === 'usage.cost' ? v : Math.round(v * 10) / 10)); };
// A day is that of the tenant's time zone, which its text begins with.
const secondsOf = (time, by) => Date.parse(by === 'day' ? `${time.slice(0, 10)}T00:00:00Z` : time) / 1000;

// Where the console shows what an action names of the API.
function Action({ text, tenant }) {
  const path = text.match(/GET \/(v1\/[a-z/]+)(?:\?group_by=(\w+))?/), named = text.replace(/:? ?GET \/\S+/, ''), to = { 'v1/usage': link('usage', { by: path?.[2], tenant }), 'v1/requests': link('activity', { show: 'refused', tenant }), 'v1/providers': '#/providers', 'v1/ingest/coverage': '#/ask' }[path?.[1]];
  return html`<li>${to ? html`<a href=${to}>${named}</a>` : text}</li>`;
}

function Points({ i, by }) {
  const format = formatOf(i.series), points = i.data_points.filter((p) => p.time), banded = points.some((p) => p.low != null), last = points.length - 1;
  const [at, series, marks] = useMemo(() => [points.map((p) => secondsOf(p.time, by)), [
    ...(banded ? [{ label: 'Expected', color: '--c1', kind: 'band', low: points.map((p) => p.low), high: points.map((p) => p.high), sum: points[last]?.low == null ? '' : `${format(points[last].low)} to ${format(points[last].high)}` }] : []),
    { label: name(i.series), color: '--c1', kind: 'line', values: points.map((p) => p.value), marked: true, sum: format(points[last]?.value) }],
    points.flatMap((p, n) => (p.low != null && (p.value < p.low || p.value > p.high) ? [n] : []))], [i.id, by]);
  if (points.length < 3) {
    return html`<${Table} caption=${`${name(i.series)}, and what was expected`} rows=${i.data_points} keyOf=${(p) => `${p.metric} ${p.time}`} columns=${[
      { name: 'what', label: 'What', cell: (p) => (p.time ? exact(p.time) : p.metric.replaceAll('_', ' ')) }, { name: 'value', label: 'Value', num: true, cell: (p) => format(p.value) },
      { name: 'band', label: 'Expected', num: true, cell: (p) => (p.low == null ? format(p.expected) : `${format(p.low)} to ${format(p.high)}`) }]} />`;
  }
  return html`<${Chart} title=${`${name(i.series)} by ${by}`} by=${by} height=${200} at=${at} series=${series} marks=${marks} total=${shortDate(points[last].time)} format=${format} says=${i.description} />`;
}

function Insight({ i, by, only, tenant, options, onMuted }) {
  const [thought, setThought] = useState(null), [send, busy, problem] = useSend(), path = (what) => `api/v1/ai/dashboard/insights/${i.id}/${what}${only}`;
  const rate = (is_useful) => send(async () => { const topic = await api(path('feedback'), { method: 'POST', ...options, body: { is_useful } }); setThought({ ...topic.feedback, is_useful }); say('Noted: what few find useful is told of less.'); });
  const mute = () => send(async () => { await api(path('mute'), { method: 'POST', ...options, body: { days: MUTED_DAYS } }); say(`Muted for ${MUTED_DAYS} days, this kind of finding in ${name(i.series).toLowerCase()}.`); onMuted(); });
  const f = thought ?? i.feedback;
  return html`<div class="insight"><p>${i.description}</p>
    <p class="small"><span class="num">${percent(i.confidence)}</span> ${i.confidence_says}${i.is_confident ? '' : '. That is less than the tenant wants to be told of'}</p>
    ${i.insight_type !== 'recommendation' && html`<${Points} i=${i} by=${by} />`}
    ${i.suggested_actions.length > 0 && html`<ul class="actions-list">${i.suggested_actions.map((text) => html`<${Action} text=${text} tenant=${tenant} />`)}</ul>`}
    ${problem && html`<${Trouble} problem=${problem} />`}
    <div class="row"><span class="small">${i.at ? html`<${When} at=${i.at} />` : ''}${f.useful + f.not_useful ? ` ${plural(f.useful, 'key')} found such useful, ${num(f.not_useful)} not.` : ''}</span><span class="row"><button disabled=${busy} aria-pressed=${thought?.is_useful === true} onClick=${() => rate(true)}>Useful</button><button disabled=${busy} aria-pressed=${thought?.is_useful === false} onClick=${() => rate(false)}>Not useful</button><button disabled=${busy} onClick=${mute}>Mute for ${MUTED_DAYS} days</button></span></div></div>`;
}

function Forecast({ f, by }) {
  const format = formatOf(f.series), points = f.points.filter((p) => p.time);
  const [at, series] = useMemo(() => [points.map((p) => secondsOf(p.time, by)), [{ label: 'Nine of ten', color: '--c1', kind: 'band', low: points.map((p) => p.low), high: points.map((p) => p.high) }, { label: name(f.series), color: '--c1', kind: 'line', dash: [4, 4], values: points.map((p) => p.expected) }]], [f]);
  return html`<${Section} title="${name(f.series)}, expected" note="such bands held ${percent(f.coverage)} when that was measured"><${Chart} title="${name(f.series)}, expected" by=${by} height=${160} at=${at} series=${series} format=${format} total="" says="Expected are ${format(points[0]?.low)} to ${format(points[0]?.high)} first." /></${Section}>`;
}

function Words({ only, body, options }) {
  const [said, setSaid] = useState(null), [send, busy, problem] = useSend((d) => setSaid(d.narrative));
  return html`<${Section} title="In words">${problem && html`<${Trouble} problem=${problem} />`}${said ? (said.text ? html`<p class="answer">${said.text}</p><p class="small">Written by a model from the findings below. Every number in it is one of theirs.</p>` : html`<${Empty} title="There is no text.">${said.reason ?? 'Nothing was found to tell of.'}</${Empty}>`)
    : html`<${Empty} title="A model can put the findings into words."><button disabled=${busy} onClick=${() => send(() => api(`api/v1/ai/dashboard/insights${only}`, { method: 'POST', ...options, body: { ...body, narrative: true } }))}>${busy ? 'Asking' : 'Have it told'}</button> It costs a request. Numbers stay Sluice’s.</${Empty}>`}</${Section}>`;
}

function Past({ from, only, options, onChanged }) {
  const [send, busy, problem] = useSend(onChanged), muted = (i) => i.muted_until && Date.parse(i.muted_until) > now();
  return html`<${Section} title="Found lately" note="asked or unasked" flush><${Loaded} from=${from} rows=${3}>${({ data }) => html`${problem && html`<${Trouble} problem=${problem} />`}<${Table} caption="Found lately" rows=${data} keyOf=${(i) => i.id} page=${10} empty=${html`<${Empty} title="Nothing was found yet.">Each day’s end the tenant’s figures are looked at, if its preference to be told unasked is on.</${Empty}>`} columns=${[
    { name: 'title', label: 'What', cell: (i) => html`${i.title}<span class="sub">${TYPES[i.insight_type]}${i.at ? `, ${shortDate(i.at)}` : ''}</span>` },
    { name: 'priority', label: 'Priority', cell: (i) => html`<${State} is=${PRIORITY[i.priority]}>${i.priority}</${State}>` },
    { name: 'told', label: 'Told of', p: 3, cell: (i) => (i.noticed_at ? html`<${When} at=${i.noticed_at} />` : html`<span class="quiet">no</span>`) },
    { name: 'found', label: 'Found', num: true, p: 3, cell: (i) => html`<${When} at=${i.found_at} />` },
    { name: 'muted', label: 'Muted', cls: 'actions', cell: (i) => (muted(i) ? html`until ${shortDate(i.muted_until)} <button disabled=${busy} onClick=${() => send(() => api(`api/v1/ai/dashboard/insights/${i.id}/mute${only}`, { method: 'POST', ...options, body: { days: 0 } }))} aria-label="Show ${i.title} again">Show again</button>` : html`<span class="quiet">no</span>`) }]} />`}</${Loaded}></${Section}>`;
}

function Body({ tenant, session, by, options }) {
  const only = `?tenant=${encodeURIComponent(tenant.id)}`, figures = Object.keys(FIGURES).filter((f) => by === 'day' || !BY_DAY_ALONE.includes(f)), body = { figures, interval: by, narrative: false };
  const from = useApi(`api/v1/ai/dashboard/insights${only}`, 0, { method: 'POST', body, ...options }), past = useApi(`api/v1/ai/dashboard/insights${only}&limit=50`, 0, options), again = () => { from.reload(); past.reload(); }, due = from.data?.refresh_at;
  // When a day or an hour has ended there is more to look at, if the tenant wants that.
  useEffect(() => {
    if (!due) return undefined;
    const timer = setTimeout(from.reload, Math.min(Math.max(Date.parse(due) - now(), 60000), 864e5));
    return () => clearTimeout(timer);
  }, [due]);
  return html`<${Loaded} from=${from} rows=${10}>${(d) => {
    const urgent = d.insights.filter((i) => i.priority === 'critical' || i.priority === 'high').length, drawn = d.forecasts.filter((f) => f.points.filter((p) => p.time).length > 2);
    return html`<${Verdict} is=${urgent ? 'warn' : d.insights.length ? 'info' : 'ok'}>${d.insights.length ? `${plural(d.insights.length, 'finding')} in the figures of ${tenant.name}${urgent ? `, ${num(urgent)} of high or critical priority` : ''}: by statistics, not by a model.` : `Nothing is unlike before in the figures of ${tenant.name}.`}${d.muted ? ` ${num(d.muted)} muted.` : ''}</${Verdict}>
    ${d.insights.map((i) => html`<${Section} key=${i.id} title=${i.title} note=${TYPES[i.insight_type]} aside=${html`<${State} is=${PRIORITY[i.priority]}>${i.priority} priority</${State}>`}><${Insight} i=${i} by=${by} only=${only} tenant=${session.all ? tenant.id : ''} options=${options} onMuted=${again} /></${Section}>`)}
    ${!d.insights.length && html`<${Section} title="Findings"><${Empty} title="No finding.">Each ${by} is compared with the same ${by === 'day' ? 'weekdays' : 'hours of the week'} of eight weeks. With less than four weeks of use there is nothing to compare with.</${Empty}></${Section}>`}
    ${d.insights.length > 0 && html`<${Words} only=${only} body=${body} options=${options} />`}
    ${drawn.length > 0 && html`<div class="cols">${drawn.map((f) => html`<${Forecast} key=${f.series} f=${f} by=${by} />`)}</div>`}
    ${d.skipped.length > 0 && html`<${Section} title="Not judged" flush><ul class="list plain">${d.skipped.map((s) => html`<li><div><strong>${name(s.series)}</strong><p class="small">${s.reason}</p></div></li>`)}</ul></${Section}>`}
    <${Past} from=${past} only=${only} options=${options} onChanged=${again} />
    <p class="small pad-top">Looked at <${When} at=${d.generated_at} />. What is looked for is chosen under <a href=${link('configuration', { tenant: session.all ? tenant.id : '' })}>AI configuration</a>.</p>`;
  }}</${Loaded}>`;
}

export default function Insights({ query, session }) {
  const { options, me, says, box } = useAsking(session), all = useTenants(session), by = query.by === 'hour' ? 'hour' : 'day';
  // A key that asks beside the one that was signed in with asks for its own tenant.
  const tenants = box ? (me ? [me.tenant] : []) : all, tenant = tenants.find((t) => t.id === query.tenant) ?? tenants[0], may = me && me.role !== 'caller';
  return html`<${Page} title="Insights" says=${says} aside=${html`${session.all && !box && tenant && html`<${Select} id="tenant" label="Tenant" value=${tenant.id} onChange=${(v) => setQuery({ tenant: v })} options=${tenants.map((t) => [t.id, t.name])} />`}<${Choice} label="Figures by" value=${by} onChange=${(v) => setQuery({ by: v === 'day' ? '' : v })} options=${[['day', 'By day'], ['hour', 'By hour']]} />`}>${box}
    ${tenants.isLoading ? html`<${Skeleton} />` : tenant && may ? html`<${Body} key="${tenant.id} ${by}" tenant=${tenant} session=${session} by=${by} options=${options} />` : me && !may ? html`<${Verdict} is="warn">This key is a caller’s: what a whole tenant uses is shown to its managers. Ask with a manager’s key.</${Verdict}>` : box ? null : html`<${Section} title="Tenants"><${Empty} title="There is no tenant yet."><a href="#/keys">Keys and budgets</a> makes one. What is unusual is found in what its keys use.</${Empty}></${Section}>`}</${Page}>`;
}
