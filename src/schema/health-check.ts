import { isIPv6 } from 'node:net';
import { parseDuration } from './duration.ts';
import { isHostName } from './host.ts';
import { type Kind, scalar } from './kind.ts';
import { nearest } from './nearest.ts';
import { Wrong } from './wrong.ts';

/** How to find out whether an endpoint is well. Which endpoint is not in here: a check is made of each address of its upstream. */
export interface HealthCheck {
  readonly scheme: 'tcp' | 'http' | 'https' | 'grpc';
  /** The name in the URL, lower case, without brackets and port: what a certificate must be for. */
  readonly name: string;
  /** What goes into Host: the name, and its port when one is written. */
  readonly authority: string;
  /** What http and https ask for: path and query, `/` at least. */
  readonly target: string;
  readonly method: string;
  /** Statuses that say it is well, as ranges with both ends in. */
  readonly statuses: readonly (readonly [from: number, to: number])[];
  /** Does the probe speak TLS? */
  readonly tls: boolean;
  /** Must the certificate be good? Null: as for the requests to the same endpoint. */
  readonly verifyCert: boolean | null;
  /** Which service a grpc probe asks after; '' = the server as a whole. */
  readonly service: string;
  /** How long connecting may take, TLS included, ms. */
  readonly connectTimeoutMs: number;
  /** From there to the whole head of the answer (for grpc: the whole answer), ms. */
  readonly readTimeoutMs: number;
  /** From the beginning of one probe to that of the next, ms. */
  readonly everyMs: number;
  /** Good results in a row that make a failing endpoint healthy. */
  readonly success: number;
  /** Bad results in a row that make a healthy endpoint fail. */
  readonly failure: number;
  /** Keep the probe's connection for the next one? */
  readonly reuse: boolean;
  /** Probe all addresses of an upstream at the same moment? Else their probes are spread over the interval. */
  readonly parallel: boolean;
  /** As it was written: equal texts are equal checks. */
  readonly text: string;
}

/** Shortest `check_frequency`, ms: a check is no load test. */
const SHORTEST_MS = 100;
const LONGEST_MS = 24 * 3_600_000;
const MOST_IN_A_ROW = 1000;

/** `SCHEME://NAME[/path][?parameters]`. */
export function healthCheck(): Kind<HealthCheck> {
  return scalar('URL', 'health check such as http://name/path?check_frequency=10s&failure=2 (tcp, http, https or grpc)', parseHealthCheck, {
    format: ({ text }) => text,
    redact: (given) => given.replace(/:\/\/.*@/s, '://***@'),
  });
}

/**
 * The URL of a check: scheme, the name for Host and TLS, the path that is asked for, and parameters of the check among those of the path.
 * What is not a parameter of the check stays in the query, byte for byte.
 */
