// HOT: hashOf() runs per request that is balanced by a hash.
import type { RequestHead } from '../../http/head.ts';
import { idOfName } from '../../http/names.ts';
import type { HashKey } from '../../schema/balance.ts';

/** Reads what is hashed from a request; null when the request has no such thing. */
export type ReadKey = (head: RequestHead) => string | null;

export function keyReader(key: HashKey): ReadKey {
  switch (key.of) {
    case 'ip':
      return (head) => head.client;
    case 'url':
      return (head) => head.target;
    case 'path':
      return (head) => head.path;
    case 'header':
      return (head) => field(head, idOfName(key.name), key.name);
    case 'cookie':
      return (head) => cookie(field(head, idOfName('cookie'), 'cookie'), key.name);
    case 'query':
      return (head) => parameter(head.target, key.name);
  }
}

/** FNV-1a over the text's code units, and then mixed: 32 bits. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** Every bit of the result depends on every bit of the argument (the last step of MurmurHash3). */
export function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function field(head: RequestHead, id: number, name: string): string | null {
  if (id !== 0 && head.has(id)) return head.value(id);
  return head.get(name) ?? null;
}

function cookie(cookies: string | null, name: string): string | null {
  if (cookies === null) return null;
  for (const pair of cookies.split(';')) {
    const at = pair.indexOf('=');
    if (at >= 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return null;
}

/** The first parameter of that name, as it stands there. */
function parameter(target: string, name: string): string | null {
  const query = target.indexOf('?');
  if (query < 0) return null;
  for (const pair of target.slice(query + 1).split('&')) {
    const at = pair.indexOf('=');
    if ((at < 0 ? pair : pair.slice(0, at)) === name) return at < 0 ? '' : pair.slice(at + 1);
  }
  return null;
}
