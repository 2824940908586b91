import { type Kind, list, scalar } from '../schema/kind.ts';
import { compilePattern, type Pattern } from '../schema/pattern.ts';
import { Wrong } from '../schema/wrong.ts';
import { REMOVED, type RequestHead, STRIDE } from '../http/head.ts';

/** Where a condition looks. */
export type Place = 'header' | 'query' | 'cookie';

/** Something that a request must have beside host and path. */
export interface Condition {
  readonly place: Place;
  /** Header names are in lower case. */
  readonly name: string;
  /** What it must be; null = it must only be there. */
  readonly value: string | null;
  /** A regular expression for it, searched anywhere in it. */
  readonly pattern: Pattern | null;
  readonly text: string;
}

/** `name` (must be there), `name:value` (must be exactly that) or `name:~regex`. All must hold. */
export function conditions(place: Place): Kind<readonly Condition[]> {
  const says = `${place === 'query' ? 'query parameter' : place} such as name (is there), name:value (is just that) or name:~regex`;
  return list(
    scalar('CONDITION', says, (given) => parseCondition(place, given), { format: (one) => one.text }),
    /\n/,
    'all must hold',
  );
}

/** @throws Wrong */
export function parseCondition(place: Place, given: string): Condition {
  const text = given.trim();
  const colon = text.indexOf(':');
  const name = (colon < 0 ? text : text.slice(0, colon)).trim();
  const value = colon < 0 ? null : text.slice(colon + 1).trim();
  if (name === '') throw new Wrong('has no name', 'write name or name:value');
  if (place !== 'query' && !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
    throw new Wrong(`has a name that no ${place} has`, 'names have letters, digits and dashes: name or name:value', name);
  }
  const lower = name.toLowerCase();
  if (place === 'header') {
    if (lower === 'host') throw new Wrong('asks for Host', 'that is what the key host is for');
    if (lower === 'cookie') throw new Wrong('asks for all cookies at once', 'use match_cookies');
    if (UNSEEN.has(lower)) throw new Wrong(`asks for ${name}, which is about the connection and not the request`, 'leave it out');
    if (name.includes('_')) throw new Wrong('asks for a header with _, and those are not taken from clients', `ask for ${name.replaceAll('_', '-')}`);
  }
  const pattern = value?.startsWith('~') === true ? compilePattern(value.slice(1).trim()) : null;
  return { place, name: place === 'header' ? lower : name, value, pattern, text };
}

/** Does this request have it? */
export function holds(condition: Condition, head: RequestHead): boolean {
  switch (condition.place) {
    case 'header':
      return headerHolds(condition, head);
    case 'query':
      return queryHolds(condition, head.target);
    case 'cookie':
      return cookieHolds(condition, head);
  }
}

/** Taken out before anybody looks. (`upgrade` is kept apart, see below.) */
const UNSEEN: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'te',
  'transfer-encoding',
  'http2-settings',
  'expect',
]);

function fits(condition: Condition, value: string): boolean {
  if (condition.pattern !== null) return condition.pattern.test(value);
  return condition.value === null || condition.value === value;
}

function headerHolds(condition: Condition, head: RequestHead): boolean {
  if (condition.name === 'upgrade') return head.upgrade !== '' && fits(condition, head.upgrade);
  const { fields, bytes } = head;
  for (let f = 0, last = head.count * STRIDE; f < last; f += STRIDE) {
    if ((fields[f + 4]! & REMOVED) !== 0 || !head.isNamed(f, condition.name)) continue;
    if (fits(condition, bytes.latin1Slice(fields[f + 2]!, fields[f + 3]!))) return true;
  }
  return false;
}

/** A parameter may come as it is or escaped; what is no valid escape is taken as it is. */
function queryHolds(condition: Condition, target: string): boolean {
  const from = target.indexOf('?');
  if (from < 0) return false;
  for (const pair of target.slice(from + 1).split('&')) {
    const equals = pair.indexOf('=');
    if (unescape(equals < 0 ? pair : pair.slice(0, equals)) !== condition.name) continue;
    if (fits(condition, equals < 0 ? '' : unescape(pair.slice(equals + 1)))) return true;
  }
  return false;
}

function cookieHolds(condition: Condition, head: RequestHead): boolean {
  const { fields, bytes } = head;
  for (let f = 0, last = head.count * STRIDE; f < last; f += STRIDE) {
    if ((fields[f + 4]! & REMOVED) !== 0 || !head.isNamed(f, 'cookie')) continue;
    for (const pair of bytes.latin1Slice(fields[f + 2]!, fields[f + 3]!).split(';')) {
      const equals = pair.indexOf('=');
      if (equals > 0 && pair.slice(0, equals).trim() === condition.name && fits(condition, pair.slice(equals + 1).trim())) return true;
    }
  }
  return false;
}

function unescape(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}
