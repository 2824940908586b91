import { bytes, duration, integer, type Kind, list, orNone, scalar, text, textLike, toggle } from '../schema/kind.ts';
import { setting, type Values } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import type { Captures } from '../upstream/upstream.ts';
import { type Condition, conditions } from './conditions.ts';
import { type FieldText, fieldNames, fieldTexts } from './field-edits.ts';
import { type Hosts, hosts } from './host-pattern.ts';
import { type PathPattern, pathPattern } from './path-pattern.ts';
import { type Rewrite, rewrite } from './rewrite.ts';

const WAY = 'What goes where';
const MATCH = 'What it takes, more closely';
const SEND = 'What is changed on the way';
const BOUNDS = 'Bounds';
const TOKEN = /^(?!h2c$)[a-z\d!#$%&'*+.^_`|~/-]+$/;

/** Keys of [locations.*]. */
export const locationTable = {
  host: setting<Hosts | null>({
    kind: hosts(),
    group: WAY,
    help: 'hosts: example.com, *.example.com (all below it), ~ and a regular expression; case, port and a final dot do not count',
    fallback: null,
    fallbackText: 'every host',
  }),
  path: setting<PathPattern | null>({
    kind: pathPattern(),
    group: WAY,
    help: 'path: /x is what begins with it, =/x just it, ~ and a regular expression is searched anywhere in it',
    fallback: null,
    fallbackText: 'every path',
  }),
  upstream: setting<string | null>({
    kind: upstreamReference(),
    group: WAY,
    help: 'name of the upstream, or $name for what a group of host, path or rewrite captured',
    fallback: null,
    fallbackText: 'none: plugins must answer',
  }),
  methods: setting<readonly string[] | null>({ kind: methodList(), group: MATCH, help: 'methods', fallback: null, fallbackText: 'every method' }),
  matchHeaders: setting<readonly Condition[]>({
    kind: conditions('header'),
    group: MATCH,
    help: 'headers that must be there: name, name:value or name:~regex',
    fallback: [],
    fallbackText: 'none',
  }),
  matchQuery: setting<readonly Condition[]>({
    kind: conditions('query'),
    group: MATCH,
    help: 'query parameters that must be there: name, name:value or name:~regex',
    fallback: [],
    fallbackText: 'none',
  }),
  matchCookies: setting<readonly Condition[]>({
    kind: conditions('cookie'),
    group: MATCH,
    help: 'cookies that must be there: name, name:value or name:~regex',
    fallback: [],
    fallbackText: 'none',
  }),
  weight: setting<number | null>({
    kind: integer(0, 65_535),
    group: MATCH,
    help: 'place among the locations: the heaviest is asked first',
    fallback: null,
    fallbackText: 'reckoned from path and host',
  }),
  rewrite: setting<Rewrite | null>({
    kind: rewrite(),
    group: SEND,
    help: "'PATTERN REPLACEMENT' for the path; the query stays as it is",
    fallback: null,
    fallbackText: 'the path stays as it is',
  }),
  proxySetHeaders: setting<readonly FieldText[]>({
    kind: fieldTexts(),
    group: SEND,
    help: 'headers to set, as name: value; variables such as $host stand anywhere in a value',
    fallback: [],
    fallbackText: 'none',
  }),
  proxyAddHeaders: setting<readonly FieldText[]>({
    kind: fieldTexts(),
    group: SEND,
    help: 'headers to add to those of the same name, as name: value',
    fallback: [],
    fallbackText: 'none',
  }),
  proxyRemoveHeaders: setting<readonly string[]>({
    kind: fieldNames(),
    group: SEND,
    help: 'headers to take out',
    fallback: [],
    fallbackText: 'none',
  }),
  setResponseHeaders: setting<readonly FieldText[]>({
    kind: fieldTexts(),
    group: SEND,
    help: 'headers of the answer to set, as name: value',
    fallback: [],
    fallbackText: 'none',
  }),
  addResponseHeaders: setting<readonly FieldText[]>({
    kind: fieldTexts(),
    group: SEND,
    help: 'headers of the answer to add to those of the same name',
    fallback: [],
    fallbackText: 'none',
  }),
  removeResponseHeaders: setting<readonly string[]>({
    kind: fieldNames(),
    group: SEND,
    help: 'headers of the answer to take out',
    fallback: [],
    fallbackText: 'none',
  }),
  enableReverseProxyHeaders: setting({
    kind: toggle(),
    group: SEND,
    help: 'X-Real-IP and X-Forwarded-Port too; the other X-Forwarded headers are sent anyhow',
    fallback: false,
  }),
  upgrades: setting<readonly string[]>({
    kind: orNone(list(textLike(TOKEN, 'TOKEN', 'Upgrade token', 'tokens are lower case, such as websocket (h2c is never passed)'))),
    group: SEND,
    help: 'what connections may be upgraded to; none = nothing',
    fallback: ['websocket'],
  }),
  grpcWeb: setting({ kind: toggle(), group: SEND, help: 'translate gRPC-Web, as the plugin grpc_web does, before all plugins', fallback: false }),
  plugins: setting<readonly string[]>({
    kind: list(text('NAME', 'name of a plugin')),
    group: SEND,
    help: 'plugins, in their order',
    fallback: [],
    fallbackText: 'none',
  }),
  clientMaxBodySize: setting({ kind: bytes(), group: BOUNDS, help: 'most bytes of a request body (413); 0 = unlimited', fallback: 0 }),
  maxProcessing: setting({ kind: integer(0, 10_000_000), group: BOUNDS, help: 'most requests in flight (429); 0 = unlimited', fallback: 0 }),
  maxRetries: setting<number | null>({
    kind: integer(0, 255),
    group: BOUNDS,
    help: 'most further attempts after one that failed, where another is safe',
    fallback: null,
    fallbackText: '1',
  }),
  maxRetryWindow: setting<number | null>({
    kind: duration(),
    group: BOUNDS,
    help: 'no further attempt begins later than this after the first',
    fallback: null,
    fallbackText: 'the timeout',
  }),
  timeout: setting<number | null>({
    kind: duration(),
    group: BOUNDS,
    help: "waiting, connecting and the wait for the answer's head together, attempts included; 0 = no limit",
    fallback: null,
    fallbackText: "the upstream's own",
  }),
} as const;

export type LocationSettings = Values<typeof locationTable> & { readonly name: string };

/** The name of the upstream that a location means for these captures; null when it names a capture that is empty or not there. */
export function upstreamName(upstream: string, captures: Captures): string | null {
  if (!upstream.startsWith('$')) return upstream;
  const name = captures?.get(captureIn(upstream)) ?? '';
  return name === '' ? null : name;
}

/** `$name` and `${name}` → `name` */
export function captureIn(upstream: string): string {
  return upstream.replace(/[${}]/g, '');
}

function upstreamReference(): Kind<string> {
  return scalar('NAME', 'name of an upstream, or $name of a capture', (given) => {
    if (given === '') throw new Wrong('is empty', 'name an upstream, or leave it out');
    if (given.includes('$') && !/^\$(?:\w+|\{\w+\})$/.test(given))
      throw new Wrong('mixes text and a capture', 'write just $name, and capture all of the name');
    return given;
  });
}

function methodList(): Kind<readonly string[]> {
  return list(
    scalar('METHOD', 'method such as GET', (given) => {
      if (/^[A-Z][A-Z-]*$/.test(given)) return given;
      throw new Wrong('is no method', /^[a-z-]+$/i.test(given) ? `methods are upper case: ${given.toUpperCase()}` : 'write it as GET or POST');
    }),
  );
}
