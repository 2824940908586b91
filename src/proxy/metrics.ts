// HOT: finished() runs per request.
import type { Notes } from '../http/exchange.ts';
import type { Counter, Family, Histogram, Registry } from '../observe/metrics.ts';

/** What the core counts about exchanges. */
export class ProxyMetrics {
  inFlight = 0;
  readonly #byClass: readonly Counter[];
  readonly #failures: Family<Counter>;
  readonly #duration: Histogram;
  readonly #firstByte: Histogram;
  readonly #queueWait: Histogram;
  readonly #requestBytes: Counter;
  readonly #replyBytes: Counter;
  /** Requests that were sent to another place, or to the same again. */
  readonly redispatches: Counter;

  constructor(registry: Registry) {
    const requests = registry.counters(
      'windlass_requests_total',
      'Requests answered, by class of status (4xx includes clients that left, logged as 499).',
      ['code'],
    );
    this.#byClass = ['1xx', '2xx', '3xx', '4xx', '5xx'].map((code) => requests.with(code));
    this.#failures = registry.counters('windlass_failures_total', 'Requests that failed, by failure code.', ['code']);
    this.#duration = registry.histogram('windlass_request_duration_seconds', 'From the first byte of a request to the last of its answer.');
    this.#firstByte = registry.histogram('windlass_first_byte_seconds', 'From the first byte of a request to the head of its answer.');
    this.#queueWait = registry.histogram('windlass_queue_wait_seconds', 'Wait of queued requests for a slot.');
    this.#requestBytes = registry.counter('windlass_request_body_bytes_total', 'Bytes of request bodies received.');
    this.#replyBytes = registry.counter('windlass_reply_body_bytes_total', 'Bytes of answer bodies sent.');
    this.redispatches = registry.counter('windlass_redispatches_total', 'Requests sent again because nothing of them had begun.');
    registry.computedGauge('windlass_requests_in_flight', 'Requests inside: waiting, running, or being answered.', () => this.inFlight);
  }

  finished(notes: Notes, status: number, nowMs: number): void {
    const group = Math.floor(status / 100) - 1;
    this.#byClass[group < 0 || group > 4 ? 4 : group]!.value++;
    this.#duration.observe((nowMs - notes.startMs) / 1000);
    if (notes.firstByteMs > 0) this.#firstByte.observe((notes.firstByteMs - notes.startMs) / 1000);
    if (notes.waitedMs > 0) this.#queueWait.observe(notes.waitedMs / 1000);
    this.#requestBytes.value += notes.requestBytes;
    this.#replyBytes.value += notes.replyBytes;
    if (notes.failure !== null) this.#failures.with(notes.failure.code).value++;
  }
}
