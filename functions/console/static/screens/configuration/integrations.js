// Providers, gateways and sources that a tenant brings, with keys of its own: add, edit, delete, save and test.
import { html, useRef, useState } from '../../vendor/htm-preact.js';
import { api, ms, num, plural, useApi } from '../../lib.js';
import { Dialog, Empty, Field, Loaded, Section, State, Trouble, Verdict, say, useSend } from '../../ui.js';
import { Fields, readFields } from './forms.js';

// name in words; where it is: needed, asked for, or none to give; whether it takes a key
const KINDS = {
  groq: ['Groq', 'own'], google_gemini: ['Google Gemini', 'own'], openai: ['OpenAI', 'own'], anthropic_claude: ['Anthropic', 'own'], azure_openai: ['Azure OpenAI', 'needed'],
  huggingface: ['Hugging Face', 'own'], openrouter: ['OpenRouter', 'own'], custom_gateway: ['A gateway (LiteLLM)', 'needed'], openai_compatible: ['OpenAI-compatible', 'needed'],
  sentence_transformers: ['Sluice’s own embeddings, without a key', 'none'], jira: ['Jira', 'needed'], github: ['GitHub', 'own'],
};
const SOURCES = ['jira', 'github'];
const SECRETS = { jira: [['email', 'E-mail'], ['api_token', 'API token']], github: [['token', 'Token']] };
const secretsOf = (kind) => (KINDS[kind][1] === 'none' ? [] : SECRETS[kind] ?? [['api_key', 'API key']]);
const SUBTYPES = [['llm', 'texts'], ['embedding', 'embeddings'], ['gateway', 'both']];
const EXAMPLES = { azure_openai: 'https://name.openai.azure.com/openai/v1', custom_gateway: 'https://gateway.example.com', jira: 'https://name.atlassian.net', github: 'https://api.github.com' };
export const kindOf = (i) => (i.type === 'ai_model' ? (i.provider === 'local' ? 'sentence_transformers' : i.provider) : i.type);
export const kindName = (i) => KINDS[kindOf(i)]?.[0] ?? kindOf(i);

const LIMITS = { requests_per_minute: 'requests a minute', requests_per_day: 'requests a day', tokens_per_minute: 'tokens a minute', tokens_per_day: 'tokens a day' };
const PERFORMANCE = [{ title: 'How it is asked', fields: [
  { path: 'priority', label: 'Priority', kind: 'number', min: 1, max: 1000, hint: '1 is asked first', placeholder: 'as the others' },
  { path: 'timeout_seconds', label: 'Waits for at most', kind: 'number', min: 1, max: 900, step: 'any', unit: 's', placeholder: 'as the stack says' },
  ...Object.entries(LIMITS).map(([path, words]) => ({ path, label: words[0].toUpperCase() + words.slice(1), kind: 'number', min: 1, placeholder: 'as the catalogue says', hint: 'Of each model' }))] }];

const namesOf = (i) => [...(i.model_config.model_name ? [i.model_config.model_name] : []), ...Object.keys(i.model_config.models ?? {})];

// What of the models is said again, if that was changed; what the API was told more closely stays as long as the names do.
function choice(f, before) {
  const names = [...new Set((f.models ?? '').split('\n').map((n) => n.trim()).filter(Boolean))], was = before ? namesOf(before) : [], old = before?.model_config ?? {};
  const more = { ...(f.tier && { tier: f.tier }), ...(f.dimensions && { dimensions: Number(f.dimensions) }) };
  if (before && names.join() === was.join() && (f.tier ?? '') === (old.tier ?? '') && (f.dimensions ?? '') === String(old.dimensions ?? '')) return undefined;
  if (names.length === 1 && !old.models?.[names[0]]) return { model_name: names[0], ...more };
  const said = (n) => old.models?.[n] ?? { ...(more.tier && { tier: more.tier }), ...(more.dimensions && { vectors: { dimensions: more.dimensions } }) };
  return names.length ? { models: Object.fromEntries(names.map((n) => [n, said(n)])) } : {};
}

