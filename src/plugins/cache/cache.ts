// HOT: request() runs for every request, and is all there is for one that is answered from memory.
import type { Cidrs } from '../../schema/cidrs.ts';
import { compilePattern, type Pattern } from '../../schema/pattern.ts';
import type { Values } from '../../schema/setting.ts';
import type { Clock } from '../../std/clock.ts';
import type { Counter } from '../../observe/metrics.ts';
import {
  definePlugin,
  type Plugin,
  type PluginContext,
  type PluginExchange,
  type PluginRequest,
  type PluginResponse,
  type Reply,
  type Slot,
  slot,
} from '../../proxy/plugin.ts';
import { Collector } from './collector.ts';
import { Entry, type Kept, type Label, type Selection } from './entry.ts';
import { Flight } from './flight.ts';
import { PASS_CHARS, PASS_MS, PASSES } from './limits.ts';
import { type Lifetime, lifetimeOf, namesOf, type PolicyOptions, wishOf } from './policy.ts';
import { cacheTable } from './settings.ts';
import { Store } from './store.ts';

/** Keeps answers in memory and gives them to whoever asks for the same. */
export const cachePlugin = definePlugin({
  name: 'cache',
  summary: 'keeps answers in memory as they allow it (RFC 9111), and gives them to whoever asks for the same',
  steps: ['request'],
  settings: cacheTable,
  create: (settings, context) => new Cache(settings, context),
});

const DEFAULT_BYTES = 128 * 1024 * 1024;
const NO_BODY = new Uint8Array(0);

/** What is remembered of a request that was not answered from memory. */
type Pending =
  | { readonly does: 'bypass' }
  /** It may change what is kept under these keys. */
  | { readonly does: 'drop'; readonly keys: readonly string[] }
  | Fetch;

interface Fetch {
  readonly does: 'fetch';
  readonly key: string;
  /** As the request was when it came by here. */
  readonly asked: Readonly<Record<string, string>>;
  /** Whatever a plugin before this one made of it. */
  readonly hadAuthorization: boolean;
  readonly wants: Selection;
  /** What there is already, too old to be given out. */
  readonly stale: Entry | null;
  /** The upstream was asked whether that is still good. */
  readonly verifies: boolean;
  readonly flight: Flight | null;
}

type Result = Exclude<Label, 'rescued'> | 'miss' | 'expired' | 'bypass';

class Cache implements Plugin {
  readonly #clock: Clock;
  readonly #store: Store;
  readonly #skip: Pattern | null;
  readonly #policy: PolicyOptions;
  readonly #maxBodyBytes: number;
  readonly #lockMs: number;
  readonly #namespace: string;
  readonly #headers: readonly string[];
  readonly #purgers: Cidrs | null;
  readonly #pending: Slot<Pending>;
  /** How long it waited for another that fetched the same, ms. */
  readonly #waited: Slot<number>;
  readonly #flights = new Map<string, Flight>();
  /** Keys whose answers are not kept, until when. */
  readonly #passes = new Map<string, number>();
  readonly #counts: Readonly<Record<Result, Counter>>;
  readonly #gauge: { value: number };
  /** What of the gauge is ours: the one before us, of the same name, may still be answering. */
  #told = 0;

