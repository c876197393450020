// Is it us or the provider? What is refused, what is full, and what to do about it?
import { html, useEffect, useState } from '../vendor/htm-preact.js';
import { api, clockTime, link, moment, ms, num, percent, short, shortModel, useApi } from '../lib.js';
import { Empty, Live, Loaded, Page, Quota, Section, State, Verdict, When, say, useTick } from '../ui.js';
import { CAUSES } from './activity.js';
import { Cause } from './overview.js';

export const LIMITS = { rpm: 'requests a minute', rpd: 'requests a day', tpm: 'tokens a minute', tpd: 'tokens a day', cpm: 'characters a month' };
const REASONS = { 'rate limited': ['warn', 'left alone', 'Its provider has asked to be left alone for a while.'], 'credential refused': ['bad', 'key refused', 'Its provider refuses the key: put another one into the secret, or take it out.'], 'model not served': ['bad', 'model not served', 'Its provider has no such model for this key.'] };
const CIRCUITS = { OPEN: ['warn', 'failing, circuit open', 'It failed several times in a row, and others answer for it.'], HALF_OPEN: ['warn', 'being tried', 'After failures, one request at a time tries it.'] };

// How a deployment is, in a word, and why.
export function standing(d) {
  if (!d.is_enabled) return { is: 'off', word: 'switched off', why: 'Its credential says that it is not to be used.' };
  const [is, word, why] = REASONS[d.refused?.reason] ?? CIRCUITS[d.health.circuit] ?? ['ok', 'answers', ''];
  return { is, word, why };
}

function Deployment({ d, marked, session, reload }) {
  const [tested, setTested] = useState(null), [busy, setBusy] = useState(''), s = standing(d), limits = Object.entries(d.limits).filter(([, l]) => l);
  const act = async (what) => {
    setBusy(what);
    try {
      const answer = await api(`v1/providers/${what}`, { method: 'POST', body: { deployment: d.deployment } });
      if (what === 'test') setTested(answer); else say(`${d.credential}, ${shortModel(d.model)}: the next request asks it again.`);
      reload();
    } catch (p) { setTested({ passed: false, says: `${p.message} ${p.remedy ?? ''}` }); }
    setBusy('');
  };
  useEffect(() => { if (marked) document.getElementById(d.deployment)?.scrollIntoView({ block: 'start' }); }, [marked]);
  return html`<li class="deployment ${marked ? 'marked' : ''}" id=${d.deployment}>
    <header><h3 class="name">${d.credential} <span class="quiet">${shortModel(d.model)}</span></h3><${State} is=${s.is}>${s.word}</${State}>
      ${session.all && html`<span class="tools"><button disabled=${busy} onClick=${() => act('test')}>${busy === 'test' ? 'Testing' : 'Test'}</button>${s.is !== 'ok' && s.is !== 'off' && html`<button disabled=${busy} onClick=${() => act('reset')}>Let requests through</button>`}</span>`}</header>
    ${s.why && html`<p class="why ${s.is}"><strong>${s.why}</strong>${d.refused?.since ? html` Since <${When} at=${moment(d.refused.since)} />.` : ''}${d.refused ? html` It is asked again <${When} at=${moment(d.refused.until)} />.` : ''}</p>`}
    ${limits.filter(([, l]) => l.runs_out_at).map(([id, l]) => html`<p class="why warn"><strong>Out of ${LIMITS[id] ?? l.name} at about ${clockTime(moment(l.runs_out_at))}</strong> (<${When} at=${moment(l.runs_out_at)} />), at the last hour’s rate. Others of its tier answer then; another key keeps this one.</p>`)}
    ${tested && html`<p class="why ${tested.passed ? 'fine' : 'bad'}" role="status"><strong>${tested.passed ? 'Test passed.' : 'Test failed.'}</strong> ${tested.says}</p>`}
    ${limits.length ? html`<div class="quotas">${limits.map(([id, l]) => html`<${Quota} name=${LIMITS[id] ?? l.name} limit=${l.limit} used=${l.used} unit=${short} note=${l.used && l.resets_in_seconds > 120 ? `all free again in ${Math.round(l.resets_in_seconds / 360) / 10} h` : null} />`)}</div>` : html`<p class="small">It has no limits that Sluice knows of.</p>`}
    <div class="figures"><span>${d.provider}, tier ${d.tier}</span><span>health <b class="num">${percent(d.health.health_score)}</b></span><span>lately <b class="num">${percent(d.health.success_rate)}</b> answered</span>${d.health.consecutive_failures > 0 && html`<span><b class="num">${num(d.health.consecutive_failures)}</b> failures in a row</span>`}${d.health.response_time_ms != null && html`<span>about <b class="num">${ms(d.health.response_time_ms)}</b> an answer</span>`}<a href=${link('activity', { q: d.deployment })}>Its requests</a></div></li>`;
}

const WORST = { bad: 0, warn: 1, ok: 2, off: 3 };

export default function Providers({ query, session }) {
  const from = useApi('v1/overview', 15), list = useApi('v1/providers');
  useTick();
  const adds = html`<${Empty} title="Sluice has no provider’s key that it can use, so it can’t answer." command="echo 'GROQ_API_KEY=gsk_…' >> .env && make run">Any will do; Groq’s and Gemini’s are free. On this machine it goes into .env, on AWS into the secret CredentialsSecret.</${Empty}>`;
  return html`<${Loaded} from=${from} rows=${10}>${(d) => {
    const h = d.last_hour, broken = list.data?.broken ?? [], causes = Object.keys(CAUSES);
    const sorted = [...d.deployments].sort((a, b) => WORST[standing(a).is] - WORST[standing(b).is]);
    return html`<${Page} title="Providers and health" aside=${html`<${Live} from=${from} />`} says=${html`<${Cause} hour=${h} deployments=${d.deployments} />`}>
      ${list.data?.problem && html`<${Verdict} is="bad">The secret with the providers’ keys can’t be used as it is now, and what it was before serves: ${list.data.problem}</${Verdict}>`}
      ${broken.length > 0 && html`<${Section} title="Keys that can’t be used" flush><ul class="list">${broken.map((b) => html`<li><span class="mark bad" aria-hidden="true">■</span><div><strong>${b.alias ?? `Entry ${b.position + 1} of the secret`}</strong><p class="small">${b.reason}</p></div></li>`)}</ul></${Section}>`}
      <${Section} title="Whose fault, last hour" note="${num(h.requests)} requests, each counted once">${h.requests ? html`<div class="split" role="img" aria-label=${causes.map((id) => `${CAUSES[id][1]} ${h[id]}`).join(', ')}>${causes.filter((id) => h[id]).map((id) => html`<span class="s-${id}" style=${{ flexGrow: h[id], flexBasis: 0 }}></span>`)}</div>` : ''}
        <ul class="cause-list">${causes.map((id) => html`<li><span class="s-${id}" aria-hidden="true"></span><span>${CAUSES[id][1]}</span><b class="num">${num(h[id])}</b></li>`)}</ul></${Section}>
      <${Section} title="Deployments" note="a provider’s key and a model; used includes what requests under way have reserved" flush>${sorted.length ? html`<ul>${sorted.map((x) => html`<${Deployment} key=${x.deployment} d=${x} marked=${query.d === x.deployment} session=${session} reload=${from.reload} />`)}</ul>` : adds}</${Section}></${Page}>`;
  }}</${Loaded}>`;
}
