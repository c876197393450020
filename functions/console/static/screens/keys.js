// Who may spend how much? Make tenants and keys, change limits and budgets, take a key back.
import { html, useState } from '../vendor/htm-preact.js';
import { ROOT, api, exact, fineUsd, forgetTenants, link, moment, now, num, plural, saveCsv, setQuery, shortDate, storeKey, storedKey, useApi, useTenants } from '../lib.js';
import { Choice, Copy, Dialog, Empty, Ends, Field, Loaded, Page, Progress, Quota, Section, Select, Skeleton, State, Table, Trouble, Verdict, When, say, useSend, useTick } from '../ui.js';
import { Left } from './overview.js';

const ROLES = ['caller', 'manager', 'operator', 'admin'];
const stateOf = (k) => (k.revoked_at ? 'revoked' : k.expires_at && k.expires_at * 1000 <= now() ? 'expired' : 'active');
const amount = (v) => (v === '' || v == null ? null : Number(v));
const whole = (v) => (v === '' || v == null ? null : Math.round(Number(v)));
const curl = (key) => `curl ${new URL('v1/chat/completions', ROOT).href} -H "authorization: Bearer ${key}" -H 'content-type: application/json' -d '{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}'`;

const Money = ({ id, label, hint, name, value, required }) => html`<${Field} id=${id} label=${label} hint=${hint}><div class="with-unit"><input id=${id} name=${name} inputmode="decimal" pattern="[0-9]+([.][0-9]{1,9})?" defaultValue=${value ?? ''} placeholder="none" required=${required} aria-describedby="${id}-hint" title="An amount, such as 8 or 0.50" /><span class="quiet">$ a month</span></div></${Field}>`;

function NewTenant({ onClose, onDone }) {
  const [send, busy, problem] = useSend((t) => { say(`${t.name} is made. Its keys come next.`); onDone(t); });
  const submit = (e) => { e.preventDefault(); const f = Object.fromEntries(new FormData(e.target)); send(() => api('v1/tenants', { method: 'POST', body: { id: f.id.trim(), name: f.name.trim(), budget_usd_per_month: amount(f.budget) } })); };
  return html`<${Dialog} title="Make a tenant" onClose=${onClose}><form class="form" onSubmit=${submit}>
    <${Field} id="t-name" label="Name" hint="A class, a team or a product"><input id="t-name" name="name" required maxlength="128" placeholder="Physics class" autocomplete="off" aria-describedby="t-name-hint" autofocus /></${Field}>
    <${Field} id="t-id" label="Id" hint="Small letters, digits, - and _; it never changes"><input id="t-id" name="id" required maxlength="63" pattern="[a-z0-9][a-z0-9_\\-]*" placeholder="physics" autocomplete="off" spellcheck="false" aria-describedby="t-id-hint" /></${Field}>
    <${Money} id="t-budget" name="budget" label="Budget" hint="A calendar month, in UTC. Empty: none" />
    ${problem && html`<div class="all"><${Trouble} problem=${problem} /></div>`}<${Ends} onClose=${onClose} busy=${busy}>Make tenant</${Ends}></form></${Dialog}>`;
}

