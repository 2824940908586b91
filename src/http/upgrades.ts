// HOT: write() runs per chunk of every upgraded connection, in both directions.
import type { Loop } from '../std/loop.ts';
import { SWEEP_MS, type Timed } from '../std/sweeper.ts';
import type { Handler, Notes, ReplySink, RequestSink, Writer } from './exchange.ts';
import { Failure, type FailureCode } from './failure.ts';
import type { HeaderList, RequestHead, ResponseHead } from './head.ts';
import { UPGRADE_GOODBYE_MS } from './limits.ts';
import { closeFrame, FrameTracker } from './websocket-frames.ts';

const NEVER = Number.POSITIVE_INFINITY;

export interface UpgradesOptions {
  readonly loop: Loop;
  /** How long an upgraded connection may be without a byte either way, ms; 0 = for ever. */
  readonly idleTimeoutMs: () => number;
}

/**
 * Stands in front of a handler and knows the connections that are upgraded: they have a limit of their own for silence, and when we end a WebSocket, both
 * its ends are told so by a Close frame. Bytes pass as they are.
 */
export class Upgrades implements Handler {
  readonly options: UpgradesOptions;
  readonly #handler: Handler;
  readonly #open = new Set<Upgraded>();
  #emptied: (() => void) | null = null;

  constructor(handler: Handler, options: UpgradesOptions) {
    this.#handler = handler;
    this.options = options;
  }

  /** Connections that are upgraded now. */
  get size(): number {
    return this.#open.size;
  }

  open(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    if (head.upgrade === '') return this.#handler.open(head, reply, notes);
    const upgraded = new Upgraded(this, head, reply, notes);
    upgraded.attach(this.#handler.open(head, upgraded.answers, notes));
    return upgraded;
  }

  /** Ends them all. Resolves when they are gone, or shortly after `UPGRADE_GOODBYE_MS` at the latest. */
  async leave(reason: string): Promise<void> {
    if (this.#open.size === 0) return;
    const gone = new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    for (const upgraded of this.#open) upgraded.leave(new Failure('draining', reason));
    let timer: NodeJS.Timeout | undefined;
    // A client that takes nothing may be cut off, and still not gone.
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, UPGRADE_GOODBYE_MS + SWEEP_MS);
    });
    await Promise.race([gone, late]);
    clearTimeout(timer);
  }

  /** @internal */
  began(upgraded: Upgraded): void {
    this.#open.add(upgraded);
  }

  /** @internal */
  ended(upgraded: Upgraded): void {
    if (this.#open.delete(upgraded) && this.#open.size === 0) this.#emptied?.();
  }
}

/** What the client of a WebSocket is told when we end it, or something of ours failed (RFC 6455 7.4.1). All else is a broken connection (rule R2). */
const CODES: ReadonlyMap<FailureCode, readonly [code: number, reason: string]> = new Map([
  ['draining', [1001, 'going away']],
  ['upgrade_idle', [1001, 'idle for too long']],
  ['internal', [1011, 'the proxy failed']],
  ['tunnel_error', [1011, 'the proxy failed']],
]);

/** One request for an upgrade, and the connection that becomes of it: what the client says goes through it to the upstream. */
class Upgraded implements RequestSink, Timed {
  readonly #owner: Upgrades;
  readonly #loop: Loop;
  readonly #reply: ReplySink;
  readonly #notes: Notes;
  /** What the upstream says goes through it to the client. */
  readonly answers: UpgradedReply;
  #sink: RequestSink | null = null;
  #writer: Writer | null = null;
  due = NEVER;
  place = -1;
  /** Monotonic ms of the last byte, either way. */
  #lastMs = 0;
  readonly #isWebSocket: boolean;
  #toClient: FrameTracker | null = null;
  #toUpstream: FrameTracker | null = null;
  /** Why we end it; null while we do not. */
  #goodbye: Failure | null = null;
  /** Nothing more is said in that direction. */
  #clientTold = false;
  #upstreamTold = false;
  /** Nothing more comes from there. */
  #clientOver = false;
  #upstreamOver = false;
  /** Nothing more comes from the client, and nothing more can go there. */
  #callerSettled = false;

  constructor(owner: Upgrades, head: RequestHead, reply: ReplySink, notes: Notes) {
    this.#owner = owner;
    this.#loop = owner.options.loop;
    this.#reply = reply;
    this.#notes = notes;
    this.#isWebSocket = head.upgrade.toLowerCase() === 'websocket';
    this.answers = new UpgradedReply(this, reply);
  }

  /** Takes what the handler's open() returned. */
  attach(sink: RequestSink): void {
    this.#sink = sink;
    sink.writer = this.#writer;
  }

  get writer(): Writer | null {
    return this.#writer;
  }

