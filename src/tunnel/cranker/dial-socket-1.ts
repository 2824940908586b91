// HOT: one socket per request.
import { Buffer } from 'node:buffer';
import { Failure } from '../../http/failure.ts';
import type { ResponseHead } from '../../http/head.ts';
import { BROKEN, CLOSED_WELL, ERRORED, PROTOCOL_ERROR } from './close-codes.ts';
import { type ConnectorCore, ConnectorExchange } from './dial-exchange.ts';
import type { DialSocket, SocketOwner } from './dial-socket.ts';
import { responseTextRoom, writeResponseText } from './head-text.ts';
import { BODY_ENDED, BODY_FOLLOWS, readMarker } from './markers.ts';
import type { Messages } from './messages.ts';

const MARKER_BYTES = 2;

/** One WebSocket of protocol 1.0 at the connector's end: it serves one request. */
export class DialSocket1 implements DialSocket {
  readonly version = '1.0';
  readonly messages: Messages;
  readonly sinceMs: number;
  readonly #core: ConnectorCore;
  readonly #owner: SocketOwner;
  #exchange: DialExchange1 | null = null;
  #isUsed = false;
  #isRetired = false;
  #pingedMs: number;

  constructor(core: ConnectorCore, messages: Messages, owner: SocketOwner) {
    this.#core = core;
    this.messages = messages;
    this.#owner = owner;
    this.sinceMs = this.#pingedMs = core.loop.clock.now();
    messages.user = this;
  }

  get isReady(): boolean {
    return !this.#isUsed && !this.#isRetired && this.messages.isOpen;
  }

  get inFlight(): number {
    return this.#exchange === null ? 0 : 1;
  }

  get bufferedBytes(): number {
    return this.messages.unsentBytes + (this.#exchange?.heldBytes ?? 0);
  }

  text(bytes: Buffer, start: number, end: number): void {
    const marker = readMarker(bytes, start, end);
    if (this.#isUsed) {
      if (marker === BODY_ENDED && end - start === MARKER_BYTES) this.#exchange?.ended();
      else this.messages.fault(PROTOCOL_ERROR, 'a second request on one socket');
      return;
    }
    if (marker === null || marker === BODY_ENDED) {
      this.messages.fault(PROTOCOL_ERROR, 'text that is no request');
      return;
    }
    this.#isUsed = true;
    const exchange = new DialExchange1(this, this.#core);
    this.#exchange = exchange;
    // The next socket is dialled while this one is at work.
    this.#owner.used(this);
    const { reader, scratch, headLimits } = this.#core;
    const hasBody = marker === BODY_FOLLOWS;
    if (reader.request(scratch, bytes, start, end - MARKER_BYTES, hasBody, headLimits)) exchange.begin(scratch, hasBody);
    else exchange.refuse(new Failure(scratch.problem ?? 'bad_request', scratch.problemDetail));
  }

  binary(bytes: Buffer, start: number, end: number): void {
    if (this.#isUsed) this.#exchange?.received(bytes.subarray(start, end));
    else this.messages.fault(PROTOCOL_ERROR, 'a body before any request');
  }

  drained(): void {
    this.#exchange?.socketDrained();
  }

  ticked(now: number): void {
    this.#exchange?.ticked(now);
    if (now - this.#pingedMs < this.#core.limits.pingEveryMs) return;
    this.#pingedMs = now;
    // Also while it is not read: what cannot be delivered tells that the router is gone.
    this.messages.ping();
  }

  /** The exchange is over. */
  forget(): void {
    this.#exchange = null;
    this.messages.resume();
  }

  retire(): void {
    this.#isRetired = true;
  }

  leave(): void {
    if (this.#exchange === null) this.messages.close(CLOSED_WELL, '');
  }

  closed(code: number, reason: string): void {
    const isIdle = !this.#isUsed;
    this.#abandon();
    this.#owner.lost(this, code, reason, isIdle);
  }

  cut(): void {
    this.#abandon();
    this.messages.wire.destroy();
    this.#owner.lost(this, BROKEN, '', false);
  }

  #abandon(): void {
    this.#isUsed = true;
    this.#exchange?.cancel(new Failure('client_gone', 'the router closed the connection'));
  }
}

/** One exchange of protocol 1.0 at the connector's end. */
class DialExchange1 extends ConnectorExchange {
  readonly #socket: DialSocket1;
  /** Bytes of the request's body that have not been taken. */
  heldBytes = 0;
  #isClosed = false;
  /** The answerer has been told to pause. */
  #waits = false;
  #stalledMs = 0;

  constructor(socket: DialSocket1, core: ConnectorCore) {
    super(core);
    this.#socket = socket;
  }

  received(bytes: Buffer): void {
    this.heldBytes += bytes.length;
    if (this.body(bytes)) this.heldBytes -= bytes.length;
    // A socket that is not read does not tell that the client has left: so a little is read ahead.
    else if (this.heldBytes > this.core.limits.pauseBytes) this.#socket.messages.pause();
  }

  ended(): void {
    this.bodyEnd();
  }

  drained(): void {
    this.heldBytes = 0;
    this.#socket.messages.resume();
  }

  protected sendHead(head: ResponseHead): void {
    const text = Buffer.allocUnsafe(responseTextRoom(head));
    this.#socket.messages.sendText(text.subarray(0, writeResponseText(head, text, 0)));
  }

  protected sendBody(chunk: Uint8Array): boolean {
    const { messages } = this.#socket;
    const most = this.core.limits.sendBytes;
    for (let from = 0; from < chunk.length; from += most) messages.sendBinary(Buffer.from(chunk.subarray(from, from + most)));
    this.#waits = messages.isFull;
    return !this.#waits;
  }

  /** The close is the end of the answer. */
  protected sendEnd(): void {
    this.#close(CLOSED_WELL, '');
  }

  protected sendFailure(failure: Failure): void {
    this.#close(ERRORED, failure.detail);
  }

  #close(code: number, reason: string): void {
    this.#isClosed = true;
    this.#socket.messages.close(code, reason);
  }

  protected drop(): void {
    this.#isClosed = true;
  }

  protected get isSent(): boolean {
    return this.#isClosed;
  }

  protected forget(): void {
    this.heldBytes = 0;
    this.#socket.forget();
  }

  socketDrained(): void {
    if (!this.#waits) return;
    this.#waits = false;
    this.writer?.drained();
  }

  ticked(now: number): void {
    if (!this.#waits) this.#stalledMs = 0;
    else if (this.#stalledMs === 0) this.#stalledMs = now;
    else if (now - this.#stalledMs >= this.core.limits.stallTimeoutMs) {
      this.cancel(new Failure('client_stalled', 'the router takes no more of the answer'));
      this.#socket.messages.close(ERRORED, 'the router takes no more of the answer');
    }
  }
}
