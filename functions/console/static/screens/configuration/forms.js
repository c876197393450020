// Records that are edited field by field. Only what differs is sent, with the version that it was read in.
import { html, useRef } from '../../vendor/htm-preact.js';
import { api, moment } from '../../lib.js';
import { Field, Section, Trouble, When, say, useSend } from '../../ui.js';

const at = (values, path) => path.split('.').reduce((found, name) => found?.[name], values);
const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean);

// Kinds of fields: how a value is shown in a form, and read from it. Nothing written is null: nothing chosen.
const KINDS = {
  flag: { read: (el) => el.checked },
  choice: { read: (el) => el.value || null },
  three: { read: (el) => (el.value === '' ? null : el.value === 'true') },
  text: { show: (v) => v ?? '', read: (el) => el.value.trim() || null },
  number: { show: (v) => v ?? '', read: (el) => (el.value === '' ? null : Number(el.value)) },
  percent: { show: (v) => (v == null ? '' : Math.round(v * 100)), read: (el) => (el.value === '' ? null : Number(el.value) / 100) },
  lines: { show: (v) => (v ?? []).join('\n'), read: (el, f) => { const found = lines(el.value); return found.length || f.isList ? found : null; } },
  // "name: value" a line, or "name: first, second" where there are several of each.
  pairs: {
    show: (v, f) => Object.entries(v ?? {}).map(([name, value]) => `${name}: ${f.several ? value.join(', ') : value}`).join('\n'),
    read: (el, f) => {
      const found = lines(el.value).map((line) => {
        const [name, ...rest] = line.split(/:\s+/), value = rest.join(': ').trim();
        if (!value) throw Object.assign(new Error(`${f.label}: “${line}” has no value.`), { status: 0, remedy: `Write a name, a colon and a space, such as ${f.example}.` });
        return [name, f.several ? value.split(',').map((each) => each.trim()).filter(Boolean) : value];
      });
      return found.length ? Object.fromEntries(found) : null;
    },
  },
};

function Input({ f, id, value }) {
  const says = f.hint ? `${id}-hint` : undefined, kind = KINDS[f.kind];
  if (f.kind === 'choice' || f.kind === 'three') {
    const now = value == null ? '' : String(value), options = f.kind === 'three' ? [['', f.none], ['true', f.yes ?? 'on'], ['false', f.no ?? 'off']] : f.options;
    const known = options.some(([each]) => each === now) ? options : [...options, [now, `${now} (not to be had now)`]];
    return html`<select id=${id} name=${f.path} aria-describedby=${says}>${known.map(([each, text]) => html`<option value=${each} selected=${each === now}>${text}</option>`)}</select>`;
  }
  if (f.kind === 'lines' || f.kind === 'pairs') return html`<textarea id=${id} name=${f.path} rows=${f.rows ?? 3} spellcheck="false" defaultValue=${kind.show(value, f)} placeholder=${f.placeholder} aria-describedby=${says}></textarea>`;
  const number = f.kind === 'number' || f.kind === 'percent', input = html`<input id=${id} name=${f.path} type=${number ? 'number' : 'text'} min=${f.min} max=${f.max} step=${number ? f.step ?? 1 : undefined} defaultValue=${kind.show(value)} placeholder=${f.placeholder ?? (number ? 'none' : '')} autocomplete="off" spellcheck="false" aria-describedby=${says} />`;
  return f.unit || f.kind === 'percent' ? html`<div class="with-unit">${input}<span class="quiet">${f.unit ?? '%'}</span></div>` : input;
}

const One = ({ f, id, values }) => (f.kind === 'flag'
  ? html`<div class="field"><label class="check" for=${id}><input id=${id} name=${f.path} type="checkbox" defaultChecked=${!!at(values, f.path)} aria-describedby=${f.hint && `${id}-hint`} />${f.label}</label>${f.hint && html`<p class="hint" id="${id}-hint">${f.hint}</p>`}</div>`
  : html`<div class=${f.wide ? 'all' : ''}><${Field} id=${id} label=${f.label} hint=${f.hint}><${Input} f=${f} id=${id} value=${at(values, f.path)} /></${Field}></div>`);

// The fields of groups, each below its title if it has one.
export const Fields = ({ groups, values, name }) => groups.map((g) => html`<fieldset class="all form fields">${g.title && html`<legend>${g.title}</legend>`}${g.fields.map((f) => html`<${One} f=${f} id=${`${name}-${f.path.replaceAll('.', '-')}`} values=${values} />`)}</fieldset>`);

// What a form says, and that of it which differs from `values`: by groups, as the API takes it.
export function readFields(form, groups, values = {}) {
  const said = {}, changed = {};
  const put = (into, path, value) => { const names = path.split('.'), last = names.pop(); names.reduce((found, name) => (found[name] ??= {}), into)[last] = value; };
  for (const f of groups.flatMap((g) => g.fields)) {
    const value = KINDS[f.kind].read(form.elements[f.path], f);
    put(said, f.path, value);
    if (JSON.stringify(value) !== JSON.stringify(at(values, f.path) ?? (f.isList ? [] : f.kind === 'flag' ? false : null))) put(changed, f.path, f.off && value ? null : value);
  }
  return { said, changed };
}

// A record of preferences or of configuration, with the button that saves it.
// Read anew, it is a new form: without what was typed, and what went wrong.
export const Record = (props) => html`<${Form} key=${props.record.version} ...${props} />`;

function Form({ title, note, name, record, values = record.configuration, groups, path, onSaved, children }) {
  const form = useRef(), [send, busy, problem] = useSend();
  const submit = (e) => {
    e.preventDefault();
    send(async () => {
      const { changed } = readFields(form.current, groups, values);
      if (!Object.keys(changed).length) { say('Nothing was changed.'); return; }
      await api(path, { method: 'PATCH', body: changed, headers: { 'if-match': `"${record.version}"` } });
      say(`${title}: saved. It holds everywhere within 60 s.`);
      onSaved();
    });
  };
  return html`<${Section} title=${title} note=${note}><form class="form" ref=${form} onSubmit=${submit}>
    ${children && html`<div class="all small">${children}</div>`}<${Fields} groups=${groups} values=${values} name=${name} />
    ${problem && html`<div class="all"><${Trouble} problem=${problem} />${problem.code === 'precondition_failed' && html`<button type="button" onClick=${onSaved}>Load it anew</button>`}</div>`}
    <div class="all end"><span class="small">${record.updated_at ? html`Changed <${When} at=${moment(record.updated_at)} /> by <code>${record.updated_by}</code>` : 'Never changed'}</span><button class="primary" disabled=${busy}>${busy ? 'Saving' : 'Save'}</button></div></form></${Section}>`;
}
