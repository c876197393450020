// Is it up, what does it cost, what runs out when?
import { html } from '../vendor/htm-preact.js';
import { ROOT, clockTime, fineUsd, link, moment, ms, num, percent, plural, short, shortDate, shortModel, useApi, usd } from '../lib.js';
import { Copy, Empty, Live, Loaded, Page, Quota, Section, Stat, Table, Verdict, When, useTick } from '../ui.js';
import { Result } from './activity.js';
import { LIMITS, standing } from './providers.js';

const failed = (h) => h.provider + h.sluice;

// The last hour in a sentence: each request counts once.
export function Cause({ hour, deployments }) {
  if (!hour.requests) return html`<${Verdict} is="info">Nothing was asked in the last hour.</${Verdict}>`;
  const worst = (deployments ?? []).filter((d) => d.refused || d.health.circuit !== 'CLOSED').map((d) => d.credential), who = [...new Set(worst)].join(', ');
  const asked = hour.is_complete ? `Of ${plural(hour.requests, 'request')} in the last hour` : `Of the last ${plural(hour.requests, 'request')}`;
  if (hour.sluice) return html`<${Verdict} is="bad">It is Sluice: ${asked.toLowerCase()}, ${num(hour.sluice)} failed here. See <a href=${link('activity', { cause: 'sluice' })}>why</a>.</${Verdict}>`;
  if (hour.provider || hour.fell_back) return html`<${Verdict} is=${hour.provider ? 'bad' : 'warn'}>It is a provider, not Sluice. ${asked}, ${num(hour.fell_back)} were answered by another after one had failed, and ${num(hour.provider)} by nobody.${who && ` Not well: ${who}.`}</${Verdict}>`;
  if (worst.length) return html`<${Verdict} is="warn">All is answered, but ${who} is left alone for now.</${Verdict}>`;
  return html`<${Verdict} is="ok">All is well: ${asked.toLowerCase()}, none failed${hour.limit ? `, and ${num(hour.limit)} ${hour.limit === 1 ? 'was' : 'were'} refused by limits or budgets` : ''}.</${Verdict}>`;
}

export function needs({ tenants, deployments }, session) {
  const list = [];
  for (const t of tenants) {
    const used_up = t.budget_usd != null && t.used_usd >= t.budget_usd;
    if (used_up) list.push({ is: 'bad', title: `${t.name} has used up its budget`, says: html`${fineUsd(t.used_usd)} of ${fineUsd(t.budget_usd)} are spent, and its requests are refused.${t.resets_at ? html` It begins anew <${When} at=${moment(t.resets_at)} />.` : ''}`, go: session.all ? ['Raise it', link('keys', { tenant: t.tenant })] : ['Who used it', link('usage', { by: 'key', tenant: t.tenant })] });
    else if (t.runs_out_at) list.push({ is: 'warn', title: `${t.name} runs out of budget`, says: html`At the last day’s rate on ${shortDate(moment(t.runs_out_at))}, <${When} at=${moment(t.runs_out_at)} />. ${fineUsd(t.budget_usd - t.used_usd)} are left.`, go: ['Who uses it', link('usage', { by: 'key', tenant: t.tenant })] });
  }
  for (const d of deployments ?? []) {
    const s = standing(d);
    if (!d.is_enabled) continue;
    if (s.is !== 'ok') list.push({ is: s.is, title: `${d.credential}, ${shortModel(d.model)}: ${s.word}`, says: html`${s.why}${d.refused ? html` It is asked again <${When} at=${moment(d.refused.until)} />.` : ''}`, go: ['Its state', link('providers', { d: d.deployment })] });
    for (const [id, l] of Object.entries(d.limits)) if (l?.runs_out_at) list.push({ is: 'warn', title: `${d.credential}, ${shortModel(d.model)} runs out of ${LIMITS[id] ?? l.name}`, says: html`At the last hour’s rate at ${clockTime(moment(l.runs_out_at))}, <${When} at=${moment(l.runs_out_at)} />.`, go: ['Its limits', link('providers', { d: d.deployment })] });
  }
  return list.sort((a, b) => 'bad warn info'.indexOf(a.is) - 'bad warn info'.indexOf(b.is));
}

const curl = (key) => `curl ${new URL('v1/chat/completions', ROOT).href} -H "authorization: Bearer ${key}" -H 'content-type: application/json' -d '{"model": "auto", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}'`;

