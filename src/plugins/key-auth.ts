// HOT: request() runs per request.
import { keyedDigest } from '../std/keyed-digest.ts';
import { duration, secrets, textLike, toggle } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import { definePlugin } from '../proxy/plugin.ts';
import { cookiePlace, headerPlace, queryPlace } from './credential-place.ts';
import { DELAY_MAX_MS, delayed, denial, fieldText } from './denial.ts';

/** Lets in who has one of a few keys. */
export const keyAuthPlugin = definePlugin({
  name: 'key_auth',
  summary: 'asks for a key in a header, a query parameter or a cookie',
  steps: ['request'],
  settings: {
    header: setting<string | null>({
      kind: textLike(/^[A-Za-z][\w-]{0,63}$/, 'NAME', 'name of a header', 'write it as X-Api-Key'),
      group: 'Where the key is',
      help: 'header that holds the key',
      fallback: null,
      fallbackText: 'none',
    }),
    query: setting<string | null>({
      kind: textLike(/^[\w.~-]{1,64}$/, 'NAME', 'name of a query parameter', 'write it as key'),
      group: 'Where the key is',
      help: 'query parameter that holds the key; access logs show *** for one called key, api_key, apikey, token or secret',
      fallback: null,
      fallbackText: 'none',
    }),
    cookie: setting<string | null>({
      kind: textLike(/^[!#$%&'*+\-.^`|~\w]{1,64}$/, 'NAME', 'name of a cookie', 'write it as key'),
      group: 'Where the key is',
      help: 'cookie that holds the key',
      fallback: null,
      fallbackText: 'none',
    }),
    keys: setting<readonly string[]>({ kind: secrets(), group: 'Who may pass', help: 'keys, each good for passing', secret: 'lines' }),
    delay: setting({ kind: duration(DELAY_MAX_MS), group: 'Answer', help: 'wait so long before saying that it was wrong', fallback: 0 }),
    hideCredentials: setting({ kind: toggle(), group: 'Request', help: 'the upstream does not see the key', fallback: false }),
  },
  create({ header, query, cookie, keys, delay, hideCredentials }, { log }) {
    const places = [
      ...(query === null ? [] : [queryPlace(query)]),
      ...(header === null ? [] : [headerPlace(header)]),
      ...(cookie === null ? [] : [cookiePlace(cookie)]),
    ];
    const [place] = places;
    if (place === undefined) throw new Wrong('looks nowhere for the key', 'write header = "X-Api-Key", or query, or cookie');
    if (places.length > 1) log.warn({}, 'key_auth looks in one place: query counts before header, header before cookie; keep one');
    const nameOf = keyedDigest();
    const known = new Set(keys.map((key) => nameOf(fieldText(key))));
    const challenge = ['WWW-Authenticate', 'Key'];
    const missing = denial(401, 'Key missing', challenge);
    const wrong = denial(401, 'Key auth fail', challenge);
    return {
      request({ request }) {
        const key = place.read(request);
        if (key === undefined || key === '') return missing;
        if (!known.has(nameOf(key))) return delayed(wrong, delay);
        if (hideCredentials) place.hide(request);
        return undefined;
      },
    };
  },
});
