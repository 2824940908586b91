import type { Clock } from '../std/clock.ts';
import type { Endpoint, Notes, ReplySink, RequestSink, Writer } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import type { HeaderList, RequestHead, ResponseHead } from '../http/head.ts';
import type { Entry, Journal } from '../proxy/journal.ts';
import type { Session } from '../tunnel/session.ts';
import { connectionOf } from './connections.ts';
import type { HubAttempt, HubExchange, HubEventName, Listeners, Sending } from './events.ts';

const OF_ATTEMPTS: readonly HubEventName[] = ['sending', 'sent', 'head', 'chunk', 'attempted'];
const TARGET = /^\/[\x21-\x7e\x80-\xff]*$/;

/** Sees what passes through a hub, for whoever listens; what nobody listens to costs next to nothing. */
export class Watch {
  readonly listeners: Listeners;
  readonly clock: Clock;
  readonly #exchanges = new WeakMap<Notes, HubExchange>();
  #count = 0;

  constructor(listeners: Listeners, clock: Clock) {
    this.listeners = listeners;
    this.clock = clock;
  }

  /** In front of a session. */
  readonly session = (session: Session): Endpoint => ({
    id: session.id,
    open: (head, reply, notes) =>
      OF_ATTEMPTS.some((name) => this.listeners.has(name))
        ? new WatchedAttempt(this, session, head, reply, notes).begin(head)
        : session.open(head, reply, notes),
  });

  /** Beside the access log. */
  readonly journal = (log: Journal | null): Journal => ({
    begin: (head, notes, peer) => {
      const entry = log?.begin(head, notes, peer) ?? null;
      const exchange = this.#make(head, head === null ? peer.address : head.client);
      this.#exchanges.set(notes, exchange);
      return new WatchedEntry(this, exchange, notes, entry);
    },
  });

  exchangeOf(head: RequestHead, notes: Notes): HubExchange {
    // What a plugin makes once more in the background is in no journal.
    return this.#exchanges.get(notes) ?? this.#make(head, head.client);
  }

  #make(head: RequestHead | null, client: string): HubExchange {
    return { id: ++this.#count, method: head?.method ?? '', target: head?.target ?? '', host: head?.authority ?? '', client };
  }
}

class WatchedEntry implements Entry {
  readonly #watch: Watch;
  readonly #exchange: HubExchange;
  readonly #notes: Notes;
  readonly #entry: Entry | null;

  constructor(watch: Watch, exchange: HubExchange, notes: Notes, entry: Entry | null) {
    this.#watch = watch;
    this.#exchange = exchange;
    this.#notes = notes;
    this.#entry = entry;
  }

  changed(head: RequestHead): void {
    this.#entry?.changed(head);
  }

  sent(head: RequestHead): void {
    this.#entry?.sent(head);
  }

  answered(head: ResponseHead): void {
    this.#entry?.answered(head);
  }

  passed(head: ResponseHead): void {
    this.#entry?.passed(head);
  }

  trailed(trailers: HeaderList): void {
    this.#entry?.trailed(trailers);
  }

  finished(status: number, nowMs: number, location: string, upstream: string): void {
    this.#entry?.finished(status, nowMs, location, upstream);
    const { listeners } = this.#watch;
    const notes = this.#notes;
    const { failure, startMs, firstByteMs } = notes;
    const name = failure === null ? 'done' : 'failed';
    if (!listeners.has(name)) return;
    const outcome = {
      exchange: this.#exchange,
      status,
      agent: notes.agent,
      attempts: notes.attempts,
      waitedMs: notes.waitedMs,
      firstByteMs: firstByteMs === 0 ? 0 : firstByteMs - startMs,
      durationMs: nowMs - startMs,
      requestBytes: notes.requestBytes,
      replyBytes: notes.replyBytes,
    };
    if (failure === null) listeners.tell('done', outcome);
    else listeners.tell('failed', { ...outcome, failure });
  }
}

/** One sending of a request, between the core and the session: the request goes through it, and its answer through WatchedReply. */
class WatchedAttempt implements RequestSink {
  readonly listeners: Listeners;
  readonly attempt: HubAttempt;
  readonly #clock: Clock;
  readonly #session: Session;
  readonly #reply: ReplySink;
  readonly #notes: Notes;
  readonly #startMs: number;
  #request: RequestSink = NOWHERE;
  #requestBytes = 0;
  replyBytes = 0;
  #isOver = false;

  constructor(watch: Watch, session: Session, head: RequestHead, reply: ReplySink, notes: Notes) {
    this.listeners = watch.listeners;
    this.#clock = watch.clock;
    this.#session = session;
    this.#reply = reply;
    this.#notes = notes;
    this.#startMs = watch.clock.now();
    this.attempt = { exchange: watch.exchangeOf(head, notes), agent: connectionOf(session, watch.clock), number: notes.attempts };
  }

