// Which AI does a tenant use, with whose keys, and what comes of it?
import { html } from '../vendor/htm-preact.js';
import { setQuery, useTenants } from '../lib.js';
import { Choice, Empty, Page, Section, Select, Skeleton } from '../ui.js';
import Agents from './configuration/agents.js';
import Embedding from './configuration/embedding.js';
import Integrations from './configuration/integrations.js';
import Testing from './configuration/testing.js';
import Costs from './configuration/costs.js';

// id, title, the least role, what it shows
const TABS = [
  ['agents', 'AI agents', 'manager', Agents],
  ['embedding', 'Embedding models', 'manager', Embedding],
  ['providers', 'Provider management', 'operator', Integrations],
  ['testing', 'Testing', 'operator', Testing],
  ['costs', 'Usage', 'manager', Costs],
];

export default function Configuration({ query, session }) {
  const tenants = useTenants(session), mine = TABS.filter(([, , least]) => session.may(least));
  const [tab, , , Shown] = mine.find(([id]) => id === query.tab) ?? mine[0], tenant = tenants.find((t) => t.id === query.tenant) ?? tenants[0];
  return html`<${Page} title="AI configuration" aside=${session.all && tenants.length > 0 && html`<${Select} id="tenant" label="Tenant" value=${tenant.id} onChange=${(v) => setQuery({ tenant: v })} options=${tenants.map((t) => [t.id, t.name])} />`}>
    <div class="filters"><${Choice} label="What to configure" value=${tab} onChange=${(v) => setQuery({ tab: v === 'agents' ? '' : v })} options=${mine.map(([id, title]) => [id, title])} /></div>
    ${tenants.isLoading ? html`<${Skeleton} />` : tenant ? html`<${Shown} key="${tab} ${tenant.id}" tenant=${tenant} session=${session} query=${query} only="?tenant=${encodeURIComponent(tenant.id)}" />`
      : html`<${Section} title="Tenants"><${Empty} title="There is no tenant yet.">What is chosen here is a tenant’s. <a href="#/keys">Keys and budgets</a> makes one.</${Empty}></${Section}>`}</${Page}>`;
}
