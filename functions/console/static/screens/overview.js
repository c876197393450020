// Is it up, what does it cost, what runs out when?
import { html } from '../vendor/htm-preact.js';
import { num, useApi, fineUsd } from '../lib.js';
import { Live, Loaded, Page, Stat, useTick } from '../ui.js';

export default function Overview() {
  const from = useApi('v1/usage?range=1d', 15);
  useTick();
  return html`<${Page} title="Overview" aside=${from.data && html`<${Live} from=${from} />`}><${Loaded} from=${from}>${(d) => html`<dl class="stats">
    <${Stat} label="Requests, last 24 hours" value=${num(d.totals.requests)} /><${Stat} label="Cost, last 24 hours" value=${fineUsd(d.totals.cost_usd)} /></dl>`}</${Loaded}></${Page}>`;
}
