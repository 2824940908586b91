// HOT: finished() runs per request.
import type { Notes } from '../http/exchange.ts';
import type { FailureCode } from '../http/failure.ts';
import { labelText } from '../observe/exposition.ts';
import { Histogram } from '../observe/histogram.ts';
import { type Counter, type Family, type Registry, SECONDS } from '../observe/metrics.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { TALLIES } from './limits.ts';
import { LOCATION_LABELS, LocationTally, NONE, OTHER, SHOWN_OF_EACH, Tally, TALLY_LABELS, TIMES } from './tally.ts';

const CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const;

/**
 * What the core counts about exchanges. Each is counted once, at the tally of its location and upstream, which was found when the configuration was loaded;
 * what the whole process did is the sum of them, and of those that are gone.
 */
export class ProxyMetrics {
  readonly #failures: Family<Counter>;
  readonly #failuresByCode = new Map<FailureCode, Counter>();
  readonly #queueWait: Histogram;
  /** Requests that were sent to another place, or to the same again. */
  readonly redispatches: Counter;
  /** By server and location. */
  readonly #locations = new Map<string, LocationTally>();
  /** Waits by upstream. */
  readonly #waits = new Map<string, Histogram>();
  /** Locations that are gone from the configuration and still have requests. */
  readonly #leaving = new Set<LocationTally>();
  /** What those counted that are gone. */
  readonly #gone = new Tally('', '', '', '', new Histogram(TIMES));
  readonly #room = { left: TALLIES };
  /** For those that are too many. */
  readonly #others: LocationTally;

  constructor(registry: Registry) {
    this.#others = new LocationTally(
      { server: OTHER, location: OTHER, unnamed: OTHER, room: { left: 0 }, waitsOf: (upstream) => this.#waitsOf(upstream) },
      OTHER,
    );
    this.#locations.set(`${OTHER}\0${OTHER}`, this.#others);
    this.#count(registry);
    this.#failures = registry.counters('windlass_failures_total', 'Requests that failed, by failure code.', ['code']);
    this.#queueWait = registry.histogram('windlass_queue_wait_seconds', 'Wait of queued requests for a slot.');
    this.redispatches = registry.counter('windlass_redispatches_total', 'Requests sent again because nothing of them had begun.');
  }

