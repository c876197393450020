// The description of the API, from /openapi.json: routes by subject, what they take, and what they answer.
import { html, render, useState } from './vendor/htm-preact.js';
import { ROOT, plural, useApi } from './lib.js';
import { Copy, Empty, Loaded, Section } from './ui.js';

// Words between backquotes are code.
const Prose = ({ text }) => html`${String(text ?? '').split('`').map((part, i) => (i % 2 ? html`<code>${part}</code>` : part))}`;
const nameOf = (ref) => ref.split('/').pop();

// A schema in a few words: string, one of three, list of Model, Model or null.
function words(schema) {
  if (!schema) return 'anything';
  if (schema.$ref) return html`<a href="#${nameOf(schema.$ref)}"><code>${nameOf(schema.$ref)}</code></a>`;
  const several = schema.anyOf ?? schema.oneOf ?? (schema.allOf?.length > 1 ? schema.allOf : null);
  if (several) return several.map((each, i) => html`${i ? ' or ' : ''}${words(each)}`);
  if (schema.allOf) return words(schema.allOf[0]);
  if (schema.const !== undefined) return html`<code>${JSON.stringify(schema.const)}</code>`;
  if (schema.enum) return schema.enum.map((each, i) => html`${i ? ' or ' : ''}<code>${String(each)}</code>`);
  if (schema.type === 'array') return html`list of ${words(schema.items)}`;
  if (schema.type === 'object' && schema.additionalProperties) return html`object of ${words(schema.additionalProperties)}`;
  return [schema.type ?? 'anything'].flat().join(' or ');
}

const Fields = ({ schema }) => {
  const fields = Object.entries(schema.properties ?? {});
  if (!fields.length) return html`<p class="small">${words(schema)}</p>`;
  return html`<dl class="facts">${fields.map(([name, field]) => html`<dt><code>${name}</code>${schema.required?.includes(name) ? '' : html` <span class="quiet">optional</span>`}</dt>
    <dd>${words(field)}${field.description ? html`. <span class="quiet"><${Prose} text=${field.description} /></span>` : ''}</dd>`)}</dl>`;
};

function Operation({ path, method, operation, schemas }) {
  const [open, setOpen] = useState(false);
  const roles = [...new Set(operation.security.flatMap((each) => Object.values(each).flat()))], open_to_all = !operation.security.length || operation.security.some((each) => !Object.keys(each).length);
  const body = Object.values(operation.requestBody?.content ?? {})[0], given = body?.schema?.$ref ? schemas[nameOf(body.schema.$ref)] : body?.schema;
  const example = body?.example ?? Object.values(body?.examples ?? {})[0]?.value;
  const url = new URL(path.slice(1), ROOT).href;
  return html`<li class="operation" id=${operation.operationId}>
    <h3><button class="plain" aria-expanded=${open} onClick=${() => setOpen(!open)}><span class="method">${method.toUpperCase()}</span> <code>${path}</code></button></h3>
    <p class="small"><${Prose} text=${operation.summary} />. <span class="quiet">${roles.join(', ') || 'anybody'}${roles.length && open_to_all ? ', or anybody for less' : ''}</span></p>
    ${open && html`<div class="more-of-it">
      ${operation.description && html`<p><${Prose} text=${operation.description} /></p>`}
      ${operation.parameters?.length > 0 && html`<h4>Parameters</h4><dl class="facts">${operation.parameters.map((p) => html`<dt><code>${p.name}</code> <span class="quiet">${p.in}${p.required ? '' : ', optional'}</span></dt><dd>${words(p.schema)}${p.description ? html`. <span class="quiet"><${Prose} text=${p.description} /></span>` : ''}</dd>`)}</dl>`}
      ${given && html`<h4>Body</h4><${Fields} schema=${given} />`}
      <h4>Answers</h4><dl class="facts">${Object.entries(operation.responses).map(([status, answer]) => { const of = Object.values(answer.content ?? {})[0]?.schema; return html`<dt><code>${status}</code></dt><dd>${answer.$ref ? nameOf(answer.$ref) : html`<${Prose} text=${answer.description} />`}${of ? html`: ${words(of)}` : ''}</dd>`; })}</dl>
      ${!url.includes('{') && html`<h4>From a shell</h4><${Copy} text=${`curl ${url}${method === 'get' ? '' : ` -X ${method.toUpperCase()}`}${roles.length ? ' -H "authorization: Bearer $key"' : ''}${example ? ` -H 'content-type: application/json' -d '${JSON.stringify(example).replaceAll("'", "'\\''")}'` : ''}`} />`}</div>`}</li>`;
}

function Docs() {
  const from = useApi('openapi.json'), [q, setQ] = useState('');
  return html`<main class="api-docs" id="main"><header class="page-head"><h1 tabindex="-1">The API of Sluice</h1><p class="page-aside"><a href=${new URL('console', ROOT).href}>Console</a><a href=${new URL('openapi.json', ROOT).href}>openapi.json</a></p></header>
    <${Loaded} from=${from} rows=${10}>${(d) => {
      const wanted = q.trim().toLowerCase(), all = Object.entries(d.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));
      const found = all.filter((x) => !wanted || `${x.method} ${x.path} ${x.operation.summary} ${x.operation.description ?? ''}`.toLowerCase().includes(wanted));
      return html`<p class="quiet">Version ${d.info.version}. Any OpenAI client works with <code>${new URL('v1', ROOT).href}</code> as its base URL; an API key goes into <code>Authorization: Bearer sl-…</code></p>
      <div class="filters"><input type="search" aria-label="Find a route" placeholder="Find a route" value=${q} onInput=${(e) => setQ(e.target.value)} /><span class="note" role="status">${plural(found.length, 'route')}</span></div>
      ${d.tags.map((tag) => { const mine = found.filter((x) => x.operation.tags[0] === tag.name); return mine.length > 0 && html`<${Section} title=${tag.name} note=${tag.description} flush><ul>${mine.map((x) => html`<${Operation} key=${x.operation.operationId} ...${x} schemas=${d.components.schemas} />`)}</ul></${Section}>`; })}
      ${!found.length && html`<${Section} title="Routes"><${Empty} title="No route matches.">Try a part of its path, such as keys.</${Empty}></${Section}>`}
      ${!wanted && html`<${Section} title="Types" flush><ul>${Object.entries(d.components.schemas).map(([name, schema]) => html`<li class="operation" id=${name}><h3><code>${name}</code></h3>${schema.description && html`<p class="small"><${Prose} text=${schema.description} /></p>`}<${Fields} schema=${schema} /></li>`)}</ul></${Section}>`}`;
    }}</${Loaded}></main>`;
}

const root = document.getElementById('app');
root.textContent = '';
render(html`<${Docs} />`, root);
