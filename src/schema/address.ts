import { isIPv6 } from 'node:net';
import { isHostName } from './host.ts';
import { Wrong } from './wrong.ts';

/** Where to listen. `0.0.0.0` and `::` are every interface; port 0 is any free one. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `:8080`, `8080`, `host:8080`, `[::1]:8080`. Without a host `defaultHost` is meant. */
export function parseAddress(text: string, defaultHost = '0.0.0.0'): Address {
  const at = text.lastIndexOf(':');
  let host = at < 0 ? '' : text.slice(0, at);
  const port = at < 0 ? text : text.slice(at + 1);
  if (at < 0 && !/^\d+$/.test(text)) throw new Wrong(`has no port`, `write it as HOST:PORT or :PORT, such as ${isHostName(text) ? text : ''}:8080`);
  if (host.startsWith('[') && host.endsWith(']')) {
    host = host.slice(1, -1);
    if (!isIPv6(host)) throw new Wrong('has no IPv6 address between its brackets', 'write it as [::1]:8080');
  } else if (host.includes(':')) {
    throw new Wrong('has more than one colon', 'put an IPv6 address in brackets, such as [::1]:8080');
  } else if (host !== '' && host !== '*' && !isHostName(host)) {
    throw new Wrong('has no valid host', 'write it as HOST:PORT or :PORT, such as 127.0.0.1:8080');
  }
  return { host: host === '' ? defaultHost : host === '*' ? '0.0.0.0' : host, port: parsePort(port) };
}

/** 0 to 65535, decimal; 0 = any free one. */
export function parsePort(text: string): number {
  if (!/^\d{1,6}$/.test(text) || Number(text) > 65_535) throw new Wrong('is no port', 'give a number from 1 to 65535 (0 = any free one)');
  return Number(text);
}

/** As it is written in a URL: IPv6 in brackets. */
export function formatAddress(address: Address): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Can only this machine reach it? */
export function isLoopback(host: string): boolean {
  const bare = host.startsWith('[') ? host.slice(1, -1) : host.toLowerCase();
  return bare === 'localhost' || bare.endsWith('.localhost') || bare === '::1' || /^127\.\d+\.\d+\.\d+$/.test(bare) || bare.startsWith('::ffff:127.');
}
