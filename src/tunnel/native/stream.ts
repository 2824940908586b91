// HOT: one object per exchange and end; written(), arrived() and accepted() run per chunk.
import type { Buffer } from 'node:buffer';
import type { BodySink, Writer } from '../../http/exchange.ts';
import type { HeaderList } from '../../http/head.ts';
import type { Numbered } from '../../std/id-table.ts';
import type { Loop } from '../../std/loop.ts';
import type { Slab } from '../../std/slabs.ts';
import type { TunnelLimits } from '../limits.ts';
import { CREDIT, F_END, HEADER_BYTES, trailersFit, writeHeader, writeU32 } from './frames.ts';
import { NOTHING, OPEN_ENDED, type Output, type Sender } from './output.ts';

/** What a stream needs of its session. */
export interface StreamOwner {
  readonly loop: Loop;
  readonly out: Output;
  readonly limits: TunnelLimits;
  readonly roundTripMs: number;
  /** Body bytes delivered to sinks that have not accepted them, of all streams. */
  unconsumedBytes: number;
  /** Bytes by which windows have grown, of all streams. */
  grownBytes: number;
  /** The peer broke the protocol in a way that ends the session. */
  violated(reason: string): void;
  /** The stream is over: its id is never used again. `strayBytes` may still arrive for it. */
  forget(stream: Stream, strayBytes: number): void;
  /** A sink or handler threw. */
  threw(stream: Stream, error: unknown): void;
}

/** One stream at one end: both directions' flow control. What the frames mean is the business of the two kinds. */
export abstract class Stream implements Sender, Writer {
  readonly id: number;
  readonly session: StreamOwner;
  // the sending half, see Sender
  credit: number;
  pending: Uint8Array[] = NOTHING;
  pendingAt = 0;
  pendingBytes = 0;
  ending: number = OPEN_ENDED;
  trailers: HeaderList | null = null;
  nextById: Numbered | null = null;
  retainedSlab: Slab | null = null;
  retainedAt = 0;
  frameBytes: Buffer | null = null;
  frameAt = 0;
  frameEpoch = 0;
  inlineRoom = 0;
  ready = false;
  nextReady: Sender | null = null;
  wantsDrain = false;
  waiting = false;
  /** Body bytes still to be sent; -1 when their number is not known. */
  sendLeft = -1;
  /** Monotonic ms since when pending bytes have waited for credit; 0 while they have not. */
  stalledSinceMs = 0;
  // the receiving half
  /** Body bytes that may be outstanding: what we let the peer send and what our sink has not accepted. */
  #windowBytes: number;
  /** What the peer may still send. */
  #grantedBytes: number;
  #unconsumedBytes = 0;
  #grantedMs = 0;
  /** Its sink had not accepted everything at the last tick, and has not taken more since. */
  #standsStill = false;
  /** Body bytes still to come; -1 when their number is not known. */
  receiveLeft = -1;
  /** The peer's body is complete. */
  remoteEnded = false;
  /** Nothing more happens here: the id is out of the session's table. */
  gone = false;

  constructor(session: StreamOwner, id: number) {
    this.session = session;
    this.id = id;
    this.credit = this.#windowBytes = this.#grantedBytes = session.limits.windowBytes;
  }

  /** Where the peer's body goes; null once nobody wants it. */
  protected abstract get sink(): BodySink | null;
  /** Who writes the body that we send. */
  protected abstract get source(): Writer | null;
  /** The peer's body is complete. */
  protected abstract finished(flags: number, trailers: HeaderList | undefined): void;
  /** The body that the peer sends, or was given to send, is not what was announced. */
  protected abstract mismatched(detail: string, ours: boolean): void;
  abstract endSent(): void;

  roomy(): void {
    this.wantsDrain = false;
    try {
      this.source?.drained();
    } catch (error) {
      this.session.threw(this, error);
    }
  }

  /** Body bytes that our side sends; the announced length is kept. */
  protected send(chunk: Uint8Array): boolean {
    const n = chunk.length;
    if (n === 0) return this.pendingBytes === 0;
    if (this.sendLeft >= 0) {
      if (n > this.sendLeft) {
        this.mismatched('the body is longer than its announced length', true);
        return true;
      }
      this.sendLeft -= n;
    }
    return this.session.out.body(this, chunk);
  }

  /** Our side's body is complete. */
  protected sendEnd(trailers: HeaderList | undefined): void {
    if (this.sendLeft > 0) this.mismatched(`the body ended ${this.sendLeft} bytes before its announced length`, true);
    else if (trailers !== undefined && !trailersFit(trailers, this.session.limits.trailerBytes))
      this.mismatched(`trailers of more than ${this.session.limits.trailerBytes} bytes`, true);
    else this.session.out.end(this, trailers ?? null);
  }

