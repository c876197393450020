// What is not drawn: the API, the clock, numbers and times as text, the address.
import { useEffect, useRef, useState } from './vendor/htm-preact.js';

// Where the API is: files are at console/~version/ below it.
export const ROOT = new URL('../../', import.meta.url);
const KEY = 'sluice.key';
export const storedKey = () => sessionStorage.getItem(KEY);
export const storeKey = (key) => { forgetAsking(); return key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY); };

// The key that asks where the one that was signed in with can't: in this page's memory alone.
let asking = { key: '', me: null };
export const askingWith = () => asking;
export const askWith = (key, me = null) => { asking = { key, me }; };
const forgetAsking = () => askWith('');

export class Problem extends Error {
  constructor(status, { message, remedy, code, retryAfterS }) {
    super(message);
    Object.assign(this, { status, remedy, code, retryAfterS });
  }
}

// What to do about it, by code and else by status. What was wrong says Sluice itself.
const REMEDIES = {
  invalid_api_key: 'Was it copied whole? If so, ask who gave it to you for another.',
  insufficient_role: 'Sign in with a key of a higher role, or ask somebody who has one.',
  old_secret: 'Sign in with the newest secret of your key.',
  not_found: 'It may have been deleted, or belong to another tenant.',
  conflict: 'Look at it as it is now, and do it again if it still has to be done.',
  precondition_failed: 'Somebody else was faster: load it anew, and change it as it is now.',
  model_without_price: 'Take another model, or have an operator give this one a price.',
  feature_disabled: 'A manager can turn it on again, under AI configuration.',
  no_provider_available: 'Providers and health says what is wrong with which provider.',
};
function remedy(status, code, retryAfterS) {
  if (REMEDIES[code]) return REMEDIES[code];
  if (status === 429) return retryAfterS ? `Try again in ${span(retryAfterS * 1000)}, or ask your admin for more.` : 'Ask your admin for a higher limit or budget.';
  if (status === 403) return 'Ask an admin or a manager of the tenant, or use another key.';
  if (status === 400 || status === 422) return 'Change what is named, and send it again.';
  return status >= 500 ? 'It may pass: try again in a moment. If it does not, the log of Sluice says why.' : 'Try again.';
}

async function send(path, { method = 'GET', body, headers = {}, signal } = {}) {
  const key = storedKey();
  let answer;
  try {
    answer = await fetch(new URL(path, ROOT), { method, signal, body: body instanceof FormData ? body : body && JSON.stringify(body), headers: {
      ...(key && { authorization: `Bearer ${key}` }), ...(body && !(body instanceof FormData) && { 'content-type': 'application/json' }), ...headers } });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, { message: 'Sluice cannot be reached.', code: 'unreachable', remedy: 'Check your network, and that the stack runs. This page tries again by itself.' });
  }
  setClock(answer.headers.get('date'));
  if (answer.ok) return answer;
  const said = await answer.json().then((all) => all.error, () => null), retryAfterS = Number(answer.headers.get('retry-after')) || 0;
  const problem = new Problem(answer.status, { message: said?.message ?? `Sluice answered ${answer.status}.`, code: said?.code, retryAfterS, remedy: remedy(answer.status, said?.code, retryAfterS) });
  // A key that was revoked or has expired meanwhile: whoever shows the shell goes back to the sign-in.
  if (answer.status === 401 && key && key === storedKey() && !headers.authorization) window.dispatchEvent(new CustomEvent('refused', { detail: problem }));
  throw problem;
}

export const api = async (path, options) => (await send(path, options)).json();
export const raw = send;

// Server-sent events by fetch, since EventSource carries no key.
export async function* stream(path, body, options) {
  const answer = await send(path, { method: 'POST', body, ...options });
  yield { answer };
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split('\n\n');
    rest = events.pop();
    for (const event of events) {
      const text = event.startsWith('data:') ? event.slice(5).trim() : '';
      if (!text || text === '[DONE]') continue;
      const said = JSON.parse(text);
      if (said.error) throw new Problem(answer.status, { message: said.error.message, code: said.error.code, remedy: remedy(500, said.error.code, 0) });
      yield said;
    }
  }
}

// Polls while the page is seen. After a failure it waits twice as long as before, a minute at most, and as long as it is told to.
export function useApi(path, everyS = 0, options = undefined) {
  const [state, set] = useState({ data: null, problem: null, at: 0 });
  const again = useRef(() => {});
  useEffect(() => {
    set({ data: null, problem: null, at: 0 });
    if (!path) return undefined;
    let gone = false, timer = 0, failures = 0;
    const load = async () => {
      clearTimeout(timer);
      if (everyS && document.hidden) { timer = setTimeout(load, everyS * 1000); return; }
      let waitS = everyS;
      try {
        const data = await api(path, options);
        failures = 0;
        if (!gone) set({ data, problem: null, at: now() });
      } catch (problem) {
        failures += 1;
        waitS = Math.max(Math.min(60, (everyS || 5) * 2 ** failures), problem.retryAfterS ?? 0);
        if (!gone) set((old) => ({ ...old, problem }));
        if ([400, 401, 403, 404].includes(problem.status)) return;
      }
      if (!gone && (everyS || failures)) timer = setTimeout(load, waitS * 1000);
    };
    again.current = load;
    load();
    return () => { gone = true; clearTimeout(timer); };
  }, [path, everyS, options?.headers?.authorization]);
  return { ...state, reload: () => again.current() };
}

