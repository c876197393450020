// Do the providers of a tenant answer, and which models may it use?
import { html } from '../../vendor/htm-preact.js';
import { link, num, setQuery, short, useApi } from '../../lib.js';
import { Choice, Empty, Loaded, Section, Table, Verdict } from '../../ui.js';
import { Reachable, price } from './embedding.js';
import { Tested, kindName, useTests } from './integrations.js';

const CAN = [['', 'All'], ['text_generation', 'Write'], ['analysis', 'Analyse'], ['vision', 'See images'], ['embedding', 'Embed']], WORDS = Object.fromEntries(CAN.map(([id, word]) => [id, word.toLowerCase()]));

export default function Testing({ only, query }) {
  const list = useApi(`api/v1/ai/models/available${only}`, 0, { method: 'POST', body: {} }), own = useApi(`api/v1/ai/integrations${only}`), [results, test] = useTests(only);
  const can = WORDS[query.can] ? query.can : '';
  return html`<${Loaded} from=${list} rows=${10}>${(models) => {
    const gone = models.filter((m) => !m.reachable), shown = models.filter((m) => !can || m.capabilities.includes(can));
    return html`<${Verdict} is=${!models.length ? 'bad' : gone.length ? 'warn' : 'ok'}>${!models.length ? 'There is no model that may be used.' : gone.length ? `${num(gone.length)} of ${num(models.length)} models can’t be reached now: ${gone.map((m) => m.name).slice(0, 5).join(', ')}.` : `All ${num(models.length)} models can be reached, as far as their last answers tell.`}</${Verdict}>
    <${Section} title="Providers of its own" flush aside=${own.data?.data.length > 0 && html`<button onClick=${() => own.data.data.forEach(test)}>Test all</button>`}><${Loaded} from=${own} rows=${2}>${({ data }) => (data.length ? html`<ul>${data.map((i) => html`<li class="deployment" key=${i.id}><header><h3 class="name">${i.name} <span class="quiet">${kindName(i)}</span></h3><span class="tools"><button disabled=${results[i.id]?.busy} onClick=${() => test(i)} aria-label="Test ${i.name}">Test</button></span></header>${results[i.id] && html`<${Tested} of=${i} result=${results[i.id]} />`}</li>`)}</ul>`
      : html`<${Empty} title="It brings no provider."><a href=${link('configuration', { ...query, tab: 'providers' })}>Provider management</a> adds one.</${Empty}>`)}</${Loaded}></${Section}>
    <${Section} title="Models that may be used" flush aside=${html`<${Choice} label="What it can do" value=${can} onChange=${(v) => setQuery({ can: v })} options=${CAN} />`}>
      <${Table} caption="Models" rows=${shown} keyOf=${(m) => `${m.provider} ${m.name}`} empty=${html`<${Empty} title="No model can do that." />`} columns=${[
        { name: 'name', label: 'Model', sort: (m) => m.name, cell: (m) => html`${m.name}<span class="sub">${m.provider}</span>` },
        { name: 'can', label: 'Can', p: 3, cell: (m) => m.capabilities.map((c) => WORDS[c] ?? c).join(', ') },
        { name: 'tokens', label: 'Takes and writes', num: true, p: 2, sort: (m) => m.max_tokens, cell: (m) => `${short(m.max_tokens)} tokens` },
        { name: 'price', label: '1,000 tokens', num: true, p: 3, sort: (m) => m.cost_per_1k_tokens ?? Infinity, cell: price },
        { name: 'now', label: 'Now', sort: (m) => (m.reachable ? 1 : 0), cell: (m) => html`<${Reachable} m=${m} />` },
        { name: 'try', label: 'Try', cell: (m) => (m.dimensions == null ? html`<a href=${link('playground', { model: m.name })} aria-label="Ask ${m.name}">Ask it</a>` : html`<span class="quiet">–</span>`) }]} /></${Section}>`;
  }}</${Loaded}>`;
}
