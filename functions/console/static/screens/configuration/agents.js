// What agents do, which models answer, and what is off: preferences and configuration.
import { html } from '../../vendor/htm-preact.js';
import { plural, useApi } from '../../lib.js';
import { Loaded, Verdict } from '../../ui.js';
import { Record } from './forms.js';

const STYLES = [['detailed', 'detailed'], ['brief', 'brief']];
const DEPTHS = [['advanced', 'advanced: trends and forecasts too'], ['basic', 'basic: what is unusual alone']];
const AS_ABOVE = 'as above';
const BY_ADMIN = 'as an admin says';
const FEATURES = {
  batches: 'Batches', conversations: 'Conversations', embeddings: 'Embeddings', files: 'Files', ingestion: 'Ingestion', insights: 'Insights',
  moderations: 'Moderations', questions: 'Questions', tasks: 'Tasks', vector_stores: 'Vector stores',
};
const GUARDS = [['', BY_ADMIN], ['block', 'block'], ['flag', 'flag'], ['off', 'off']];
const CACHES = [['', BY_ADMIN], ['unsampled', 'answers that would be the same'], ['all', 'all answers'], ['off', 'nothing']];

// Models as options of a select; one that is served by several providers is named once.
export function modelOptions(models, none) {
  const found = new Map();
  for (const m of models) found.set(m.name, { by: [...(found.get(m.name)?.by ?? []), m.provider], reachable: m.reachable || !!found.get(m.name)?.reachable });
  return [['', none], ...[...found].map(([name, { by, reachable }]) => [name, `${name} (${by.join(', ')}${reachable ? '' : ', not reachable'})`])];
}

const agent = (models) => [
  { title: 'Questions', fields: [
    { path: 'questionAnswering.primaryModel', label: 'Model', kind: 'choice', options: modelOptions(models, 'Sluice chooses'), hint: 'Which one answers' },
    { path: 'questionAnswering.fallbackModel', label: 'Model if that one fails', kind: 'choice', options: modelOptions(models, 'Sluice chooses') },
    { path: 'questionAnswering.responseStyle', label: 'Answers are', kind: 'choice', options: STYLES },
    { path: 'questionAnswering.confidenceThreshold', label: 'Answer from a confidence of', kind: 'percent', min: 0, max: 100, hint: 'Below it the answer is “not found”' }] },
  { title: 'Insights', fields: [
    { path: 'insightGeneration.analysisDepth', label: 'Look for', kind: 'choice', options: DEPTHS },
    { path: 'insightGeneration.proactiveInsights', label: 'Tell of findings unasked', kind: 'flag' },
    { path: 'insightGeneration.customPrompts', label: 'What texts about findings should heed', kind: 'lines', isList: true, wide: true, hint: 'One a line, ten at most', placeholder: 'Mention which team it concerns.' }] },
  { title: 'Dashboards', fields: [
    { path: 'dashboardAI.autoRefresh', label: 'Look again by itself', kind: 'flag' },
    { path: 'dashboardAI.anomalyDetection', label: 'Find what is unusual', kind: 'flag' },
    { path: 'dashboardAI.predictiveAnalytics', label: 'Forecast', kind: 'flag' },
    { path: 'dashboardAI.narrativeGeneration', label: 'Have a model put findings into words', kind: 'flag' }] }];

const questions = (models) => [{ fields: [
  { path: 'primaryModel', label: 'Model', kind: 'choice', options: modelOptions(models, AS_ABOVE) },
  { path: 'fallbackModel', label: 'Model if that one fails', kind: 'choice', options: modelOptions(models, AS_ABOVE) },
  { path: 'responseStyle', label: 'Answers are', kind: 'choice', options: [['', AS_ABOVE], ...STYLES] },
  { path: 'confidenceThreshold', label: 'Answer from a confidence of', kind: 'percent', min: 0, max: 100, placeholder: AS_ABOVE }] }];

const DASHBOARDS = [{ fields: [
  { path: 'anomaly_detection', label: 'Find what is unusual', kind: 'three', none: AS_ABOVE },
  { path: 'predictive_analytics', label: 'Forecast', kind: 'three', none: AS_ABOVE },
  { path: 'narrative_generation', label: 'Have a model put findings into words', kind: 'three', none: AS_ABOVE },
  { path: 'trend_analysis', label: 'Find trends', kind: 'flag' },
  { path: 'recommendations', label: 'Recommend what to do', kind: 'flag' }] }];

const USES = [{ fields: Object.entries(FEATURES).map(([path, label]) => ({ path, label, kind: 'flag', off: true })) }];

