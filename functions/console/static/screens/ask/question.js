// A question in plain words, its answer, and what that is from.
import { html, useEffect, useRef, useState } from '../../vendor/htm-preact.js';
import { api, percent, setQuery, useApi } from '../../lib.js';
import { Dialog, Loaded, Section, Skeleton, State, Table, Trouble } from '../../ui.js';

const BASIS = { computed: ['ok', 'computed from Sluice’s own figures'], documents: ['info', 'from your documents'], both: ['info', 'from figures and documents'], none: ['off', 'not found'] };
const TRY = ['What did we spend this month?', 'Which model cost us the most this month?', 'How much of our budget is left?', 'How many requests failed this week?'];
// Where the console shows what a source names. Documents are read, or lead to where they came from.
const SCREENS = { usage: '#/usage', budget: '#/keys', limits: '#/overview', health: '#/providers', coverage: '#/ask', stores: '#/ask' };
const LEAST = { budget: 'manager', health: 'operator' };

function Document({ source, options, onClose }) {
  const from = useApi(source.link.replace(/^\//, ''), 0, options);
  return html`<${Dialog} title=${source.name} onClose=${onClose}><${Loaded} from=${from} rows=${4}>${(d) => html`<div class="whole-text" tabindex="0">${(d.data ?? d.content ?? []).map((c) => html`<p>${c.text}</p>`)}</div>`}</${Loaded}></${Dialog}>`;
}

function Source({ s, n, session, onRead }) {
  const mark = n ? html`<span class="quiet">[${n}]</span> ` : '', score = s.score == null ? '' : html` <span class="quiet small">${percent(s.score)} sure</span>`;
  if (s.type !== 'document') return html`<li>${SCREENS[s.type] && session.may(LEAST[s.type] ?? 'caller') ? html`<a href=${SCREENS[s.type]}>${s.name}</a>` : s.name}</li>`;
  if (/^https?:/.test(s.link)) return html`<li>${mark}<a href=${s.link} rel="noreferrer">${s.name}</a>${score}</li>`;
  return html`<li>${mark}${/\/content$/.test(s.link) ? html`<button class="plain name" onClick=${() => onRead(s)}>${s.name}</button>` : s.name}${score}</li>`;
}

function Answer({ a, session, options, onAsk }) {
  const [reads, setReads] = useState(null), found = a.basis !== 'none', documents = a.data_sources.filter((s) => s.type === 'document');
  return html`<${Section} title="Answer" aside=${html`<${State} is=${BASIS[a.basis][0]}>${BASIS[a.basis][1]}</${State}>`}>
    <p class="answer">${a.answer}</p>
    <p class="small">${found ? `${percent(a.confidence)} sure: of a hundred such answers about ${Math.round(a.confidence * 100)} were right when that was measured.` : 'Ask for one thing at a time, and name the model, key or user. A text about it can be added below.'}${a.model ? ` ${a.model} was asked for the words.` : ''}</p>
    ${a.data_sources.length > 0 && html`<ul class="sources"><li class="quiet">${found ? 'From' : 'Nearest'}</li>${a.data_sources.map((s) => html`<${Source} s=${s} n=${documents.indexOf(s) + 1} session=${session} onRead=${setReads} />`)}</ul>`}
    ${a.figures.length > 0 && html`<details><summary>Figures</summary><${Table} caption="Figures" rows=${a.figures} keyOf=${(f) => `${f.name} ${Object.values(f.of).join(' ')} ${f.period?.from}`} columns=${[
      { name: 'name', label: 'Figure', cell: (f) => html`${f.name.replaceAll('_', ' ')}<span class="sub">${Object.entries(f.of).map(([what, who]) => `${what} ${who}`).join(', ')}</span>` },
      { name: 'period', label: 'Days', p: 3, cell: (f) => (f.period ? (f.period.from === f.period.to ? f.period.from : `${f.period.from} to ${f.period.to}`) : html`<span class="quiet">now</span>`) },
      { name: 'value', label: 'Value', num: true, cell: (f) => f.text }]} /></details>`}
    ${a.follow_up_questions.length > 0 && html`<div class="chips">${a.follow_up_questions.map((q) => html`<button onClick=${() => onAsk(q)}>${q}</button>`)}</div>`}
    ${reads && html`<${Document} source=${reads} options=${options} onClose=${() => setReads(null)} />`}</${Section}>`;
}

export function Question({ query, session, options, tenant }) {
  const [answer, setAnswer] = useState(null), [problem, setProblem] = useState(null), [busy, setBusy] = useState(false), box = useRef(), asked = useRef('');
  const ask = async (question) => {
    box.current.value = question;
    asked.current = question;
    setQuery({ ask: question });
    setBusy(true);
    setProblem(null);
    try {
      const context = { time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone, ...(tenant && { tenant }) };
      setAnswer(await api('api/v1/ai/qa/ask', { method: 'POST', ...options, body: { question, context } }));
    } catch (p) { setAnswer(null); setProblem(p); }
    setBusy(false);
  };
  useEffect(() => { if (query.ask && query.ask !== asked.current) ask(query.ask); }, [query.ask]);
  const submit = (e) => { e.preventDefault(); const q = box.current.value.trim(); if (q) ask(q); };
  return html`<form class="ask-form" onSubmit=${submit}><input id="question" ref=${box} required maxlength="2000" aria-label="Question" placeholder="Ask about usage, limits, providers, or what documents say" autocomplete="off" /><button class="primary" disabled=${busy}>${busy ? 'Asking' : 'Ask'}</button></form>
    <div aria-live="polite">${busy ? html`<${Skeleton} rows=${3} />` : problem ? html`<${Trouble} problem=${problem} retry=${() => ask(box.current.value)} />` : answer && html`<${Answer} a=${answer} session=${session} options=${options} onAsk=${ask} />`}</div>
    ${!answer && !busy && !problem && html`<div class="chips">${TRY.map((q) => html`<button onClick=${() => ask(q)}>${q}</button>`)}</div>`}`;
}