function EditBudget({ t, onClose, onDone }) {
  const [kind, setKind] = useState('always'), [value, set] = useState(t.budget_usd == null ? '' : String(t.always_usd ?? t.budget_usd)), held = useApi(t.budget_usd == null ? null : `v1/tenants/${t.tenant}/budget`);
  const [send, busy, problem] = useSend(() => { say(`The budget of ${t.name} is saved. It holds everywhere within 60 s.`); onDone(); onClose(); });
  const v = amount(value), b = held.data, base = b?.budget_usd_per_month ?? t.budget_usd ?? 0, total = kind === 'always' ? (v == null ? null : v + (b?.added_usd ?? 0)) : base + (v ?? 0), ok = value === '' ? kind === 'always' : Number.isFinite(v) && v >= 0, left = total == null ? null : total - (t.used_usd ?? 0);
  const submit = (e) => { e.preventDefault(); send(() => (kind === 'always' ? api(`v1/tenants/${t.tenant}`, { method: 'PATCH', body: { budget_usd_per_month: v } }) : api(`v1/tenants/${t.tenant}/budget/add`, { method: 'POST', body: { usd: v ?? 0 } }))); };
  return html`<${Dialog} title="Budget of ${t.name}" onClose=${onClose}><form class="form" onSubmit=${submit}>
    ${t.budget_usd != null && html`<div class="all"><${Choice} label="For how long" value=${kind} onChange=${(k) => { setKind(k); set(k === 'always' ? String(base) : String(b?.added_usd || '')); }} options=${[['always', 'Every month'], ['once', 'More in this month alone']]} /></div>`}
    <${Field} id="b" label=${kind === 'always' ? 'Dollars a month' : 'Dollars more, this month'} hint=${kind === 'always' ? 'A calendar month, in UTC. Empty: no budget' : 'In place of what was added before; 0 takes it back'}><div class="with-unit"><input id="b" inputmode="decimal" value=${value} onInput=${(e) => set(e.target.value.trim())} autofocus aria-describedby="b-hint" /><span class="quiet">$</span></div></${Field}>
    <div class="field"><span class="small">What this does</span><p role="status">${!ok ? 'Write an amount, such as 8 or 0.50.' : total == null ? 'Nothing bounds what its keys spend together.' : left <= 0 ? `${fineUsd(t.used_usd ?? 0)} are spent already, so requests are refused until the month ends.` : `${fineUsd(left)} are left until the month ends.`}</p>
      ${b && html`<p class="small">${fineUsd(b.used_usd)} used${b.held_usd > 0 ? html`, of which ${fineUsd(b.held_usd)} are held for requests under way` : ''}.</p>`}</div>
    ${problem && html`<div class="all"><${Trouble} problem=${problem} /></div>`}<${Ends} onClose=${onClose} busy=${busy || !ok}>Save budget</${Ends}></form></${Dialog}>`;
}

// The fields that keys have, of one key or of many.
const KeyFields = ({ k, session }) => html`
  <${Field} id="k-role" label="Role" hint="Callers ask; managers look after this tenant; operators see the deployments"><select id="k-role" name="role" aria-describedby="k-role-hint">${ROLES.filter((r) => session.may(r)).map((r) => html`<option value=${r} selected=${r === (k?.role ?? 'caller')}>${r}</option>`)}</select></${Field}>
  <${Money} id="k-budget" name="budget" label="Own budget" hint="Empty: only the tenant’s holds" value=${k?.limits.budget_usd_per_month} />
  <${Field} id="k-rpm" label="Requests a minute" hint="Empty: as the stack says"><input id="k-rpm" name="rpm" type="number" min="1" max="1000000" defaultValue=${k?.limits.requests_per_minute ?? ''} aria-describedby="k-rpm-hint" /></${Field}>
  <${Field} id="k-rpd" label="Requests a day" hint="Empty: as the stack says"><input id="k-rpd" name="rpd" type="number" min="1" max="1000000000" defaultValue=${k?.limits.requests_per_day ?? ''} aria-describedby="k-rpd-hint" /></${Field}>
  <${Field} id="k-tpd" label="Tokens a day" hint="Empty: no limit"><input id="k-tpd" name="tpd" type="number" min="1" defaultValue=${k?.limits.tokens_per_day ?? ''} aria-describedby="k-tpd-hint" /></${Field}>
  <${Field} id="k-until" label="Holds until" hint="The end of that day, here. Empty: for good"><input id="k-until" name="until" type="date" defaultValue=${k?.expires_at ? new Date(k.expires_at * 1000).toLocaleDateString('sv') : ''} aria-describedby="k-until-hint" /></${Field}>`;
const terms = (f) => ({ role: f.role, limits: { budget_usd_per_month: amount(f.budget), requests_per_minute: whole(f.rpm), requests_per_day: whole(f.rpd), tokens_per_day: whole(f.tpd) }, expires_at: f.until ? Math.floor(new Date(`${f.until}T23:59:59`).getTime() / 1000) : null });

// What differs from what the key has. Limits that are shown may be the stack's: what is not changed stays so.
function changes(k, { limits, ...given }) {
  const differ = (now, then) => Object.fromEntries(Object.entries(then).filter(([name, value]) => now[name] !== value)), changed = differ(k.limits, limits);
  // A day is chosen, and a moment kept.
  const day = (s) => (s ? new Date(s * 1000).toDateString() : null), found = differ({ ...k, ...(day(k.expires_at) === day(given.expires_at) && { expires_at: given.expires_at }) }, given);
  return { ...found, ...(Object.keys(changed).length && { limits: changed }), ...(!Object.keys(found).length && !Object.keys(changed).length && { name: given.name }) };
}

