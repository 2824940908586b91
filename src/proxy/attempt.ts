// HOT: one Attempt per request and try.
import type { ReplySink, Writer } from '../http/exchange.ts';
import type { Failure } from '../http/failure.ts';
import type { HeaderList, RequestHead, ResponseHead } from '../http/head.ts';
import { SLIME_AGENT_ID } from '../http/names.ts';
import type { AttemptWatch, Candidate, LoadWatch } from '../upstream/upstream.ts';
import type { Exchange } from './exchange.ts';
import { serverTiming } from './server-timing.ts';

/** A request sink that can give back what it was given, while no byte of an answer has come. */
export interface Reclaimable {
  /** `head` is null when it was not the sink's to keep. Null: not everything is there any more. */
  reclaim(): { head: RequestHead | null; body: Uint8Array[]; complete: boolean } | null;
}

/** One attempt at an endpoint: the sink of its answer. What a given-up attempt still says is ignored. */
export class Attempt implements ReplySink {
  readonly #exchange: Exchange;
  readonly #candidate: Candidate;
  readonly #watch: AttemptWatch | null;
  readonly #loads: LoadWatch | null;
  live = true;
  /** Why there is no whole answer; null when there is, or when that is nobody's fault over there. */
  #failure: Failure | null = null;
  #isOver = false;
  /** The upstream has agreed to an upgrade. */
  #isUpgraded = false;

  constructor(exchange: Exchange, candidate: Candidate) {
    this.#exchange = exchange;
    this.#candidate = candidate;
    this.#watch = candidate.watch;
    this.#loads = candidate.loads;
    if (this.#watch !== null) this.#watch.began();
  }

  /** What an endpoint is given now. */
  sending(head: RequestHead): void {
    const { entry, notes, site } = this.#exchange;
    if (notes.trace !== null) site.tracer?.sent(head, notes.trace);
    if (entry !== null) entry.sent(head);
  }

  /** Nobody listens to it any more. `failure`: what it is to blame for, if anything. */
  giveUp(failure: Failure | null): void {
    this.live = false;
    this.#failure = failure;
  }

  get writer(): Writer | null {
    return this.#exchange.reply.writer;
  }

  set writer(writer: Writer | null) {
    this.#exchange.reply.writer = writer;
  }

  informational(head: ResponseHead): void {
    if (this.live) this.#exchange.reply.informational(head);
  }

  head(head: ResponseHead): void {
    if (!this.live) return;
    const exchange = this.#exchange;
    exchange.headSent = true;
    if (head.status === 101) this.#isUpgraded = true;
    if (this.#watch !== null) this.#watch.answered(head.status);
    if (this.#loads !== null) this.#loads.head(head);
    const { replyEdits } = exchange.location;
    if (replyEdits !== null) replyEdits.apply(head, exchange.captures, exchange.notes);
    const { replyFields } = this.#candidate;
    if (replyFields !== '') {
      if (head.has(SLIME_AGENT_ID)) head.remove(SLIME_AGENT_ID);
      head.tail = head.tail === '' ? replyFields : head.tail + replyFields;
    }
    if (exchange.location.tellsTiming) head.tail += serverTiming(exchange.notes, exchange.site.loop.clock.now());
    exchange.entry?.answered(head);
    exchange.reply.head(head);
  }

  write(chunk: Uint8Array): boolean {
    return this.live ? this.#exchange.reply.write(chunk) : true;
  }

  end(trailers?: HeaderList): void {
    if (!this.live) return;
    this.live = false;
    const exchange = this.#exchange;
    if (trailers === undefined) exchange.reply.end();
    else {
      const sent = this.#loads === null ? trailers : this.#loads.trailers(trailers);
      exchange.entry?.trailed(sent);
      exchange.reply.end(sent);
    }
    exchange.attemptEnded();
  }

  abort(failure: Failure): void {
    if (!this.live) return;
    // A client that hardly waits must not make anybody look ill.
    this.giveUp(failure.code === 'deadline' && this.#exchange.isHasty ? null : failure);
    this.#exchange.attemptFailed(failure);
  }

  settled(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#watch !== null) this.#watch.ended(this.#failure);
    // What the client would still say is for nobody.
    if (this.#isUpgraded) this.#exchange.reply.settled();
  }
}
