// HOT: one object per exchange, no closures.
import { Buffer } from 'node:buffer';
import type { Notes, ReplySink } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import type { RequestHead } from '../../http/head.ts';
import { CLIENT_LEFT, ERRORED } from './close-codes.ts';
import type { RouterRules } from './connector.ts';
import type { Socket3 } from './connector-3.ts';
import { FRAME_HEAD, HeadPieces } from './frames-3.ts';
import { requestTextRoom, writeRequestText } from './head-text.ts';
import { COPIED_BYTES } from './messages.ts';
import { type RouterCore, RouterExchange } from './router-exchange.ts';
import { Sending3, type SendingOwner } from './sending-3.ts';

/** One exchange of protocol 3.0 at the router's end, with the windows of both directions. */
export class Stream3 extends RouterExchange implements SendingOwner {
  readonly id: number;
  readonly #socket: Socket3;
  readonly #out: Sending3;
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
    this.#out = new Sending3(socket, this, id, core.limits);
  }

  get bufferedBytes(): number {
    return this.#out.pendingBytes + this.#unconsumed;
  }

  // --- the request

  sendHead(head: RequestHead, rules: RouterRules): void {
    const room = FRAME_HEAD + requestTextRoom(head);
    // Short ones are copied by whoever sends them.
    const text = room > COPIED_BYTES ? Buffer.allocUnsafe(room) : this.core.scratchText(room);
    this.#out.head(text, FRAME_HEAD, writeRequestText(head, text, FRAME_HEAD, rules.keepsHost, rules.legacyForwarded), !this.hasEnded);
  }

  protected sendBody(chunk: Uint8Array): boolean {
    return this.#out.data(chunk);
  }

  protected sendEnd(): void {
    this.#out.end();
  }

  /** WINDOW_UPDATE came. */
  credited(bytes: number): void {
    if (!this.over) this.#out.credited(bytes);
  }

  sent(): void {}

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
    this.#out.drop();
    this.#unconsumed = this.#ack = 0;
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