const Made = ({ made, title = `Key ${made.name} is made`, onClose, children }) => html`<${Dialog} title=${title} onClose=${onClose}><${Verdict} is="warn">Copy it now. It is shown this once; Sluice keeps only its hash.</${Verdict}>
  <${Copy} text=${made.api_key} label="API key" />${children}<p>Try it:</p><${Copy} text=${curl(made.api_key)} /><div class="form"><div class="all end"><button class="primary" onClick=${onClose}>I have stored it</button></div></div></${Dialog}>`;

function NewKey({ tenant, session, onClose, onDone }) {
  const [made, setMade] = useState(null), [send, busy, problem] = useSend((k) => { setMade(k); onDone(); });
  const submit = (e) => { e.preventDefault(); const f = Object.fromEntries(new FormData(e.target)); send(() => api('v1/keys', { method: 'POST', body: { tenant: tenant.id, name: f.name.trim(), ...terms(f) } })); };
  if (made) return html`<${Made} made=${made} onClose=${onClose} />`;
  return html`<${Dialog} title="Make a key of ${tenant.name}" onClose=${onClose}><form class="form" onSubmit=${submit}>
    <div class="all"><${Field} id="k-name" label="Name" hint="Who or what uses it"><input id="k-name" name="name" required maxlength="128" placeholder="lab-27" autocomplete="off" aria-describedby="k-name-hint" autofocus /></${Field}></div>
    <${KeyFields} session=${session} />${problem && html`<div class="all"><${Trouble} problem=${problem} /></div>`}<${Ends} onClose=${onClose} busy=${busy}>Make key</${Ends}></form></${Dialog}>`;
}

const MOST_AT_ONCE = 500;
const AT_A_TIME = 50;
function NewClass({ tenant, session, onClose, onDone }) {
  const [made, setMade] = useState([]), [wanted, setWanted] = useState(0), [left, setLeft] = useState([]), [saved, setSaved] = useState(false);
  const [send, busy, problem] = useSend(() => onDone());
  const submit = (e) => {
    e.preventDefault();
    const f = Object.fromEntries(new FormData(e.target)), names = left.length ? left : [...new Set(f.names.split('\n').map((n) => n.trim()).filter(Boolean))];
    if (names.length > MOST_AT_ONCE) { send(async () => { throw { message: `These are ${num(names.length)} names; ${MOST_AT_ONCE} at most are made at once.`, remedy: 'Make the others afterwards.', status: 0 }; }); return; }
    setWanted(made.length + names.length);
    send(async () => {
      const rest = [...names];
      // Some at a time: if that fails, those before are made and shown, and the others can be made again.
      while (rest.length) {
        setLeft([...rest]);
        const { data, not_made } = await api('v1/keys/batch', { method: 'POST', body: { tenant: tenant.id, names: rest.slice(0, AT_A_TIME), ...terms(f) } });
        rest.splice(0, AT_A_TIME, ...not_made);
        setLeft([...rest]);
        setMade((old) => [...old, ...data]);
        if (!data.length) throw { message: 'No key was made.', remedy: 'Try again in a moment: those that are made are kept.', status: 0 };
      }
    });
  };
  const save = () => { saveCsv(`keys-${tenant.id}.csv`, [['name', 'id', 'api_key', 'tenant', 'role'], ...made.map((k) => [k.name, k.id, k.api_key, k.tenant, k.role])]); setSaved(true); };
  const done = wanted > 0 && !busy && !left.length;
  return html`<${Dialog} title="Keys for a class, of ${tenant.name}" onClose=${() => { if (!made.length || saved || window.confirm('The keys are shown this once, and are not saved yet. Close all the same?')) onClose(); }}>
    ${made.length > 0 && html`<${Verdict} is="warn">${plural(made.length, 'key')} made. Save the table now: they are shown this once.</${Verdict}><div class="row"><button class="primary" disabled=${busy} onClick=${save}>Save CSV</button><span class="small" role="status">${saved ? 'Saved.' : ''}</span></div>`}
    ${wanted > 0 && !done && html`<${Progress} part=${made.length / wanted} label="${made.length} of ${wanted} made" />`}
    ${!done && html`<form class="form" onSubmit=${submit}>
      <div class="all"><${Field} id="c-names" label="Names" hint="One a line: a key is made for each, with the same limits"><textarea id="c-names" name="names" rows="5" required placeholder="ada\ngrace" aria-describedby="c-names-hint" autofocus></textarea></${Field}></div>
      <${KeyFields} session=${session} />${problem && html`<div class="all"><${Trouble} problem=${problem} />${left.length > 0 && html`<p class="small">${plural(left.length, 'key')} are not made yet.</p>`}</div>`}
      <${Ends} onClose=${onClose} busy=${busy}>${left.length && !busy ? 'Make the others' : busy ? 'Making' : 'Make keys'}</${Ends}></form>`}
    ${done && html`<div class="form"><div class="all end"><button onClick=${() => { if (saved || window.confirm('Close without saving the keys?')) onClose(); }}>Close</button></div></div>`}</${Dialog}>`;
}

