import { isIPv6 } from 'node:net';
import { isHostName } from './host.ts';
import { Wrong } from './wrong.ts';

/** Somewhere to dial: an upstream, or a hub. */
export interface UpstreamUrl {
  readonly protocol: 'http' | 'https';
  /** Without brackets, lower case. */
  readonly host: string;
  readonly port: number;
  /** What goes into Host: brackets for IPv6, no default port. */
  readonly authority: string;
  /** Prefix for every path, `''` or `/something` without a slash at the end. */
  readonly path: string;
  /** Ready value for `Authorization` made of the user info, or null. */
  readonly authorization: string | null;
  /** For logs and answers: the address without user info. */
  readonly shown: string;
  /** A hub that is to be reached as a WebSocket. */
  readonly webSocket?: true;
  /** It is spoken to in HTTP/2 from the first byte on, in plain text. */
  readonly h2c?: true;
}

/** Where a hub is: as for upstreams, or `ws(s)://…` for the WebSocket form of the tunnel. */
export function parseHubUrl(text: string): UpstreamUrl {
  return /^wss?:\/\//i.test(text) ? { ...parseServerUrl(text.replace(/^ws/i, 'http')), webSocket: true } : parseServerUrl(text);
}

/** Where requests go: as parseServerUrl(), or `h2c://…` for HTTP/2 in plain text. */
export function parseUpstreamUrl(text: string): UpstreamUrl {
  if (!/^h2c:\/\//i.test(text)) return parseServerUrl(text);
  const url = parseServerUrl(text.replace(/^h2c/i, 'http'));
  return { ...url, shown: url.shown.replace('http', 'h2c'), h2c: true };
}

/** `host:port` (http), or `http(s)://[user[:pass]@]host[:port][/path]`. */
export function parseServerUrl(text: string): UpstreamUrl {
  // oxlint-disable-next-line no-control-regex -- control characters are what is being looked for
  if (/[\s\u0000-\u001f\u007f]/.test(text)) throw new Wrong('has a space or control character in it', 'write it as http://host:port');
  const [, scheme, rest] = /^(?:([a-z][a-z\d+.-]*):\/\/)?(.*)$/i.exec(text)!;
  const protocol = (scheme ?? 'http').toLowerCase();
  if (protocol !== 'http' && protocol !== 'https') throw new Wrong('has a scheme that is not supported', 'use http:// or https://');
  const pathAt = rest!.search(/[/?#]/);
  const authorityText = pathAt < 0 ? rest! : rest!.slice(0, pathAt);
  const path = pathAt < 0 ? '' : rest!.slice(pathAt);
  if (/[?#]/.test(path)) throw new Wrong('has a query or fragment', 'end it after the path');
  if (!/^[\x21-\x7e]*$/.test(path)) throw new Wrong('has characters in its path that a URL may not have', 'percent-encode them');
  if (/(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i.test(path)) throw new Wrong('has dot segments in its path', 'write the path that is meant');
  const userAt = authorityText.lastIndexOf('@');
  const { host, port } = splitHost(userAt < 0 ? authorityText : authorityText.slice(userAt + 1), protocol);
  const bracketed = host.includes(':') ? `[${host}]` : host;
  const authority = port === (protocol === 'https' ? 443 : 80) ? bracketed : `${bracketed}:${port}`;
  const prefix = path.replace(/\/+$/, '');
  return {
    protocol,
    host,
    port,
    authority,
    path: prefix,
    authorization: userAt < 0 ? null : basicAuth(authorityText.slice(0, userAt)),
    shown: `${protocol}://${authority}${prefix}`,
  };
}

function splitHost(text: string, protocol: 'http' | 'https'): { host: string; port: number } {
  const [, bracketed, plain, portText] = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/.exec(text) ?? [];
  if (bracketed === undefined && plain === undefined)
    throw new Wrong('has more than one colon', 'put an IPv6 address in brackets, such as http://[::1]:3000');
  if (bracketed !== undefined && !isIPv6(bracketed)) throw new Wrong('has no IPv6 address between its brackets', 'write it as http://[::1]:3000');
  if (plain === '') throw new Wrong('has no host', 'write it as http://host:port');
  if (plain !== undefined && /^\d+$/.test(plain) && portText === undefined) throw new Wrong('is only a port', `write localhost:${plain}`);
  if (plain !== undefined && !isHostName(plain)) throw new Wrong('has no valid host', 'write it as http://host:port');
  const port = portText === undefined ? (protocol === 'https' ? 443 : 80) : portOf(portText);
  return { host: (bracketed ?? plain!).toLowerCase(), port };
}

function portOf(text: string): number {
  if (!/^0*[1-9]\d{0,4}$/.test(text) || Number(text) > 65_535)
    throw new Wrong('has no valid port', 'give one from 1 to 65535, such as localhost:3000');
  return Number(text);
}

function basicAuth(userInfo: string): string {
  try {
    return `Basic ${Buffer.from(decodeURIComponent(userInfo.includes(':') ? userInfo : `${userInfo}:`)).toString('base64')}`;
  } catch {
    throw new Wrong('has a bad escape in its user info', 'percent-encode %, : and @ in user and password');
  }
}