  begin(head: RequestHead): RequestSink {
    let outgoing = head;
    if (this.listeners.has('sending')) {
      // The head belongs to the core, which may send it to somebody else after this.
      outgoing = head.keep();
      const sending = new SendingHead(this.attempt, outgoing);
      if (!this.listeners.tell('sending', sending)) sending.refuse(new Failure('internal', 'a listener failed'));
      if (sending.refusal !== null) return this.#refuse(sending.refusal);
    }
    this.#request = this.#session.open(outgoing, new WatchedReply(this, this.#reply), this.#notes);
    return this;
  }

  #refuse(failure: Failure): RequestSink {
    this.over(failure);
    // An endpoint answers when its open() has returned.
    setImmediate(() => {
      this.#reply.abort(failure);
      this.#reply.settled();
      // The slot that was chosen for it is somebody else's.
      this.#session.owner?.changed(this.#session);
    });
    return this;
  }

  get writer(): Writer | null {
    return this.#request.writer;
  }

  set writer(writer: Writer | null) {
    this.#request.writer = writer;
  }

  write(chunk: Uint8Array): boolean {
    this.#requestBytes += chunk.length;
    if (this.listeners.has('chunk')) this.listeners.tell('chunk', { attempt: this.attempt, of: 'request', bytes: chunk });
    return this.#request.write(chunk);
  }

  end(trailers?: HeaderList): void {
    if (!this.#isOver) this.listeners.tell('sent', { attempt: this.attempt, bytes: this.#requestBytes });
    this.#request.end(trailers);
  }

  abort(failure: Failure): void {
    this.over(failure);
    this.#request.abort(failure);
  }

  settled(): void {
    this.#request.settled();
  }

  /** Once; whatever comes later is no news. */
  over(failure: Failure | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.listeners.tell('attempted', {
      attempt: this.attempt,
      failure,
      durationMs: this.#clock.now() - this.#startMs,
      requestBytes: this.#requestBytes,
      replyBytes: this.replyBytes,
    });
  }
}

class WatchedReply implements ReplySink {
  readonly #of: WatchedAttempt;
  readonly #reply: ReplySink;

  constructor(of: WatchedAttempt, reply: ReplySink) {
    this.#of = of;
    this.#reply = reply;
  }

  get writer(): Writer | null {
    return this.#reply.writer;
  }

  set writer(writer: Writer | null) {
    this.#reply.writer = writer;
  }

  informational(head: ResponseHead): void {
    this.#reply.informational(head);
  }

  head(head: ResponseHead): void {
    const { listeners, attempt } = this.#of;
    if (listeners.has('head')) listeners.tell('head', { attempt, status: head.status, headers: head.list() });
    this.#reply.head(head);
  }

  write(chunk: Uint8Array): boolean {
    const { listeners, attempt } = this.#of;
    this.#of.replyBytes += chunk.length;
    if (listeners.has('chunk')) listeners.tell('chunk', { attempt, of: 'reply', bytes: chunk });
    return this.#reply.write(chunk);
  }

  end(trailers?: HeaderList): void {
    this.#of.over(null);
    this.#reply.end(trailers);
  }

  abort(failure: Failure): void {
    this.#of.over(failure);
    this.#reply.abort(failure);
  }

  settled(): void {
    this.#reply.settled();
  }
}

class SendingHead implements Sending {
  readonly attempt: HubAttempt;
  readonly #head: RequestHead;
  refusal: Failure | null = null;

  constructor(attempt: HubAttempt, head: RequestHead) {
    this.attempt = attempt;
    this.#head = head;
  }

  header(name: string): string | undefined {
    return this.#head.get(name.toLowerCase());
  }

  headers(): Iterable<readonly [string, string]> {
    const all: (readonly [string, string])[] = [];
    this.#head.each((name, value) => all.push([name, value]));
    return all;
  }

  setHeader(name: string, value: string): void {
    this.#mayChange(name);
    this.#head.set(name, value);
  }

  removeHeader(name: string): void {
    this.#mayChange(name);
    this.#head.removeName(name.toLowerCase());
  }

  setTarget(target: string): void {
    if (!TARGET.test(target)) throw new RangeError(`not a target: ${JSON.stringify(target.slice(0, 80))}`);
    this.#head.newTarget = target;
  }

  refuse(failure: Failure): void {
    this.refusal = failure;
  }

  /** How a message is framed is not for others to say. */
  #mayChange(name: string): void {
    if (FRAMING.has(name.toLowerCase())) throw new RangeError(`${name} is not for listeners to change`);
  }
}

const FRAMING: ReadonlySet<string> = new Set(['connection', 'content-length', 'host', 'te', 'trailer', 'transfer-encoding', 'upgrade']);

const NOWHERE: RequestSink = Object.freeze({
  get writer() {
    return null;
  },
  set writer(_writer) {},
  write: () => true,
  end: () => {},
  abort: () => {},
  settled: () => {},
});