function EditKey({ k, spent, session, onClose, onDone }) {
  const left = useApi(stateOf(k) === 'active' ? `v1/budget?key=${k.id}&limit=1` : null);
  const [sure, setSure] = useState(false), [made, setMade] = useState(null), [hours, setHours] = useState('24');
  const [send, busy, problem] = useSend(() => { onDone(); onClose(); });
  // Who rotates the key that is signed in with goes on with its new secret: keys are not looked after with an old one.
  const [rotate, rotating, why] = useSend((fresh) => { if (storedKey()?.startsWith(`sl-${k.id}-`)) storeKey(fresh.api_key); setMade(fresh); onDone(); });
  const submit = (e) => { e.preventDefault(); const f = Object.fromEntries(new FormData(e.target)); send(async () => { await api(`v1/keys/${k.id}`, { method: 'PATCH', body: changes(k, { name: f.name.trim(), ...terms(f) }) }); say(`${f.name} is changed. It holds everywhere within 60 s.`); }); };
  const again = () => rotate(() => api(`v1/keys/${k.id}/rotate`, { method: 'POST', body: { old_secret_until: Number(hours) ? Math.floor(now() / 1000) + Number(hours) * 3600 : null } }));
  const active = stateOf(k) !== 'revoked';
  if (made) return html`<${Made} made=${made} title="Key ${made.name} has another secret" onClose=${onClose}><p class="small">${made.old_secret_until ? `The one before holds for ${plural(Number(hours), 'hour')} more.` : 'The one before is refused within 60 s.'} It is the same key: what it has spent, its limits and its files stay.</p></${Made}>`;
  return html`<${Dialog} title="Key ${k.name}" onClose=${onClose}>
    <p class="small"><code>${k.id}</code>, made <${When} at=${moment(k.created_at)} />. Spent this month: ${fineUsd(spent)}. <a href=${link('activity', { key: k.id, tenant: session.all ? k.tenant : '' })}>Its requests</a>${k.old_secret_until && k.old_secret_until * 1000 > now() ? html` The secret before this one is taken until <${When} at=${moment(k.old_secret_until)} as=${exact} />.` : ''}</p>
    ${stateOf(k) === 'active' && html`<${Loaded} from=${left} rows=${1}>${(d) => html`<div class="quotas"><${Left} of=${d.key} /></div>`}</${Loaded}>`}
    ${!active ? html`<${Verdict} is="info">It was revoked <${When} at=${moment(k.revoked_at)} />, and stays so.</${Verdict}>` : html`<form class="form" onSubmit=${submit}>
      <div class="all"><${Field} id="k-name" label="Name"><input id="k-name" name="name" required maxlength="128" defaultValue=${k.name} autocomplete="off" /></${Field}></div>
      <${KeyFields} k=${k} session=${session} />
      ${(problem ?? why) && html`<div class="all"><${Trouble} problem=${problem ?? why} /></div>`}
      <div class="all end">${sure ? html`<button type="button" class="danger" disabled=${busy} onClick=${() => send(async () => { await api(`v1/keys/${k.id}`, { method: 'DELETE' }); say(`${k.name} is revoked. Within 60 s nobody can use it.`); })}>Revoke for good</button>` : html`<button type="button" class="plain danger" onClick=${() => setSure(true)}>Revoke…</button>`}<button type="button" onClick=${onClose}>Cancel</button><button class="primary" disabled=${busy}>Save</button></div>
      ${sure && html`<p class="all small">Programs that use this key are refused within 60 s. A revoked key can’t be brought back.</p>`}</form>
    <div class="row rotate"><${Select} id="k-hours" label="Another secret; the one before holds for" value=${hours} onChange=${setHours} options=${[['0', 'no time'], ['1', '1 hour'], ['24', '24 hours'], ['168', '7 days']]} /><button disabled=${rotating} onClick=${again}>${rotating ? 'Rotating' : 'Rotate'}</button></div>`}</${Dialog}>`;
}

