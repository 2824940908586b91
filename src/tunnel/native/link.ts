// HOT: frame() and data() run per frame.
import { Buffer } from 'node:buffer';
import type { HeaderList } from '../../http/head.ts';
import type { HttpLimits } from '../../http/limits.ts';
import { httpLimits } from '../../http/limits.ts';
import type { Log } from '../../observe/log.ts';
import { IdTable } from '../../std/id-table.ts';
import type { Loop } from '../../std/loop.ts';
import type { Timed } from '../../std/sweeper.ts';
import type { Wire, WireUser } from '../../std/wire.ts';
import type { TunnelLimits } from '../limits.ts';
import {
  ACK,
  BYE,
  COST,
  CREDIT,
  DATA,
  EMPTY_COST,
  END,
  F_END,
  fieldsFit,
  fieldValue,
  type frameBounds,
  frameName,
  GOAWAY,
  HEADER_BYTES,
  parseTrailers,
  PING,
  plainText,
  PONG,
  readU32,
  RESUME,
  SKIPPABLE,
  T_TRAILERS,
  TINY_BYTES,
  TINY_COST,
  writeHeader,
  writeU32,
} from './frames.ts';
import { type Farewell, readFarewell, writeFarewell } from './hello.ts';
import { Output, type OutputOwner } from './output.ts';
import { type FrameBounds, FrameReader, type FrameUser } from './reader.ts';
import type { Stream, StreamOwner } from './stream.ts';

/** Ticks that are missing before we take it that we did not run, not that the peer was silent. */
const MISSED_TICKS = 2.5;

/** What both kinds of session are made from. */
export interface LinkOptions {
  readonly loop: Loop;
  readonly log: Log;
  readonly limits: TunnelLimits;
  readonly bounds: ReturnType<typeof frameBounds>;
}

/** `hello`: the handshake is not over. `open`. `closing`: the last frames are leaving. `closed`. */
export type LinkState = 'hello' | 'open' | 'closing' | 'closed';

/** One session at one end: what hub and agent have in common. */
export abstract class Link<S extends Stream> implements WireUser, FrameUser, OutputOwner, StreamOwner, Timed {
  readonly loop: Loop;
  readonly log: Log;
  readonly limits: TunnelLimits;
  readonly out: Output;
  /** Limits of the parser that checks heads. */
  readonly headLimits: HttpLimits;
  protected readonly wire: Wire;
  protected readonly streams: IdTable<S> = new IdTable<S>();
  protected state: LinkState = 'hello';
  /** The highest stream id that has been opened. */
  protected lastId = 0;
  /** The peer has been silent for too long to be given work. */
  protected overdue = false;
  /** Monotonic ms of the handshake. */
  sinceMs: number;
  roundTripMs = 0;
  /** Frames that came so far. */
  framesReceived = 0;
  bytesReceived = 0;
  unconsumedBytes = 0;
  grownBytes = 0;
  due: number;
  place = -1;
  readonly #reader: FrameReader;
  #budget: number;
  #budgetMs: number;
  #heardMs: number;
  #tickMs: number;
  #pingId = 0;
  /** Monotonic ms of the unanswered PING; 0 without one. */
  #pingMs = 0;
  #measuredMs = 0;
  /** The last PING that could not be answered at once; only the last one is answered. */
  #owedPong: Buffer | null = null;
  /** Body bytes that may still arrive for streams that are gone. */
  #strayBytes = 0;
  #lastWords = '';
  #overflowed = false;

  constructor(options: LinkOptions, wire: Wire) {
    this.loop = options.loop;
    this.log = options.log;
    this.limits = options.limits;
    this.headLimits = {
      ...httpLimits,
      headBytes: options.limits.headBytes,
      targetBytes: options.limits.headBytes,
      fieldCount: options.limits.fieldCount,
    };
    this.wire = wire;
    this.out = new Output(options.loop, wire, this, options.limits);
    this.#reader = new FrameReader(this, options.bounds satisfies FrameBounds);
    const now = options.loop.clock.now();
    this.sinceMs = this.#heardMs = this.#tickMs = this.#budgetMs = now;
    this.#budget = options.limits.costBurst;
    this.due = now + options.limits.tickMs;
    options.loop.sweeper.add(this);
  }

