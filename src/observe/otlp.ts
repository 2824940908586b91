import { Backoff } from '../std/backoff.ts';
import type { Clock } from '../std/clock.ts';
import type { OtlpEndpoint } from '../schema/otlp-endpoint.ts';
import { OTLP_CLOSE_MS, OTLP_TRIES } from './limits.ts';
import type { Log } from './log.ts';
import { Seldom } from './seldom.ts';
import type { AttributeValue, Span, Spans, SpanSink } from './span.ts';
import { VERSION } from './version.ts';

export interface OtlpOptions {
  readonly endpoint: OtlpEndpoint;
  /** `service.name`, and what else the process says of itself. */
  readonly resource: Readonly<Record<string, AttributeValue>>;
  /** Fields that go along, such as a key; names and values. */
  readonly headers: Readonly<Record<string, string>>;
  readonly log: Log;
  readonly clock: Clock;
  /** 0 to 1; for tests. */
  readonly random?: () => number;
}

/** Between two log lines about the same trouble, ms. */
const LINES_MS = 60_000;
/** First and longest wait before a portion is sent again, ms. */
const RETRY_MS = 1_000;
const RETRY_MAX_MS = 30_000;

/** Sends spans to a collector in portions: OTLP over HTTP, as JSON. What it cannot send in time it drops and counts; nobody ever waits for it. */
export class OtlpExporter implements SpanSink {
  readonly #options: OtlpOptions;
  readonly #backoff: Backoff;
  readonly #seldom: Seldom;
  readonly #resource: string;
  #waiting: Spans[] = [];
  #timer: NodeJS.Timeout | null = null;
  #sending: Promise<void> | null = null;
  #isClosing = false;
  /** Ends a wait between two tries. */
  #hurry: () => void = () => {};
  readonly #gone = new AbortController();
  /** Spans that have not been sent yet. */
  waiting = 0;
  sent = 0;
  dropped = 0;
  /** Sendings that failed, each try counted. */
  failures = 0;

  constructor(options: OtlpOptions) {
    this.#options = options;
    this.#backoff = new Backoff(RETRY_MS, RETRY_MAX_MS, options.random);
    this.#seldom = new Seldom(LINES_MS, () => options.clock.now());
    this.#resource = attributesOf(options.resource);
  }

  add(spans: Spans): void {
    const { queueSize, batchSize, delayMs } = this.#options.endpoint;
    if (this.waiting + spans.count > queueSize || this.#isClosing) {
      this.dropped += spans.count;
      return;
    }
    this.#waiting.push(spans);
    this.waiting += spans.count;
    if (this.#sending !== null) return;
    if (this.waiting >= batchSize) this.#begin();
    else this.#timer ??= setTimeout(() => this.#begin(), delayMs).unref();
  }

  /** Sends what there is, bounded, and takes nothing more. */
  async close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    const late = setTimeout(() => this.destroy(), OTLP_CLOSE_MS);
    this.#hurry();
    this.#begin();
    await this.#sending;
    clearTimeout(late);
    this.destroy();
  }

