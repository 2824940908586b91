import { duration, list, scalar, toggle } from '../schema/kind.ts';
import { compilePattern, type Pattern } from '../schema/pattern.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import { definePlugin, slot, type PluginResponse } from '../proxy/plugin.ts';

/** An origin that may read answers: `*`, any (`$http_origin`), one, or those that fit a pattern. */
type Allowed = { readonly of: '*' | 'any' } | { readonly of: 'one'; readonly origin: string } | { readonly of: 'pattern'; readonly pattern: Pattern };

const allowed = scalar('ORIGIN', 'origin such as https://app.example.com, ~ and a pattern, $http_origin for any, or *', (given): Allowed => {
  if (given === '*') return { of: '*' };
  if (given === '$http_origin') return { of: 'any' };
  if (given === 'null') return { of: 'one', origin: 'null' };
  // An origin has nothing behind its host, so a pattern is for the whole of it: evil.example/https://good.example is none.
  if (given.startsWith('~')) return { of: 'pattern', pattern: compilePattern(`^(?:${given.slice(1)})$`) };
  const origin = given.toLowerCase();
  if (!/^[a-z][a-z\d+.-]*:\/\/(?:[a-z\d_.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/.test(origin))
    throw new Wrong('is no origin', 'write scheme and host, as in https://app.example.com, without a path and without / at the end');
  if (/^(?:http:.*:80|https:.*:443)$/.test(origin)) throw new Wrong('has a port that browsers leave out', `write ${origin.replace(/:\d+$/, '')}`);
  return { of: 'one', origin };
});

const token = scalar('NAME', 'name', (given) => {
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(given)) throw new Wrong('is not of the right form', 'write a name alone');
  return given;
});

const path = scalar('PATTERN', 'regular expression in the syntax of RE2', (given) => compilePattern(given), { format: ({ source }) => source });

/** Says to browsers which other sites may read answers (the Fetch standard). */
export const corsPlugin = definePlugin({
  name: 'cors',
  summary: 'says to browsers which other sites may use this one (CORS)',
  steps: ['request'],
  settings: {
    path: setting<Pattern | null>({ kind: path, group: 'Request', help: 'only requests whose path it fits', fallback: null, fallbackText: 'all' }),
    allowOrigin: setting<readonly Allowed[]>({
      kind: list(allowed),
      group: 'Who may',
      help: 'sites whose scripts may read answers',
      fallback: [{ of: '*' }],
      fallbackText: '*',
    }),
    allowMethods: setting<readonly string[]>({
      kind: list(token),
      group: 'Who may',
      help: 'methods that they may use',
      fallback: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    }),
    allowHeaders: setting<readonly string[]>({
      kind: list(token),
      group: 'Who may',
      help: 'headers that they may send, beside those that all may; * = all but Authorization',
      fallback: [],
      fallbackText: 'none',
    }),
    allowCredentials: setting({ kind: toggle(), group: 'Who may', help: 'with cookies and passwords', fallback: false }),
    exposeHeaders: setting<readonly string[]>({
      kind: list(token),
      group: 'Who may',
      help: 'headers of answers that they may read, beside those that all may',
      fallback: [],
      fallbackText: 'none',
    }),
    maxAge: setting({ kind: duration(), group: 'Answer', help: 'how long browsers need not ask again', fallback: 3_600_000 }),
  },
  create({ path, allowOrigin, allowMethods, allowHeaders, allowCredentials, exposeHeaders, maxAge }, { log, name }) {
    // The origin that may read the answer; '' = the answer depends on the origin, and this one may not.
    const decided = slot<string>(`cors_origin ${name}`);
    const isAnybody = allowOrigin.some(({ of }) => of === '*');
    if (isAnybody && allowOrigin.length > 1) throw new Wrong('has * in allow_origin, and more', 'keep * or the others');
    if (allowCredentials && isAnybody)
      throw new Wrong('has allow_credentials, and allow_origin = "*"', 'name the origins that may use passwords and cookies');
    if (allowCredentials && [...allowMethods, ...allowHeaders, ...exposeHeaders].includes('*'))
      throw new Wrong('has allow_credentials, and a *, which browsers do not take for all then', 'name the methods and headers');
    const isAny = allowOrigin.some(({ of }) => of === 'any');
    if (allowCredentials && isAny)
      log.warn({}, 'cors lets every site use cookies and passwords: $http_origin with allow_credentials; name the origins');
    const literals = new Set(allowOrigin.flatMap((one) => (one.of === 'one' ? [one.origin] : [])));
    const patterns = allowOrigin.flatMap((one) => (one.of === 'pattern' ? [one.pattern] : []));
    const may = (origin: string): boolean =>
      literals.has(origin) || (isAny && (origin !== 'null' || !allowCredentials)) || patterns.some((pattern) => pattern.test(origin));
    const varies = !isAnybody;
    const expose = exposeHeaders.join(', ');

    const preflight = [
      'Access-Control-Allow-Methods',
      allowMethods.join(', '),
      ...(allowHeaders.length === 0 ? [] : ['Access-Control-Allow-Headers', allowHeaders.join(', ')]),
      'Access-Control-Max-Age',
      String(Math.floor(maxAge / 1000)),
    ];
    const granted = { status: 204, headers: preflight };
    const refused = { status: 204 };

    return {
      request(exchange) {
        const { request } = exchange;
        if (path !== null && !path.test(request.path)) return undefined;
        const origin = request.header('origin');
        const isRight = origin !== undefined && ORIGIN.test(origin) && (isAnybody || may(origin));
        // `*` also for those without an origin: a cache may give their answer to others.
        exchange.set(decided, isAnybody ? '*' : isRight ? origin : '');
        if (request.method !== 'OPTIONS' || origin === undefined || request.header('access-control-request-method') === undefined) return undefined;
        return isRight ? granted : refused;
      },
      response(exchange) {
        const origin = exchange.get(decided);
        const response = exchange.response!;
        if (origin === undefined || response.status === 101) return;
        // Who may is said here, and not also by the upstream: two fields of one name are none.
        for (const name of OURS) response.removeHeader(name);
        if (varies) vary(response);
        if (origin === '') return;
        response.setHeader('Access-Control-Allow-Origin', origin);
        if (allowCredentials) response.setHeader('Access-Control-Allow-Credentials', 'true');
        if (expose !== '') response.setHeader('Access-Control-Expose-Headers', expose);
      },
    };
  },
});

/** What browsers send: nothing else is given back. */
const ORIGIN = /^(?:null|[A-Za-z][A-Za-z\d+.-]{0,30}:\/\/[A-Za-z\d._[\]:-]{1,270})$/;

const OURS = ['access-control-allow-origin', 'access-control-allow-credentials', 'access-control-expose-headers'];

/** Caches must not give one site's answer to another. */
function vary(response: PluginResponse): void {
  const given = response.header('vary');
  if (given === undefined || given.trim() === '') response.setHeader('Vary', 'Origin');
  else if (!given.split(',').some((name) => /^(?:origin|\*)$/i.test(name.trim()))) response.setHeader('Vary', `${given}, Origin`);
}