function Body({ tenant, tenants, session, query, made, open, setOpen, onMade }) {
  const only = encodeURIComponent(tenant.id), keys = useApi(`v1/keys?limit=100&tenant=${only}`), overview = useApi(`v1/overview?tenant=${only}`, 20), used = useApi(`v1/usage?tenant=${only}&group_by=key`);
  const [older, setOlder] = useState({ tenant: tenant.id, rows: [], more: null }), [loading, setLoading] = useState(false), [problem, setProblem] = useState(null);
  useTick();
  const mine = older.tenant === tenant.id ? older : { tenant: tenant.id, rows: [], more: null };
  const reload = () => { setOlder({ tenant: tenant.id, rows: [], more: null }); keys.reload(); overview.reload(); used.reload(); };
  const load = async (all) => {
    setLoading(true);
    let rows = mine.rows, after = (rows.at(-1) ?? keys.data.data.at(-1)).id, more = true;
    try { do { const d = await api(`v1/keys?limit=100&tenant=${only}&after=${after}`); rows = [...rows, ...d.data]; more = d.has_more; after = rows.at(-1)?.id; setOlder({ tenant: tenant.id, rows, more }); } while (all && more); setProblem(null); } catch (p) { setProblem(p); }
    setLoading(false);
  };
  const close = () => setOpen(null), state = query.state ?? 'active', spent = Object.fromEntries((used.data?.data ?? []).map((u) => [u.key, u.cost_usd]));
  const t = overview.data?.tenants[0], budget = t && { ...t, tenant: tenant.id };
  return html`<${Section} title="Budget this month" aside=${html`<a href=${link('usage', { by: 'key', tenant: session.all ? tenant.id : '' })}>Who used it</a>${session.all && budget && html`<button onClick=${() => setOpen(['budget', budget])}>${budget.budget_usd == null ? 'Set a budget' : 'Edit budget'}</button>`}`}>
      <${Loaded} from=${overview} rows=${2}>${() => (t.budget_usd == null ? html`<${Empty} title="${t.name} has no budget.">${session.all ? 'Nothing bounds what its keys spend together.' : 'An admin can set one.'}</${Empty}>` : html`<${Quota} wide name=${t.name} limit=${t.budget_usd} used=${t.used_usd} unit=${fineUsd} resets=${moment(t.resets_at)} note=${t.used_usd >= t.budget_usd ? 'requests are refused' : t.runs_out_at ? html`runs out <${When} at=${moment(t.runs_out_at)} />, at the last day’s rate` : null} />`)}</${Loaded}></${Section}>
    <${Loaded} from=${keys} rows=${10}>${(d) => {
      const all = [...d.data, ...mine.rows], more = mine.more ?? d.has_more, q = (query.q ?? '').trim().toLowerCase();
      const within = all.filter((k) => !q || k.name.toLowerCase().includes(q) || k.id.includes(q)), list = within.filter((k) => state === 'all' || (state === 'active') === (stateOf(k) === 'active'));
      const count = (is) => within.filter((k) => (stateOf(k) === 'active') === is).length;
      return html`<div class="filters"><${Choice} label="State" value=${state} onChange=${(v) => setQuery({ state: v === 'active' ? '' : v })} options=${[['active', 'Active', count(true)], ['gone', 'Expired or revoked', count(false)], ['all', 'All', within.length]]} />
        <input type="search" aria-label="Filter by name or id" placeholder="Filter by name or id" value=${query.q ?? ''} onInput=${(e) => setQuery({ q: e.target.value })} /><button onClick=${() => saveCsv(`keys-${tenant.id}.csv`, [['name', 'id', 'role', 'state', 'spent_usd', 'budget_usd', 'requests_per_minute', 'requests_per_day'], ...list.map((k) => [k.name, k.id, k.role, stateOf(k), spent[k.id] ?? 0, k.limits.budget_usd_per_month, k.limits.requests_per_minute, k.limits.requests_per_day])])}>Save CSV</button></div>
      <${Section} title=${`${plural(list.length, 'key')}${more ? ' of those loaded' : ''}`} flush><${Table} caption="Keys" rows=${list} keyOf=${(k) => k.id} start=${null} empty=${html`<${Empty} title=${all.length ? 'No key matches.' : 'There is no key yet.'}>${all.length ? html`<button onClick=${() => setQuery({ q: '', state: 'all' })}>Show all</button>` : html`<button class="primary" onClick=${() => setOpen(['new'])}>Make a key</button>`}</${Empty}>`} columns=${[
        { name: 'name', label: 'Name', sort: (k) => k.name.toLowerCase(), cell: (k) => html`<button class="plain name" onClick=${() => setOpen(['key', k])}>${k.name}</button><span class="sub"><code>${k.id}</code></span>` },
        { name: 'role', label: 'Role', p: 3, sort: (k) => ROLES.indexOf(k.role), cell: (k) => k.role },
        { name: 'state', label: 'State', sort: stateOf, cell: (k) => { const s = stateOf(k); return html`<${State} is=${s === 'active' ? 'ok' : 'off'}>${s}</${State}>${s === 'active' && k.expires_at ? html`<span class="sub">until ${shortDate(moment(k.expires_at))}</span>` : ''}${s === 'active' && k.old_secret_until && k.old_secret_until * 1000 > now() ? html`<span class="sub">rotated; two secrets until ${shortDate(moment(k.old_secret_until))}</span>` : ''}`; } },
        { name: 'limits', label: 'Requests a minute, a day', num: true, p: 2, cell: (k) => `${num(k.limits.requests_per_minute)}, ${num(k.limits.requests_per_day)}` },
        { name: 'spent', label: 'This month', num: true, sort: (k) => spent[k.id] ?? 0, cell: (k) => html`${used.data ? fineUsd(spent[k.id] ?? 0) : '…'}${k.limits.budget_usd_per_month != null ? html`<span class="sub num">of ${fineUsd(k.limits.budget_usd_per_month)}</span>` : ''}` },
        { name: 'act', label: 'Change', p: 3, cls: 'actions', cell: (k) => html`<button onClick=${() => setOpen(['key', k])} aria-label="Edit ${k.name}">Edit</button>` }]} />
        ${problem && html`<${Trouble} problem=${problem} retry=${() => load(false)} />`}
        ${more && html`<p class="more"><span>There are more keys.</span> <button disabled=${loading} onClick=${() => load(false)}>Load 100 more</button> <button disabled=${loading} onClick=${() => load(true)}>${loading ? `Loading, ${num(all.length)} so far` : 'Load all'}</button></p>`}</${Section}>`;
    }}</${Loaded}>
    ${open?.[0] === 'new' && html`<${NewKey} tenant=${tenant} session=${session} onClose=${close} onDone=${reload} />`}
    ${open?.[0] === 'class' && html`<${NewClass} tenant=${tenant} session=${session} onClose=${close} onDone=${reload} />`}
    ${open?.[0] === 'key' && html`<${EditKey} k=${open[1]} spent=${spent[open[1].id] ?? 0} session=${session} onClose=${close} onDone=${reload} />`}
    ${open?.[0] === 'budget' && html`<${EditBudget} t=${open[1]} onClose=${close} onDone=${() => { forgetTenants(); onMade(); reload(); }} />`}`;
}