  /** Drops what there is. */
  destroy(): void {
    this.#isClosing = true;
    this.#stopTimer();
    this.dropped += this.waiting;
    this.#waiting = [];
    this.waiting = 0;
    this.#gone.abort();
    this.#hurry();
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #begin(): void {
    this.#stopTimer();
    if (this.#sending !== null || this.waiting === 0) return;
    // Not in the turn of a request: to write a portion as text takes its time.
    this.#sending = new Promise<void>((resolve) => setImmediate(resolve))
      .then(() => this.#sendAll())
      .finally(() => {
        this.#sending = null;
        // What came meanwhile, and was too little for a portion of its own.
        if (this.waiting > 0 && !this.#isClosing) this.#timer ??= setTimeout(() => this.#begin(), this.#options.endpoint.delayMs).unref();
      });
  }

  async #sendAll(): Promise<void> {
    const { batchSize } = this.#options.endpoint;
    do {
      const portion = this.#take(batchSize);
      if (portion.length === 0) return;
      if (await this.#send(this.#bodyOf(portion))) this.sent += portion.length;
      else this.dropped += portion.length;
    } while (this.waiting >= batchSize || this.#isClosing);
  }

  /** As many as fit, and at least those that came together first. */
  #take(most: number): Span[] {
    let upTo = 0;
    let count = 0;
    for (const spans of this.#waiting) {
      if (upTo > 0 && count + spans.count > most) break;
      count += spans.count;
      upTo++;
    }
    this.waiting -= count;
    return this.#waiting.splice(0, upTo).flatMap((spans) => spans.make());
  }

  #bodyOf(spans: readonly Span[]): string {
    let text = `{"resourceSpans":[{"resource":{"attributes":${this.#resource}},"scopeSpans":[{"scope":{"name":"windlass","version":"${VERSION}"},"spans":[`;
    for (const [i, span] of spans.entries()) text += `${i === 0 ? '' : ','}${jsonOf(span)}`;
    return `${text}]}]}]}`;
  }

  /** @returns whether it was taken; what the collector refuses for good is given up at once */
  async #send(body: string): Promise<boolean> {
    for (let tries = 1; ; tries++) {
      const outcome = await this.#try(body);
      if (outcome === 'taken') {
        this.#backoff.reset();
        return true;
      }
      this.failures++;
      if (outcome === 'refused' || tries >= OTLP_TRIES || this.#isClosing) return false;
      await this.#wait(Math.max(outcome, this.#backoff.next()));
    }
  }

  /** @returns what the collector said, or how long it wants to be left alone, ms */
  async #try(body: string): Promise<'taken' | 'refused' | number> {
    const { endpoint, headers, log } = this.#options;
    try {
      const response = await fetch(endpoint.url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': `windlass/${VERSION}`,
          ...(endpoint.authorization === null ? {} : { authorization: endpoint.authorization }),
          ...headers,
        },
        body,
        signal: AbortSignal.any([this.#gone.signal, AbortSignal.timeout(endpoint.timeoutMs)]),
        redirect: 'manual',
      });
      await response.body?.cancel();
      if (response.status >= 200 && response.status < 300) return 'taken';
      this.#complain({ status: response.status }, `${response.status}`, log);
      if (!RETRIED.has(response.status)) return 'refused';
      const seconds = Number(response.headers.get('retry-after') ?? '');
      return Number.isFinite(seconds) ? Math.min(Math.max(0, seconds * 1000), RETRY_MAX_MS) : 0;
    } catch (error) {
      const { name, cause } = error as Error & { cause?: NodeJS.ErrnoException };
      const reason = cause?.code ?? name;
      if (!this.#gone.signal.aborted) this.#complain({ reason }, reason, log);
      return 0;
    }
  }

  #complain(fields: Readonly<Record<string, unknown>>, kind: string, log: Log): void {
    const missed = this.#seldom.ask(kind);
    if (missed === null) return;
    log.warn(
      { collector: this.#options.endpoint.url, ...fields, dropped: this.dropped, ...(missed === 0 ? {} : { unsaid: missed }) },
      'traces could not be sent to the collector',
    );
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms).unref();
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** What the specification says may be tried again. */
const RETRIED: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** As text: a tree of objects for each attribute would cost several times as much. */
function jsonOf({ traceId, spanId, parentId, state, flags, name, kind, startMs, endMs, attributes, error }: Span): string {
  const parent = parentId === '' ? '' : `,"parentSpanId":"${parentId}"`;
  const from = state === '' ? '' : `,"traceState":${JSON.stringify(state)}`;
  const status = error === null ? '{}' : `{"code":${ERROR},"message":${JSON.stringify(error)}}`;
  const times = `"startTimeUnixNano":"${nanos(startMs)}","endTimeUnixNano":"${nanos(Math.max(startMs, endMs))}"`;
  const what = `"flags":${flags},"name":${JSON.stringify(name)},"kind":${kind}`;
  return `{"traceId":"${traceId}","spanId":"${spanId}"${parent}${from},${what},${times},"attributes":${attributesOf(attributes)},"status":${status}}`;
}

const ERROR = 2;

/** Nanoseconds as text: they do not fit into a number. */
function nanos(ms: number): string {
  return `${Math.round(ms * 1000)}000`;
}

function attributesOf(of: Readonly<Record<string, AttributeValue>>): string {
  let text = '';
  for (const key in of) text += `${text === '' ? '[' : ','}{"key":"${key}","value":${valueOf(of[key]!)}}`;
  return text === '' ? '[]' : `${text}]`;
}

function valueOf(value: AttributeValue): string {
  if (typeof value === 'string') return `{"stringValue":${JSON.stringify(value)}}`;
  if (typeof value === 'boolean') return `{"boolValue":${value}}`;
  if (typeof value === 'number') return Number.isInteger(value) ? `{"intValue":"${value}"}` : `{"doubleValue":${JSON.stringify(value)}}`;
  return `{"arrayValue":{"values":[${value.map(valueOf).join(',')}]}}`;
}

/** `OTEL_EXPORTER_OTLP_HEADERS`: `name=value,name=value`, values with escapes as in URLs. What is none is left out. */
export function otlpHeaders(text: string | undefined): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const pair of (text ?? '').split(',')) {
    const equals = pair.indexOf('=');
    const name = pair.slice(0, equals).trim();
    if (equals < 1 || !/^[\w!#$%&'*+.^`|~-]+$/.test(name)) continue;
    try {
      const value = decodeURIComponent(pair.slice(equals + 1).trim());
      if (/^[\x20-\x7e]*$/.test(value)) headers[name.toLowerCase()] = value;
    } catch {
      // A bad escape: no field can be made of it.
    }
  }
  return headers;
}
