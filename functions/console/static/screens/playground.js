// What does a model answer, how fast, for how much, and why that one?
import { html, useEffect, useRef, useState } from '../vendor/htm-preact.js';
import { api, fineUsd, link, ms, num, raw, setQuery, shortModel, stream, useApi } from '../lib.js';
import { Choice, Field, Loaded, Page, Select, Trouble } from '../ui.js';
import { useAsking } from './asking.js';

const pause = (s) => new Promise((done) => setTimeout(done, s * 1000));

// What a request cost and why that model, for who may see records of requests. It is written while the answer is settled.
async function record(id, session) {
  if (!id || !session.may('manager')) return null;
  for (const waitS of [0.2, 0.6, 1.5]) {
    await pause(waitS);
    try { return await api(`v1/requests/${id}`); } catch (p) { if (p.status !== 404) return null; }
  }
  return null;
}

function Pane({ pane, best }) {
  const d = pane.done, tick = (name) => (d?.[name] != null && best[name] === d[name] ? ' ✓' : ''), cls = (name) => `num ${tick(name) ? 'best' : ''}`;
  return html`<article class="pane" aria-label="Answer of ${pane.model}" aria-busy=${!d && !pane.problem}><header><strong>${shortModel(d?.model ?? pane.model)}</strong><span class="quiet">${d ? d.deployment ?? (d.cache === 'hit' ? 'from the cache' : '') : pane.problem ? 'not answered' : pane.text ? 'answering' : 'asking'}</span></header>
    ${pane.asked && html`<p class="asked">${pane.asked}</p>`}
    ${pane.text || !pane.problem ? html`<div class="text" aria-live=${d ? 'polite' : 'off'}>${pane.text || html`<div class="bone b1"></div>`}</div>` : ''}${pane.problem && html`<${Trouble} problem=${pane.problem} />`}
    ${d && html`<footer><dl><div><dt>Cost</dt><dd class=${cls('usd')}>${d.usd == null ? 'not told' : `${fineUsd(d.usd)}${tick('usd')}`}</dd></div>${d.first_ms != null && html`<div><dt>First word</dt><dd class=${cls('first_ms')}>${ms(d.first_ms)}${tick('first_ms')}</dd></div>`}<div><dt>Whole answer</dt><dd class=${cls('ms')}>${ms(d.ms)}${tick('ms')}</dd></div>${d.usage && html`<div><dt>Tokens in, out</dt><dd class="num">${num(d.usage.prompt_tokens)}, ${num(d.usage.completion_tokens)}</dd></div>`}</dl>
      <p>${d.why ?? (d.usd == null ? 'The cost of a stream is told to managers; switch streaming off to be told it with the answer.' : '')} ${d.logged ? html`<a href=${link(`activity/${d.id}`, d.tenant ? { tenant: d.tenant } : {})}>Its decisions</a>` : ''}</p></footer>`}</article>`;
}

async function chat(model, messages, streamed, options, change) {
  const began = performance.now(), body = { model, messages, stream: streamed, ...(streamed && { stream_options: { include_usage: true } }) };
  let headers, usage = null, first_ms = null, text = '';
  if (streamed) {
    for await (const part of stream('v1/chat/completions', body, options)) {
      if (part.answer) { headers = part.answer.headers; continue; }
      usage = part.usage ?? usage;
      const delta = part.choices?.[0]?.delta?.content;
      if (delta) { first_ms ??= performance.now() - began; text += delta; change({ text }); }
    }
  } else {
    const answer = await raw('v1/chat/completions', { method: 'POST', body, ...options });
    headers = answer.headers;
    const said = await answer.json();
    usage = said.usage;
    text = said.choices?.[0]?.message?.content ?? JSON.stringify(said.choices?.[0]?.message, null, 2);
    change({ text });
  }
  return { headers, usage, first_ms, text, ms: performance.now() - began };
}

