// HOT: tellForwarding() runs per request.
import { type Peer, type RequestHead, STRIDE } from './head.ts';
import { addressOf, forOf, MAX_HOPS } from './client-address.ts';
import { FORWARDED, LAST_CLAIM, VIA, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_REAL_IP } from './names.ts';

/** A request that came by as often as this is going in circles (threat row 30). */
export const MAX_VISITS = 10;

/**
 * Tells the next hop who the client is (`Forwarded`, RFC 7239, and the `X-Forwarded-*` family) and that it came through us (`Via`).
 * What the client says of itself, and of the certificate that it showed, is dropped, unless it is a trusted proxy: then ours is appended.
 * @returns false when the request has come through `pseudonym` too often
 */
export function tellForwarding(head: RequestHead, pseudonym: string): boolean {
  const { peer, first } = head;
  if (first[VIA] !== 0 && visits(head, pseudonym) >= MAX_VISITS) return false;
  const { fields } = head;
  for (let f = 4, last = head.count * STRIDE; f < last; f += STRIDE) {
    // What is removed has an id beyond them all.
    const id = fields[f]!;
    if (id < FORWARDED || id > LAST_CLAIM) continue;
    if (peer.trusted) {
      appendForwarding(head, pseudonym);
      return true;
    }
    head.remove(id);
  }
  if (!sameAuthority(head, peer)) {
    peer.forwardedFor = head.authority;
    peer.forwardedTail = forwardingLines(peer, head.authority, pseudonym);
  }
  head.tail = head.tail === '' ? peer.forwardedTail : head.tail + peer.forwardedTail;
  return true;
}

function sameAuthority(head: RequestHead, peer: Peer): boolean {
  const known = peer.forwardedFor;
  if (head.newAuthority !== null) return known === head.newAuthority;
  const { bytes, authorityStart } = head;
  if (head.authorityEnd - authorityStart !== known.length) return false;
  for (let i = 0; i < known.length; i++) if (bytes[authorityStart + i] !== known.charCodeAt(i)) return false;
  return true;
}

function forwardingLines({ address, scheme, http2 }: Peer, authority: string, pseudonym: string): string {
  const host = authority === '' ? '' : `X-Forwarded-Host: ${authority}\r\n`;
  return `X-Forwarded-For: ${address}\r\nX-Forwarded-Proto: ${scheme}\r\n${host}Forwarded: ${element(address, authority, scheme)}\r\nVia: ${http2 ? '2.0' : '1.1'} ${pseudonym}\r\n`;
}

/** One element of `Forwarded`. Addresses and hosts hold no quote or backslash: the parser and the kernel see to that. */
function element(address: string, authority: string, scheme: string): string {
  const node = address === '' ? 'unknown' : address.includes(':') ? `"[${address}]"` : address;
  const host = authority === '' ? '' : `;host="${authority}"`;
  return `for=${node}${host};proto=${scheme}`;
}

/** A trusted proxy in front of us: keep what it says, append what we see. If it says it in one of both ways only, the other is told the same. */
function appendForwarding(head: RequestHead, pseudonym: string): void {
  const { peer, first } = head;
  const { scheme, authority } = { scheme: peer.scheme, authority: head.authority };
  const chain = first[X_FORWARDED_FOR] === 0 ? undefined : head.get('x-forwarded-for')!;
  const forwarded = first[FORWARDED] === 0 ? undefined : head.get('forwarded')!;
  const ours = element(peer.address, authority, scheme);
  const addresses = chain ?? (forwarded === undefined ? undefined : addressesOf(forwarded));
  const elements = forwarded ?? (chain === undefined ? undefined : elementsOf(chain));
  head.set('X-Forwarded-For', addresses === undefined ? peer.address : `${addresses}, ${peer.address}`);
  head.set('Forwarded', elements === undefined ? ours : `${elements}, ${ours}`);
  // A proxy may have passed on what a client wrote here; what the walk found is certain.
  if (first[X_REAL_IP] !== 0) head.set('X-Real-IP', head.client);
  if (first[X_FORWARDED_PROTO] === 0) head.add('X-Forwarded-Proto', scheme);
  if (first[X_FORWARDED_HOST] === 0 && authority !== '') head.add('X-Forwarded-Host', authority);
  head.add('Via', `${peer.http2 ? '2.0' : '1.1'} ${pseudonym}`);
}

/** `Forwarded` as `X-Forwarded-For`. */
function addressesOf(forwarded: string): string {
  return nearestOf(forwarded)
    .map((one) => addressOf(forOf(one)) ?? 'unknown')
    .join(', ');
}

/** `X-Forwarded-For` as `Forwarded`. */
function elementsOf(chain: string): string {
  return nearestOf(chain)
    .map((one) => {
      const address = addressOf(one);
      return address === null ? 'for=unknown' : address.includes(':') ? `for="[${address}]"` : `for=${address}`;
    })
    .join(', ');
}

/** The last entries of a list: as many as are believed. */
function nearestOf(list: string): string[] {
  return list
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')
    .slice(-MAX_HOPS);
}

function visits(head: RequestHead, pseudonym: string): number {
  let count = 0;
  for (const entry of (head.get('via') ?? '').split(',')) if (entry.trim().split(/\s+/)[1] === pseudonym) count++;
  return count;
}
