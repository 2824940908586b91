// HOT: request() runs per request, and allocates nothing for a client that it knows (but for cutting IPv6 addresses and for counting requests in flight).
import { formatDuration } from '../../schema/duration.ts';
import { choice, duration, integer, scalar, text } from '../../schema/kind.ts';
import { setting } from '../../schema/setting.ts';
import type { Counter } from '../../observe/metrics.ts';
import { Wrong } from '../../schema/wrong.ts';
import { definePlugin, type Plugin, type PluginExchange, type Reply, slot, type Verdict } from '../../proxy/plugin.ts';
import { KeyTable, ownCopy, shortKey } from './key-table.ts';
import { keyOf, type KeyOf, TAGS, type Tag } from './key.ts';
import { KEYS } from './limits.ts';
import { type Rate, SlidingWindow, TokenBucket } from './rate.ts';

/** Bounds how much one client asks. */
export const limitPlugin = definePlugin({
  name: 'limit',
  summary: 'bounds how much one client asks: so many requests per interval, or so many at once; 429 over it',
  steps: ['request', 'proxy_upstream'],
  settings: {
    type: setting<'rate' | 'inflight'>({
      kind: choice(['rate', 'inflight']),
      group: 'What is counted',
      help: 'rate: requests per interval; inflight: requests at once',
      fallback: 'rate',
    }),
    max: setting<number>({
      kind: integer(1, 1_000_000_000),
      group: 'What is counted',
      help: 'requests that may begin per interval, or run at once',
      hint: 'write max = 100',
    }),
    interval: setting({ kind: interval(), group: 'What is counted', help: 'the interval of rate', fallback: 10_000 }),
    algorithm: setting<'window' | 'bucket'>({
      kind: choice(['window', 'bucket']),
      group: 'What is counted',
      help: 'of rate: window: never more than max in any interval; bucket: bursts of max, then a steady stream of max per interval',
      fallback: 'window',
    }),
    weight: setting<number | null>({
      kind: integer(0, 100),
      group: 'What is counted',
      help: 'of Pingap, whose rates were estimates; not used',
      fallback: null,
      fallbackText: 'none',
    }),
    tag: setting<Tag>({
      kind: choice(TAGS),
      group: 'Whom',
      help: 'what tells clients apart: ip (of IPv6 the first 64 bits), or header, cookie, query, claim of a jwt named by key, or path, or client_key',
      fallback: 'ip',
    }),
    key: setting<string | null>({
      kind: text('NAME', 'name'),
      group: 'Whom',
      help: 'name of the header, cookie, parameter or claim; requests without it are not limited',
      fallback: null,
      fallbackText: 'none',
    }),
    headers: setting<'refused' | 'all' | 'none'>({
      kind: choice(['refused', 'all', 'none']),
      group: 'Answer',
      help: 'which answers say what the limit is and what is left of it (RateLimit-Policy, RateLimit)',
      fallback: 'refused',
    }),
    message: setting({ kind: text(), group: 'Answer', help: 'what those are told who ask too much', fallback: 'Too Many Requests' }),
  },
  create({ type, max, interval: intervalMs, algorithm, weight, tag, key, headers, message }, { name, step, clock, log, metrics }) {
    if (weight !== null) log.warn({}, 'weight is not used: rates are counted, not estimated; leave it out');
    const find = keyOf(tag, key);
    // A string of structured fields (RFC 9651) is ASCII; a name need not be.
    const policy = /^[\x20-\x7e]{1,64}$/.test(name) ? `"${name.replaceAll(/["\\]/g, '\\$&')}"` : '"limit"';
    const requests = metrics.counters('windlass_limit_requests_total', 'Requests that a limit counted, by result: passed, refused.', [
      'plugin',
      'result',
    ]);
    const answer = new Answer(policy, headers, message, requests.with(name, 'passed'), requests.with(name, 'refused'));
    if (type === 'inflight') return new Inflight(name, max, find, answer).plugin(step === 'proxy_upstream');
    const make = algorithm === 'window' ? () => new SlidingWindow(max, intervalMs) : () => new TokenBucket(max, intervalMs);
    const limiter = new RateLimiter(name, new KeyTable<Rate>(KEYS, make), max, intervalMs, find, answer, () => clock.now());
    return limiter.plugin(step === 'proxy_upstream');
  },
});

function interval() {
  const plain = duration(86_400_000);
  return scalar(
    plain.word,
    plain.says,
    (given) => {
      const ms = plain.parse([given]);
      if (ms < 1) throw new Wrong('is no interval', 'give one from 1ms to 24h');
      return ms;
    },
    { format: formatDuration, types: ['number'] },
  );
}

/** What those are told who ask too much, and what everybody may know. */
class Answer {
  readonly policy: string;
  readonly #headers: 'refused' | 'all' | 'none';
  readonly #message: string;
  readonly passed: Counter;
  readonly #refused: Counter;

