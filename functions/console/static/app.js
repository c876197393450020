// The shell: sign-in, navigation by role, keyboard, and the screen that the address names.
import { html, render, useEffect, useRef, useState } from './vendor/htm-preact.js';
import { ROOT, api, forgetTenants, link, prefetchTenants, route, storeKey, storedKey } from './lib.js';
import { Copy, Dialog, Page, Skeleton, Toasts, Trouble } from './ui.js';

// name, title, letter for "g", the least role, group
const SCREENS = [
  ['overview', 'Overview', 'o', 'caller', 'watch'],
  ['activity', 'Activity', 'a', 'manager', 'watch'],
  ['usage', 'Usage and costs', 'u', 'caller', 'watch'],
  ['insights', 'Insights', 'i', 'manager', 'watch'],
  ['providers', 'Providers and health', 'p', 'operator', 'run'],
  ['configuration', 'AI configuration', 'm', 'manager', 'run'],
  ['keys', 'Keys and budgets', 'k', 'manager', 'run'],
  ['ask', 'Ask and search', 's', 'caller', 'use'],
  ['playground', 'Playground', 'c', 'caller', 'use'],
];
const ROLES = ['caller', 'manager', 'operator', 'admin'];
const may = (role, least) => ROLES.indexOf(role) >= ROLES.indexOf(least);
const ICON = new URL('icon.svg', import.meta.url).href;
const GROUPS = { watch: 'Watch', run: 'Run', use: 'Use' };

// Who is signed in. An admin without a tenant's limits sees all of them.
async function whoAmI() {
  const me = await api('v1/me');
  if (me.role === 'admin') prefetchTenants();
  return { ...me, all: me.role === 'admin', may: (least) => may(me.role, least) };
}

function SignIn({ onDone, refused }) {
  const [problem, setProblem] = useState(refused), [busy, setBusy] = useState(false), [seen, setSeen] = useState(false);
  const submit = async (e) => {
    e.preventDefault();
    const key = new FormData(e.target).get('key').trim();
    if (!/^[\x21-\x7e]+$/.test(key)) { setProblem({ message: 'This is no API key: it has characters that no key has.', remedy: 'Copy the key alone, from sl- to its end.' }); return; }
    setBusy(true);
    storeKey(key);
    try { onDone(await whoAmI()); } catch (p) { storeKey(null); setProblem(p); setBusy(false); }
  };
  return html`<main class="sign-in" id="main">
    <div class="brand big"><img src=${ICON} alt="" width="32" height="32" />Sluice</div>
    <h1>Sign in with an API key</h1>
    <form onSubmit=${submit}>
      <label for="key">API key</label>
      <div class="row"><input id="key" name="key" type=${seen ? 'text' : 'password'} autocomplete="off" spellcheck="false" required placeholder="sl-…" aria-describedby="key-hint" autofocus />
        <button type="button" class="plain" aria-pressed=${seen} onClick=${() => setSeen(!seen)}>${seen ? 'Hide' : 'Show'}</button></div>
      <p class="hint" id="key-hint">It stays in this tab and is forgotten when you close it. What you see depends on the key’s role.</p>
      ${problem && html`<${Trouble} problem=${problem} />`}
      <button class="primary" disabled=${busy}>${busy ? 'Signing in' : 'Sign in'}</button>
    </form>
    <p class="quiet">On the local stack, this prints the admin’s key:</p>
    <${Copy} text=${"python3 -c 'import json; print(json.load(open(\".local/stack.json\"))[\"admin_key\"])'"} />
  </main>`;
}

function Search({ box }) {
  const go = (e) => {
    e.preventDefault();
    const q = new FormData(e.target).get('q').trim();
    if (!q) return;
    location.hash = /^req_/.test(q) ? link(`activity/${q}`) : link('activity', { q });
    box.current.blur();
  };
  return html`<form class="search" role="search" onSubmit=${go}><input ref=${box} name="q" type="search" aria-label="Find a request, key or model" placeholder="Find a request" autocomplete="off" spellcheck="false" /><kbd aria-hidden="true">/</kbd></form>`;
}

