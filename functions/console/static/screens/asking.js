// The key that asks. The first admin key has no tenant: it asks with another one's beside it.
import { html, useEffect, useMemo, useState } from '../vendor/htm-preact.js';
import { api, askWith, askingWith } from '../lib.js';
import { Field, Section, Trouble, Verdict } from '../ui.js';

const FIRST_ADMIN = 'admin';
const COMPLETE = /^sl-[^-]+-.{20}/;

// `options` of requests, who asks (null while that is not known), and what to show before them.
export function useAsking(session) {
  const needed = session.tenant.id === FIRST_ADMIN && !session.is_login, [key, setKey] = useState(needed ? askingWith().key : ''), [me, setMe] = useState(needed ? askingWith().me : session), [problem, setProblem] = useState(null);
  const options = useMemo(() => (key ? { headers: { authorization: `Bearer ${key}` } } : {}), [key]);
  useEffect(() => {
    if (!needed || !COMPLETE.test(key) || me) return undefined;
    let gone = false;
    api('v1/me', options).then((found) => { if (!gone) { askWith(key, found); setMe(found); } }, (p) => !gone && setProblem(p));
    return () => { gone = true; };
  }, [key]);
  const change = (e) => { const typed = e.target.value.replace(/[^\x21-\x7e]/g, ''); askWith(typed); setMe(null); setProblem(null); setKey(typed); };
  const says = needed && !key ? html`<${Verdict} is="info">The first admin key asks nothing: it has no tenant. Ask with a key of a tenant’s; <a href="#/keys">Keys and budgets</a> makes one.</${Verdict}>` : null;
  const box = needed ? html`<${Section} title="Key that asks" note=${me ? `${me.key.name} of ${me.tenant.name}, ${me.role}` : 'kept until you sign out or load this page anew'}><${Field} id="other" label="API key"><input id="other" type="password" autocomplete="off" spellcheck="false" placeholder="sl-…" value=${key} onInput=${change} /></${Field}>${problem && html`<${Trouble} problem=${problem} />`}</${Section}>` : null;
  return { options, me: needed ? me : session, says, box };
}