const Steps = ({ d, session }) => {
  const asked = d.last_day.requests > 0, provider = d.deployments?.length > 0;
  const mark = (done) => (done ? html` <span class="state ok"><span aria-hidden="true">●</span> done</span>` : '');
  return html`<${Section} title="Five steps to the first answer" flush><ol class="steps">
    <li><strong>Make a tenant, with a budget</strong>${mark(d.tenants.length > 0)}<span class="quiet">A class, a team or a product, under <a href="#/keys">Keys and budgets</a>. Its budget is never overspent.</span></li>
    <li><strong>Make an API key for it</strong><span class="quiet">In the same place. The key is shown once.</span></li>
    <li><strong>Tell Sluice a provider’s key</strong>${session.may('operator') ? mark(provider) : ''}<span class="quiet">Groq’s and Gemini’s are free. On this machine it goes into .env; on AWS into the secret CredentialsSecret. <a href="#/providers">Providers and health</a> shows whether it is taken.</span><${Copy} text="echo 'GROQ_API_KEY=gsk_…' >> .env && make run" /></li>
    <li><strong>Ask something</strong>${mark(asked)}<span class="quiet">In the <a href="#/playground">Playground</a>, or from a shell:</span><${Copy} text=${curl('$key')} /></li>
    <li><strong>See what it cost, and why that model answered</strong><span class="quiet">Under <a href="#/activity">Activity</a> and <a href="#/usage">Usage and costs</a>.</span></li></ol></${Section}>`;
};

const NAMES = { requests_per_minute: 'requests a minute', requests_per_day: 'requests a day', tokens_per_minute: 'tokens a minute', tokens_per_day: 'tokens a day', budget_usd_per_month: 'budget this month' };
const UNITS = { budget_usd_per_month: fineUsd };
export const Left = ({ of, name }) => html`${of.limits.map((l) => html`<${Quota} name=${name ? `${name}: ${NAMES[l.limit]}` : NAMES[l.limit]} limit=${l.capacity} used=${l.used} unit=${UNITS[l.limit] ?? short} resets=${l.resets_at} />`)}`;

// For a caller: does my key work, and what have I left?
function Mine({ session }) {
  const from = useApi('v1/budget', 20), used = useApi('v1/usage?range=1d');
  useTick();
  return html`<${Loaded} from=${from}>${(d) => {
    const all = [d.tenant, d.key], empty = all.flatMap((o) => o.limits.map((l) => [o, l])).find(([, l]) => l.remaining <= 0);
    return html`<${Page} title="Overview" aside=${html`<${Live} from=${from} />`} says=${html`<${Verdict} is=${empty ? 'bad' : 'ok'}>${empty ? html`Your requests are refused: ${empty[0].of === 'tenant' ? `${session.tenant.name} has` : 'your key has'} used up its ${NAMES[empty[1].limit]}.${empty[1].resets_at ? html` It is free again <${When} at=${empty[1].resets_at} />, or` : ' It is free'} as soon as your admin raises it.` : 'Your key works.'}</${Verdict}>`}>
      <${Section} title="What you have left" note=${`Key ${session.key.name}`}><div class="quotas"><${Left} of=${d.key} /><${Left} of=${d.tenant} name=${session.tenant.name} /></div></${Section}>
      <${Section} title="What you used" note="last 24 hours" aside=${html`<a href="#/usage">More</a>`}><${Loaded} from=${used} rows=${1}>${(u) => html`<p>${plural(u.totals.requests, 'request')}, ${short(u.totals.total_tokens)} tokens, ${fineUsd(u.totals.cost_usd)}.</p>`}</${Loaded}></${Section}>
      <${Section} title="Your key in other programs"><p class="quiet">Any OpenAI client works, with this address:</p><${Copy} text=${`OPENAI_BASE_URL=${new URL('v1', ROOT).href}`} /></${Section}></${Page}>`;
  }}</${Loaded}>`;
}

export function fullest(d) {
  const limits = Object.entries(d.limits).filter(([, l]) => l).map(([id, l]) => ({ id, ...l }));
  return limits.length ? limits.reduce((a, b) => (b.percentage > a.percentage ? b : a)) : null;
}

