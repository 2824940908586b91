// HOT: one object per exchange, no closures.
import { Buffer } from 'node:buffer';
import { Failure } from '../../http/failure.ts';
import type { ResponseHead } from '../../http/head.ts';
import { ERRORED } from './close-codes.ts';
import { type ConnectorCore, ConnectorExchange } from './dial-exchange.ts';
import type { DialSocket3 } from './dial-socket-3.ts';
import { FRAME_HEAD, HeadPieces } from './frames-3.ts';
import { responseTextRoom, writeResponseText } from './head-text.ts';
import { Sending3, type SendingOwner } from './sending-3.ts';

/** One exchange of protocol 3.0 at the connector's end, with the windows of both directions. */
export class DialStream3 extends ConnectorExchange implements SendingOwner {
  readonly id: number;
  readonly #socket: DialSocket3;
  readonly #out: Sending3;
  #pieces: HeadPieces | null = null;
  #headCame = false;
  /** Bytes that have been consumed and not been acknowledged; bytes that have not been consumed. */
  #ack = 0;
  #unconsumed = 0;
  /** Bytes of the request that the socket knows to be held here: those not consumed, and pieces of a head. */
  #held = 0;
  #hasFailed = false;
  /** Since when the router takes nothing of the answer, monotonic ms; 0 = it does. */
  #stalledMs = 0;

  constructor(socket: DialSocket3, id: number, core: ConnectorCore) {
    super(core);
    this.#socket = socket;
    this.id = id;
    this.#out = new Sending3(socket, this, id, core.limits);
  }

  get bufferedBytes(): number {
    return this.#held + this.#out.pendingBytes;
  }

  // --- the request

  headPiece(bytes: Buffer, start: number, end: number, isLast: boolean, isEnd: boolean): void {
    if (this.#headCame) {
      this.stop(new Failure('bad_request', 'a second head'));
      return;
    }
    const { core } = this;
    this.#acknowledge(end - start);
    let text = bytes;
    let from = start;
    let to = end;
    if (!isLast || this.#pieces !== null) {
      this.#pieces ??= new HeadPieces();
      if (!this.#pieces.add(bytes.subarray(start, end), core.limits.headBytes)) {
        this.#refuseHead(new Failure('head_too_large', `the head is longer than ${core.limits.headBytes} bytes`));
        return;
      }
      if (!isLast) {
        if (!this.#hold(this.#pieces.bytes)) this.#refuseHead(new Failure('overload', 'too much is held for the requests of this router', 1));
        return;
      }
      this.#hold(0);
      text = this.#pieces.take();
      from = 0;
      to = text.length;
    }
    const head = core.scratch;
    // END_STREAM counts only here: some set it on every piece.
    if (!core.reader.request(head, text, from, to, !isEnd, core.headLimits)) {
      this.#refuseHead(new Failure(head.problem ?? 'bad_request', head.problemDetail));
      return;
    }
    this.#pieces = null;
    this.#headCame = true;
    this.begin(head, !isEnd);
  }

  #refuseHead(failure: Failure): void {
    this.#pieces = null;
    this.#headCame = true;
    this.#hold(0);
    this.refuse(failure);
  }

  data(bytes: Buffer, start: number, end: number, isEnd: boolean): void {
    if (!this.#headCame) {
      this.#refuseHead(new Failure('bad_request', 'a body before its head'));
      return;
    }
    const n = end - start;
    this.#unconsumed += n;
    if (this.body(bytes.subarray(start, end))) {
      this.#unconsumed -= n;
      this.#acknowledge(n);
    } else if (!this.#hold(this.#unconsumed)) {
      this.stop(new Failure('overload', 'too much is held for the requests of this router', 1));
      return;
    } else if (this.#unconsumed > this.core.limits.overshootBytes) {
      this.stop(new Failure('bad_request', 'more of the body than its window allows'));
      return;
    }
    if (isEnd) this.bodyEnd();
  }

  drained(): void {
    const n = this.#unconsumed;
    this.#unconsumed = 0;
    this.#hold(0);
    this.#acknowledge(n);
  }

  /** @returns false when all streams together hold too much */
  #hold(bytes: number): boolean {
    const more = bytes - this.#held;
    this.#held = bytes;
    return this.#socket.holds(more);
  }

  #acknowledge(bytes: number): void {
    if (this.isOver || bytes === 0) return;
    if (this.#ack === 0) this.#socket.acknowledge(this);
    this.#ack += bytes;
  }

  /** What is to be acknowledged now; 0 when nobody waits for it. */
  takeAck(): number {
    const n = this.isOver ? 0 : this.#ack;
    this.#ack = 0;
    return n;
  }

  // --- the answer

  protected sendHead(head: ResponseHead, bodiless: boolean): void {
    const text = Buffer.allocUnsafe(FRAME_HEAD + responseTextRoom(head));
    this.#out.head(text, FRAME_HEAD, writeResponseText(head, text, FRAME_HEAD), !bodiless);
  }

  protected sendBody(chunk: Uint8Array): boolean {
    return this.#out.data(chunk);
  }

  protected sendEnd(): void {
    if (!this.#out.ended) this.#out.end();
  }

  protected sendFailure(failure: Failure): void {
    this.#out.drop();
    this.#hasFailed = true;
    this.#socket.resetStream(this.id, ERRORED, failure.detail);
  }

  protected drop(): void {
    this.#out.drop();
  }

  protected get isSent(): boolean {
    return this.#hasFailed || this.#out.ended;
  }

  protected forget(): void {
    this.#out.drop();
    this.#pieces = null;
    this.#unconsumed = this.#ack = 0;
    this.#hold(0);
    this.#socket.forget(this);
  }

  credited(bytes: number): void {
    this.#stalledMs = 0;
    this.#out.credited(bytes);
  }

  roomy(): void {
    this.writer?.drained();
  }

  override sent(): void {
    super.sent();
  }

  ticked(now: number): void {
    if (!this.#out.isStalled) this.#stalledMs = 0;
    else if (this.#stalledMs === 0) this.#stalledMs = now;
    else if (now - this.#stalledMs >= this.core.limits.stallTimeoutMs) {
      this.#stalledMs = 0;
      this.sendFailure(new Failure('client_stalled', 'the router takes no more of the answer'));
      this.cancel(new Failure('client_stalled', 'the router takes no more of the answer'));
    }
  }
}
