import { isIP } from 'node:net';
import { parseServerUrl, type UpstreamUrl } from './upstream-url.ts';
import { Wrong } from './wrong.ts';

/** Through which proxies this machine reaches others. */
export interface Egress {
  /** For `http://` addresses; null = directly. */
  readonly http: UpstreamUrl | null;
  /** For `https://` addresses. */
  readonly https: UpstreamUrl | null;
  /** Names and addresses that are reached directly, as in NO_PROXY. */
  readonly except: readonly string[];
}

export const DIRECT: Egress = { http: null, https: null, except: [] };

/** What HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say, in either case; lower case counts before upper, as for curl. @throws Wrong, whose part is the variable's name */
export function egressOf(env: Readonly<Record<string, string | undefined>>): Egress {
  const all = proxyOf(env, 'all_proxy');
  return {
    http: proxyOf(env, 'http_proxy') ?? all,
    https: proxyOf(env, 'https_proxy') ?? all,
    except: (valueOf(env, 'no_proxy')?.[1] ?? '')
      .split(/[\s,]+/)
      .filter((one) => one !== '')
      .map((one) => one.toLowerCase()),
  };
}

/** The variable that names the proxy for addresses of a kind; null = none does. */
export function proxyVariable(env: Readonly<Record<string, string | undefined>>, protocol: 'http' | 'https'): string | null {
  return (valueOf(env, `${protocol}_proxy`) ?? valueOf(env, 'all_proxy'))?.[0] ?? null;
}

/** The proxy by which an address is to be reached; null = directly. */
export function proxyFor(egress: Egress, to: UpstreamUrl): UpstreamUrl | null {
  const proxy = to.protocol === 'https' ? egress.https : egress.http;
  return proxy === null || egress.except.some((one) => covers(one, to)) ? null : proxy;
}

function covers(exception: string, { host, port }: UpstreamUrl): boolean {
  if (exception === '*') return true;
  const [, bracketed, plain, portText] = /^(?:\[(.*)\]|([^:]*|.*:.*:.*?))(?::(\d+))?$/.exec(exception) ?? [];
  if (portText !== undefined && Number(portText) !== port) return false;
  const name = (bracketed ?? plain ?? exception).replace(/^\*?\./, '');
  if (name === '') return false;
  return host === name || (isIP(host) === 0 && host.endsWith(`.${name}`));
}

function valueOf(env: Readonly<Record<string, string | undefined>>, name: string): [name: string, value: string] | null {
  for (const spelling of [name, name.toUpperCase()]) {
    const value = env[spelling]?.trim();
    if (value !== undefined && value !== '') return [spelling, value];
  }
  return null;
}

function proxyOf(env: Readonly<Record<string, string | undefined>>, name: string): UpstreamUrl | null {
  const found = valueOf(env, name);
  if (found === null) return null;
  try {
    return parseServerUrl(found[1]);
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    // The value may hold a password: only the variable is named.
    throw new Wrong(error.message, `${error.fix}, or go past it with --proxy off`, found[0]);
  }
}
