// Vector stores: which there are, files for them, and what their vectors are like.
import { html, useRef, useState } from '../../vendor/htm-preact.js';
import { api, moment, num, percent, plural, setQuery, short, useApi } from '../../lib.js';
import { Dialog, Empty, Ends, Field, Loaded, Progress, Section, State, Table, Trouble, When, say, useSend } from '../../ui.js';

const size = (bytes) => (bytes < 1e6 ? `${short(bytes / 1e3)} KB` : `${short(bytes / 1e6)} MB`);

const price = (m) => (m.cost_per_1k_tokens == null ? 'price not known' : m.cost_per_1k_tokens ? `$${m.cost_per_1k_tokens} for 1,000 tokens` : 'free');

function NewStore({ options, onClose, onDone }) {
  const models = useApi('api/v1/ai/models/available', 0, { method: 'POST', body: { capabilities: ['embedding'] }, ...options });
  const [send, busy, problem] = useSend((store) => { say(`${store.name} is made. Add files to it.`); onDone(store); onClose(); });
  const submit = (e) => { e.preventDefault(); const f = Object.fromEntries(new FormData(e.target)); send(() => api('v1/vector_stores', { method: 'POST', ...options, body: { name: f.name.trim(), ...(f.model && { embedding_model: f.model }) } })); };
  return html`<${Dialog} title="Make a vector store" onClose=${onClose}><form class="form" onSubmit=${submit}>
    <${Field} id="s-name" label="Name"><input id="s-name" name="name" required maxlength="256" placeholder="Handbook" autocomplete="off" autofocus /></${Field}>
    <${Field} id="s-model" label="Model of its vectors" hint="One without a price is refused to who has a budget"><select id="s-model" name="model" aria-describedby="s-model-hint"><option value="">as the tenant prefers</option>${(models.data ?? []).map((m) => html`<option value=${m.name}>${m.name} (${price(m)})</option>`)}</select></${Field}>
    ${models.problem && html`<div class="all"><${Trouble} problem=${models.problem} retry=${models.reload} /></div>`}
    ${problem && html`<div class="all"><${Trouble} problem=${problem} /></div>`}<${Ends} onClose=${onClose} busy=${busy}>Make vector store</${Ends}></form></${Dialog}>`;
}

function Delete({ store, options, onClose, onDone }) {
  const [send, busy, problem] = useSend(() => { say(`${store.name || store.id} is deleted.`); onDone(); onClose(); });
  return html`<${Dialog} title="Delete ${store.name || store.id}?" onClose=${onClose}><p>Nothing is found in it any more from now on. Its files stay. That can’t be undone.</p>${problem && html`<${Trouble} problem=${problem} />`}
    <div class="form"><div class="all end"><button onClick=${onClose}>Cancel</button><button class="danger" disabled=${busy} onClick=${() => send(() => api(`v1/vector_stores/${store.id}`, { method: 'DELETE', ...options }))}>Delete for good</button></div></div></${Dialog}>`;
}

export function Stores({ stores, chosen, options, reload }) {
  const [open, setOpen] = useState(null), make = html`<button onClick=${() => setOpen(['new'])}>Make a vector store</button>`;
  return html`<${Section} title="Vector stores" note=${stores.length ? 'what can be searched' : null} aside=${stores.length > 0 && make} flush>
    <${Table} caption="Vector stores" rows=${stores} keyOf=${(s) => s.id} empty=${html`<${Empty} title="There is no vector store yet.">It keeps documents, and finds the pieces of them that mean what is asked. All keys of the tenant share it. ${make}</${Empty}>`} columns=${[
      { name: 'name', label: 'Name', sort: (s) => s.name.toLowerCase(), cell: (s) => html`<button class="plain name" aria-pressed=${s.id === chosen?.id} onClick=${() => setQuery({ store: s.id })}>${s.name || s.id}</button><span class="sub">${s.sluice.embedding_model}, ${num(s.sluice.dimensions)} numbers${s.sluice.next_embedding_model ? `; ${s.sluice.next_embedding_model} comes in its place` : ''}</span>` },
      { name: 'state', label: 'State', cell: (s) => (s.id === chosen?.id ? html`<${State} is="info">searched</${State}>` : html`<${State} is=${s.status === 'expired' ? 'off' : 'ok'}>${s.status === 'expired' ? 'expired' : 'ready'}</${State}>`) },
      { name: 'files', label: 'Files', num: true, sort: (s) => s.file_counts.total, cell: (s) => html`${num(s.file_counts.total)}${s.file_counts.failed ? html`<span class="sub">${num(s.file_counts.failed)} not read</span>` : ''}${s.file_counts.in_progress ? html`<span class="sub">${num(s.file_counts.in_progress)} being read</span>` : ''}` },
      { name: 'size', label: 'Size', num: true, p: 3, sort: (s) => s.usage_bytes, cell: (s) => size(s.usage_bytes) },
      { name: 'used', label: 'Used', num: true, p: 2, sort: (s) => s.last_active_at, cell: (s) => html`<${When} at=${moment(s.last_active_at)} />` },
      { name: 'act', label: 'Change', p: 3, cls: 'actions', cell: (s) => html`<button onClick=${() => setOpen(['delete', s])} aria-label="Delete ${s.name || s.id}">Delete</button>` }]} /></${Section}>
    ${open?.[0] === 'new' && html`<${NewStore} options=${options} onClose=${() => setOpen(null)} onDone=${(s) => { setQuery({ store: s.id, q: '' }); reload(); }} />`}
    ${open?.[0] === 'delete' && html`<${Delete} store=${open[1]} options=${options} onClose=${() => setOpen(null)} onDone=${reload} />`}`;
}