function Editor({ before, others, only, onClose, onSaved }) {
  const [kind, setKind] = useState(before ? kindOf(before) : 'groq'), [subtype, setSubtype] = useState(before?.subtype ?? 'llm'), form = useRef(), [send, busy, problem] = useSend();
  const source = SOURCES.includes(kind), where = KINDS[kind][1], path = `api/v1/ai/integrations${before ? `/${before.id}` : ''}${only}`;
  const save = (e, tests) => {
    e.preventDefault();
    if (!form.current.reportValidity()) return;
    send(async () => {
      const f = Object.fromEntries(new FormData(form.current)), secrets = Object.fromEntries(secretsOf(kind).map(([name]) => [name, (f[name] ?? '').trim()]).filter(([, v]) => v));
      const { said, changed } = readFields(form.current, source ? [] : PERFORMANCE, before?.performance_config), given = Object.fromEntries(Object.entries(said).filter(([, v]) => v !== null));
      const models = source ? undefined : choice(f, before), base_url = (f.base_url ?? '').trim() || null, active = form.current.elements.active.checked, fallback = f.fallback || null;
      const differs = (name, value) => (before && before[name] === value ? {} : { [name]: value });
      const body = { ...differs('name', f.name.trim()), ...differs('base_url', base_url), ...differs('fallback_integration_id', fallback), ...differs('active', active),
        ...(Object.keys(secrets).length && { credentials: secrets }), ...(models && { model_config: models }), ...(Object.keys(changed).length && { performance_config: given }),
        ...(!before && { type: source ? kind : 'ai_model', subtype: source ? 'data_source' : subtype, ...(!source && { provider: kind }) }) };
      const saved = Object.keys(body).length ? await api(path, before ? { method: 'PATCH', body, headers: { 'if-match': `"${before.version}"` } } : { method: 'POST', body }) : before;
      say(`${saved.name} is saved. It holds everywhere within 60 s.`);
      onSaved(saved, tests);
      onClose();
    });
  };
  return html`<${Dialog} title=${before ? `Edit ${before.name}` : 'Add a provider'} onClose=${onClose}><form class="form" ref=${form} onSubmit=${(e) => save(e, true)}>
    ${before ? html`<p class="all small">${KINDS[kind][0]}${source ? '' : `, for ${Object.fromEntries(SUBTYPES)[subtype]}`}. What kind it is never changes: add another in its place.</p>`
      : html`<${Field} id="i-kind" label="What it is"><select id="i-kind" onChange=${(e) => { setKind(e.target.value); if (e.target.value === 'sentence_transformers') setSubtype('embedding'); }} autofocus><optgroup label="Models">${Object.entries(KINDS).filter(([id]) => !SOURCES.includes(id)).map(([id, [name]]) => html`<option value=${id} selected=${id === kind}>${name}</option>`)}</optgroup><optgroup label="Sources of data">${SOURCES.map((id) => html`<option value=${id} selected=${id === kind}>${KINDS[id][0]}</option>`)}</optgroup></select></${Field}>
        ${source ? html`<div></div>` : html`<${Field} id="i-subtype" label="For"><select id="i-subtype" onChange=${(e) => setSubtype(e.target.value)}>${SUBTYPES.map(([id, name]) => html`<option value=${id} selected=${id === subtype}>${name}</option>`)}</select></${Field}>`}`}
    <${Field} id="i-name" label="Name"><input id="i-name" name="name" required maxlength="128" defaultValue=${before?.name ?? ''} placeholder="Our own ${KINDS[kind][0].replace(/^A .*|^Sluice.*|^OpenAI-.*/, 'provider')}" autocomplete="off" /></${Field}>
    <div class="field end-of-row"><label class="check" for="i-active"><input id="i-active" name="active" type="checkbox" defaultChecked=${before?.active ?? true} />In use</label></div>
    ${where !== 'none' && html`<div class="all"><${Field} id="i-url" label="Address" hint=${where === 'needed' ? 'Where it is: https on the public internet, or in a network that the stack allows' : 'Empty: where it usually is'}><input id="i-url" name="base_url" type="url" required=${where === 'needed'} defaultValue=${before?.base_url ?? ''} placeholder=${EXAMPLES[kind] ?? 'https://'} autocomplete="off" spellcheck="false" aria-describedby="i-url-hint" /></${Field}></div>`}
    ${secretsOf(kind).map(([name, label]) => html`<div class=${secretsOf(kind).length > 1 ? '' : 'all'}><${Field} id="i-${name}" label=${label} hint=${before?.credentials[name] ? `There is one: ${before.credentials[name]}. Empty: it stays` : 'It is kept encrypted, and never shown again'}><input id="i-${name}" name=${name} type="password" autocomplete="off" spellcheck="false" aria-describedby="i-${name}-hint" /></${Field}></div>`)}
    ${!source && html`<div class="all"><${Field} id="i-models" label="Models" hint="One a line, as the provider calls them. Empty: all that Sluice knows of it"><textarea id="i-models" name="models" rows="2" spellcheck="false" defaultValue=${before ? namesOf(before).join('\n') : ''} aria-describedby="i-models-hint"></textarea></${Field}></div>
      ${subtype !== 'embedding' && html`<${Field} id="i-tier" label="They answer"><select id="i-tier" name="tier">${[['', 'as Sluice knows'], ['fast', 'easy questions'], ['smart', 'hard questions']].map(([id, name]) => html`<option value=${id} selected=${id === (before?.model_config.tier ?? '')}>${name}</option>`)}</select></${Field}>`}
      ${subtype !== 'llm' && html`<${Field} id="i-dimensions" label="Numbers of a vector" hint="Of a model that Sluice does not know"><input id="i-dimensions" name="dimensions" type="number" min="1" max="65536" defaultValue=${before?.model_config.dimensions ?? ''} aria-describedby="i-dimensions-hint" /></${Field}>`}
      <${Field} id="i-fallback" label="If it fails, ask"><select id="i-fallback" name="fallback"><option value="">as for other models</option>${others.filter((o) => o.type === 'ai_model').map((o) => html`<option value=${o.id} selected=${o.id === before?.fallback_integration_id}>${o.name}</option>`)}</select></${Field}>
      <details class="all" open=${Object.keys(before?.performance_config ?? {}).length > 0}><summary>Limits, priority, time</summary><${Fields} groups=${PERFORMANCE} values=${before?.performance_config ?? {}} name="i" /></details>`}
    ${problem && html`<div class="all"><${Trouble} problem=${problem} /></div>`}
    <div class="all end"><button type="button" onClick=${onClose}>Cancel</button><button type="button" disabled=${busy} onClick=${(e) => save(e, false)}>Save</button><button class="primary" disabled=${busy}>${busy ? 'Saving' : 'Save and test'}</button></div></form></${Dialog}>`;
}