  /** A frame that only one kind of session knows, or that only it may get. @returns false when it may not come here */
  protected abstract special(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): boolean;
  /** The stream that a frame is for has ended or never was: flags may still mean something. */
  protected abstract flagged(flags: number): void;
  /** Once a second while the session is open. */
  protected abstract ticked(now: number): void;
  /** The peer does not want new streams, or tells that it goes. */
  protected abstract goneAway(farewell: Farewell): void;
  /** Every stream has heard; exactly once. */
  protected abstract over(reason: string, farewell: Farewell | null): void;
  abstract beforeFlush(): void;
  abstract handed(): void;

  get framesSent(): number {
    return this.out.frames;
  }

  get bytesSent(): number {
    return this.out.bytes;
  }

  /** Bytes held for this session: unsent, unconsumed, half received. */
  get bufferedBytes(): number {
    return this.out.bufferedBytes + this.unconsumedBytes + this.#reader.bufferedBytes;
  }

  // --- the wire

  received(bytes: Buffer, start: number, end: number): void {
    if (this.state === 'closing' || this.state === 'closed') return;
    this.#heardMs = this.loop.sweeper.coarse;
    this.bytesReceived += end - start;
    this.#reader.read(bytes, start, end);
    this.delivered();
  }

  /** A read has been dealt with. */
  protected delivered(): void {}

  finished(): void {
    if (this.state === 'closing') this.wire.destroy();
    else this.lose('the peer closed the connection', null);
  }

  drained(): void {
    if (this.state === 'closing') this.wire.end();
    else if (this.state !== 'closed') this.out.drained();
  }

  closed(error: Error | null): void {
    const reason = this.#lastWords !== '' ? this.#lastWords : error === null ? 'the connection was closed' : error.message;
    this.lose(reason, null);
    this.state = 'closed';
    this.loop.sweeper.remove(this);
  }

  // --- frames

  broken(reason: string): void {
    this.violated(reason);
  }

