import { bytes, cidrs, duration, list, scalar, text, textLike, toggle } from '../../schema/kind.ts';
import { parseBytes } from '../../schema/bytes.ts';
import type { Cidrs } from '../../schema/cidrs.ts';
import { setting } from '../../schema/setting.ts';
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
  directory: setting<Place | null>({
    kind: place(),
    group: "Pingap's",
    help: 'where answers are kept: in memory here, whatever it says; its max_size counts',
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

/** What Pingap says of where answers are kept. */
export interface Place {
  /** Its max_size; null = it does not say. */
  readonly bytes: number | null;
  readonly isOnDisk: boolean;
}

/** `memory://?max_size=100mb`, or a folder with such parameters. */
function place() {
  return scalar('PLACE', 'memory://?max_size=100MB, or a folder', (given): Place => {
    const mark = given.indexOf('?');
    const size = mark < 0 ? null : new URLSearchParams(given.slice(mark + 1)).get('max_size');
    return { bytes: size === null ? null : parseBytes(size), isOnDisk: !/^memory(?:$|:|\?)/.test(given) };
  });
}