function Delete({ of, used, only, onClose, onSaved }) {
  const [send, busy, problem] = useSend(() => { say(`${of.name} is deleted.`); onSaved(); onClose(); });
  return html`<${Dialog} title="Delete ${of.name}?" onClose=${onClose}><p>Its models answer nobody any more within 60 s, and its key is deleted. That can’t be undone.${used.length ? ` It stands in for ${used.map((u) => u.name).join(', ')}: choose something else there first.` : ''}</p>
    ${problem && html`<${Trouble} problem=${problem} />`}<div class="form"><div class="all end"><button onClick=${onClose}>Cancel</button><button class="danger" disabled=${busy} onClick=${() => send(() => api(`api/v1/ai/integrations/${of.id}${only}`, { method: 'DELETE' }))}>Delete for good</button></div></div></${Dialog}>`;
}

// What came of asking it, in words.
export function Tested({ of, result }) {
  if (result.busy) return html`<p class="why off" role="status">Asking…</p>`;
  if (!result.ok) return html`<p class="why bad" role="status"><strong>It does not work.</strong> ${result.error}</p>`;
  const { models } = result, lacking = models.length ? namesOf(of).filter((name) => !models.includes(name)) : [], told = `${models.slice(0, 8).join(', ')}${models.length > 8 ? ' …' : ''}`;
  return html`<p class="why ${lacking.length ? 'warn' : 'fine'}" role="status"><strong>It answers${result.latency_ms ? `, in ${ms(result.latency_ms)}` : ''}.</strong> ${models.length ? `It names ${plural(models.length, 'model')}: ${told}.` : ''}${lacking.length ? ` ${lacking.join(', ')} ${lacking.length === 1 ? 'is' : 'are'} not among them: look at how the provider writes it.` : ''}</p>`;
}