const shown = (value, none) => (value == null ? none : `now ${value}`);
const answering = (holds) => [{ fields: [
  { path: 'allowed_models', label: 'Only these models', kind: 'lines', hint: 'One a line. Empty: all that an admin allows', wide: true },
  { path: 'routing_enabled', label: '“auto” sends easy work to small models', kind: 'three', none: BY_ADMIN, yes: 'yes', no: 'no' },
  { path: 'smart_model_max_percent', label: 'Of “auto”, large models answer at most', kind: 'number', min: 0, max: 100, step: 'any', unit: '%', placeholder: shown(holds.smart_model_max_percent, 'all') },
  { path: 'default_max_tokens', label: 'Tokens of an answer, at most', kind: 'number', min: 0, hint: 'Where a request says nothing. 0: as the model does', placeholder: shown(holds.default_max_tokens || null, 'as the model does') },
  { path: 'default_temperature', label: 'Temperature', kind: 'number', min: 0, max: 2, step: 'any', hint: 'Where a request says nothing', placeholder: shown(holds.default_temperature, 'as the model does') },
  { path: 'fallbacks', label: 'If a model fails, ask', kind: 'pairs', several: true, wide: true, hint: 'A model a line, and what stands in for it, best first', placeholder: 'large-model: other-model, small-model', example: '“large-model: small-model”' }] }];
const policies = (holds) => [{ fields: [
  { path: 'guard_mode', label: 'What guards find', kind: 'choice', options: GUARDS, hint: 'Stricter than an admin says, never less' },
  { path: 'cache_policy', label: 'Kept for the same question', kind: 'choice', options: CACHES },
  { path: 'cache_ttl_seconds', label: 'Kept for', kind: 'number', min: 0, unit: 's', placeholder: shown(holds.cache_ttl_seconds, '') },
  { path: 'conversation_messages', label: 'Messages that a conversation remembers', kind: 'number', min: 1, placeholder: shown(holds.conversation_messages, '') },
  { path: 'conversation_tokens', label: 'Tokens that a conversation remembers', kind: 'number', min: 1, placeholder: shown(holds.conversation_tokens, '') },
  { path: 'guard_modes', label: 'Single rules of the guards', kind: 'pairs', wide: true, hint: 'A rule a line, and block, flag or off', placeholder: 'prompt-leak: block', example: '“prompt-leak: block”' }] }];
const LIMITS = [{ fields: [
  { path: 'budget_usd_per_month', label: 'Budget of the tenant', kind: 'number', min: 0, step: 'any', unit: '$ a month', hint: 'Within what an admin gave it' }] }];

export default function Agents({ only }) {
  const preferences = useApi(`api/v1/ai/preferences${only}`), configuration = useApi(`api/v1/ai/configuration${only}`), models = useApi(`api/v1/ai/models/available${only}`, 0, { method: 'POST', body: {} });
  const reload = () => [preferences, configuration, models].forEach((each) => each.reload());
  return html`<${Loaded} from=${preferences} rows=${10}>${(p) => html`<${Loaded} from=${configuration}>${(c) => html`<${Loaded} from=${models}>${(all) => {
    const types = Object.fromEntries(p.data.map((each) => [each.type, each])), of = Object.fromEntries(c.data.map((each) => [each.category, each]));
    const writing = all.filter((m) => m.dimensions == null), main = types.qa_agent.configuration.primaryModel ?? types.agent_config.configuration.questionAnswering.primaryModel;
    const off = Object.entries(of.features.effective).filter(([, on]) => !on).map(([name]) => FEATURES[name] ?? name), gone = main && !writing.some((m) => m.name === main && m.reachable);
    const save = (kind, name) => ({ name, path: `api/v1/ai/${kind}/${name}${only}`, onSaved: reload });
    return html`<${Verdict} is=${gone ? 'warn' : 'info'}>${gone ? `${main} is to answer questions, and can’t be reached now.` : `Questions are answered by ${main ?? 'the model that Sluice chooses'}.`} ${off.length ? `Off for all keys: ${off.join(', ')}.` : 'No feature is off.'} ${plural(writing.length, 'model')} may be used.</${Verdict}>
      <${Record} title="Agents" record=${types.agent_config} groups=${agent(writing)} ...${save('preferences', 'agent_config')} />
      <div class="cols"><${Record} title="Questions, more closely" note="in place of the above" record=${types.qa_agent} groups=${questions(writing)} ...${save('preferences', 'qa_agent')} />
      <${Record} title="Dashboards, more closely" note="in place of the above" record=${types.dashboard_ai} groups=${DASHBOARDS} ...${save('preferences', 'dashboard_ai')} /></div>
      <${Record} title="Features" note="what is off answers 403, to all keys of the tenant" record=${of.features} values=${of.features.effective} groups=${USES} ...${save('configuration', 'features')} />
      <${Record} title="Models that answer" record=${of.models} groups=${answering(of.models.effective)} ...${save('configuration', 'models')} />
      <div class="cols"><${Record} title="Rules" note="of guards, cache and conversations" record=${of.policies} groups=${policies(of.policies.effective)} ...${save('configuration', 'policies')} />
      <${Record} title="Limit of costs" record=${of.cost_limits} groups=${LIMITS} ...${save('configuration', 'cost_limits')}>${of.cost_limits.effective.budget_usd_per_month == null ? 'No budget holds now.' : `${of.cost_limits.effective.budget_usd_per_month} $ a month hold now.`} Limits of single keys are under <a href="#/keys">Keys and budgets</a>.</${Record}></div>`;
  }}</${Loaded}>`}</${Loaded}>`}</${Loaded}>`;
}
