// HOT: one object per exchange, no closures.
import { Buffer } from 'node:buffer';
import type { Notes, ReplySink } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import type { RequestHead } from '../../http/head.ts';
import { CLIENT_LEFT, ERRORED } from './close-codes.ts';
import type { RouterRules } from './connector.ts';
import type { Socket3 } from './connector-3.ts';
import { DATA, END_STREAM, FRAME_HEAD, HEADER, headerFlags, headerPieceEnd, HeadPieces, writeFrameHead } from './frames-3.ts';
import { requestTextRoom, writeRequestText } from './head-text.ts';
import { COPIED_BYTES } from './messages.ts';
import { type RouterCore, RouterExchange } from './router-exchange.ts';

/** One exchange of protocol 3.0 at the router's end, with the windows of both directions. */
export class Stream3 extends RouterExchange {
  readonly id: number;
  readonly #socket: Socket3;
  /** Bytes that have been sent, HEADER and DATA, and not been acknowledged. */
  #outstanding = 0;
  /** Over its window: nothing more is sent before enough has been acknowledged. */
  #stopped = false;
  /** What could not be sent yet. */
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #endPending = false;
  /** The request's sender has been told to pause. */
  #waits = false;
  #pieces: HeadPieces | null = null;
  /** Bytes that the reply has taken and the connector does not know of; and those that it has not taken. */
  #ack = 0;
  #unconsumed = 0;
  /** Since when the answer is all there but for its end, monotonic ms; 0 = it is not. */
  #completeMs = 0;

  constructor(socket: Socket3, id: number, core: RouterCore, head: RequestHead, reply: ReplySink, notes: Notes) {
    super(core, head, reply, notes);
    this.#socket = socket;
    this.id = id;
  }

  get bufferedBytes(): number {
    return this.#pendingBytes + this.#unconsumed;
  }

  // --- the request

  sendHead(head: RequestHead, rules: RouterRules): void {
    const { headerChunkBytes } = this.core.limits;
    const out = this.core.scratchText(FRAME_HEAD + requestTextRoom(head));
    const end = writeRequestText(head, out, FRAME_HEAD, rules.keepsHost, rules.legacyForwarded);
    this.#outstanding = end - FRAME_HEAD;
    if (end - FRAME_HEAD <= headerChunkBytes) {
      writeFrameHead(out, 0, HEADER, headerFlags(true, !this.hasEnded), this.id);
      // Short ones are copied by whoever sends them.
      this.#socket.send(end > COPIED_BYTES ? Buffer.from(out.subarray(0, end)) : out.subarray(0, end));
      return;
    }
    for (let from = FRAME_HEAD; from < end;) {
      const to = headerPieceEnd(out, from, end, headerChunkBytes);
      const piece = Buffer.allocUnsafe(FRAME_HEAD + to - from);
      piece.set(out.subarray(from, to), writeFrameHead(piece, 0, HEADER, headerFlags(to === end, !this.hasEnded), this.id));
      this.#socket.send(piece);
      from = to;
    }
  }

  protected sendBody(chunk: Uint8Array): boolean {
    const most = this.core.limits.sendBytes - FRAME_HEAD;
    for (let from = 0; from < chunk.length; from += most) {
      const part = chunk.subarray(from, from + most);
      const frame = Buffer.allocUnsafe(FRAME_HEAD + part.length);
      frame.set(part, writeFrameHead(frame, 0, DATA, 0, this.id));
      if (this.#pendingBytes > 0 || !this.#mayGo()) {
        this.#pending.push(frame);
        this.#pendingBytes += part.length;
      } else this.#go(frame);
    }
    this.#waits = this.#pendingBytes > 0 || this.#stopped || this.#socket.isFull;
    if (this.#waits && this.#socket.isFull) this.#socket.waits(this);
    return !this.#waits;
  }

  #mayGo(): boolean {
    return !this.#stopped && !this.#socket.isFull;
  }

  #go(frame: Buffer): void {
    this.#outstanding += frame.length - FRAME_HEAD;
    if (this.#outstanding > this.core.limits.windowBytes) this.#stopped = true;
    this.#socket.send(frame);
  }

  protected sendEnd(): void {
    if (this.#pendingBytes > 0) this.#endPending = true;
    else this.#goEnd();
  }

  #goEnd(): void {
    const frame = Buffer.allocUnsafe(FRAME_HEAD);
    writeFrameHead(frame, 0, DATA, END_STREAM, this.id);
    this.#socket.send(frame);
  }