async function finish({ headers, usage, first_ms, ms: took }, session) {
  const id = headers.get('x-sluice-request-id'), cost = headers.get('x-sluice-cost-usd'), r = await record(id, session);
  return { id, model: headers.get('x-sluice-model') ?? r?.model, deployment: headers.get('x-sluice-deployment'), cache: headers.get('x-sluice-cache'), usage, first_ms, ms: took,
    usd: r?.cost_usd ?? (cost === null ? null : Number(cost)), why: r?.why, logged: !!r, tenant: session.all ? r?.tenant : null };
}

const example = (schema) => Object.fromEntries(Object.entries(schema.properties ?? {}).filter(([name]) => schema.required?.includes(name)).map(([name, f]) => [name, f.examples?.[0] ?? f.default ?? f.enum?.[0] ?? (f.type === 'array' ? [] : f.type === 'object' ? {} : f.type === 'integer' || f.type === 'number' ? f.minimum ?? 1 : '')]));

function Task({ session, options }) {
  const from = useApi('v1/tasks', 0, options), [name, setName] = useState(''), [pane, setPane] = useState(null), [busy, setBusy] = useState(false), box = useRef();
  const tasks = from.data?.data ?? [], task = tasks.find((t) => t.name === name) ?? tasks.find((t) => t.name === 'concept_explanation') ?? tasks[0];
  useEffect(() => { if (task && box.current) box.current.value = JSON.stringify(example(task.input_schema), null, 2); }, [task?.name]);
  const run = async () => {
    let inputs;
    try { inputs = JSON.parse(box.current.value); } catch (error) { setPane({ model: task.name, problem: { message: `The inputs are no JSON: ${error.message}.`, remedy: 'Mend them, and run it again.' } }); return; }
    const began = performance.now();
    setBusy(true);
    setPane({ model: task.name, text: '' });
    try {
      const answer = await raw(`v1/tasks/${task.name}`, { method: 'POST', body: { inputs }, ...options }), said = await answer.json(), text = JSON.stringify(said.output ?? said, null, 2);
      setPane({ model: task.name, text, done: await finish({ headers: answer.headers, usage: said.usage ?? null, first_ms: null, ms: performance.now() - began }, session) });
    } catch (problem) { setPane({ model: task.name, problem }); }
    setBusy(false);
  };
  return html`<${Loaded} from=${from}>${() => html`<div class="compose"><div class="row start"><${Select} id="task" label="Task" value=${task.name} onChange=${setName} options=${tasks.map((t) => [t.name, t.name])} /></div>
    <p class="small">${task.description}</p>
    <${Field} id="inputs" label="Inputs" hint=${`JSON. There are: ${Object.keys(task.input_schema.properties ?? {}).join(', ')}`}><textarea id="inputs" ref=${box} rows="8" spellcheck="false" class="mono" aria-describedby="inputs-hint"></textarea></${Field}>
    <div class="row"><span class="small">Costs count for your key.</span><button class="primary" disabled=${busy} onClick=${run}>${busy ? 'Running' : 'Run task'}</button></div></div>
    ${pane && html`<div class="panes"><${Pane} pane=${pane} best=${{}} /></div>`}`}</${Loaded}>`;
}

