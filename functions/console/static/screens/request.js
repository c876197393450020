// Why was this request slow, refused or dear? What was decided, with the time that each step took.
import { html, useEffect } from '../vendor/htm-preact.js';
import { exact, fineUsd, link, moment, ms, num, useApi, usd } from '../lib.js';
import { Copy, Loaded, Page, Section, Table, Verdict, When } from '../ui.js';
import { CAUSES, Result } from './activity.js';

// Guards, then deployments in the order in which they were considered.
function decisions(r) {
  const judged = (side) => r.guard_models.filter((g) => g.judged === side).map((g) => ({ what: `Guard model, ${side}`, says: `${g.model}: ${g.judgement}${g.verdict ? ` (${g.verdict})` : ''}`, went: g.judgement === 'caught' ? 'bad' : g.judgement === 'unavailable' ? 'warn' : 'ok', ms: g.time_ms }));
  const rules = r.guard_rules.length ? [{ what: 'Guard rules', says: `${r.guard_rules.join(', ')} matched`, went: r.cause === 'guard' ? 'bad' : 'warn', ms: null }] : [];
  const cache = r.cache === 'hit' ? [{ what: 'Cache', says: 'The same had been answered before.', went: 'ok', ms: null }] : r.cache === 'skipped' ? [{ what: 'Cache', says: 'A new answer was asked for.', went: 'ok', ms: null }] : [];
  const tried = r.attempts.map((a) => ({ what: a.time_ms ? 'Ask' : 'Pass over', says: `${a.deployment}: ${a.result}${a.status ? ` (${a.status})` : ''}`, went: a.result === 'answered' ? 'ok' : a.time_ms ? 'bad' : 'off', ms: a.time_ms }));
  return [...rules, ...judged('prompt'), ...cache, ...tried, ...judged('answer')];
}
const WENT = { ok: '', bad: 'Did not answer. ', warn: '', off: '' };

export default function Request({ arg, query, session }) {
  const tenant = query.tenant ? `?tenant=${encodeURIComponent(query.tenant)}` : '', from = useApi(`v1/requests/${encodeURIComponent(arg)}${tenant}`);
  const ids = JSON.parse(sessionStorage.getItem('sluice.list') ?? '[]'), i = ids.findIndex(([id]) => id === arg);
  const before = i > 0 ? ids[i - 1][1] : null, after = i >= 0 && ids[i + 1] ? ids[i + 1][1] : null;
  useEffect(() => {
    const key = (e) => { if (/INPUT|SELECT/.test(e.target.tagName)) return; const next = { j: after, k: before }[e.key]; if (next) location.replace(next); };
    window.addEventListener('keydown', key);
    return () => window.removeEventListener('keydown', key);
  }, [before, after]);
  return html`<p class="crumbs"><a href="#/activity">Activity</a><span class="row">${before ? html`<a href=${before}>Previous</a>` : html`<span class="quiet">Previous</span>`}${after ? html`<a href=${after}>Next</a>` : html`<span class="quiet">Next</span>`}</span></p>
  <${Loaded} from=${from}>${(r) => {
    const steps = decisions(r), at = moment(r.created_at), longest = Math.max(1, ...steps.map((s) => s.ms ?? 0));
    return html`<${Page} title=${html`Request <code class="id">${r.id}</code>`} aside=${html`<${Result} r=${r} />`} says=${html`<${Verdict} is=${{ info: 'ok' }[CAUSES[r.cause][0]] ?? CAUSES[r.cause][0]}>${r.why}</${Verdict}>`}>
      <${Section} title="Facts"><dl class="facts four">
        <dt>When</dt><dd><time datetime=${at}>${exact(at)}</time> <span class="quiet">(<${When} at=${at} />)</span></dd><dt>Answered by</dt><dd>${r.deployment ? (session.may('operator') ? html`<a href=${link('providers', { d: r.deployment })}>${r.deployment}</a>` : r.deployment) : r.cache === 'hit' ? 'the cache' : 'nobody'}</dd>
        <dt>Key</dt><dd><a href=${link('keys', { q: r.key, tenant: r.tenant })}><code>${r.key}</code></a> of ${r.tenant}${r.user ? `, for ${r.user}` : ''}</dd><dt>Asked for</dt><dd>${r.requested_model ?? html`<span class="quiet">not kept of what was refused</span>`}${r.requested_model === 'auto' ? html` <span class="quiet">(Sluice chose)</span>` : ''}</dd>
        <dt>Time</dt><dd class="num">${ms(r.times.total_ms)} <span class="quiet">(providers ${ms(r.times.provider_ms)}, Sluice ${ms(r.times.own_ms)}${r.times.first_token_ms ? `; first word after ${ms(r.times.first_token_ms)}` : ''})</span></dd><dt>Task</dt><dd>${r.task ?? html`<span class="quiet">none</span>`}</dd>
        <dt>Cost</dt><dd class="num">${usd(r.cost_usd, 7)} <span class="quiet">and AWS about ${usd(r.infra_cost_usd, 7)}</span></dd><dt>Tokens</dt><dd class="num">${num(r.usage.prompt_tokens)} in, ${num(r.usage.completion_tokens)} out</dd>
        <dt>Cache</dt><dd>${r.cache ?? html`<span class="quiet">not asked</span>`}</dd><dt>Status</dt><dd>${r.status}${r.code ? html` <code>${r.code}</code>` : ''}, ${r.streamed ? 'streamed' : 'whole'}, ${r.outcome}</dd></dl></${Section}>
      <${Section} title="Decisions" note="prompts and answers are not kept" flush><${Table} caption="Decisions of this request" rows=${steps} keyOf=${(s) => s.what + s.says} empty=${html`<p class="small pad">It was refused before any deployment was considered.</p>`} columns=${[
        { name: 'what', label: 'Step', cls: 'nowrap', cell: (s) => html`<strong>${s.what}</strong><span class="sub only-narrow num">${s.ms ? ms(s.ms) : ''}</span>` },
        { name: 'says', label: 'What came of it', cls: 'wide', cell: (s) => html`${WENT[s.went] && html`<span class="went">${WENT[s.went]}</span>`}${s.says}` },
        { name: 'wf', label: 'Compared', p: 3, cls: 'share', cell: (s) => (s.ms ? html`<div class="bar" aria-hidden="true"><span class="used" style=${{ width: `${s.ms / longest * 100}%` }}></span></div>` : '') },
        { name: 'took', label: 'Took', num: true, p: 3, cell: (s) => (s.ms ? ms(s.ms) : html`<span class="quiet">–</span>`) }]} /></${Section}>
      <${Section} title="Next"><ul class="sources first"><li><a href=${link('activity', { key: r.key, tenant: session.all ? r.tenant : '' })}>Other requests of this key</a></li>${r.cause === 'limit' && html`<li><a href=${link('keys', { tenant: r.tenant, q: r.key })}>Its limits and budget, and how to raise them</a></li><li><a href=${link('usage', { by: 'key', tenant: r.tenant })}>Who used up the budget of ${r.tenant}</a></li>`}${['fell_back', 'provider'].includes(r.cause) && session.may('operator') && html`<li><a href="#/providers">How the providers are doing</a></li>`}</ul><p class="small gap">When you report this request, its id is enough:</p><${Copy} text=${r.id} label="Request id" /></${Section}></${Page}>`;
  }}</${Loaded}>`;
}
