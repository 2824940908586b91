import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { RequestHead } from '../http/head.ts';
import { isLoopback } from '../schema/address.ts';
import { Problem } from './route.ts';

/** Under which names the console may be asked. */
export interface HostRule {
  /** Besides addresses, localhost and the name of this machine; in lower case. */
  readonly names: ReadonlySet<string>;
  /** Who is held to it. `loopback`: what comes in at a loopback address, since elsewhere nothing is gained; `nobody`: a location has said which names are its. */
  readonly holds: 'everybody' | 'loopback' | 'nobody';
}

/**
 * Why a request is not answered under the name that it was sent to, or not for the page that sent it; null = it may come in. A page of somebody else's can
 * have its own name lead to this machine (DNS rebinding), but not an address, and not ours.
 */
export function hostProblem(head: RequestHead, rule: HostRule): Problem | null {
  const authority = head.authority.toLowerCase();
  const host = hostOf(authority);
  if (!isKnown(host, rule) && isHeld(head, rule)) {
    return new Problem(
      421,
      'unknown_host',
      `The console does not answer under the name "${host.slice(0, 100)}"; ask by its address, or list the name in console_hosts (--console-hosts).`,
    );
  }
  const origin = head.get('origin');
  if (origin !== undefined && originHost(origin) !== authority) return FOREIGN;
  // What browsers that know it say of links, images and forms of other sites; typing an address is `none`.
  if (origin === undefined && head.method !== 'GET' && head.method !== 'HEAD' && head.get('sec-fetch-site') === 'cross-site') return FOREIGN;
  return null;
}

/** A proxy in front that writes another Host is the innocent cause. */
const FOREIGN = new Problem(
  403,
  'foreign_origin',
  'Pages of other sites may not ask the console; a proxy in front of it must pass Host on as it came.',
);

function isHeld({ peer }: RequestHead, { holds }: HostRule): boolean {
  return holds === 'everybody' || (holds === 'loopback' && (peer.localAddress === '' || isLoopback(peer.localAddress)));
}

function isKnown(host: string, { names }: HostRule): boolean {
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  return isIP(bare) !== 0 || bare === 'localhost' || bare.endsWith('.localhost') || bare === hostname().toLowerCase() || names.has(bare);
}

function hostOf(authority: string): string {
  return authority.replace(/:\d*$/, '');
}

/** `host:port` as a Host field would have it; null for an origin that is none. */
function originHost(origin: string): string | null {
  const found = /^https?:\/\/([^/]+)$/.exec(origin.toLowerCase());
  return found === null ? null : found[1]!;
}
