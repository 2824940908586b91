// HOT: tellForwarding() runs per request.
import type { Peer, RequestHead } from './head.ts';
import { FORWARDED, VIA, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, X_REAL_IP } from './names.ts';

/** A request that came by as often as this is going in circles (threat row 30). */
export const MAX_VISITS = 10;

/**
 * Tells the next hop who the client is (`Forwarded`, RFC 7239, and the `X-Forwarded-*` family) and that it came through us (`Via`).
 * What the client says of itself is dropped, unless it is a trusted proxy: then ours is appended.
 * @returns false when the request has come through `pseudonym` too often
 */
export function tellForwarding(head: RequestHead, pseudonym: string): boolean {
  const { peer, first } = head;
  if (first[VIA] !== 0 && visits(head, pseudonym) >= MAX_VISITS) return false;
  if (
    first[X_FORWARDED_FOR] !== 0 ||
    first[FORWARDED] !== 0 ||
    first[X_FORWARDED_PROTO] !== 0 ||
    first[X_FORWARDED_HOST] !== 0 ||
    first[X_FORWARDED_PORT] !== 0 ||
    first[X_REAL_IP] !== 0
  ) {
    if (peer.trusted) {
      appendForwarding(head, pseudonym);
      return true;
    }
    head.remove(X_FORWARDED_FOR);
    head.remove(FORWARDED);
    head.remove(X_FORWARDED_PROTO);
    head.remove(X_FORWARDED_HOST);
    head.remove(X_FORWARDED_PORT);
    head.remove(X_REAL_IP);
  }
  if (!sameAuthority(head, peer)) {
    peer.forwardedFor = head.authority;
    peer.forwardedTail = forwardingLines(peer.address, head.authority, peer.scheme, pseudonym);
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

function forwardingLines(address: string, authority: string, scheme: string, pseudonym: string): string {
  const host = authority === '' ? '' : `X-Forwarded-Host: ${authority}\r\n`;
  return `X-Forwarded-For: ${address}\r\nX-Forwarded-Proto: ${scheme}\r\n${host}Forwarded: ${element(address, authority, scheme)}\r\nVia: 1.1 ${pseudonym}\r\n`;
}

/** One element of `Forwarded`. Addresses and hosts hold no quote or backslash: the parser and the kernel see to that. */
function element(address: string, authority: string, scheme: string): string {
  const node = address === '' ? 'unknown' : address.includes(':') ? `"[${address}]"` : address;
  const host = authority === '' ? '' : `;host="${authority}"`;
  return `for=${node}${host};proto=${scheme}`;
}

/** A trusted proxy in front of us: keep what it says, append what we see. */
function appendForwarding(head: RequestHead, pseudonym: string): void {
  const { peer } = head;
  const chain = head.get('x-forwarded-for');
  const forwarded = head.get('forwarded');
  const { scheme, authority } = { scheme: peer.scheme, authority: head.authority };
  head.set('X-Forwarded-For', chain === undefined ? peer.address : `${chain}, ${peer.address}`);
  head.set(
    'Forwarded',
    forwarded === undefined ? element(peer.address, authority, scheme) : `${forwarded}, ${element(peer.address, authority, scheme)}`,
  );
  if (head.first[X_FORWARDED_PROTO] === 0) head.add('X-Forwarded-Proto', scheme);
  if (head.first[X_FORWARDED_HOST] === 0 && authority !== '') head.add('X-Forwarded-Host', authority);
  head.add('Via', `1.1 ${pseudonym}`);
}

function visits(head: RequestHead, pseudonym: string): number {
  let count = 0;
  for (const entry of (head.get('via') ?? '').split(',')) if (entry.trim().split(/\s+/)[1] === pseudonym) count++;
  return count;
}
