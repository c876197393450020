// What has come in from Jira and GitHub, what has no vectors, and why.
import { html } from '../../vendor/htm-preact.js';
import { ROOT, moment, num, percent, plural, sum, useApi } from '../../lib.js';
import { Empty, Loaded, Section, State, Table, When } from '../../ui.js';

const KINDS = { jira_issue: 'Jira issues', pull_request: 'Pull requests', issue: 'Issues', commit: 'Commits' };
const words = (name) => name.replaceAll('_', ' ').replace('.', ': ');

export function Coverage({ stores, options }) {
  const from = useApi('v1/ingest/coverage', 0, options), names = Object.fromEntries(stores.map((s) => [s.id, s.name || s.id]));
  return html`<${Section} title="What came in from Jira and GitHub" note=${from.data && !from.data.is_complete ? 'there was no time to look at all documents' : null} flush><${Loaded} from=${from} rows=${2}>${({ sources }) => {
    if (!sources.length) return html`<${Empty} title="No source is connected." command=${`curl ${new URL('v1/ingest/sources', ROOT).href} -H "authorization: Bearer $operator" -H 'content-type: application/json' -d '{"type": "github", "name": "Our repositories", "vector_store_id": "${stores[0]?.id ?? 'vs_…'}"}'`}>Issues, pull requests and commits go into a vector store while they are written. An operator makes a source, whose path and secret GitHub or Jira is then told:</${Empty}>`;
    const rows = sources.flatMap((s) => { const kinds = Object.entries(s.kinds); return (kinds.length ? kinds : [['', { documents: 0, with_vectors: 0, without_vectors: 0, reasons: {} }]]).map(([kind, k]) => ({ ...k, s, kind })); }), problems = sources.flatMap((s) => s.problems.map((p) => ({ ...p, s })));
    return html`<${Table} caption="What came in" rows=${rows} keyOf=${(r) => `${r.s.source_id} ${r.kind}`} columns=${[
      { name: 'source', label: 'Source', sort: (r) => r.s.name, cell: (r) => html`${r.s.name || r.s.source_id}<span class="sub">${r.s.has_vector_store ? `into ${names[r.s.vector_store_id] ?? r.s.vector_store_id}` : 'its vector store is gone'}</span>` },
      { name: 'kind', label: 'What', sort: (r) => r.kind, cell: (r) => (r.kind ? KINDS[r.kind] ?? words(r.kind) : html`<span class="quiet">nothing yet</span>`) },
      { name: 'documents', label: 'Documents', num: true, sort: (r) => r.documents, cell: (r) => num(r.documents) },
      { name: 'vectors', label: 'Found by search', num: true, sort: (r) => r.with_vectors / (r.documents || 1), cell: (r) => (r.documents ? html`<${State} is=${r.without_vectors ? 'warn' : 'ok'}>${percent(r.with_vectors / r.documents)}</${State}>${Object.entries(r.reasons).map(([why, n]) => html`<span class="sub">${num(n)}: ${words(why)}</span>`)}` : html`<span class="quiet">–</span>`) },
      { name: 'last', label: 'Last event', num: true, p: 3, cell: (r) => html`<${When} at=${moment(r.s.last_event_at)} none="none yet" />` }]} />
    <p class="small pad">${plural(sum(sources, (s) => s.counts.received ?? 0), 'event')} received. ${problems.length ? `${plural(problems.length, 'event')} not taken as ${problems.length === 1 ? 'it' : 'they'} came:` : 'All were taken as they came.'}</p>
    ${problems.length > 0 && html`<${Table} caption="Events that were not taken as they came" rows=${problems} keyOf=${(p) => `${p.s.source_id} ${p.delivery} ${p.at}`} columns=${[
      { name: 'at', label: 'When', cell: (p) => html`<${When} at=${moment(p.at)} />` },
      { name: 'kind', label: 'What', cell: (p) => html`<${State} is="warn">${words(p.kind)}</${State}><span class="sub">${p.s.name}, ${p.event}</span>` },
      { name: 'reason', label: 'Why', cls: 'wide', cell: (p) => p.reason }]} />`}`;
  }}</${Loaded}></${Section}>`;
}