export default function Keys({ query, session }) {
  const [made, setMade] = useState(0), [open, setOpen] = useState(null), tenants = useTenants(session, made);
  const tenant = tenants.find((t) => t.id === query.tenant) ?? tenants[0], again = () => { forgetTenants(); setMade((n) => n + 1); };
  return html`<${Page} title="Keys and budgets" aside=${html`${session.all && tenants.length > 0 && html`<${Select} id="tenant" label="Tenant" value=${tenant?.id} onChange=${(v) => setQuery({ tenant: v, q: '' })} options=${tenants.map((t) => [t.id, t.name])} />`}${session.all && html`<button onClick=${() => setOpen(['tenant'])}>Make a tenant</button>`}${tenant && html`<button onClick=${() => setOpen(['class'])}>Keys for a class</button><button class="primary" onClick=${() => setOpen(['new'])}>Make a key</button>`}`}>
    ${tenants.isLoading ? html`<${Skeleton} />` : tenant ? html`<${Body} key=${tenant.id} tenant=${tenant} tenants=${tenants} session=${session} query=${query} open=${open} setOpen=${setOpen} onMade=${again} />` : html`<${Section} title="Tenants"><${Empty} title="There is no tenant yet.">A tenant is a class, a team or a product, with a budget of its own. Its keys come next. <button class="primary" onClick=${() => setOpen(['tenant'])}>Make a tenant</button></${Empty}></${Section}>`}
    ${open?.[0] === 'tenant' && html`<${NewTenant} onClose=${() => setOpen(null)} onDone=${(t) => { again(); setOpen(null); setQuery({ tenant: t.id, q: '' }); }} />`}</${Page}>`;
}