function Shell({ session, onLeave }) {
  const [at, setAt] = useState(route()), [menu, setMenu] = useState(false), [help, setHelp] = useState(false), [screen, setScreen] = useState(null);
  const box = useRef(), first = useRef(true), chord = useRef(0);
  const mine = SCREENS.filter((s) => session.may(s[3]));
  const allowed = mine.some((s) => s[0] === at.screen);
  useEffect(() => {
    const change = () => { setAt(route()); setMenu(false); };
    window.addEventListener('hashchange', change);
    return () => window.removeEventListener('hashchange', change);
  }, []);
  useEffect(() => {
    const key = (e) => {
      const typing = /INPUT|TEXTAREA|SELECT/.test(e.target.tagName), open = document.querySelector('dialog[open]');
      if (e.ctrlKey || e.metaKey || e.altKey || open) return;
      if (e.key === 'Escape') {
        if (typing) e.target.blur(); else if (menu) setMenu(false); else if (route().arg) history.length > 1 ? history.back() : (location.hash = link(route().screen));
      } else if (typing) return;
      else if (e.key === '/') { e.preventDefault(); setMenu(innerWidth < 900); setTimeout(() => box.current?.focus(), 0); }
      else if (e.key === '?') setHelp(true);
      else if (e.key === 'g') chord.current = Date.now();
      else if (Date.now() - chord.current < 1500) {
        const to = mine.find((s) => s[2] === e.key);
        chord.current = 0;
        if (to) { e.preventDefault(); location.hash = link(to[0]); }
      }
    };
    window.addEventListener('keydown', key);
    return () => window.removeEventListener('keydown', key);
  }, [menu]);
  const name = allowed ? (at.screen === 'activity' && at.arg ? 'request' : at.screen) : 'none';
  useEffect(() => {
    let gone = false;
    setScreen(null);
    if (name !== 'none') import(`./screens/${name}.js`).then((m) => !gone && setScreen({ name, is: m.default }));
    return () => { gone = true; };
  }, [name]);
  useEffect(() => {
    if (!screen) return;
    if (!first.current) { window.scrollTo(0, 0); document.querySelector('h1')?.focus({ preventScroll: true }); }
    first.current = false;
  }, [screen?.name, at.arg]);
  return html`<a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); document.querySelector('h1')?.focus(); }}>Skip to the content</a>
    <div class="shell">
    <header class="side ${menu ? 'open' : ''}">
      <div class="side-top"><a class="brand" href="#/overview"><img src=${ICON} alt="" width="24" height="24" />Sluice</a>
        <button class="menu" aria-expanded=${menu} aria-controls="nav" onClick=${() => setMenu(!menu)}>${menu ? 'Close' : 'Menu'}</button></div>
      <div class="side-body" id="nav">
        ${session.may('manager') && html`<${Search} box=${box} />`}
        <nav aria-label="Screens">${Object.entries(GROUPS).filter(([id]) => mine.some((s) => s[4] === id)).map(([id, title]) => html`<p class="group" aria-hidden="true">${title}</p>
          <ul>${mine.filter((s) => s[4] === id).map((s) => html`<li><a href=${link(s[0])} aria-current=${at.screen === s[0] ? 'page' : undefined} title="g then ${s[2]}">${s[1]}<kbd aria-hidden="true">g ${s[2]}</kbd></a></li>`)}</ul>`)}</nav>
        <div class="who"><p><strong>${session.user ?? session.key.name}</strong></p><p class="quiet">${session.role}, ${session.all ? 'all tenants' : session.tenant.name}</p>
          <p class="row"><button class="plain" onClick=${onLeave}>Sign out</button><a href=${new URL('docs', ROOT).href}>API</a><button class="plain" onClick=${() => setHelp(true)}>Keyboard <kbd>?</kbd></button></p></div>
      </div></header>
    <main id="main">${!allowed ? html`<${Page} title="Not here"><${Trouble} problem=${{ message: SCREENS.some((s) => s[0] === at.screen) ? `The role ${session.role} may not see this screen.` : `There is no screen “${at.screen}”.`, remedy: 'Choose one from the menu, or sign in with another key.' }} /></${Page}>`
      : screen?.name === name ? html`<${screen.is} session=${session} query=${at.query} arg=${at.arg} />` : html`<${Skeleton} />`}</main></div>
    ${help && html`<${Dialog} title="Keyboard" onClose=${() => setHelp(false)}><dl class="facts">
      <dt><kbd>/</kbd></dt><dd>Find a request, a key or a model</dd>
      ${mine.map((s) => html`<dt><kbd>g</kbd> <kbd>${s[2]}</kbd></dt><dd>${s[1]}</dd>`)}
      <dt><kbd>j</kbd> <kbd>k</kbd></dt><dd>Next and previous request, in Activity</dd>
      <dt><kbd>Esc</kbd></dt><dd>Close, leave a field, go back to the list</dd></dl></${Dialog}>`}
    <${Toasts} />`;
}

function App() {
  const [session, setSession] = useState(null), [asking, setAsking] = useState(!!storedKey()), [problem, setProblem] = useState(null), [refused, setRefused] = useState(null);
  const ask = () => whoAmI().then((s) => { setSession(s); setProblem(null); setAsking(false); }, (p) => { if (p.status === 401) { leave(p); setAsking(false); } else setProblem(p); });
  const leave = (why = null) => { storeKey(null); forgetTenants(); sessionStorage.removeItem('sluice.list'); setSession(null); setProblem(null); setRefused(why); };
  useEffect(() => {
    if (asking) ask();
    const refuse = (e) => leave(e.detail);
    window.addEventListener('refused', refuse);
    return () => window.removeEventListener('refused', refuse);
  }, []);
  if (problem) return html`<main class="sign-in"><h1>Sluice</h1><${Trouble} problem=${problem} retry=${ask} /><button class="plain" onClick=${() => leave()}>Sign in with another key</button></main>`;
  if (asking) return html`<main class="sign-in"><h1 class="unseen">Sluice</h1><${Skeleton} rows=${3} /></main>`;
  if (!session) return html`<${SignIn} refused=${refused} onDone=${(s) => { setRefused(null); setSession(s); }} />`;
  return html`<${Shell} key=${session.key.id} session=${session} onLeave=${() => { leave(); location.hash = ''; }} />`;
}

const root = document.getElementById('app');
root.textContent = '';
render(html`<${App} />`, root);
