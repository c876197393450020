// Which requests were slow, refused or dear, and why?
import { html, useEffect, useState } from '../vendor/htm-preact.js';
import { ROOT, api, fineUsd, link, moment, ms, plural, setQuery, short, shortModel, sum, useApi, useTenants } from '../lib.js';
import { Choice, Empty, Live, Loaded, Page, Section, Select, State, Table, Trouble, When, dayAndTime, useTick } from '../ui.js';

// What a request counts as, in a word.
export const CAUSES = { answered: ['ok', 'answered'], fell_back: ['warn', 'fell back'], limit: ['bad', 'limit or budget'], guard: ['bad', 'guard'], caller: ['bad', 'caller’s mistake'], provider: ['bad', 'provider failed'], sluice: ['bad', 'Sluice failed'] };
export const Result = ({ r }) => { const [is, word] = r.cause === 'answered' && r.cache === 'hit' ? ['info', 'cache'] : CAUSES[r.cause]; return html`<${State} is=${is}>${word}</${State}>`; };
const SHOW = {
  all: ['All', () => true], refused: ['Refused or failed', (r) => r.status >= 400], fallback: ['Fell back', (r) => r.cause === 'fell_back'],
  slow: ['Over 5 s', (r) => r.times.total_ms > 5000], dear: ['Over 1 ¢', (r) => r.cost_usd > 0.01], cache: ['From cache', (r) => r.cache === 'hit'],
};
const noteworthy = (r) => r.status >= 400 || r.cause === 'fell_back' || r.times.total_ms > 5000 || r.cost_usd > 0.01;
const words = (r) => `${r.id} ${r.key} ${r.user ?? ''} ${r.tenant} ${r.model ?? ''} ${r.deployment ?? ''} ${r.code ?? ''} ${r.task ?? ''} ${r.why}`.toLowerCase();