export function AddFiles({ store, options, reload }) {
  const [done, setDone] = useState(0), [all, setAll] = useState(0), box = useRef(), [send, busy, problem] = useSend(reload);
  const add = (e) => {
    e.preventDefault();
    const files = [...box.current.files];
    setDone(0);
    setAll(files.length);
    send(async () => {
      for (const file of files) {
        const form = new FormData();
        form.append('purpose', 'user_data');
        form.append('file', file);
        const kept = await api('v1/files', { method: 'POST', ...options, body: form });
        await api(`v1/vector_stores/${store.id}/files`, { method: 'POST', ...options, body: { file_id: kept.id } });
        setDone((n) => n + 1);
      }
      say(`${plural(files.length, 'file')} sent: found as soon as ${files.length === 1 ? 'it is' : 'they are'} read.`);
      box.current.value = '';
    });
  };
  return html`<${Section} title="Add files" note="to ${store.name || store.id}"><form class="form" onSubmit=${add}><div class="all"><${Field} id="files" label="Files" hint="Text, Markdown, HTML, JSON, CSV, PDF or DOCX, of 5 MB at most"><input id="files" ref=${box} type="file" multiple required aria-describedby="files-hint" /></${Field}></div>
    ${busy && html`<div class="all"><${Progress} part=${all ? done / all : 0} label="${done} of ${all} sent" /></div>`}${problem && html`<div class="all"><${Trouble} problem=${problem} /></div>`}
    <div class="all end"><button class="primary" disabled=${busy}>${busy ? 'Sending' : 'Add'}</button></div></form></${Section}>`;
}

export function Quality({ store, options }) {
  const from = useApi(`v1/vector_stores/${store.id}/quality`, 0, options);
  return html`<${Section} title="Quality of its vectors"><${Loaded} from=${from} rows=${3}>${(q) => {
    if (!q.documents) return html`<${Empty} title="There is no document in it yet.">Add a file, or connect Jira or GitHub.</${Empty}>`;
    const bad = q.zero_vectors + q.non_finite_vectors, lacking = q.lacking.map((l) => `${num(l.documents)}: ${l.reason.replaceAll('_', ' ')}`).join('; ');
    return html`<dl class="facts"><dt>Documents</dt><dd class="num">${num(q.documents)}</dd>
      <dt>With vectors of their newest text</dt><dd><${State} is=${q.coverage >= 0.95 ? 'ok' : 'warn'}>${percent(q.coverage)}</${State}>${lacking && html` <span class="quiet">${lacking}</span>`}</dd>
      <dt>Vectors</dt><dd class="num">${num(q.total_embeddings)}${q.is_complete ? '' : ' looked at'}${q.dimension_consistency ? '' : ', not all of one length'}</dd>
      <dt>That can’t be right</dt><dd><${State} is=${bad ? 'bad' : 'ok'}>${num(bad)}</${State}></dd>
      <dt>The same for different texts</dt><dd class="num">${percent(q.duplicate_rate)}</dd><dt>The same text twice</dt><dd class="num">${percent(q.duplicate_text_rate)}</dd>
      <dt>Taken together</dt><dd class="num">${q.quality_score.toFixed(2)} <span class="quiet">of 1</span></dd></dl>`;
  }}</${Loaded}></${Section}>`;
}