  constructor(settings: Values<typeof cacheTable>, { name, clock, metrics, log }: PluginContext) {
    if (settings.directory?.isOnDisk === true) log.warn({}, 'answers are kept in memory, not in the folder of directory; say max_size instead of it');
    this.#clock = clock;
    this.#store = new Store(settings.maxSize ?? settings.directory?.bytes ?? DEFAULT_BYTES);
    this.#skip = settings.skip === null ? null : compilePattern(settings.skip);
    this.#policy = {
      defaultTtlMs: settings.checkCacheControl ? 0 : settings.defaultTtl,
      maxTtlMs: settings.maxTtl,
      staleWhileRevalidateMs: settings.staleWhileRevalidate,
      staleIfErrorMs: settings.staleIfError,
    };
    this.#maxBodyBytes = settings.maxFileSize;
    this.#lockMs = settings.lock;
    this.#namespace = settings.namespace;
    this.#headers = settings.headers.map((header) => header.toLowerCase());
    this.#purgers = settings.purgeIpList;
    this.#pending = slot(`cache ${name}`);
    this.#waited = slot(`cache ${name} waited`);
    const results = metrics.counters(
      'windlass_cache_requests_total',
      'Requests that passed a cache, by what it had for them: hit, stale, revalidated, miss, expired, bypass.',
      ['plugin', 'result'],
    );
    const count = (result: Result): Counter => results.with(name, result);
    this.#counts = {
      hit: count('hit'),
      stale: count('stale'),
      revalidated: count('revalidated'),
      miss: count('miss'),
      expired: count('expired'),
      bypass: count('bypass'),
    };
    this.#gauge = metrics.gauges('windlass_cache_bytes', 'Memory of what a cache keeps, roughly.', ['plugin']).with(name);
  }

  request(exchange: PluginExchange): Reply | undefined | Promise<Reply | undefined> {
    const { request } = exchange;
    const { method } = request;
    if (method !== 'GET' && method !== 'HEAD') return this.#other(exchange);
    if (request.length !== 0 || request.upgrade !== '' || (this.#skip !== null && this.#skip.test(request.target))) return this.#bypass(exchange);
    if (request.header('if-match') !== undefined || request.header('if-unmodified-since') !== undefined) return this.#bypass(exchange);
    const key = this.#keyOf(exchange, request.header('x-forwarded-proto') ?? request.scheme);
    const entry = this.#store.find(key, request);
    const control = request.header('cache-control');
    const pragma = request.header('pragma');
    const now = this.#clock.now();
    if (entry !== null && now < entry.freshUntilMs && control === undefined && pragma === undefined) return this.#give(request, entry, now, 'hit');
    const wish = wishOf(control, pragma);
    if (wish.noStore) return this.#bypass(exchange);
    if (entry !== null && !wish.noCache && (wish.maxAgeMs === null || entry.ageMs(now) <= wish.maxAgeMs)) {
      if (now + wish.minFreshMs < entry.freshUntilMs) return this.#give(request, entry, now, 'hit');
      if (wish.minFreshMs === 0 && now < entry.revalidateUntilMs) {
        this.#refresh(exchange, key, entry);
        return this.#give(request, entry, now, 'stale');
      }
    }
    if (wish.onlyIfCached)
      return { status: 504, headers: ['Content-Type', 'text/plain; charset=utf-8', 'Cache-Control', 'no-store'], body: 'not cached\n' };
    // What HEAD brings cannot be given to GET.
    if (method === 'HEAD') return this.#bypass(exchange);
    return this.#fetch(exchange, key, entry);
  }

  #give(request: PluginRequest, entry: Entry, now: number, label: Label): Reply {
    this.#counts[label === 'rescued' ? 'stale' : label].value++;
    const ifNoneMatch = request.header('if-none-match');
    const ifModifiedSince = request.header('if-modified-since');
    // Only GET has parts (RFC 9110 14.2).
    const range = request.method === 'GET' ? request.header('range') : undefined;
    if (ifNoneMatch === undefined && ifModifiedSince === undefined && range === undefined) return entry.whole(now, label);
    return entry.answer({ range, ifRange: request.header('if-range'), ifNoneMatch, ifModifiedSince }, now, label);
  }

  #bypass(exchange: PluginExchange): undefined {
    exchange.set(this.#pending, BYPASS);
  }

  /**
   * Scheme, host and all: two sites behind one cache never share anything (threat 74), nor do two locations or upstreams, which may answer the same
   * address each in its way. Scheme and host are also what the upstream is told of the client's: an answer may redirect by them, or have links in it. None of
   * the parts can have a line break in it.
   */
  #keyOf(exchange: PluginExchange, scheme: string): string {
    const { request } = exchange;
    const { host } = request;
    const told = request.header('x-forwarded-host');
    const prefix = request.header('x-forwarded-prefix');
    let key = `${scheme}://${plainHost(host, scheme)}${request.target}\n${exchange.location}\n${exchange.upstream}\n${this.#namespace}`;
    if (told !== undefined && told !== host) key += `\nfor ${plainHost(told, scheme)}`;
    if (prefix !== undefined) key += `\nunder ${prefix}`;
    for (let i = 0; i < this.#headers.length; i++) {
      const value = request.header(this.#headers[i]!);
      key += value === undefined ? '\n' : `\n=${value}`;
    }
    return key;
  }

  /** To the upstream, unless somebody is on the way there already for the same. */
  #fetch(exchange: PluginExchange, key: string, stale: Entry | null): undefined | Promise<Reply | undefined> {
    const { request } = exchange;
    const isSelective =
      stale === null &&
      (request.header('range') !== undefined || request.header('if-none-match') !== undefined || request.header('if-modified-since') !== undefined);
    // What it gets is a part, or nothing, which is no use to others.
    if (isSelective || this.#lockMs === 0 || this.#isPass(key)) {
      this.#lead(exchange, key, stale, null);
      return undefined;
    }
    const what = this.#store.variantOf(key, request);
    const flight = this.#flights.get(what);
    if (flight !== undefined) return this.#follow(exchange, key, stale, flight);
    const own = new Flight(() => this.#flights.delete(what));
    this.#flights.set(what, own);
    exchange.outliveClient(() => own.followers > 0);
    this.#lead(exchange, key, stale, own);
    return undefined;
  }

  #lead(exchange: PluginExchange, key: string, stale: Entry | null, flight: Flight | null): void {
    const { request } = exchange;
    const wants: Selection = {
      range: request.header('range'),
      ifRange: request.header('if-range'),
      ifNoneMatch: request.header('if-none-match'),
      ifModifiedSince: request.header('if-modified-since'),
    };
    const verifies = stale !== null && stale.isVerifiable;
    exchange.set(this.#pending, {
      does: 'fetch',
      key,
      asked: recordOf(request.headers()),
      // A certificate says who somebody is as well as a field does, and a plugin behind this one may go by it.
      hadAuthorization: exchange.hadAuthorization || exchange.request.clientCertificate !== null,
      wants,
      stale,
      verifies,
      flight,
    });
    if (stale === null) return;
    // It is the whole that is asked for now: a part of it is made here.
    request.removeHeader('range');
    request.removeHeader('if-range');
    request.removeHeader('if-none-match');
    request.removeHeader('if-modified-since');
    if (stale.etag !== '') request.setHeader('If-None-Match', stale.etag);
    if (stale.lastModified !== '') request.setHeader('If-Modified-Since', stale.lastModified);
  }

  async #follow(exchange: PluginExchange, key: string, before: Entry | null, flight: Flight): Promise<Reply | undefined> {
    const sinceMs = this.#clock.now();
    await flight.wait(this.#lockMs);
    const { request } = exchange;
    const now = this.#clock.now();
    const waitedMs = Math.round((now - sinceMs) * 10) / 10;
    exchange.set(this.#waited, waitedMs);
    exchange.note('cache_lock_time', waitedMs);
    const entry = this.#store.find(key, request);
    if (entry !== null && entry !== before && now < entry.freshUntilMs) return this.#give(request, entry, now, 'hit');
    if (entry !== null && flight.hasFailed && now < entry.errorUntilMs) return this.#give(request, entry, now, 'rescued');
    this.#lead(exchange, key, entry, null);
    return undefined;
  }

  #refresh(exchange: PluginExchange, key: string, entry: Entry): void {
    if (entry.isRefreshing || exchange.request.method === 'HEAD') return;
    entry.isRefreshing = true;
    exchange.repeat((again) => this.#lead(again, key, entry, null));
  }

  response(exchange: PluginExchange): void {
    const response = exchange.response!;
    const waitedMs = exchange.get(this.#waited);
    if (waitedMs !== undefined) response.setHeader('X-Cache-Lock', `${waitedMs}ms`);
    const pending = exchange.get(this.#pending);
    // It came from here.
    if (pending === undefined) return;
    if (pending.does === 'fetch') this.#answered(pending, response);
    else if (pending.does === 'bypass') this.#tell(response, 'bypass', 'fwd=bypass');
    else if (response.status >= 200 && response.status < 400) {
      for (const key of pending.keys) this.#store.drop(key);
      this.#measure();
    }
  }

  #answered(fetch: Fetch, response: PluginResponse): void {
    const { stale, flight, wants } = fetch;
    const { status } = response;
    const now = this.#clock.now();
    if (stale !== null && status === 304 && fetch.verifies) {
      const entry = this.#verified(fetch, stale, response, now);
      flight?.land();
      this.#counts.revalidated.value++;
      response.replace(entry.answer(wants, now, 'revalidated'));
    } else if (stale !== null && FAILED.has(status) && now < stale.errorUntilMs) {
      if (flight !== null) {
        flight.hasFailed = true;
        flight.land();
      }
      this.#counts.stale.value++;
      response.replace(stale.answer(wants, now, 'rescued'));
    } else this.#keep(fetch, response, now);
  }

  /** What is kept is still good (RFC 9111 4.3.4). @returns it as it is now */
  #verified(fetch: Fetch, stale: Entry, response: PluginResponse, now: number): Entry {
    const told = recordOf(response.headers());
    const isOther = told['etag'] !== undefined && stale.etag !== '' && opaque(told['etag']) !== opaque(stale.etag);
    const fields = merged(stale.fields, response.headers());
    const record = recordOf(fields);
    if (told['age'] !== undefined) record['age'] = told['age'];
    const lifetime = isOther ? null : this.#lifetimeOf(fetch, stale.status, record);
    if (lifetime === null) {
      this.#store.forget(stale);
      return stale;
    }
    const entry = new Entry({ status: stale.status, fields, body: stale.body }, lifetime, now);
    this.#put(fetch.key, fetch.asked, entry);
    return entry;
  }

  #lifetimeOf({ asked, hadAuthorization }: Fetch, status: number, answered: Readonly<Record<string, string>>): Lifetime | null {
    return lifetimeOf(hadAuthorization ? { ...asked, authorization: 'shown' } : asked, status, answered, this.#policy);
  }

  #keep(fetch: Fetch, response: PluginResponse, now: number): void {
    const { key, asked, stale, flight } = fetch;
    const { status, length } = response;
    const result = stale === null ? 'miss' : 'expired';
    const lifetime = this.#lifetimeOf(fetch, status, recordOf(response.headers()));
    if (lifetime === null || (length !== null && length > this.#maxBodyBytes)) {
      // A failure says nothing about what was kept.
      if (status < 500) {
        if (stale !== null) this.#store.forget(stale);
        this.#pass(key, now);
      }
      flight?.land();
      this.#tell(response, result, stale === null ? 'fwd=miss' : `fwd=stale; fwd-status=${status}`);
      return;
    }
    const fields = keptOf(response.headers());
    if (!fields.some(([name]) => name === 'date')) fields.push(['date', new Date(this.#clock.wall()).toUTCString()]);
    const done = (body: Uint8Array | null): void => {
      if (body !== null) {
        this.#passes.delete(key);
        this.#put(key, asked, new Entry({ status, fields, body }, lifetime, now));
      }
      flight?.land();
    };
    this.#tell(response, result, `fwd=${stale === null ? 'miss' : `stale; fwd-status=${status}`}; stored`);
    if (response.bodiless) done(NO_BODY);
    else response.transform(new Collector(this.#store, this.#maxBodyBytes, done), length ?? undefined);
  }

  #put(key: string, asked: Readonly<Record<string, string>>, entry: Entry): void {
    this.#store.put(
      key,
      namesOf(
        entry.fields
          .filter(([name]) => name === 'vary')
          .map(([, value]) => value)
          .join(),
      ),
      asked,
      entry,
    );
    this.#measure();
  }

  #tell(response: PluginResponse, result: Result, how: string): void {
    this.#counts[result].value++;
    response.addHeader('Cache-Status', `Windlass; ${how}`);
    response.setHeader('X-Cache-Status', result);
  }

  log(exchange: PluginExchange): void {
    const pending = exchange.get(this.#pending);
    if (pending === undefined || pending.does !== 'fetch') return;
    if (pending.stale !== null) pending.stale.isRefreshing = false;
    pending.flight?.land();
  }

  /** Others than GET and HEAD change things (RFC 9111 4.4), or ask the cache itself. */
  #other(exchange: PluginExchange): Reply | undefined {
    const { request } = exchange;
    const { method } = request;
    if (method === 'OPTIONS' || method === 'TRACE' || method === 'CONNECT') return undefined;
    const keys = [this.#keyOf(exchange, 'http'), this.#keyOf(exchange, 'https')];
    if (method !== 'PURGE') {
      exchange.set(this.#pending, { does: 'drop', keys });
      return undefined;
    }
    if (this.#purgers === null || !this.#purgers.has(exchange.client)) return { status: 403, headers: PLAIN, body: 'not allowed to purge\n' };
    const { path } = request;
    const many = path.endsWith('/*');
    if (!many) for (const key of keys) this.#store.drop(key);
    const count = !many ? 0 : path === '/*' ? this.#store.clear() : this.#dropBelow(request.host, path.slice(0, -1));
    this.#measure();
    return many ? { status: 200, headers: PLAIN, body: `purged: ${count}, fail: 0\n` } : { status: 204 };
  }

  /** @returns how many there were of that host below that path, which ends with a slash */
  #dropBelow(host: string, path: string): number {
    return ['http', 'https'].reduce((sum, scheme) => sum + this.#store.dropBelow(`${scheme}://${plainHost(host, scheme)}${path}`), 0);
  }

  #isPass(key: string): boolean {
    const until = this.#passes.get(key);
    return until !== undefined && this.#clock.now() < until;
  }

  /** An answer was not to be kept: the next ones need not wait for each other. */
  #pass(key: string, now: number): void {
    // Long ones would make the memory of this large, and come once.
    if (key.length > PASS_CHARS) return;
    if (this.#passes.size >= PASSES) this.#passes.delete(this.#passes.keys().next().value!);
    this.#passes.delete(key);
    this.#passes.set(key, now + PASS_MS);
  }

  close(): void {
    this.#store.clear();
    this.#measure();
  }

  #measure(): void {
    const { bytes } = this.#store;
    this.#gauge.value += bytes - this.#told;
    this.#told = bytes;
  }
}

const BYPASS: Pending = { does: 'bypass' };
const PLAIN = ['Content-Type', 'text/plain; charset=utf-8', 'Cache-Control', 'no-store'];
/** RFC 5861 4: for these what is old may stand in. */
const FAILED: ReadonlySet<number> = new Set([500, 502, 503, 504]);

/** One spelling for one host (threat 25). */
function plainHost(host: string, scheme: string): string {
  let plain = host.toLowerCase();
  const port = scheme === 'https' ? ':443' : ':80';
  if (plain.endsWith(port)) plain = plain.slice(0, -port.length);
  return plain.endsWith('.') ? plain.slice(0, -1) : plain.replace('.:', ':');
}

/** About the connection, the moment or the client's copy, not about the answer. */
const NOT_KEPT: ReadonlySet<string> = new Set([
  'age',
  'connection',
  'content-length',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-connection',
  'server-timing',
  'slime-agent-id',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-cache-lock',
  'x-cache-status',
]);
/** About the body that is kept: a 304 does not change them. */
const OF_BODY: ReadonlySet<string> = new Set(['content-encoding', 'content-range', 'content-type']);

function keptOf(fields: Iterable<readonly [string, string]>): [string, string][] {
  const kept: [string, string][] = [];
  for (const [name, value] of fields) if (!NOT_KEPT.has(name)) kept.push([name, value]);
  return kept;
}

function merged(old: Kept['fields'], told: Iterable<readonly [string, string]>): [string, string][] {
  const news = keptOf(told).filter(([name]) => !OF_BODY.has(name));
  const names = new Set(news.map(([name]) => name));
  return [...keptOf(old).filter(([name]) => !names.has(name)), ...news];
}

/** Values of a name that came several times are joined. */
function recordOf(fields: Iterable<readonly [string, string]>): Record<string, string> {
  const record = Object.create(null) as Record<string, string>;
  for (const [name, value] of fields) record[name] = record[name] === undefined ? value : `${record[name]}, ${value}`;
  return record;
}

function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag;
}