function All({ session }) {
  const from = useApi('v1/overview', 15);
  useTick();
  return html`<${Loaded} from=${from}>${(d) => {
    const list = needs(d, session), h = d.last_hour, day = d.last_day, first = !day.requests && !h.requests;
    const budgets = d.tenants.filter((t) => t.budget_usd != null), filling = (d.deployments ?? []).map((x) => [x, fullest(x)]).filter(([, l]) => l).sort((a, b) => b[1].percentage - a[1].percentage).slice(0, 4);
    return html`<${Page} title="Overview" aside=${html`<${Live} from=${from} />`} says=${first ? html`<${Verdict} is="info">Nothing has been asked yet. Five steps lead to the first answer.</${Verdict}>` : html`<${Cause} hour=${h} deployments=${d.deployments} />`}>
      ${first ? html`<${Steps} d=${d} session=${session} />` : html`<dl class="stats">
        <${Stat} label="Requests, last 24 hours" value=${num(day.requests)} note="${percent(day.cache_hits / (day.requests || 1))} from the cache" href="#/activity" />
        <${Stat} label="Cost, last 24 hours" value=${fineUsd(day.cost_usd)} note="${fineUsd(day.cost_usd_before)} the day before; AWS about ${fineUsd(day.infra_cost_usd)}" href="#/usage" />
        <${Stat} label="Refused or failed, last hour" value=${num(h.limit + h.guard + h.caller + failed(h))} note="${num(h.limit)} by limits, ${num(h.guard)} by guards, ${num(h.caller)} by mistakes, ${num(failed(h))} failed" href=${link('activity', { show: 'refused' })} />
        <${Stat} label="Time of an answer, last hour" value=${h.half_within_ms == null ? '–' : ms(h.half_within_ms)} note=${h.half_within_ms == null ? 'nothing was answered' : `half within; 95 % within ${ms(h.most_within_ms)}; ${ms(h.own_ms)} of it Sluice’s own`} /></dl>`}
      <${Section} title="Needs you" note=${list.length ? null : 'nothing'} flush>${list.length ? html`<ul class="list">${list.map((x) => html`<li><span class="mark ${x.is}" aria-hidden="true">${{ bad: '■', warn: '▲', info: '◆' }[x.is]}</span><div><strong>${x.title}</strong><p class="small">${x.says}</p></div><a class="go" href=${x.go[1]}>${x.go[0]}</a></li>`)}</ul>` : html`<${Empty} title="All is well." />`}</${Section}>
      <div class="cols">
      <${Section} title="Budgets this month" note=${d.has_more_tenants ? 'of the first 25 tenants' : null} aside=${session.all && html`<a href="#/keys">Edit</a>`}>${budgets.length ? html`<div class="budget">${budgets.map((t) => html`<${Quota} wide name=${t.name} limit=${t.budget_usd} used=${t.used_usd} unit=${fineUsd} resets=${moment(t.resets_at)} note=${t.runs_out_at && t.used_usd < t.budget_usd ? html`runs out <${When} at=${moment(t.runs_out_at)} />` : null} />`)}</div>` : html`<${Empty} title=${d.tenants.length ? 'No tenant has a budget.' : 'There is no tenant yet.'}>${session.all ? html`<a href="#/keys">Keys and budgets</a> sets one.` : 'An admin can set one.'}</${Empty}>`}</${Section}>
      ${d.deployments ? html`<${Section} title="What is fullest" note="of each deployment’s limits" aside=${html`<a href="#/providers">All</a>`}>${filling.length ? html`<div class="budget">${filling.map(([x, l]) => html`<${Quota} name=${html`<a href=${link('providers', { d: x.deployment })}>${x.credential}, ${shortModel(x.model)}</a> ${LIMITS[l.id] ?? l.name}`} label="${x.deployment} ${l.name}" limit=${l.limit} used=${l.used} unit=${short} />`)}</div>` : html`<${Empty} title="No deployment has a limit." />`}</${Section}>`
      : html`<${Section} title="Who used most" note="last 24 hours" aside=${html`<a href=${link('usage', { by: 'key' })}>All keys</a>`}>${d.keys.length ? html`<ul class="list plain">${d.keys.map((k) => html`<li><a href=${link('activity', { key: k.key })}>${k.name ?? k.key}</a><span class="num">${fineUsd(k.cost_usd)} <span class="quiet">${plural(k.requests, 'request')}</span></span></li>`)}</ul>` : html`<${Empty} title="Nobody used anything." />`}</${Section}>`}</div>
      ${d.notable.length > 0 && html`<${Section} title="Requests worth a look" note="last hour" flush aside=${html`<a href="#/activity">All requests</a>`}><${Table} caption="Requests worth a look" rows=${d.notable} keyOf=${(r) => r.id} columns=${[
        { name: 'why', label: 'What and why', cell: (r) => html`<a class="cover" href=${link(`activity/${r.id}`, session.all ? { tenant: r.tenant } : {})}><${Result} r=${r} /></a><span class="sub">${r.why}</span>` },
        { name: 'key', label: 'Key', p: 3, cls: 'nowrap', cell: (r) => html`<code>${r.key}</code><span class="sub">${r.tenant}</span>` },
        { name: 'ms', label: 'Time', num: true, cell: (r) => ms(r.times.total_ms) },
        { name: 'usd', label: 'Cost', num: true, p: 3, cell: (r) => fineUsd(r.cost_usd) },
        { name: 'at', label: 'When', num: true, p: 3, cell: (r) => html`<${When} at=${moment(r.created_at)} />` }]} /></${Section}>`}</${Page}>`;
  }}</${Loaded}>`;
}

export default ({ session }) => (session.may('manager') ? html`<${All} session=${session} />` : html`<${Mine} session=${session} />`);
export { usd };
