// Whose vectors new stores have, and whose there are to choose from.
import { html } from '../../vendor/htm-preact.js';
import { num, short, useApi } from '../../lib.js';
import { Empty, Loaded, Section, State, Table, Verdict } from '../../ui.js';
import { modelOptions } from './agents.js';
import { Record } from './forms.js';

export const price = (m) => (m.cost_per_1k_tokens == null ? 'not known' : m.cost_per_1k_tokens === 0 ? 'free' : `$${m.cost_per_1k_tokens}`);
export const Reachable = ({ m }) => html`<${State} is=${m.reachable ? 'ok' : 'warn'}>${m.reachable ? 'reachable' : 'not reachable'}</${State}>`;

const groups = (models) => [{ fields: [
  { path: 'model', label: 'Model', kind: 'choice', options: modelOptions(models, 'as the stack says'), hint: 'Of stores that are made from now on; those there are keep theirs' },
  { path: 'dimensions', label: 'Numbers of a vector', kind: 'number', min: 1, max: 4096, placeholder: 'as the model does', hint: 'Fewer take less room, where the model makes shorter ones' }] }];

export default function Embedding({ only }) {
  const from = useApi(`api/v1/ai/preferences/embedding_config${only}`), list = useApi(`api/v1/ai/models/available${only}`, 0, { method: 'POST', body: { capabilities: ['embedding'] } });
  return html`<${Loaded} from=${from}>${(record) => html`<${Loaded} from=${list}>${(models) => {
    const chosen = record.configuration.model, is = models.find((m) => m.name === chosen);
    return html`<${Verdict} is=${chosen && !is?.reachable ? 'warn' : 'info'}>New vector stores have the vectors of ${chosen ?? 'the model that the stack says'}${chosen && !is?.reachable ? ', which can’t be reached now' : ''}.</${Verdict}>
      <${Record} title="New vector stores" record=${record} groups=${groups(models)} name="embedding" path="api/v1/ai/preferences/embedding_config${only}" onSaved=${from.reload} />
      <${Section} title="Models of embeddings" flush><${Table} caption="Models of embeddings" rows=${models} keyOf=${(m) => `${m.provider} ${m.name}`} empty=${html`<${Empty} title="No model makes vectors.">Deploy with LocalEmbeddings, which is free, or add a provider that has one, under <a href="#/configuration?tab=providers">Provider management</a>.</${Empty}>`} columns=${[
        { name: 'name', label: 'Model', sort: (m) => m.name, cell: (m) => html`${m.name}<span class="sub">${m.provider}</span>` },
        { name: 'dimensions', label: 'Numbers of a vector', num: true, sort: (m) => m.dimensions, cell: (m) => num(m.dimensions) },
        { name: 'tokens', label: 'Takes at once', num: true, p: 3, cell: (m) => `${short(m.max_tokens)} tokens` },
        { name: 'price', label: '1,000 tokens', num: true, cell: price },
        { name: 'reachable', label: 'Now', cell: (m) => html`<${Reachable} m=${m} />` }]} /></${Section}>`;
  }}</${Loaded}>`}</${Loaded}>`;
}