  set writer(writer: Writer | null) {
    this.#writer = writer;
    if (this.#sink !== null) this.#sink.writer = writer;
  }

  /** The upstream has agreed: 101. */
  begin(): void {
    if (this.#isWebSocket) {
      this.#toClient = new FrameTracker();
      this.#toUpstream = new FrameTracker();
    }
    this.#owner.began(this);
    const idleMs = this.#owner.options.idleTimeoutMs();
    this.#lastMs = this.#loop.clock.now();
    if (idleMs === 0) return;
    this.due = this.#lastMs + idleMs;
    this.#loop.sweeper.add(this);
  }

  // --- from the client

  write(chunk: Uint8Array): boolean {
    const tracker = this.#toUpstream;
    if (this.#goodbye !== null) {
      if (!this.#upstreamTold) {
        this.#sink!.write(chunk.subarray(0, tracker!.follow(chunk, true)));
        this.#tellUpstream();
      }
      return true;
    }
    this.#lastMs = this.#loop.sweeper.coarse;
    if (tracker !== null) tracker.follow(chunk);
    return this.#sink!.write(chunk);
  }

  end(trailers?: HeaderList): void {
    this.#clientOver = true;
    if (this.#upstreamTold) return;
    if (this.#goodbye !== null) this.#upstreamTold = true;
    this.#sink!.end(trailers);
  }

  /** The client is gone. */
  abort(failure: Failure): void {
    // What has been told why may still say its last word.
    if (this.#goodbye !== null && this.#upstreamTold) return;
    this.#upstreamOver = true;
    this.#sink!.abort(failure);
  }

  settled(): void {
    this.#callerSettled = true;
    if (this.#goodbye === null || this.#upstreamOver) this.#finish();
  }

  // --- from the upstream

  answered(chunk: Uint8Array): boolean {
    const tracker = this.#toClient;
    if (this.#goodbye !== null) {
      if (!this.#clientTold) {
        this.#reply.write(chunk.subarray(0, tracker!.follow(chunk, true)));
        this.#tellClient();
      }
      return true;
    }
    this.#lastMs = this.#loop.sweeper.coarse;
    if (tracker !== null) tracker.follow(chunk);
    return this.#reply.write(chunk);
  }

  answerEnded(trailers: HeaderList | undefined): void {
    this.#upstreamOver = true;
    if (!this.#clientTold) {
      if (this.#goodbye !== null) this.#clientTold = true;
      this.#reply.end(trailers);
    }
    if (this.#callerSettled) this.#finish();
  }

  /** Nothing is left over there: a client that still has something to say is told that nobody hears it. */
  upstreamGone(): void {
    if (this.#clientOver || this.#callerSettled || this.#goodbye !== null) return;
    this.#reply.abort(GONE);
  }

  answerBroke(failure: Failure): void {
    this.#upstreamOver = this.#upstreamTold = true;
    if (this.#goodbye !== null || this.#toClient === null || !CODES.has(failure.code)) {
      if (!this.#clientTold) this.#reply.abort(failure);
      else if (this.#callerSettled) this.#finish();
      return;
    }
    this.#part(failure);
  }

  // --- we end it

  leave(failure: Failure): void {
    if (this.#goodbye !== null) return;
    this.#notes.failure ??= failure;
    this.#part(failure);
  }

  #part(failure: Failure): void {
    this.#goodbye = failure;
    this.due = this.#loop.clock.now() + UPGRADE_GOODBYE_MS;
    this.#loop.sweeper.add(this);
    if (!this.#upstreamTold) this.#tellUpstream();
    if (!this.#clientTold) this.#tellClient();
  }

  #tellClient(): void {
    const tracker = this.#toClient;
    if (tracker === null) {
      this.#clientTold = true;
      this.#reply.abort(this.#goodbye!);
    } else if (tracker.isBetween) {
      this.#clientTold = true;
      if (!tracker.saidClose) this.#reply.write(this.#farewell(false));
      this.#reply.end();
    }
  }

  #tellUpstream(): void {
    const tracker = this.#toUpstream;
    if (tracker === null) {
      this.#upstreamTold = this.#upstreamOver = true;
      this.#sink!.abort(this.#goodbye!);
    } else if (tracker.isBetween) {
      this.#upstreamTold = true;
      if (!tracker.saidClose) this.#sink!.write(this.#farewell(true));
      this.#sink!.end();
    }
  }

  #farewell(masked: boolean): Uint8Array {
    const [code, reason] = CODES.get(this.#goodbye!.code)!;
    return closeFrame(code, reason, masked);
  }

  expired(now: number): void {
    if (this.#goodbye === null) {
      const idleMs = this.#owner.options.idleTimeoutMs();
      if (idleMs === 0 || now < this.#lastMs + idleMs) this.due = idleMs === 0 ? NEVER : this.#lastMs + idleMs;
      else this.leave(new Failure('upgrade_idle', `no byte either way for ${idleMs} ms`));
      return;
    }
    // Whoever has not closed by now is cut off.
    this.due = NEVER;
    if (!this.#upstreamOver) {
      this.#upstreamOver = true;
      this.#sink!.abort(this.#goodbye);
    }
    if (this.#callerSettled) this.#finish();
    else {
      this.#clientTold = true;
      this.#reply.abort(this.#goodbye);
    }
  }

  #finish(): void {
    this.due = NEVER;
    this.#loop.sweeper.remove(this);
    this.#owner.ended(this);
    this.#sink!.settled();
  }
}

class UpgradedReply implements ReplySink {
  readonly #of: Upgraded;
  readonly #reply: ReplySink;

  constructor(of: Upgraded, reply: ReplySink) {
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
    if (head.status === 101) this.#of.begin();
    this.#reply.head(head);
  }

  write(chunk: Uint8Array): boolean {
    return this.#of.answered(chunk);
  }

  end(trailers?: HeaderList): void {
    this.#of.answerEnded(trailers);
  }

  abort(failure: Failure): void {
    this.#of.answerBroke(failure);
  }

  settled(): void {
    this.#of.upstreamGone();
    this.#reply.settled();
  }
}

const GONE = new Failure('upstream_closed', 'the upstream closed the connection');
