// HOT: one Socket3 carries many requests.
import { Buffer } from 'node:buffer';
import type { Notes, ReplySink, RequestSink } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import type { RequestHead } from '../../http/head.ts';
import type { Flushable } from '../../std/turn.ts';
import { CLOSED_WELL, GOING_AWAY } from './close-codes.ts';
import { failureOfClose } from './connector-1.ts';
import { Connector, type ShownSocket } from './connector.ts';
import {
  DATA,
  END_HEADERS,
  END_STREAM,
  FrameView,
  HEADER,
  MAX_ID,
  readFrame,
  readIncrement,
  readResetCode,
  readResetText,
  RST_STREAM,
  WINDOW_UPDATE,
  WINDOW_UPDATE_BYTES,
  writeReset,
  RESET_ROOM,
  writeWindowUpdate,
} from './frames-3.ts';
import type { Messages, MessageUser } from './messages.ts';
import type { FrameSocket, Sending3 } from './sending-3.ts';
import { Stream3 } from './stream-3.ts';

/** How many requests more one socket of a connector may carry than another. */
const UNEVEN = 16;

/** A connector that speaks protocol 3.0: few WebSockets, many requests in each. */
export class Connector3 extends Connector {
  readonly #all = new Set<Socket3>();
  #inFlight = 0;
  /** The socket of the last request. */
  #last: Socket3 | null = null;

