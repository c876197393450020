// Anything else: what was used, what is left, and what the documents say.
import { html, useEffect, useRef, useState } from '../vendor/htm-preact.js';
import { api, plural, setQuery, useApi } from '../lib.js';
import { Empty, Field, Loaded, Page, Section, Select, Skeleton, Trouble, Verdict } from '../ui.js';
import { useAsking } from './asking.js';
import { Coverage } from './ask/coverage.js';
import { Question } from './ask/question.js';
import { AddFiles, Quality, Stores } from './ask/stores.js';

const COMPARED = [['eq', 'is'], ['ne', 'is not'], ['gt', 'over'], ['gte', 'at least'], ['lt', 'under'], ['lte', 'at most'], ['in', 'is one of'], ['nin', 'is none of']];

// What is written, as attributes have it: numbers, true and false; in quotation marks all is a text.
function valueOf(text) {
  const quoted = text.match(/^"(.*)"$/);
  if (quoted) return quoted[1];
  return text === 'true' || text === 'false' ? text === 'true' : text !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
}
// Filters are in the address, too: "name eq value" a line.
const filtersOf = (text) => (text ?? '').split('\n').map((line) => line.split(' ')).filter((words) => words.length >= 3).map(([key, type, ...value]) => ({ key, type, value: value.join(' ') }));
const textOf = (filters) => filters.filter((f) => f.key && f.value).map((f) => `${f.key} ${f.type} ${f.value}`).join('\n');
function toFilter(filters) {
  const all = filters.map(({ key, type, value }) => ({ key, type, value: type === 'in' || type === 'nin' ? value.split(',').map((each) => valueOf(each.trim())) : valueOf(value) }));
  return all.length > 1 ? { type: 'and', filters: all } : all[0];
}

function Result({ r, onLike }) {
  const [whole, setWhole] = useState(false), text = r.content.map((c) => c.text).join('\n'), id = r.sluice.document_id;
  return html`<li><div><strong>${r.sluice.url && /^https?:/.test(r.sluice.url) ? html`<a href=${r.sluice.url} rel="noreferrer">${r.filename || id}</a>` : r.filename || id}</strong> <span class="quiet small">${r.sluice.kind}, part ${r.sluice.chunk + 1}</span>
    <p class="found ${whole ? '' : 'clamp'}">${text}</p>
    <p class="small">${Object.entries(r.attributes ?? {}).map(([name, value]) => html`<span class="attribute">${name}: ${String(value)}</span> `)}</p>
    <p class="row">${text.length > 240 && html`<button class="plain" aria-expanded=${whole} onClick=${() => setWhole(!whole)}>${whole ? 'Less' : 'More'}</button>`}<button class="plain" onClick=${() => onLike(id)}>Others like it</button></p></div>
    <span class="num quiet" title="Cosine of the angle between both vectors: 1 is the same">${r.score.toFixed(2)}</span></li>`;
}

function Filters({ filters, setFilters, kind, score }) {
  const change = (i, part) => setFilters(filters.map((f, j) => (j === i ? { ...f, ...part } : f)));
  return html`<details open=${filters.length > 0 || !!kind || !!score}><summary>Filters</summary><div class="form">
    ${filters.map((f, i) => html`<div class="all row" role="group" aria-label="Filter ${i + 1}"><input class="short" aria-label="Attribute" placeholder="attribute" value=${f.key} onInput=${(e) => change(i, { key: e.target.value.trim() })} /><${Select} id="compared-${i}" label="Comparison" bare value=${f.type} options=${COMPARED} onChange=${(type) => change(i, { type })} /><input class="short" aria-label="Value" placeholder=${f.type.endsWith('in') ? 'one, another' : 'value'} value=${f.value} onInput=${(e) => change(i, { value: e.target.value })} /><button type="button" onClick=${() => setFilters(filters.filter((_, j) => j !== i))}>Remove</button></div>`)}
    <div class="all row"><button type="button" onClick=${() => setFilters([...filters, { key: '', type: 'eq', value: '' }])}>Add a filter of an attribute</button><span class="hint">All have to hold. A number in quotation marks is a text.</span></div>
    <${Field} id="kind" label="Kind of document" hint="jira_issue, pull_request, issue, commit or file"><input id="kind" name="kind" pattern="[a-z0-9_\\-]{1,64}" defaultValue=${kind ?? ''} placeholder="any" autocomplete="off" spellcheck="false" aria-describedby="kind-hint" /></${Field}>
    <${Field} id="score" label="Nearer than" hint="A cosine from 0 to 1"><input id="score" name="score" type="number" min="0" max="1" step="0.01" defaultValue=${score ?? ''} placeholder="any" aria-describedby="score-hint" /></${Field}></div></details>`;
}