export default function Activity({ query, session }) {
  const asked = new URLSearchParams({ limit: '100' });
  for (const name of ['tenant', 'key', 'model', 'outcome']) if (query[name]) asked.set(name, query[name]);
  const path = `v1/requests?${asked}`, from = useApi(path, 10), tenants = useTenants(session);
  const [older, setOlder] = useState({ path, rows: [], page: null }), [problem, setProblem] = useState(null);
  useTick();
  const mine = older.path === path ? older : { path, rows: [], page: null };
  const more = async () => {
    const page = mine.page ?? from.data.next_page;
    try { const d = await api(`${path}&page=${page}`); setOlder({ path, rows: [...mine.rows, ...d.data], page: d.next_page ?? '' }); setProblem(null); } catch (p) { setProblem(p); }
  };
  const latest = from.data?.data ?? [], known = new Set(latest.map((r) => r.id)), rows = [...latest, ...mine.rows.filter((r) => !known.has(r.id))];
  const text = (query.q ?? '').trim().toLowerCase(), within = rows.filter((r) => (!text || words(r).includes(text)) && (!query.cause || r.cause === query.cause));
  const show = SHOW[query.show] ? query.show : 'all', list = within.filter(SHOW[show][1]), next = mine.page === null ? from.data?.next_page : mine.page;
  const of = (r) => link(`activity/${r.id}`, session.all ? { tenant: r.tenant } : {});
  useEffect(() => { sessionStorage.setItem('sluice.list', JSON.stringify(list.map((r) => [r.id, of(r)]))); });
  useEffect(() => {
    const key = (e) => { if (/INPUT|SELECT|TEXTAREA/.test(e.target.tagName) || !/^[jk]$/.test(e.key)) return; const links = [...document.querySelectorAll('tbody a.cover')], i = links.indexOf(document.activeElement); links[Math.max(0, Math.min(links.length - 1, i + (e.key === 'j' ? 1 : -1)))]?.focus(); };
    window.addEventListener('keydown', key);
    return () => window.removeEventListener('keydown', key);
  }, []);
  const narrowed = query.q || query.key || query.tenant || query.model || query.cause || query.outcome;
  return html`<${Page} title="Activity" aside=${from.data && html`<${Live} from=${from} />`}>
    <div class="filters">
      <${Choice} label="Show" value=${show} onChange=${(v) => setQuery({ show: v === 'all' ? '' : v })} options=${Object.entries(SHOW).map(([id, [word, is]]) => [id, word, within.filter(is).length])} />
      ${session.all && html`<${Select} id="tenant" label="Tenant" bare value=${query.tenant ?? ''} onChange=${(v) => setQuery({ tenant: v })} options=${[['', 'All tenants'], ...tenants.map((t) => [t.id, t.name])]} />`}
      <input type="search" aria-label="Filter by request id, key, model or code" placeholder="Filter by id, key, model, code" value=${query.q ?? query.key ?? ''} onInput=${(e) => setQuery({ q: e.target.value, key: '' })} />
      ${narrowed && html`<button class="plain" onClick=${() => setQuery({ q: '', key: '', tenant: '', model: '', cause: '', outcome: '', show: '' })}>Clear</button>`}</div>
    <${Loaded} from=${from} rows=${12}>${() => {
      if (!rows.length && !narrowed) return html`<${Section} title="Requests"><${Empty} title="No request in the last seven days." command=${`curl ${new URL('v1/chat/completions', ROOT).href} -H "authorization: Bearer $key" -H 'content-type: application/json' -d '{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}'`}>Each appears here, with why it was answered as it was. Try the <a href="#/playground">Playground</a>, or:</${Empty}></${Section}>`;
      return html`<${Section} title=${plural(list.length, 'request')} note=${`${fineUsd(sum(list, (r) => r.cost_usd))} in all; click one for its decisions${next ? '. There are older ones' : ''}`} flush>
        <${Table} caption="Requests" rows=${list} keyOf=${(r) => r.id} rowClass=${(r) => noteworthy(r) && 'noteworthy'} empty=${html`<${Empty} title="No request matches."><button onClick=${() => setQuery({ q: '', key: '', tenant: '', model: '', cause: '', outcome: '', show: '' })}>Show all</button></${Empty}>`} columns=${[
          { name: 'at', label: 'When', sort: (r) => r.id, cell: (r) => html`<a class="cover" href=${of(r)} aria-label="Request of ${r.key}, ${dayAndTime(moment(r.created_at))}"><${When} at=${moment(r.created_at)} as=${dayAndTime} /></a>` },
          { name: 'key', label: 'Key', p: 3, cls: 'nowrap', sort: (r) => r.key, cell: (r) => html`<code>${r.key}</code><span class="sub">${r.user ? `${r.user}, ` : ''}${r.tenant}</span>` },
          { name: 'result', label: 'Result', sort: (r) => r.status, cell: (r) => html`<${Result} r=${r} />${r.repeats ? html`<span class="sub num">and ${plural(r.repeats, 'more', 'more')}</span>` : ''}<span class="sub only-narrow">${r.key}</span>` },
          { name: 'why', label: 'Why', p: 3, cls: 'wide', cell: (r) => html`<span class="clamp" title=${r.why}>${r.why}</span>` },
          { name: 'model', label: 'Model', p: 2, cls: 'nowrap', sort: (r) => r.model ?? '', cell: (r) => (r.model ? html`${shortModel(r.model)}<span class="sub num">${short(r.usage.prompt_tokens + r.usage.completion_tokens)} tokens</span>` : html`<span class="quiet">–</span>`) },
          { name: 'ms', label: 'Time', num: true, sort: (r) => r.times.total_ms, cell: (r) => html`${ms(r.times.total_ms)}<span class="sub only-narrow">${fineUsd(r.cost_usd)}</span>` },
          { name: 'usd', label: 'Cost', num: true, p: 3, sort: (r) => r.cost_usd, cell: (r) => (r.cost_usd ? fineUsd(r.cost_usd) : html`<span class="quiet">$0</span>`) }]} />
        ${problem && html`<${Trouble} problem=${problem} retry=${more} />`}
        ${next && html`<p class="more"><button onClick=${more}>Load older ones</button></p>`}</${Section}>`;
    }}</${Loaded}></${Page}>`;
}