  constructor(policy: string, headers: 'refused' | 'all' | 'none', message: string, passed: Counter, refused: Counter) {
    this.policy = policy;
    this.#headers = headers;
    this.#message = message;
    this.passed = passed;
    this.#refused = refused;
  }

  get tellsAll(): boolean {
    return this.#headers === 'all';
  }

  refusal(quota: string, waitMs: number): Reply {
    this.#refused.value++;
    const seconds = String(Math.max(1, Math.ceil(waitMs / 1000)));
    const told = this.#headers === 'none' ? [] : ['RateLimit-Policy', `${this.policy}${quota}`, 'RateLimit', `${this.policy};r=0;t=${seconds}`];
    return {
      status: 429,
      headers: ['Retry-After', seconds, ...told, 'Content-Type', 'text/plain; charset=utf-8', 'Cache-Control', 'no-store'],
      body: `${this.#message}\n`,
    };
  }

  tell({ response }: PluginExchange, quota: string, left: number, resetMs: number): void {
    response!.addHeader('RateLimit-Policy', `${this.policy}${quota}`);
    response!.addHeader('RateLimit', `${this.policy};r=${left};t=${Math.ceil(resetMs / 1000)}`);
  }
}

class RateLimiter {
  readonly #table: KeyTable<Rate>;
  readonly #keyOf: KeyOf;
  readonly #answer: Answer;
  readonly #now: () => number;
  readonly #quota: string;
  readonly #rateOf;

  constructor(name: string, table: KeyTable<Rate>, max: number, intervalMs: number, find: KeyOf, answer: Answer, now: () => number) {
    this.#table = table;
    this.#keyOf = find;
    this.#answer = answer;
    this.#now = now;
    // The draft's window is in whole seconds, and may be left out.
    this.#quota = intervalMs % 1000 === 0 ? `;q=${max};w=${intervalMs / 1000}` : `;q=${max}`;
    this.#rateOf = slot<Rate>(`limit ${name}`);
  }

  plugin(late: boolean): Plugin {
    const { tellsAll } = this.#answer;
    const ask = (exchange: PluginExchange): Verdict => {
      const key = this.#keyOf(exchange);
      if (key === '') return undefined;
      const rate = this.#table.find(key);
      const waitMs = rate.take(this.#now());
      if (waitMs > 0) return this.#answer.refusal(this.#quota, waitMs);
      this.#answer.passed.value++;
      if (tellsAll) exchange.set(this.#rateOf, rate);
      return undefined;
    };
    const response = (exchange: PluginExchange): void => {
      const rate = exchange.get(this.#rateOf);
      const now = this.#now();
      if (rate !== undefined) this.#answer.tell(exchange, this.#quota, rate.left(now), rate.resetMs(now));
    };
    return { ...(late ? { upstream: ask } : { request: ask }), ...(tellsAll ? { response } : {}) };
  }
}

/** Requests of one key that run. */
interface Running {
  readonly key: string;
  count: number;
}

class Inflight {
  readonly #max: number;
  readonly #keyOf: KeyOf;
  readonly #answer: Answer;
  readonly #quota: string;
  /** Only keys of which something runs: bounded by the requests that run. */
  readonly #byKey = new Map<string, Running>();
  readonly #held;

  constructor(name: string, max: number, find: KeyOf, answer: Answer) {
    this.#max = max;
    this.#keyOf = find;
    this.#answer = answer;
    this.#quota = `;q=${max};qu="concurrent-requests"`;
    this.#held = slot<Running>(`limit ${name}`);
  }

  plugin(late: boolean): Plugin {
    const ask = (exchange: PluginExchange): Verdict => {
      const given = this.#keyOf(exchange);
      // One that stands twice in a location's list counts once.
      if (given === '' || exchange.get(this.#held) !== undefined) return undefined;
      const key = shortKey(given);
      let running = this.#byKey.get(key);
      if (running === undefined) {
        running = { key: ownCopy(key), count: 0 };
        this.#byKey.set(running.key, running);
      }
      // Nobody knows when one of them will end: a second is what a client should wait at least.
      if (running.count >= this.#max) return this.#answer.refusal(this.#quota, 1000);
      running.count++;
      this.#answer.passed.value++;
      exchange.set(this.#held, running);
      return undefined;
    };
    // Comes once for every exchange, however it ended.
    const log = (exchange: PluginExchange): void => {
      const running = exchange.get(this.#held);
      if (running === undefined) return;
      exchange.set<Running | undefined>(this.#held, undefined);
      if (--running.count === 0) this.#byKey.delete(running.key);
    };
    const response = (exchange: PluginExchange): void => {
      const running = exchange.get(this.#held);
      if (running !== undefined) this.#answer.tell(exchange, this.#quota, this.#max - running.count, 1000);
    };
    return { ...(late ? { upstream: ask } : { request: ask }), ...(this.#answer.tellsAll ? { response } : {}), log };
  }
}