// Tenants by id, for admins: their names are read once, and again when one is made.
let tenantsRead = null;
export const forgetTenants = () => { tenantsRead = null; };
async function readTenants() {
  const found = [];
  for (let after = ''; found.length < 1000;) {
    const page = await api(`v1/tenants?limit=100${after && `&after=${after}`}`);
    found.push(...page.data);
    if (!page.has_more) break;
    after = page.data.at(-1).id;
  }
  return found;
}
export const prefetchTenants = () => { tenantsRead ??= readTenants(); tenantsRead.catch(() => { tenantsRead = null; }); };
const LOADING = Object.assign([], { isLoading: true });
export function useTenants(session, made = 0) {
  const [tenants, set] = useState(session.all ? LOADING : []);
  useEffect(() => {
    if (!session.all) { set([{ ...session.tenant }]); return; }
    prefetchTenants();
    tenantsRead.then(set, () => { tenantsRead = null; set([]); });
  }, [made]);
  return tenants;
}

// The server's clock, since the viewer's may be wrong by hours.
let offset = 0;
const setClock = (date) => { const at = Date.parse(date); if (Number.isFinite(at) && Math.abs(at - Date.now() - offset) > 1500) offset = at - Date.now(); };
export const now = () => Date.now() + offset;
export const moment = (seconds) => (seconds == null ? null : new Date(seconds * 1000).toISOString());

const exactly = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' });
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hour12: false });
const date = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const exactTexts = new Map();
export function exact(when) {
  if (!exactTexts.has(when)) exactTexts.set(when, exactly.format(new Date(when)));
  return exactTexts.get(when);
}
export const clockTime = (when) => clock.format(new Date(when));
export const shortDate = (when) => date.format(new Date(when));

export function span(ms) {
  const s = Math.round(Math.abs(ms) / 1000);
  if (s < 60) return `${s} s`;
  const min = Math.round(s / 60);
  if (min < 60) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 10 && min % 60) return `${h} h ${min % 60} min`;
  if (h < 36) return `${h} h`;
  return `${Math.round(h / 24)} days`;
}
export function relative(when) {
  const d = Date.parse(when) - now();
  if (Math.abs(d) < 4000) return 'now';
  return d < 0 ? `${span(d)} ago` : `in ${span(d)}`;
}

// Formatters are kept: making one takes longer than a row does.
const formatters = {};
const formatter = (least, most) => (formatters[`${least} ${most}`] ??= new Intl.NumberFormat('en', { minimumFractionDigits: least, maximumFractionDigits: most }));
export const num = (n, digits = 0) => formatter(digits, digits).format(n);
const upTo = (n, digits) => formatter(0, digits).format(n);
export const short = (n) => (n < 10000 ? num(n) : n < 1e6 ? `${upTo(n / 1e3, n < 1e5 ? 1 : 0)} k` : `${upTo(n / 1e6, 1)} M`);
export const usd = (n, digits = 2) => (n > 0 && n < 10 ** -digits / 2 ? `<$${(10 ** -digits).toFixed(digits)}` : `$${num(n, digits)}`);
// As many digits as tell small sums apart.
export const fineUsd = (n) => usd(n, n > 0 && n < 1 ? (n < 0.0001 ? 7 : 4) : 2);
export const ms = (n) => (n < 1000 ? `${Math.round(n)} ms` : `${num(n / 1000, n < 9950 ? 1 : 0)} s`);
export const percent = (part) => `${part > 0 && part < 0.005 ? '<1' : Math.round(part * 100)} %`;
export const plural = (n, one, many = `${one}s`) => `${num(n)} ${n === 1 ? one : many}`;
export const sum = (list, of = (x) => x) => list.reduce((total, x) => total + of(x), 0);
export const shortModel = (model) => (model ? model.split('/').pop() : '');

// A table as CSV. What a spreadsheet would take for a formula stays a text.
const cell = (value) => {
  const text = String(value ?? ''), safe = typeof value !== 'number' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};
export function saveCsv(name, rows) { saveText(name, rows.map((row) => row.map(cell).join()).join('\r\n'), 'text/csv'); }
export function saveText(name, text, type) {
  const a = Object.assign(document.createElement('a'), { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10000);
}

// #/screen/argument?name=value
export function route() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [screen = '', ...rest] = path.split('/');
  const decoded = (text) => { try { return decodeURIComponent(text); } catch { return text; } };
  return { screen: screen || 'overview', arg: rest.map(decoded).join('/'), query: Object.fromEntries(new URLSearchParams(query)) };
}
export function link(screen, query = {}) {
  const text = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== '' && v != null)).toString();
  return `#/${screen}${text && `?${text}`}`;
}
// Filters live in the address, so that a view can be sent to a colleague; typing doesn't fill the history.
export function setQuery(change) {
  const { screen, arg, query } = route();
  history.replaceState(null, '', link(arg ? `${screen}/${arg}` : screen, { ...query, ...change }));
  window.dispatchEvent(new HashChangeEvent('hashchange'));
}