  /** The peer allows more. */
  credited(bytes: number): void {
    const credit = this.credit + bytes;
    if (bytes === 0 || credit > this.session.limits.creditBytes) {
      this.session.violated(bytes === 0 ? 'a credit of nothing' : 'more credit than can be counted');
      return;
    }
    this.credit = credit;
    this.stalledSinceMs = 0;
    if (this.ending === OPEN_ENDED || this.pendingBytes > 0) this.session.out.credited(this);
  }

  /** Body bytes from the peer: counted, checked, delivered. @returns false when the stream or session is over for it */
  arrived(bytes: Buffer, start: number, end: number): boolean {
    const n = end - start;
    this.#grantedBytes -= n;
    if (this.#grantedBytes < 0) {
      this.session.violated('more body bytes than its window allows');
      return false;
    }
    if (this.receiveLeft >= 0) {
      if (n > this.receiveLeft) {
        this.mismatched('the body is longer than its announced length', false);
        return false;
      }
      this.receiveLeft -= n;
    }
    const { sink } = this;
    if (n === 0 || sink === null) return true;
    if (sink.write(bytes.subarray(start, end))) this.#accepted(n);
    else {
      this.#unconsumedBytes += n;
      this.session.unconsumedBytes += n;
    }
    return true;
  }

  /** The peer's END flag or frame. */
  arrivedEnd(flags: number, trailers: HeaderList | undefined): void {
    if (this.receiveLeft > 0) {
      this.mismatched(`the body ended ${this.receiveLeft} bytes before its announced length`, false);
      return;
    }
    this.remoteEnded = true;
    this.finished(flags, trailers);
  }

  /**
   * Once a second: a window that has grown and whose sink has stood still since the last time goes back to where it began, so that streams which move may
   * grow instead. What was granted stays granted; nothing more is until that has been consumed.
   */
  yieldWindow(): void {
    if (!this.#standsStill) {
      this.#standsStill = this.#unconsumedBytes > 0;
      return;
    }
    const { session } = this;
    const { windowBytes } = session.limits;
    if (this.#windowBytes <= windowBytes) return;
    session.grownBytes -= this.#windowBytes - windowBytes;
    this.#windowBytes = windowBytes;
  }

  /** Our sink, which had enough, takes more. */
  drained(): void {
    this.#standsStill = false;
    const n = this.#unconsumedBytes;
    if (n === 0 || this.gone) return;
    this.#unconsumedBytes = 0;
    this.session.unconsumedBytes -= n;
    this.#accepted(n);
  }

  /** Consumed bytes are granted again once they make up half the window; the window follows its use. */
  #accepted(n: number): void {
    // Most bodies end within their first window: no more than this test for them.
    if (this.#grantedBytes * 2 > this.#windowBytes || this.remoteEnded || this.gone || n === 0) return;
    const { session } = this;
    const { limits } = session;
    const pressed = session.unconsumedBytes > limits.sessionBytes;
    let target = pressed ? Math.min(this.#windowBytes, limits.stalledWindowBytes) : this.#windowBytes;
    if ((target - this.#grantedBytes - this.#unconsumedBytes) * 2 < target) return;
    const now = session.loop.clock.now();
    const took = this.#grantedMs === 0 ? Infinity : now - this.#grantedMs;
    this.#grantedMs = now;
    if (took <= Math.max(limits.windowQuickMs, 2 * session.roundTripMs)) {
      if (!pressed && target < limits.windowMaxBytes && session.grownBytes + target <= limits.growthBytes) {
        session.grownBytes += target;
        this.#windowBytes = target = target * 2;
      }
    } else if (took >= limits.windowSlowMs && took !== Infinity && this.#windowBytes > limits.windowBytes) {
      this.#windowBytes /= 2;
      session.grownBytes -= this.#windowBytes;
      target = Math.min(target, this.#windowBytes);
    }
    const give = target - this.#grantedBytes - this.#unconsumedBytes;
    if (give <= 0) return;
    this.#grantedBytes += give;
    const slab = session.out.reserve(HEADER_BYTES + 4);
    session.out.commit(writeU32(slab.bytes, writeHeader(slab.bytes, slab.at, 4, CREDIT, 0, this.id), give));
  }

  /** Takes the stream out of its session. */
  protected leave(): void {
    if (this.gone) return;
    this.gone = true;
    const { session } = this;
    session.out.drop(this);
    session.unconsumedBytes -= this.#unconsumedBytes;
    this.#unconsumedBytes = 0;
    session.grownBytes -= this.#windowBytes - session.limits.windowBytes;
    this.wantsDrain = false;
    session.forget(this, this.remoteEnded ? 0 : this.#grantedBytes);
  }

  /** May body bytes or END come now? When not, the stream has been dealt with. */
  abstract carries(): boolean;
  /** The peer has granted no credit for too long. */
  abstract stalled(): void;
  /** Something on this side threw while it was told about this stream. */
  abstract crashed(): void;
  /** The session is over. */
  abstract lost(): void;
}

/** Has the frame END? */
export function ends(flags: number): boolean {
  return (flags & F_END) !== 0;
}