  /**
   * Where the requests of a location of a server are counted, from now on mostly as going to this upstream. `unnamed`: what stands for an upstream without a
   * name. '' as location: requests that belong to none.
   */
  tally(server: string, location: string, upstream: string, unnamed = NONE): LocationTally {
    const key = `${server}\0${location === '' ? NONE : location}`;
    let found = this.#locations.get(key);
    if (found === undefined) {
      if (this.#room.left <= 0) return this.#others;
      found = new LocationTally({ server, location, unnamed, room: this.#room, waitsOf: (name) => this.#waitsOf(name) }, upstream);
      this.#locations.set(key, found);
    } else if (found !== this.#others) found.usual = found.of(upstream);
    return found;
  }

  /** These are in use; the others, and upstreams that are not there, go from the page when their requests have ended. */
  keepOnly(used: ReadonlySet<LocationTally>, isThere: (upstream: string) => boolean): void {
    for (const [key, one] of this.#locations) {
      if (one === this.#others) continue;
      if (used.has(one)) for (const tally of one.keepOnly(isThere)) this.#bury(tally);
      else {
        this.#locations.delete(key);
        this.#leaving.add(one);
      }
    }
    for (const name of this.#waits.keys()) if (name !== NONE && name !== OTHER && !isThere(name)) this.#waits.delete(name);
  }

  /** Requests inside. */
  get inFlight(): number {
    let sum = 0;
    for (const { inFlight } of this.#locations.values()) sum += inFlight;
    for (const { inFlight } of this.#leaving) sum += inFlight;
    return sum;
  }

  /** Of all locations that are served now. */
  *tallies(): IterableIterator<Tally> {
    for (const one of this.#locations.values()) yield* one.tallies;
  }

  get locations(): IterableIterator<LocationTally> {
    return this.#locations.values();
  }

  /** All that was ever counted, in one. */
  total(): Tally {
    const total = new Tally('', '', '', '', this.#queueWait);
    for (const tally of this.#counted()) total.add(tally);
    return total;
  }

  /** Every tally that has counted anything, those included that are gone. */
  *#counted(): IterableIterator<Tally> {
    this.#settle();
    yield this.#gone;
    for (const one of this.#leaving) yield* one.tallies;
    for (const tally of this.tallies()) if (tally.requests > 0) yield tally;
  }

  finished(location: LocationTally, upstream: Upstream | null, notes: Notes, status: number, nowMs: number): void {
    const name = upstream === null ? '' : upstream.name;
    const { usual } = location;
    const tally = usual.upstream === name ? usual : location.of(name);
    const group = Math.floor(status / 100) - 1;
    tally.byClass[group < 0 || group > 4 ? 4 : group]!++;
    tally.duration.observe((nowMs - notes.startMs) / 1000);
    // Without one the answer is our own (a cache's, a plugin's, the 504 of a service that was silent), whose head goes with all of it. Who has left got none.
    if (notes.firstByteMs > 0) tally.firstByte.observe((notes.firstByteMs - notes.startMs) / 1000);
    else if (status !== 499) tally.firstByte.observe((nowMs - notes.startMs) / 1000);
    if (notes.waitedMs > 0) {
      this.#queueWait.observe(notes.waitedMs / 1000);
      tally.waits.observe(notes.waitedMs / 1000);
    }
    tally.requestBytes += notes.requestBytes;
    tally.replyBytes += notes.replyBytes;
    if (notes.failure !== null) this.#failed(notes.failure.code);
  }

  #failed(code: FailureCode): void {
    let counter = this.#failuresByCode.get(code);
    if (counter === undefined) {
      counter = this.#failures.with(code);
      this.#failuresByCode.set(code, counter);
    }
    counter.value++;
  }

  /** How many requests failed, by code. */
  get failures(): ReadonlyMap<FailureCode, Counter> {
    return this.#failuresByCode;
  }

  #waitsOf(upstream: string): Histogram {
    let waits = this.#waits.get(upstream);
    if (waits === undefined) {
      waits = new Histogram(TIMES);
      this.#waits.set(upstream, waits);
    }
    return waits;
  }

  /** Those whose last request has ended are not asked again. */
  #settle(): void {
    for (const one of this.#leaving) {
      if (one.inFlight > 0) continue;
      this.#leaving.delete(one);
      for (const tally of one.tallies) this.#bury(tally);
    }
  }

  #bury(tally: Tally): void {
    this.#gone.add(tally);
    this.#room.left++;
  }

  #count(registry: Registry): void {
    registry.labelled(
      'counter',
      'windlass_requests_total',
      'Requests answered, by class of status (4xx includes clients that left, logged as 499).',
      ['code'],
      (emit) => {
        const sums = CLASSES.map(() => 0);
        for (const { byClass } of this.#counted()) for (let i = 0; i < sums.length; i++) sums[i]! += byClass[i]!;
        for (const [i, code] of CLASSES.entries()) emit(sums[i]!, labelText(['code'], [code]));
      },
    );
    const times = (name: string, help: string, of: (tally: Tally) => Histogram): void =>
      registry.labelledHistograms(name, help, [], SECONDS, (emit) => {
        const all = new Histogram(TIMES);
        for (const tally of this.#counted()) all.add(of(tally));
        emit(all, '');
      });
    const bytes = (name: string, help: string, of: (tally: Tally) => number): void =>
      registry.computed('counter', name, help, [], (emit) => {
        let sum = 0;
        for (const tally of this.#counted()) sum += of(tally);
        emit(sum);
      });
    times('windlass_request_duration_seconds', 'From the first byte of a request to the last of its answer.', ({ duration }) => duration);
    times('windlass_first_byte_seconds', 'From the first byte of a request to the head of its answer.', ({ firstByte }) => firstByte);
    bytes('windlass_request_body_bytes_total', 'Bytes of request bodies received.', ({ requestBytes }) => requestBytes);
    bytes('windlass_reply_body_bytes_total', 'Bytes of answer bodies sent.', ({ replyBytes }) => replyBytes);
    registry.computedGauge('windlass_requests_in_flight', 'Requests inside: waiting, running, or being answered.', () => this.inFlight);
    this.#countEach(registry);
  }

  /** By server, location and upstream. Those that nobody has asked for yet are not there: a page of thousands of zeros tells nothing. */
  #countEach(registry: Registry): void {
    const each = (name: string, help: string, of: (tally: Tally) => number): void =>
      registry.labelled('counter', name, help, TALLY_LABELS, (emit) => {
        for (const tally of this.tallies()) if (tally.requests > 0) emit(of(tally), tally.labels);
      });
    const times = (name: string, help: string, of: (tally: Tally) => Histogram): void =>
      registry.labelledHistograms(name, help, TALLY_LABELS, SHOWN_OF_EACH, (emit) => {
        for (const tally of this.tallies()) if (tally.requests > 0) emit(of(tally), tally.labels);
      });
    registry.labelled(
      'counter',
      'windlass_location_requests_total',
      'Requests answered, by server, location, the upstream that they were for, and class of status.',
      [...TALLY_LABELS, 'code'],
      (emit) => {
        for (const tally of this.tallies()) {
          if (tally.requests === 0) continue;
          for (let i = 0; i < CLASSES.length; i++) emit(tally.byClass[i]!, `${tally.labels},code="${CLASSES[i]!}"`);
        }
      },
    );
    times(
      'windlass_location_duration_seconds',
      'From the first byte of a request to the last of its answer, by location.',
      ({ duration }) => duration,
    );
    times(
      'windlass_location_first_byte_seconds',
      'From the first byte of a request to the head of its answer, by location.',
      ({ firstByte }) => firstByte,
    );
    each('windlass_location_request_body_bytes_total', 'Bytes of request bodies received, by location.', ({ requestBytes }) => requestBytes);
    each('windlass_location_reply_body_bytes_total', 'Bytes of answer bodies sent, by location.', ({ replyBytes }) => replyBytes);
    registry.labelled('gauge', 'windlass_location_requests_in_flight', 'Requests inside, by location.', LOCATION_LABELS, (emit) => {
      for (const one of this.#locations.values()) if (one.inFlight > 0 || one.usual.requests > 0) emit(one.inFlight, one.labels);
    });
    registry.labelledHistograms(
      'windlass_upstream_queue_wait_seconds',
      'Wait of queued requests for a slot, by the upstream that they waited for.',
      ['upstream'],
      SHOWN_OF_EACH,
      (emit) => {
        for (const [name, waits] of this.#waits) if (waits.count > 0) emit(waits, labelText(['upstream'], [name]));
      },
    );
  }
}