  get slots(): number {
    const { rules, core } = this.options;
    return rules.maxInFlight > 0 ? rules.maxInFlight : core.limits.streams;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  protected get room(): number {
    for (const socket of this.#all) if (socket.isUsable) return Math.max(0, this.slots - this.#inFlight);
    return 0;
  }

  get size(): number {
    return this.#all.size;
  }

  get bufferedBytes(): number {
    let sum = 0;
    for (const socket of this.#all) sum += socket.bufferedBytes;
    return sum;
  }

  get sockets(): readonly ShownSocket[] {
    return [...this.#all].map(({ id, port, messages, streams }) => ({ id, port, heardMs: messages.heardMs, inFlight: streams.size }));
  }

  /** A socket of this connector has registered. */
  add(id: string, port: number, messages: Messages): void {
    messages.carried = this.carried;
    this.#all.add(new Socket3(this, id, port, messages));
    this.changed();
  }

  /** The socket with the fewest requests; the last one again where that makes little difference: what leaves together costs one write. */
  protected send(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink | null {
    let best: Socket3 | null = null;
    for (const socket of this.#all) if (socket.isUsable && (best === null || socket.streams.size < best.streams.size)) best = socket;
    if (best === null) return null;
    const last = this.#last;
    if (last === null || !last.isUsable || last.streams.size >= best.streams.size + UNEVEN) this.#last = best;
    this.#inFlight++;
    return this.#last!.begin(head, reply, notes);
  }

  /** As mu-cranker-router does: a socket without requests is closed, the others go on and get nothing new. */
  protected retire(): void {
    for (const socket of this.#all) {
      if (socket.streams.size > 0) continue;
      this.#all.delete(socket);
      socket.messages.close(GOING_AWAY, 'Going away');
    }
  }

  protected cut(failure: Failure): void {
    for (const socket of this.#all) socket.cut(failure);
    this.#all.clear();
  }

  /** @internal A stream is over. */
  done(): void {
    this.#inFlight--;
    if (this.options.rules.maxInFlight > 0) this.changed();
  }

  /** @internal Whether it takes requests may have changed. */
  turned(): void {
    this.changed();
  }

  /** @internal Nothing runs there any more, and nothing new will. */
  retired(socket: Socket3): void {
    if (this.draining && this.#all.has(socket)) {
      socket.messages.close(GOING_AWAY, 'Going away');
      this.gone(socket);
    }
  }

  /** @internal */
  gone(socket: Socket3): void {
    if (this.#all.delete(socket)) this.changed();
  }
}

/** Frames with less than this carry next to nothing, bytes. */
const SMALL = 64;
/** What a message costs that should not have been sent at all. */
const STRANGE = 100;
/** Frames that one request makes a connector send although they carry nothing, late ones included. */
const FRAMES_PER_REQUEST = 32;

/** One WebSocket of protocol 3.0. What is wrong with one stream is answered there; what belongs to none is let go by, and counted. */
export class Socket3 implements MessageUser, FrameSocket, Flushable {
  queued = false;
  readonly connector: Connector3;
  readonly id: string;
  readonly port: number;
  readonly messages: Messages;
  readonly streams = new Map<number, Stream3>();
  readonly #frame = new FrameView();
  #lastId = 0;
  #overdue = false;
  #full = false;
  #told = false;
  /** When it became idle although it gets no new work, monotonic ms; 0 = it has not. */
  #retiredMs = 0;
  /** Streams with bytes to acknowledge. */
  readonly #acks: Stream3[] = [];
  /** Short messages are copied by whoever sends them. */
  readonly #ackFrame: Buffer = Buffer.allocUnsafeSlow(WINDOW_UPDATE_BYTES);
  /** Streams that were told to pause. */
  readonly #waiting = new Set<Sending3>();

  constructor(connector: Connector3, id: string, port: number, messages: Messages) {
    this.connector = connector;
    this.id = id;
    this.port = port;
    this.messages = messages;
    messages.user = this;
  }

  get isUsable(): boolean {
    return !this.#overdue && !this.#full && this.messages.isOpen && this.#lastId < MAX_ID;
  }

  get bufferedBytes(): number {
    let sum = this.messages.unsentBytes;
    for (const stream of this.streams.values()) sum += stream.bufferedBytes;
    return sum;
  }

  begin(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    const id = ++this.#lastId;
    this.messages.forgive(FRAMES_PER_REQUEST);
    const stream = new Stream3(this, id, this.connector.options.core, head, reply, notes);
    this.streams.set(id, stream);
    stream.sendHead(head, this.connector.options.rules);
    return stream;
  }

  /** A whole frame, whose memory is the socket's now, but for short ones: those are copied. */
  send(frame: Buffer): void {
    this.messages.sendBinary(frame);
    if (this.messages.isFull) this.#full = true;
  }

  get isFull(): boolean {
    return this.#full;
  }

  /** It hears drained() when the socket takes more. */
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
    this.connector.turned();
  }

  // --- frames

  text(): void {
    this.#strange('text, which has no place in protocol 3.0');
  }

  binary(bytes: Buffer, start: number, end: number): void {
    const frame = this.#frame;
    if (!readFrame(frame, bytes, start, end)) {
      this.#strange('a message that is too short to be a frame');
      return;
    }
    const { type, id } = frame;
    const stream = this.streams.get(id);
    if (stream === undefined) {
      // Late frames are normal, frames for what never was are not.
      this.messages.waste(id > 0 && id <= this.#lastId ? 1 : STRANGE);
      return;
    }
    switch (type) {
      case DATA:
        if (frame.end - frame.start < SMALL && !this.messages.waste(1)) return;
        stream.data(bytes, frame.start, frame.end, (frame.flags & END_STREAM) !== 0);
        return;
      case HEADER:
        stream.headPiece(bytes, frame.start, frame.end, (frame.flags & END_HEADERS) !== 0, (frame.flags & END_STREAM) !== 0);
        return;
      case RST_STREAM:
        stream.reset(readResetCode(frame, bytes), readResetText(frame, bytes));
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

  /** Costs much, and is told once: a connector that does it must not be able to fill the log. */
  #strange(what: string): void {
    const { log } = this.connector.options;
    if (!this.#told)
      log.warn({ agent: this.connector.id, from: this.connector.registration.address }, `cranker: a connector sent ${what}; it is ignored`);
    this.#told = true;
    this.messages.waste(STRANGE);
  }

  /** Bytes of a stream have been consumed: they are acknowledged at the end of the turn. */
  acknowledge(stream: Stream3): void {
    this.#acks.push(stream);
    if (this.#acks.length === 1) this.connector.options.core.loop.turn.later(this);
  }

  flush(): void {
    for (let i = 0; i < this.#acks.length; i++) {
      const stream = this.#acks[i]!;
      const n = stream.takeAck();
      if (n === 0) continue;
      writeWindowUpdate(this.#ackFrame, 0, stream.id, n);
      this.send(this.#ackFrame);
    }
    this.#acks.length = 0;
  }

  resetStream(id: number, code: number, text: string): void {
    const out = Buffer.allocUnsafe(RESET_ROOM);
    this.send(out.subarray(0, writeReset(out, 0, id, code, text)));
  }

  /** A stream is over. */
  forget(stream: Stream3): void {
    if (!this.streams.delete(stream.id)) return;
    this.connector.done();
  }

  ticked(now: number): void {
    for (const stream of this.streams.values()) stream.ticked(now);
    const overdue = this.messages.isOverdue(now);
    if (overdue !== this.#overdue) {
      this.#overdue = overdue;
      this.connector.turned();
    }
    // A connector that has deregistered closes its sockets by itself; one that does not is helped.
    if (this.streams.size > 0 || this.connector.takesMore) this.#retiredMs = 0;
    else if (this.#retiredMs === 0) this.#retiredMs = now;
    else if (now - this.#retiredMs >= this.connector.options.core.limits.closeTimeoutMs) this.connector.retired(this);
  }

  closed(code: number, reason: string): void {
    const { registration } = this.connector;
    this.connector.gone(this);
    if (this.streams.size > 0) this.connector.tell(code, reason);
    for (const stream of this.streams.values())
      stream.lost(
        code === CLOSED_WELL
          ? new Failure('upstream_closed', 'the connector closed its connection before its answer was complete')
          : failureOfClose(code, registration.route),
      );
  }

  cut(failure: Failure): void {
    for (const stream of this.streams.values()) stream.lost(failure);
    this.messages.close(GOING_AWAY, 'Going away');
  }
}