  /** WINDOW_UPDATE came. */
  credited(bytes: number): void {
    if (this.over) return;
    this.#outstanding = Math.max(0, this.#outstanding - bytes);
    if (this.#stopped && this.#outstanding < this.core.limits.resumeBytes) {
      this.#stopped = false;
      this.#goOn();
    }
  }

  socketDrained(): void {
    this.#goOn();
  }

  #goOn(): void {
    let at = 0;
    while (at < this.#pending.length && this.#mayGo()) {
      const frame = this.#pending[at++]!;
      this.#pendingBytes -= frame.length - FRAME_HEAD;
      this.#go(frame);
    }
    if (at > 0) this.#pending.splice(0, at);
    if (this.#socket.isFull) this.#socket.waits(this);
    if (this.#pendingBytes > 0) return;
    if (this.#endPending) {
      this.#endPending = false;
      this.#goEnd();
    } else if (this.#waits && this.#mayGo()) {
      this.#waits = false;
      this.roomy();
    }
  }

  protected cancel(failure: Failure): void {
    const isClient = failure.code === 'client_gone' || failure.code === 'client_stalled';
    this.#socket.resetStream(this.id, isClient ? CLIENT_LEFT : ERRORED, isClient ? 'Client early closed' : failure.detail);
    this.#forget();
  }

  /** The answer is complete, or the connector has given up: of a request that it does not read to its end it is told that no more comes. */
  protected left(wasWhole: boolean): void {
    if (!wasWhole && this.answered) this.#socket.resetStream(this.id, CLIENT_LEFT, 'the answer was complete before the request');
    this.#forget();
  }

  #forget(): void {
    this.#pending = [];
    this.#pendingBytes = this.#unconsumed = this.#ack = 0;
    this.#socket.forget(this);
  }

  // --- the answer

  headPiece(bytes: Buffer, start: number, end: number, isLast: boolean, isEnd: boolean): void {
    const whole = this.#pieces === null && isLast;
    if (!whole) {
      this.#pieces ??= new HeadPieces();
      if (!this.#pieces.add(bytes.subarray(start, end), this.core.limits.headBytes)) {
        this.fail(new Failure('bad_response', `the head of the answer is longer than ${this.core.limits.headBytes} bytes`), true);
        return;
      }
    }
    this.#acknowledge(end - start);
    if (!isLast) return;
    let came: boolean;
    if (whole) came = this.answerHead(bytes, start, end);
    else {
      const text = this.#pieces!.take();
      this.#pieces = null;
      came = this.answerHead(text, 0, text.length);
    }
    // END_STREAM counts only here: some set it on every piece.
    if (came && isEnd) this.answerEnd();
  }

  data(bytes: Buffer, start: number, end: number, isEnd: boolean): void {
    const n = end - start;
    if (this.#pieces !== null) {
      this.fail(new Failure('tunnel_error', 'the connector sent a body within its head'), true);
      return;
    }
    if (this.answerBody(bytes.subarray(start, end))) this.#acknowledge(n);
    else {
      this.#unconsumed += n;
      if (this.#unconsumed > this.core.limits.overshootBytes) {
        this.fail(new Failure('tunnel_error', 'the connector sent more than its window allows'), true);
        return;
      }
    }
    if (isEnd && !this.over) this.answerEnd();
  }

  /** The client has taken what was written. */
  drained(): void {
    const n = this.#unconsumed;
    this.#unconsumed = 0;
    if (n > 0) this.#acknowledge(n);
  }

  #acknowledge(bytes: number): void {
    if (this.over || bytes === 0) return;
    if (this.#ack === 0) this.#socket.acknowledge(this);
    this.#ack += bytes;
  }

  /** What is to be acknowledged now; 0 when nobody waits for it. */
  takeAck(): number {
    const n = this.over ? 0 : this.#ack;
    this.#ack = 0;
    return n;
  }

  reset(code: number, text: string): void {
    this.#socket.connector.tell(code, text);
    this.fail(new Failure('upstream_closed', `the connector gave the request up (${code})`), false);
  }

  /** The socket is gone. */
  lost(failure: Failure): void {
    if (this.isComplete) this.answerEnd();
    else this.fail(failure, false);
  }

  /** A connector that forgets the end must not keep the client. */
  ticked(now: number): void {
    if (!this.isComplete) return;
    if (this.#completeMs === 0) this.#completeMs = now;
    else if (now - this.#completeMs >= this.core.limits.closeTimeoutMs) this.answerEnd();
  }
}
