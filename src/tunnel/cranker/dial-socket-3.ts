// HOT: one DialSocket3 carries many requests.
import { Buffer } from 'node:buffer';
import { Failure } from '../../http/failure.ts';
import type { Flushable } from '../../std/turn.ts';
import { BROKEN, CLOSED_WELL, ERRORED } from './close-codes.ts';
import type { ConnectorCore } from './dial-exchange.ts';
import type { DialSocket, SocketOwner } from './dial-socket.ts';
import { DialStream3 } from './dial-stream-3.ts';
import {
  DATA,
  END_HEADERS,
  END_STREAM,
  FrameView,
  HEADER,
  readFrame,
  readIncrement,
  RESET_ROOM,
  RST_STREAM,
  WINDOW_UPDATE,
  WINDOW_UPDATE_BYTES,
  writeReset,
  writeWindowUpdate,
} from './frames-3.ts';
import type { Messages } from './messages.ts';
import type { FrameSocket, Sending3 } from './sending-3.ts';

/** Frames with less than this carry next to nothing, bytes. */
const SMALL = 64;
/** What a message costs that should not have been sent at all. */
const STRANGE = 100;
/** Frames that one request makes a router send although they carry nothing, late ones included. */
const FRAMES_PER_REQUEST = 32;

/** One WebSocket of protocol 3.0 at the connector's end. What is wrong with one stream is answered there; what belongs to none is let go by, and counted. */
export class DialSocket3 implements DialSocket, FrameSocket, Flushable {
  readonly version = '3.0';
  queued = false;
  readonly messages: Messages;
  readonly sinceMs: number;
  readonly #core: ConnectorCore;
  readonly #owner: SocketOwner;
  readonly #streams = new Map<number, DialStream3>();
  readonly #frame = new FrameView();
  #lastId = 0;
  #heldBytes = 0;
  #full = false;
  #isRetired = false;
  #isLeaving = false;
  #told = false;
  #pingedMs: number;
  /** Streams with bytes to acknowledge. */
  readonly #acks: DialStream3[] = [];
  readonly #waiting = new Set<Sending3>();

  constructor(core: ConnectorCore, messages: Messages, owner: SocketOwner) {
    this.#core = core;
    this.messages = messages;
    this.#owner = owner;
    this.sinceMs = this.#pingedMs = core.loop.clock.now();
    messages.user = this;
  }

  get isReady(): boolean {
    return this.messages.isOpen && !this.#isRetired;
  }

  get inFlight(): number {
    return this.#streams.size;
  }

