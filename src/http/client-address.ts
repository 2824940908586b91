// HOT for requests of trusted proxies: nobody else pays for it.
import { canonicalAddress } from '../schema/cidrs.ts';
import type { RequestHead } from './head.ts';
import { FORWARDED, X_FORWARDED_FOR, X_REAL_IP } from './names.ts';

/** Proxies that one request may have come through. Who names more is believed as far as this. */
export const MAX_HOPS = 32;

/**
 * Finds out who the client is behind the trusted proxies, and says so in `head.claimedClient`. For requests of trusted peers; before the head is changed.
 *
 * Each proxy appends whom it heard the request from, so the list is read from the right: as long as a trusted proxy speaks, whom it names is believed,
 * and the first who is no trusted proxy is the client. What stands left of it was written by the client, and counts for nothing. An entry that is no
 * address (`unknown`, `_hidden`, a slip) ends the walk at the last address that is certain.
 *
 * `X-Forwarded-For` is read when there is one, `Forwarded` (RFC 7239) else, `X-Real-IP` last: proxies that know only the first pass a `Forwarded` of
 * the client's own making on as it is, and hardly any proxy knows only `Forwarded`.
 */
export function claimClient(head: RequestHead, trusts: (address: string) => boolean): void {
  const { first } = head;
  if (first[X_FORWARDED_FOR] !== 0) head.claimedClient = walk(head.get('x-forwarded-for')!, false, trusts);
  else if (first[FORWARDED] !== 0) head.claimedClient = walk(head.get('forwarded')!, true, trusts);
  else if (first[X_REAL_IP] !== 0) head.claimedClient = canonicalAddress(head.value(X_REAL_IP)) ?? '';
}

/** @returns the client's address, or '' when not even the nearest entry is one */
function walk(list: string, isForwarded: boolean, trusts: (address: string) => boolean): string {
  let client = '';
  let end = list.length;
  for (let hops = 0; end > 0 && hops < MAX_HOPS; hops++) {
    const comma = list.lastIndexOf(',', end - 1);
    const entry = list.slice(comma + 1, end).trim();
    end = comma;
    // An empty list element is nobody's word (RFC 9110 5.6.1).
    if (entry === '') continue;
    const address = addressOf(isForwarded ? forOf(entry) : entry);
    if (address === null) break;
    client = address;
    if (!trusts(address)) break;
  }
  return client;
}

/** The address in `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::7`, `[2001:db8::7]` or `[2001:db8::7]:4711`, as it is commonly written; null = it is none. */
export function addressOf(node: string): string | null {
  const text = node.trim();
  if (text.startsWith('[')) {
    const end = text.indexOf(']');
    const port = text.slice(end + 1);
    return end < 0 || !/^(?::\d{1,5})?$/.test(port) || !text.includes(':') ? null : canonicalAddress(text.slice(1, end));
  }
  const colon = text.indexOf(':');
  if (colon < 0 || colon !== text.lastIndexOf(':')) return canonicalAddress(text);
  return /^\d{1,5}$/.test(text.slice(colon + 1)) ? canonicalAddress(text.slice(0, colon)) : null;
}

/**
 * What stands behind `for=` in one element of `Forwarded` (RFC 7239 section 4); '' where nothing does, or it does not follow the grammar.
 * Lists are cut at every comma, quoted ones too: a quote that a client never closed must not swallow what a proxy appended. No address holds a comma, and
 * half an element whose quoted text does hold one is no element, so nothing can be planted that way.
 */
export function forOf(element: string): string {
  let node = '';
  let named = false;
  let i = 0;
  while (i < element.length) {
    PAIR.lastIndex = i;
    const pair = PAIR.exec(element);
    if (pair === null) return '';
    i = PAIR.lastIndex;
    if (pair[1]!.toLowerCase() !== 'for') continue;
    // Twice in one element: which of them was meant is anybody's guess.
    if (named) return '';
    node = pair[2] ?? pair[3]!.replaceAll(/\\(.)/g, '$1');
    named = true;
  }
  return node;
}

/** A pair and the semicolon behind it. The value is a token, or quoted; colons, slashes and brackets are let through unquoted, as many write them. */
const PAIR = /[ \t]*([!#$%&'*+\-.^_`|~\dA-Za-z]+)=(?:([!#$%&'*+\-.^_`|~\dA-Za-z:[\]/]+)|"((?:[^"\\]|\\.)*)")[ \t]*(?:;[ \t]*|$)/y;