  frame(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    this.framesReceived++;
    if ((this.#budget -= COST[type]!) < 0 && !this.#refill()) return;
    switch (type) {
      case CREDIT: {
        const stream = this.streams.get(id);
        if (stream !== undefined) stream.credited(readU32(bytes, start));
        else this.unknown(type, id);
        return;
      }
      case END: {
        this.#end(flags, id, bytes, start, end);
        return;
      }
      case PING:
        // A peer that pings without reading gets one answer, not a heap of them.
        if (this.out.blocked) this.#owedPong = Buffer.from(bytes.subarray(start, end));
        else this.#pong(bytes, start, end);
        return;
      case PONG:
        if (this.#pingMs !== 0 && readU32(bytes, start + 4) === this.#pingId) {
          this.roundTripMs = Math.max(0.01, this.loop.clock.now() - this.#pingMs);
          this.#pingMs = 0;
        }
        return;
      case BYE:
      case GOAWAY: {
        const farewell = readFarewell(bytes, start, end, this.limits);
        if (farewell === null) this.violated(`a ${frameName(type)} that cannot be read`);
        else if (type === GOAWAY) this.goneAway(farewell);
        else this.lose(farewell.reason === '' ? 'the peer said goodbye' : farewell.reason, farewell);
        return;
      }
      case ACK:
      case RESUME:
        this.violated(`${frameName(type)}, which was not agreed on`);
        return;
      default: {
        if (type >= SKIPPABLE) return;
        const stream = this.streams.get(id);
        try {
          if (!this.special(type, flags, id, bytes, start, end)) this.violated(`a ${frameName(type)} frame that may not come here`);
        } catch (error) {
          this.threw(stream ?? this.streams.get(id), error);
        }
      }
    }
  }

  data(flags: number, id: number, bytes: Buffer, start: number, end: number, left: number, first: boolean): void {
    const n = end - start;
    if (first) {
      this.framesReceived++;
      const length = n + left;
      const cost = length >= TINY_BYTES ? COST[DATA]! : length > 0 ? TINY_COST : (flags & F_END) !== 0 ? COST[END]! : EMPTY_COST;
      if ((this.#budget -= cost) < 0 && !this.#refill()) return;
    }
    if (flags > F_END && left === 0) this.flagged(flags);
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (!this.unknown(DATA, id)) return;
      this.#strayBytes -= n;
      if (this.#strayBytes < 0) this.violated('body bytes for a stream that has ended');
      return;
    }
    try {
      if (stream.remoteEnded) this.violated('DATA after END');
      else if (stream.carries() && stream.arrived(bytes, start, end) && left === 0 && (flags & F_END) !== 0 && !stream.gone)
        stream.arrivedEnd(flags, undefined);
    } catch (error) {
      this.threw(stream, error);
    }
  }

  #end(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    const stream = this.streams.get(id);
    this.flagged(flags);
    if (stream === undefined) {
      this.unknown(END, id);
      return;
    }
    let trailers: HeaderList | undefined;
    if (end > start) {
      if (!fieldsFit(bytes, start, end)) {
        this.violated('typed fields that do not fit their frame');
        return;
      }
      const value = fieldValue(bytes, start, end, T_TRAILERS);
      if (value !== null) {
        const list = parseTrailers(value.latin1Slice(0, value.length));
        if (list === null || value.length > this.limits.trailerBytes) {
          this.violated('trailers that are no field lines');
          return;
        }
        trailers = list;
      }
    }
    try {
      if (stream.remoteEnded) this.violated('END after END');
      else if (stream.carries()) stream.arrivedEnd(flags, trailers);
    } catch (error) {
      this.threw(stream, error);
    }
  }

  /** A frame for a stream that is not in the table: fine when it was there once. */
  protected unknown(type: number, id: number): boolean {
    if (id !== 0 && id <= this.lastId) return true;
    this.violated(`${frameName(type)} for stream ${id}, which was never opened`);
    return false;
  }

  /** The budget is spent: time has refilled it, or the session ends. */
  #refill(): boolean {
    const { costPerSecond, costBurst } = this.limits;
    const now = this.loop.clock.now();
    this.#budget = Math.min(costBurst, this.#budget + ((now - this.#budgetMs) * costPerSecond) / 1_000);
    this.#budgetMs = now;
    if (this.#budget >= 0) return true;
    this.violated('more frames than a session may send');
    return false;
  }

  #pong(bytes: Buffer, start: number, end: number): void {
    const slab = this.out.reserve(HEADER_BYTES + end - start);
    const at = writeHeader(slab.bytes, slab.at, end - start, PONG, 0, 0);
    bytes.copy(slab.bytes, at, start, end);
    this.out.commit(at + end - start);
  }

  /** Measures the round trip, or looks whether somebody is there. */
  protected ping(now: number): void {
    const slab = this.out.reserve(HEADER_BYTES + 8);
    let at = writeHeader(slab.bytes, slab.at, 8, PING, 0, 0);
    at = writeU32(slab.bytes, at, 0);
    this.#pingId = (this.#pingId + 1) >>> 0;
    this.out.commit(writeU32(slab.bytes, at, this.#pingId));
    this.#pingMs = this.#measuredMs = now;
  }

  // --- time

  expired(now: number): void {
    try {
      this.#tick(now);
    } catch (error) {
      this.log.error({ error }, 'tunnel: a tick failed');
    }
  }

  #tick(now: number): void {
    const { limits } = this;
    if (this.state === 'closing') {
      if (now - this.#tickMs >= limits.lingerMs) this.wire.destroy();
      else this.due = this.#tickMs + limits.lingerMs;
      return;
    }
    if (this.#overflowed) {
      this.end({ code: 'not_reading', reason: 'the peer does not read what it is sent', retryAfterMs: 0 });
      return;
    }
    const gap = now - this.#tickMs;
    // We were stopped, or the loop was blocked: what the peer sent meanwhile has not been read yet.
    if (gap > MISSED_TICKS * limits.tickMs) this.#heardMs += gap;
    this.#tickMs = now;
    this.due = now + limits.tickMs;
    if (this.state === 'hello') {
      if (now - this.sinceMs >= limits.handshakeTimeoutMs)
        this.end({ code: 'handshake_timeout', reason: 'the handshake took too long', retryAfterMs: 0 });
      return;
    }
    const silentMs = now - this.#heardMs;
    if (silentMs >= limits.deadAfterMs) {
      this.end({ code: 'silent', reason: `nothing heard for ${Math.round(silentMs / 1_000)} s`, retryAfterMs: 0 });
      return;
    }
    const overdue = silentMs >= 2 * limits.pingAfterMs;
    if (
      silentMs >= limits.pingAfterMs
        ? this.#pingMs === 0 || now - this.#pingMs >= limits.pingAfterMs
        : now - this.#measuredMs >= limits.measureEveryMs
    )
      this.ping(now);
    if (this.#owedPong !== null && !this.out.blocked) {
      this.#pong(this.#owedPong, 0, this.#owedPong.length);
      this.#owedPong = null;
    }
    if (overdue !== this.overdue) {
      this.overdue = overdue;
      this.overdueChanged();
    }
    for (const stream of this.streams.values()) {
      stream.yieldWindow();
      if (stream.pendingBytes > 0 && stream.credit === 0) {
        if (stream.stalledSinceMs === 0) stream.stalledSinceMs = now;
        else if (now - stream.stalledSinceMs >= limits.stallTimeoutMs) stream.stalled();
      }
    }
    this.ticked(now);
  }

  protected overdueChanged(): void {}

  // --- ends

  /** The peer broke the protocol: this session ends, nothing else. */
  violated(reason: string): void {
    if (this.state === 'closing' || this.state === 'closed') return;
    this.log.warn({ peer: this.peerName(), reason }, 'tunnel: the peer broke the protocol; the session is closed');
    this.end({ code: 'protocol_error', reason, retryAfterMs: 0 });
  }

  overflowed(): void {
    if (this.state === 'closing' || this.state === 'closed') return;
    // Called from inside a write: the session ends when that is over.
    this.#overflowed = true;
    this.due = 0;
  }

  threw(stream: Stream | undefined, error: unknown): void {
    this.log.error({ error, peer: this.peerName(), stream: stream?.id ?? 0 }, 'tunnel: a handler threw; its stream is aborted');
    try {
      stream?.crashed();
    } catch (second) {
      this.log.error({ error: second }, 'tunnel: and again while it was aborted');
    }
  }

  /** The stream that a frame with these flags opens never comes to be: its peer does not know yet, and sends its body, up to the first window. */
  protected strayOf(flags: number): void {
    if ((flags & F_END) === 0) this.#strayBytes += this.limits.windowBytes;
  }

  forget(stream: Stream, strayBytes: number): void {
    this.streams.delete(stream.id);
    this.#strayBytes += strayBytes;
  }

  /** Ends the session with a BYE. */
  protected end(farewell: Farewell): void {
    if (this.state === 'closing' || this.state === 'closed') return;
    const payload = writeFarewell(farewell);
    const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
    bytes.set(payload, writeHeader(bytes, 0, payload.length, BYE, 0, 0));
    // What stands in the batch is not sent any more, so that its requests provably never began.
    if (!this.wire.closed) this.wire.write(bytes);
    this.lose(farewell.reason, farewell);
  }

  /** The session is over: streams hear it, what can still be sent is sent, the wire is closed within `lingerMs`. */
  protected lose(reason: string, farewell: Farewell | null): void {
    if (this.state === 'closing' || this.state === 'closed') return;
    this.state = 'closing';
    const text = plainText(reason, this.limits.detailLength);
    this.#lastWords = text;
    this.#reader.stop();
    for (const stream of this.streams.values()) {
      try {
        stream.lost();
      } catch (error) {
        this.threw(undefined, error);
      }
    }
    this.streams.clear();
    this.out.close();
    if (this.wire.closed) this.state = 'closed';
    else {
      this.wire.end();
      this.#tickMs = this.loop.clock.now();
      this.due = this.#tickMs + this.limits.lingerMs;
    }
    try {
      this.over(text, farewell);
    } catch (error) {
      this.log.error({ error }, 'tunnel: the end of a session was not taken');
    }
  }

  /** For logs. */
  protected abstract peerName(): string;
}