function Search({ store, query, options }) {
  const [found, setFound] = useState(null), [problem, setProblem] = useState(null), [busy, setBusy] = useState(false), [filters, setFilters] = useState(filtersOf(query.filter)), form = useRef(), asked = useRef('');
  const run = async (what, { kind, score, filter }) => {
    setBusy(true);
    setProblem(null);
    try {
      setFound(await api(`v1/vector_stores/${store.id}/search`, { method: 'POST', ...options, body: { ...what, max_num_results: 20, ...(filter.length && { filters: toFilter(filter) }), ...(kind && { kind }), ...(score && { ranking_options: { score_threshold: Number(score) } }) } }));
    } catch (p) { setFound(null); setProblem(p); }
    setBusy(false);
  };
  const said = () => { const f = Object.fromEntries(new FormData(form.current)); return { q: f.q.trim(), kind: f.kind.trim(), score: f.score, filter: filters.filter((each) => each.key && each.value) }; };
  const submit = (e) => { e?.preventDefault(); const s = said(); asked.current = s.q; setQuery({ q: s.q, kind: s.kind, score: s.score, filter: textOf(s.filter) }); if (s.q) run({ query: s.q }, s); };
  const like = (id) => run({ document_id: id }, said());
  // An address that names other words is asked, too; those of the form were.
  useEffect(() => { if (query.q && query.q !== asked.current) { asked.current = query.q; run({ query: query.q }, { ...query, filter: filtersOf(query.filter) }); } }, [store.id, query.q]);
  const hits = found?.data ?? [];
  return html`<form ref=${form} onSubmit=${submit}><div class="ask-form"><input id="find" name="q" type="search" required aria-label="What to search for" placeholder="What to search for in ${store.name || store.id}" defaultValue=${query.q ?? ''} autocomplete="off" /><button class="primary" disabled=${busy}>${busy ? 'Searching' : 'Search'}</button></div>
      <${Filters} filters=${filters} setFilters=${setFilters} kind=${query.kind} score=${query.score} /></form>
    <div aria-live="polite">${busy ? html`<${Skeleton} rows=${3} />` : problem ? html`<${Trouble} problem=${problem} retry=${() => submit()} />` : found && html`<${Section} title="Found" note=${hits.length ? `nearest in meaning first; a cosine beside each${found.sluice.is_complete ? '' : '. Not all documents were looked at: narrow the filters'}` : null} flush>${hits.length
      ? html`<ul class="list plain">${hits.map((r) => html`<${Result} key=${`${r.sluice.document_id} ${r.sluice.chunk}`} r=${r} onLike=${like} />`)}</ul>` : html`<${Empty} title="Nothing was found.">${store.file_counts.total || !filters.length ? 'Search with other words, or take filters away.' : 'Take filters away.'}</${Empty}>`}</${Section}>`}</div>`;
}

function Body({ me, query, options }) {
  const list = useApi('v1/vector_stores?limit=100', 15, options);
  return html`<${Loaded} from=${list}>${({ data }) => {
    const store = data.find((s) => s.id === query.store) ?? data[0], waiting = store?.file_counts.in_progress ?? 0;
    if (!store) return html`<${Verdict} is="info">There is no document to search yet. Make a vector store, and add files to it.</${Verdict}><${Stores} stores=${data} options=${options} reload=${list.reload} />`;
    return html`<h2 class="apart">Search documents</h2>${waiting > 0 && html`<${Verdict} is="info">${plural(waiting, 'file')} of ${store.name || store.id} ${waiting === 1 ? 'is' : 'are'} being read.</${Verdict}>`}
      <${Search} key=${store.id} store=${store} query=${query} options=${options} />
      <${Stores} stores=${data} chosen=${store} options=${options} reload=${list.reload} />
      <div class="cols"><${AddFiles} key="add ${store.id}" store=${store} options=${options} reload=${list.reload} /><${Quality} key="quality ${store.id} ${store.file_counts.completed}" store=${store} options=${options} /></div>
      ${['operator', 'admin'].includes(me.role) && html`<${Coverage} stores=${data} options=${options} />`}`;
  }}</${Loaded}>`;
}

export default function Ask({ query, session }) {
  const { options, me, says, box } = useAsking(session);
  return html`<${Page} title="Ask and search" says=${says}>${box}${me && html`<${Question} key=${`question ${me.key.id}`} query=${query} session=${session} options=${options} /><${Body} key=${me.key.id} me=${me} query=${query} options=${options} />`}</${Page}>`;
}