  get bufferedBytes(): number {
    let sum = this.messages.unsentBytes;
    for (const stream of this.#streams.values()) sum += stream.bufferedBytes;
    return sum;
  }

  // --- frames out

  send(frame: Buffer): void {
    this.messages.sendBinary(frame);
    if (this.messages.isFull) this.#full = true;
  }

  get isFull(): boolean {
    return this.#full;
  }

  waits(sending: Sending3): void {
    this.#waiting.add(sending);
  }

  drained(): void {
    if (!this.#full) return;
    this.#full = false;
    for (const sending of this.#waiting) {
      if (this.#full) return;
      this.#waiting.delete(sending);
      sending.goOn();
    }
  }

  resetStream(id: number, code: number, text: string): void {
    const out = Buffer.allocUnsafe(RESET_ROOM);
    this.send(out.subarray(0, writeReset(out, 0, id, code, text)));
  }

  /** Bytes of a stream have been consumed: they are acknowledged at the end of the turn. */
  acknowledge(stream: DialStream3): void {
    this.#acks.push(stream);
    if (this.#acks.length === 1) this.#core.loop.turn.later(this);
  }

  flush(): void {
    for (let i = 0; i < this.#acks.length; i++) {
      const stream = this.#acks[i]!;
      const n = stream.takeAck();
      if (n === 0) continue;
      const out = Buffer.allocUnsafe(WINDOW_UPDATE_BYTES);
      writeWindowUpdate(out, 0, stream.id, n);
      this.send(out);
    }
    this.#acks.length = 0;
  }

  // --- frames in

  text(): void {
    this.#strange('text, which has no place in protocol 3.0');
  }

  binary(bytes: Buffer, from: number, to: number): void {
    const frame = this.#frame;
    if (!readFrame(frame, bytes, from, to)) {
      this.#strange('a message that is too short to be a frame');
      return;
    }
    const { type, id, flags, start, end } = frame;
    let stream = this.#streams.get(id);
    if (stream === undefined) {
      if (type !== HEADER || id <= this.#lastId) {
        // Late frames are normal, frames for what never was are not.
        this.messages.waste(id > 0 && id <= this.#lastId ? 1 : STRANGE);
        return;
      }
      this.#lastId = id;
      stream = this.#opened(id);
      if (stream === undefined) return;
    }
    switch (type) {
      case DATA:
        if (end - start < SMALL && !this.messages.waste(1)) return;
        stream.data(bytes, start, end, (flags & END_STREAM) !== 0);
        return;
      case HEADER:
        stream.headPiece(bytes, start, end, (flags & END_HEADERS) !== 0, (flags & END_STREAM) !== 0);
        return;
      case RST_STREAM:
        stream.cancel(new Failure('client_gone', 'the router gave the request up'));
        return;
      case WINDOW_UPDATE: {
        const increment = readIncrement(frame, bytes);
        if (increment <= 0) this.messages.waste(increment === 0 ? 1 : STRANGE);
        else stream.credited(increment);
        return;
      }
      default:
        this.messages.waste(1);
    }
  }

  /** A new stream; undefined when there are too many. */
  #opened(id: number): DialStream3 | undefined {
    if (this.#streams.size >= this.#core.line.mostStreams) {
      if (this.messages.waste(STRANGE)) this.resetStream(id, ERRORED, 'too many requests at once');
      return undefined;
    }
    this.messages.forgive(FRAMES_PER_REQUEST);
    this.#owner.used(this);
    const stream = new DialStream3(this, id, this.#core);
    this.#streams.set(id, stream);
    return stream;
  }

  /** A stream holds so many bytes more. Memory is bounded for all streams together, whatever each may have. @returns false when it is too much */
  holds(bytes: number): boolean {
    this.#heldBytes += bytes;
    return this.#heldBytes <= this.#core.limits.heldBytes;
  }

  /** Costs much, and is told once: a router that does it must not be able to fill the log. */
  #strange(what: string): void {
    if (!this.#told) this.#core.log.warn({}, `cranker: the router sent ${what}; it is ignored`);
    this.#told = true;
    this.messages.waste(STRANGE);
  }

  /** A stream is over. */
  forget(stream: DialStream3): void {
    this.#streams.delete(stream.id);
    if (this.#isLeaving) this.#closeIfIdle();
  }

  ticked(now: number): void {
    for (const stream of this.#streams.values()) stream.ticked(now);
    if (now - this.#pingedMs < this.#core.limits.pingEveryMs) return;
    this.#pingedMs = now;
    this.messages.ping();
  }

  retire(): void {
    this.#isRetired = true;
  }

  leave(): void {
    this.#isLeaving = true;
    this.#closeIfIdle();
  }

  #closeIfIdle(): void {
    if (this.#streams.size === 0) this.messages.close(CLOSED_WELL, '');
  }

  closed(code: number, reason: string): void {
    this.#abandon();
    this.#owner.lost(this, code, reason, true);
  }

  cut(): void {
    this.#abandon();
    this.messages.wire.destroy();
    this.#owner.lost(this, BROKEN, '', false);
  }

  #abandon(): void {
    for (const stream of this.#streams.values()) stream.cancel(new Failure('client_gone', 'the connection to the router was lost'));
    this.#streams.clear();
  }
}