function Chat({ session, options, two, model }) {
  const list = useApi('v1/models', 0, options), [chosen, setChosen] = useState([model || 'auto', '']), [panes, setPanes] = useState([]), [said, setSaid] = useState([]), [busy, setBusy] = useState(false), [streamed, setStreamed] = useState(session.may('manager')), box = useRef();
  const models = (list.data?.data ?? []).filter((m) => m.dimensions == null).map((m) => [m.id, m.id === 'auto' ? 'auto (Sluice chooses)' : m.id]);
  const picked = [chosen[0], chosen[1] || models.find(([id]) => id !== chosen[0])?.[0] || chosen[0]];
  useEffect(() => { setPanes([]); setSaid([]); }, [two]);
  const ask = async () => {
    const content = box.current.value.trim();
    if (!content || busy) { box.current.focus(); return; }
    const asked = two ? picked : picked.slice(0, 1), messages = [...(two ? [] : said), { role: 'user', content }], from = two ? 0 : panes.length;
    const change = (i, part) => setPanes((old) => old.map((p, j) => (j === i ? { ...p, ...part } : p)));
    setBusy(true);
    setPanes((old) => [...(two ? [] : old), ...asked.map((model) => ({ model, text: '', asked: two ? '' : content }))]);
    box.current.value = '';
    await Promise.all(asked.map(async (model, n) => {
      const i = from + n;
      try {
        const answered = await chat(model, messages, streamed, options, (part) => change(i, part));
        change(i, { text: answered.text, done: await finish(answered, session) });
        if (!two) setSaid([...messages, { role: 'assistant', content: answered.text }]);
      } catch (problem) { change(i, { problem }); if (!two) box.current.value = content; }
    }));
    setBusy(false);
  };
  const done = two ? panes.map((p) => p.done).filter(Boolean) : [], least = (name) => { const known = done.map((d) => d[name]).filter((v) => v != null); return known.length > 1 ? Math.min(...known) : NaN; };
  const choose = (i) => html`<${Select} id="m${i}" label=${two ? (i ? 'Second' : 'First') : 'Model'} value=${picked[i]} options=${models.length ? models : [['auto', 'auto']]} onChange=${(v) => setChosen(chosen.map((m, j) => (j === i ? v : m)))} />`;
  return html`<div class="compose"><div class="row start">${choose(0)}${two && choose(1)}<label class="inline" for="streamed"><input id="streamed" type="checkbox" checked=${streamed} onChange=${(e) => setStreamed(e.target.checked)} /> as it arrives</label>${panes.length > 0 && !two && html`<button class="plain" disabled=${busy} onClick=${() => { setPanes([]); setSaid([]); }}>New chat</button>`}</div>
    ${list.problem && html`<${Trouble} problem=${list.problem} retry=${list.reload} />`}
    <label for="ask" class="unseen">Message</label><textarea id="ask" ref=${box} rows="3" placeholder="Why is the sky blue?" onKeyDown=${(e) => e.key === 'Enter' && (e.ctrlKey || e.metaKey) && ask()}></textarea>
    <div class="row"><span class="small">Costs count for the key that asks. <kbd>Ctrl</kbd> <kbd>Enter</kbd> sends.</span><button class="primary" disabled=${busy} onClick=${ask}>${busy ? 'Answering' : two ? 'Ask both' : 'Ask'}</button></div></div>
  ${panes.length ? html`<div class="panes ${two ? 'two' : ''}">${panes.map((p) => html`<${Pane} pane=${p} best=${{ usd: least('usd'), first_ms: least('first_ms'), ms: least('ms') }} />`)}</div>`
    : html`<div class="chips">${['Why is the sky blue?', 'Explain recursion to a twelve-year-old.', 'Write a haiku about rate limits.'].map((q) => html`<button onClick=${() => { box.current.value = q; box.current.focus(); }}>${q}</button>`)}</div>`}`;
}

const MODES = [['one', 'Chat'], ['two', 'Compare two'], ['task', 'Run a task']];

export default function Playground({ query, session }) {
  const { options, me, says, box } = useAsking(session), mode = MODES.some(([id]) => id === query.mode) ? query.mode : 'one';
  return html`<${Page} title="Playground" aside=${html`<${Choice} label="What to do" value=${mode} onChange=${(v) => setQuery({ mode: v === 'one' ? '' : v })} options=${MODES} />`} says=${says}>${box}
    ${!me ? null : mode === 'task' ? html`<${Task} session=${session} options=${options} />` : html`<${Chat} session=${session} options=${options} two=${mode === 'two'} model=${query.model} />`}</${Page}>`;
}
