// What a tenant's AI costs: as Sluice counted it, and as the gateways did.
import { html, useState } from '../../vendor/htm-preact.js';
import { fineUsd, link, num, percent, plural, setQuery, short, useApi } from '../../lib.js';
import { Choice, Empty, Loaded, Section, Stat, State, Table, Verdict } from '../../ui.js';

const PERIODS = [['1d', '24 hours'], ['7d', '7 days'], ['30d', '30 days'], ['90d', '90 days']];

const STATES = { ok: 'taken', refused: 'refused', unreadable: 'not understood', unreachable: 'not reached' };

export default function Costs({ tenant, session, query }) {
  const range = PERIODS.some(([id]) => id === query.range) ? query.range : '7d', period = Object.fromEntries(PERIODS)[range];
  const named = session.all ? `&tenant=${encodeURIComponent(tenant.id)}` : '', from = useApi(`api/v1/ai/usage/summary?range=${range}${named}`);
  // Each is asked over the network, so that it is asked when that is wanted.
  const [asks, setAsks] = useState(false), keys = useApi(asks ? 'api/v1/ai/gateway/key-info' : null);
  return html`<div class="filters"><${Choice} label="Period" value=${range} onChange=${(v) => setQuery({ range: v })} options=${PERIODS} /></div>
    <${Loaded} from=${from}>${(d) => {
      const rows = Object.entries(d.providerBreakdown), spent = keys.data?.total_spend;
      return html`<${Verdict} is="info">${d.totalRequests ? `${fineUsd(d.totalCost)} in ${period}, for ${plural(d.totalRequests, 'request')}.` : `Nothing was used in the last ${period}.`}</${Verdict}>
      <dl class="stats"><${Stat} label="Cost, as Sluice counted it" value=${fineUsd(d.totalCost)} note="last ${period}" /><${Stat} label="Cost, as the gateways did" value=${spent == null ? '–' : fineUsd(spent)} note=${spent == null ? (asks ? 'not told' : session.may('operator') ? 'not asked' : 'told to operators') : 'by their keys, since their budgets began anew'} /><${Stat} label="Tokens" value=${short(d.totalTokens)} note="in and out" /><${Stat} label="Requests" value=${num(d.totalRequests)} note=${d.totalRequests ? `${fineUsd(d.avgCostPerRequest)} each` : ''} /></dl>
      <${Section} title="By provider" note="last ${period}" flush aside=${html`<a href=${link('usage', { range, by: 'model', tenant: session.all ? tenant.id : '' })}>By day, key and model</a>`}><${Table} caption="Cost by provider" rows=${rows} keyOf=${([name]) => name} start=${{ by: 'cost', down: true }} empty=${html`<${Empty} title="No provider was asked."><a href="#/playground">Ask something</a>, and it appears here.</${Empty}>`} columns=${[
        { name: 'name', label: 'Provider', sort: ([name]) => name, cell: ([name]) => name || 'the cache, or nobody' },
        { name: 'requests', label: 'Requests', num: true, sort: ([, u]) => u.requests, cell: ([, u]) => num(u.requests) },
        { name: 'tokens', label: 'Tokens', num: true, p: 3, sort: ([, u]) => u.tokens, cell: ([, u]) => short(u.tokens) },
        { name: 'share', label: 'Share', num: true, cell: ([, u]) => percent(u.cost / (d.totalCost || 1)) },
        { name: 'cost', label: 'Cost', num: true, sort: ([, u]) => u.cost, cell: ([, u]) => fineUsd(u.cost) }]} /></${Section}>
      ${session.may('operator') && html`<${Section} title="Gateways" note="what each says of its key: of the stack’s credentials of the provider custom_gateway" flush>${asks ? html`<${Loaded} from=${keys} rows=${2}>${(k) => html`<${Table} caption="Keys of gateways" rows=${k.data} keyOf=${(g) => g.credential} columns=${[
        { name: 'name', label: 'Credential', cell: (g) => html`${g.credential}<span class="sub">${g.base_url ?? ''}</span>` },
        { name: 'state', label: 'Its key', cell: (g) => html`<${State} is=${g.status === 'ok' ? 'ok' : 'bad'}>${STATES[g.status] ?? g.status}</${State}>` },
        { name: 'spend', label: 'Spent', num: true, cell: (g) => (g.spend == null ? '–' : fineUsd(g.spend)) },
        { name: 'left', label: 'Left', num: true, cell: (g) => (g.remaining == null ? html`<span class="quiet">no budget</span>` : fineUsd(g.remaining)) }]} />`}</${Loaded}>`
        : html`<${Empty} title="A gateway counts for itself what its answers cost."><button onClick=${() => setAsks(true)}>Ask the gateways</button></${Empty}>`}</${Section}>`}`;
    }}</${Loaded}>`;
}
