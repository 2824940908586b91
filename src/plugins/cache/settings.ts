import { bytes, cidrs, duration, list, scalar, text, textLike, toggle } from '../../schema/kind.ts';
import { parseBytes } from '../../schema/bytes.ts';
import type { Cidrs } from '../../schema/cidrs.ts';
import { setting } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';
import { LOCK_MS } from './limits.ts';

/** Section of a cache. */
export const cacheTable = {
  maxSize: setting<number | null>({
    kind: bytes(),
    group: 'Size',
    help: 'memory for all that is kept',
    fallback: null,
    fallbackText: 'what directory says, else 128MiB',
  }),
  maxFileSize: setting({ kind: bytes(), group: 'Size', help: 'largest body that is kept', fallback: 1_000_000 }),
  directory: setting<number | null>({
    kind: memory(),
    group: 'Size',
    help: "Pingap's: where answers are kept, with its max_size",
    fallback: null,
    fallbackText: 'memory',
  }),
  maxTtl: setting<number | null>({
    kind: duration(),
    group: 'Age',
    help: 'longest time that anything is kept without asking',
    fallback: null,
    fallbackText: 'as answers say',
  }),
  defaultTtl: setting({
    kind: duration(),
    group: 'Age',
    help: 'how long answers are good that do not say, to requests without cookies; 0s = they are not kept',
    fallback: 0,
  }),
  checkCacheControl: setting({ kind: toggle(), group: 'Age', help: 'keep nothing that does not say so, whatever default_ttl is', fallback: false }),
  staleWhileRevalidate: setting({
    kind: duration(),
    group: 'Age',
    help: 'how long old answers are given out while a new one is fetched, where they do not say',
    fallback: 1000,
  }),
  staleIfError: setting({
    kind: duration(),
    group: 'Age',
    help: 'how long old answers are given out when there is no new one to be had, where they do not say',
    fallback: 1000,
  }),
  lock: setting({
    kind: duration(LOCK_MS),
    group: 'Upstream',
    help: 'how long requests for the same wait for the first of them; 0s = not at all',
    fallback: 1000,
  }),
  namespace: setting({ kind: text('NAME', 'part of every key'), group: 'Key', help: 'part of every key', fallback: '' }),
  headers: setting<readonly string[]>({
    kind: list(textLike(/^[A-Za-z][\w-]{0,63}$/, 'NAME', 'name of a header', 'write names such as X-Tenant')),
    group: 'Key',
    help: 'request headers whose values are part of the key',
    fallback: [],
  }),
  skip: setting<string | null>({
    kind: text('PATTERN', 'regular expression (RE2)'),
    group: 'Key',
    help: 'paths and queries that the cache keeps out of',
    fallback: null,
    fallbackText: 'none',
  }),
  purgeIpList: setting<Cidrs | null>({
    kind: cidrs(),
    group: 'Purge',
    help: 'who may send PURGE',
    fallback: null,
    fallbackText: 'nobody',
  }),
  eviction: setting<boolean | null>({
    kind: toggle(),
    group: "Pingap's",
    help: 'known, without effect: what is not used always goes first',
    fallback: null,
  }),
  predictor: setting<boolean | null>({
    kind: toggle(),
    group: "Pingap's",
    help: 'known, without effect: what is not kept is always remembered for some seconds',
    fallback: null,
  }),
} as const;

/** `memory://?max_size=100mb` is its size; null = it does not say. */
function memory() {
  return scalar('PLACE', 'memory:// with max_size, or nothing', (given): number | null => {
    const [, query] = /^memory(?::\/\/[^?]*(?:\?(.*))?)?$/.exec(given) ?? [];
    if (!given.startsWith('memory')) throw new Wrong('is on disk, where nothing is kept', 'leave it out: the cache is in memory, of max_size');
    const size = new URLSearchParams(query ?? '').get('max_size');
    return size === null ? null : parseBytes(size);
  });
}