export function parseHealthCheck(text: string): HealthCheck {
  const [, given, authority, path, query] = /^([^:/?#]+):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?$/.exec(text) ?? [];
  if (given === undefined)
    throw new Wrong('is no URL of a health check', 'write it as tcp://name, http://name/path, https://name/path or grpc://name');
  const scheme = given.toLowerCase();
  if (!isScheme(scheme)) throw new Wrong(`has the scheme ${given}, which is not supported`, `use ${SCHEMES.join('://, ')}://`);
  if (!/^[\x21-\x7e]*$/.test(text)) throw new Wrong('has characters that a URL may not have', 'percent-encode them');
  const { of, rest } = parametersOf(scheme, query ?? '');
  const hasPath = scheme === 'http' || scheme === 'https';
  if (!hasPath && path !== '' && path !== '/')
    throw new Wrong(`has the path ${path}, which a ${scheme} check never asks for`, 'take the path away, or use http:// or https://');
  return {
    scheme,
    ...nameOf(authority!),
    target: hasPath ? `${path === '' ? '/' : path}${rest.length === 0 ? '' : `?${rest.join('&')}`}` : '',
    method: of.method(),
    statuses: of.statuses(),
    tls: scheme === 'https' || of.flag('tls'),
    verifyCert: of.has('verify_cert') ? of.flag('verify_cert') : null,
    service: of.text('service'),
    connectTimeoutMs: of.time('connection_timeout', 3000, 1),
    readTimeoutMs: of.time('read_timeout', 3000, 1),
    everyMs: of.time('check_frequency', 10_000, SHORTEST_MS),
    success: of.count('success', 1),
    failure: of.count('failure', 2),
    reuse: of.flag('reuse'),
    parallel: of.flag('parallel'),
    text,
  };
}

const SCHEMES = ['tcp', 'http', 'https', 'grpc'] as const;
type Scheme = HealthCheck['scheme'];

function isScheme(text: string): text is Scheme {
  return (SCHEMES as readonly string[]).includes(text);
}

/** Parameters that checks of every scheme take; some mean nothing to some of them, and do no harm there. */
const COMMON = ['connection_timeout', 'read_timeout', 'check_frequency', 'success', 'failure', 'reuse', 'parallel'] as const;
const PARAMETERS: { readonly [S in Scheme]: readonly Parameter[] } = {
  tcp: COMMON,
  http: [...COMMON, 'method', 'status', 'verify_cert'],
  https: [...COMMON, 'method', 'status', 'verify_cert'],
  grpc: [...COMMON, 'service', 'tls', 'verify_cert'],
};
type Parameter = (typeof COMMON)[number] | 'method' | 'status' | 'verify_cert' | 'service' | 'tls';

/** What of a query is for the check, and what is for the path. */
function parametersOf(scheme: Scheme, query: string): { of: Parameters; rest: readonly string[] } {
  const known: readonly string[] = PARAMETERS[scheme];
  const values = new Map<string, string | null>();
  const rest: string[] = [];
  for (const part of query === '' ? [] : query.split('&')) {
    const at = part.indexOf('=');
    const key = at < 0 ? part : part.slice(0, at);
    if (!known.includes(key)) {
      rest.push(part);
      continue;
    }
    if (values.has(key)) throw new Wrong(`has ${key} twice`, 'give it once');
    values.set(key, at < 0 ? null : decoded(part.slice(at + 1), key));
  }
  const odd = rest.find((part) => part !== '');
  if (odd !== undefined && (scheme === 'tcp' || scheme === 'grpc')) {
    const near = nearest(odd.split('=')[0]!, known);
    throw new Wrong(
      `has ${odd}, which a ${scheme} check does not know`,
      near === null ? `a ${scheme} check knows ${known.join(', ')}` : `did you mean ${near}?`,
    );
  }
  return { of: new Parameters(values), rest };
}

function decoded(value: string, key: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    throw new Wrong(`has a bad escape in ${key}`, 'percent-encode %');
  }
}

class Parameters {
  readonly #values: ReadonlyMap<string, string | null>;

  constructor(values: ReadonlyMap<string, string | null>) {
    this.#values = values;
  }

  has(key: Parameter): boolean {
    return this.#values.has(key);
  }

  /** '' when it is not there. */
  text(key: Parameter): string {
    return this.#values.get(key) ?? '';
  }

  /** Standing there is enough to be true. */
  flag(key: Parameter): boolean {
    const value = this.#values.get(key);
    if (value === undefined) return false;
    if (value === null || value === '' || value === 'true' || value === '1') return true;
    if (value === 'false' || value === '0') return false;
    throw new Wrong(`has ${key}=${value}, which is neither true nor false`, `write ${key} for true, or leave it out`);
  }

  count(key: Parameter, fallback: number): number {
    if (!this.has(key)) return fallback;
    const value = this.text(key);
    if (!/^\d{1,6}$/.test(value) || Number(value) < 1 || Number(value) > MOST_IN_A_ROW)
      throw new Wrong(
        `has ${key}=${value}, which is no number of results in a row`,
        `give a number from 1 to ${MOST_IN_A_ROW}, such as ${key}=${fallback}`,
      );
    return Number(value);
  }

  time(key: Parameter, fallbackMs: number, leastMs: number): number {
    if (!this.has(key)) return fallbackMs;
    const value = this.text(key);
    let ms: number;
    try {
      ms = parseDuration(value, LONGEST_MS);
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      throw new Wrong(`has ${key}=${value}, which ${error.message}`, error.fix);
    }
    if (ms < leastMs) throw new Wrong(`has ${key}=${value}, which is too short`, `the shortest is ${leastMs}ms`);
    return ms;
  }

  method(): string {
    if (!this.has('method')) return 'GET';
    const method = this.text('method');
    if (!/^[A-Z][A-Z-]{0,31}$/.test(method) || method === 'CONNECT')
      throw new Wrong(`has method=${method}, which no probe can use`, 'write it as method=GET or method=HEAD');
    return method;
  }

  statuses(): HealthCheck['statuses'] {
    if (!this.has('status')) return [[200, 200]];
    return this.text('status').split(',').map(statusRange);
  }
}

function statusRange(item: string): readonly [number, number] {
  const [, from, to] = /^([2-5](?:\d\d|xx))(?:-([2-5]\d\d))?$/.exec(item.trim()) ?? [];
  const first = Number(from?.replace('xx', '00'));
  const last = to === undefined ? Number(from?.replace('xx', '99')) : Number(to);
  if (!(first <= last) || (to !== undefined && from!.endsWith('xx')))
    throw new Wrong(
      `has status ${JSON.stringify(item)}, which is no status`,
      'write status=200,204,300-399 or status=2xx (or %73tatus=… for a parameter of the path)',
    );
  return [first, last];
}

/** `name`, `name:port`, `[::1]:port`. */
function nameOf(authority: string): { name: string; authority: string } {
  if (authority.includes('@')) throw new Wrong('has user info in it', 'leave it out: probes carry no password');
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(authority) ?? [];
  if (plain === '' || authority === '') throw new Wrong('has no name', 'write it as http://name/path; the name goes into Host');
  const isName = bracketed === undefined ? plain !== undefined && isHostName(plain) : isIPv6(bracketed);
  if (!isName || (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)))
    throw new Wrong(`has ${authority} where a name belongs`, 'write it as http://name/path; the name goes into Host');
  return { name: (bracketed ?? plain!).toLowerCase(), authority: authority.toLowerCase() };
}
