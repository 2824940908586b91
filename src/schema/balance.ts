import { scalar, type Kind } from './kind.ts';
import { nearest } from './nearest.ts';
import { Wrong } from './wrong.ts';

/** How one is chosen among those that can take a request. */
export type Balance =
  | { readonly by: 'round_robin' | 'least_conn' | 'random_two' | 'spare_capacity' }
  /** The same key goes to the same place: consistent hashing. */
  | { readonly by: 'hash'; readonly key: HashKey };

/** What of a request is hashed. */
export type HashKey = { readonly of: 'ip' | 'url' | 'path' } | { readonly of: 'header' | 'cookie' | 'query'; readonly name: string };

/** `algo` of an upstream. */
export function balance(): Kind<Balance> {
  return scalar('ALGO', `one of ${FORMS.join(', ')}`, parseBalance, { format: formatBalance });
}

const PLAIN = ['round_robin', 'least_conn', 'random_two', 'spare_capacity'] as const;
const WHOLE = ['ip', 'url', 'path'] as const;
const NAMED = ['header', 'cookie', 'query'] as const;
const FORMS: readonly string[] = [...PLAIN, ...WHOLE.map((of) => `hash:${of}`), ...NAMED.map((of) => `hash:${of}:NAME`)];

/** @throws Wrong */
export function parseBalance(given: string): Balance {
  const text = given.trim();
  const word = text.toLowerCase().replaceAll('-', '_');
  // Over agents it is requests in flight per slot that are compared: both names are in use.
  const plain = word === 'least_loaded' ? 'least_conn' : PLAIN.find((by) => by === word);
  if (plain !== undefined) return { by: plain };
  const [hash, of = '', ...rest] = text.split(':');
  if (hash!.toLowerCase() !== 'hash') {
    const near = nearest(text, [...PLAIN, 'hash']);
    throw new Wrong('is no way to choose', near === null ? `choose ${FORMS.join(', ')}` : `did you mean ${near}? (choose ${FORMS.join(', ')})`);
  }
  const name = rest.join(':');
  const whole = WHOLE.find((one) => one === of.toLowerCase());
  if (whole !== undefined) {
    if (name !== '') throw new Wrong(`has something behind ${whole}`, `write hash:${whole}`);
    return { by: 'hash', key: { of: whole } };
  }
  const named = NAMED.find((one) => one === of.toLowerCase());
  if (named === undefined) throw new Wrong('does not say what is hashed', `write ${FORMS.filter((form) => form.startsWith('hash')).join(', ')}`);
  if (name === '') throw new Wrong(`does not name the ${named}`, `write hash:${named}:NAME`);
  if (named !== 'query' && !/^[!#$%&'*+.^_`|~\w-]+$/.test(name)) throw new Wrong(`is no name of a ${named}`, 'use letters, digits and dashes');
  return { by: 'hash', key: { of: named, name: named === 'header' ? name.toLowerCase() : name } };
}

function formatBalance(balance: Balance): string {
  if (balance.by !== 'hash') return balance.by;
  return 'name' in balance.key ? `hash:${balance.key.of}:${balance.key.name}` : `hash:${balance.key.of}`;
}