export function useTests(only) {
  const [results, set] = useState({});
  const test = async (i) => {
    set((old) => ({ ...old, [i.id]: { busy: true } }));
    let result;
    try { result = await api(`api/v1/ai/integrations/${i.id}/test${only}`, { method: 'POST' }); } catch (p) { result = { ok: false, error: `${p.message} ${p.remedy ?? ''}` }; }
    set((old) => ({ ...old, [i.id]: result }));
  };
  return [results, test];
}

export default function Integrations({ only, tenant }) {
  const from = useApi(`api/v1/ai/integrations${only}`), [open, setOpen] = useState(null), [results, test] = useTests(only), close = () => setOpen(null);
  const add = html`<button class="primary" onClick=${() => setOpen(['edit'])}>Add a provider</button>`;
  return html`<${Loaded} from=${from}>${({ data }) => {
    const failing = data.filter((i) => results[i.id]?.ok === false), names = Object.fromEntries(data.map((i) => [i.id, i.name]));
    return html`<${Verdict} is=${failing.length ? 'bad' : 'info'}>${failing.length ? `${failing.map((i) => i.name).join(', ')}: not working.` : data.length ? `${tenant.name} brings ${plural(data.length, 'provider or source', 'providers and sources')} of its own.` : `${tenant.name} brings nothing of its own: the stack’s providers answer.`}</${Verdict}>
    <${Section} title="Providers of ${tenant.name}" note="they come before the stack’s, and answer this tenant alone" aside=${data.length > 0 && add} flush>${data.length ? html`<ul>${data.map((i) => html`<li class="deployment" key=${i.id}>
      <header><h3 class="name">${i.name} <span class="quiet">${kindName(i)}</span></h3><${State} is=${i.active ? 'ok' : 'off'}>${i.active ? 'in use' : 'switched off'}</${State}>
        <span class="tools"><button disabled=${results[i.id]?.busy} onClick=${() => test(i)} aria-label="Test ${i.name}">Test</button><button onClick=${() => setOpen(['edit', i])} aria-label="Edit ${i.name}">Edit</button><button onClick=${() => setOpen(['delete', i])} aria-label="Delete ${i.name}">Delete</button></span></header>
      ${results[i.id] && html`<${Tested} of=${i} result=${results[i.id]} />`}
      <dl class="facts">${i.base_url && html`<dt>Address</dt><dd class="mono">${i.base_url}</dd>`}<dt>Key</dt><dd>${Object.values(i.credentials).join(', ') || 'none'}</dd>
        ${i.type === 'ai_model' && html`<dt>Models</dt><dd>${namesOf(i).join(', ') || 'all that Sluice knows of it'}</dd>`}
        ${i.fallback_integration_id && html`<dt>If it fails</dt><dd>${names[i.fallback_integration_id] ?? i.fallback_integration_id}</dd>`}
        ${Object.keys(i.performance_config).length > 0 && html`<dt>Limits</dt><dd>${Object.entries(i.performance_config).map(([name, v]) => (name === 'priority' ? `priority ${v}` : name === 'timeout_seconds' ? `waits ${v} s` : `${num(v)} ${LIMITS[name] ?? name}`)).join(', ')}</dd>`}</dl></li>`)}</ul>`
      : html`<${Empty} title="Bring a provider with a key of its own.">Groq’s and Gemini’s keys are free. A gateway of your own, Jira and GitHub are added here as well. ${add}</${Empty}>`}</${Section}>
    ${open?.[0] === 'edit' && html`<${Editor} before=${open[1]} others=${data.filter((o) => o.id !== open[1]?.id)} only=${only} onClose=${close} onSaved=${(saved, tests) => { from.reload(); if (tests) test(saved); }} />`}
    ${open?.[0] === 'delete' && html`<${Delete} of=${open[1]} used=${data.filter((o) => o.fallback_integration_id === open[1].id)} only=${only} onClose=${close} onSaved=${from.reload} />`}`;
  }}</${Loaded}>`;
}
