// HOT: one socket per request.
import { Buffer } from 'node:buffer';
import type { Notes, ReplySink, RequestSink } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import type { RequestHead } from '../../http/head.ts';
import { BAD_REQUEST, BROKEN, CLOSED_WELL, ERRORED, GOING_AWAY, NO_CODE, PROTOCOL_ERROR } from './close-codes.ts';
import { Connector, type ShownSocket } from './connector.ts';
import { requestTextRoom, writeRequestText } from './head-text.ts';
import { BODY_ENDED, BODY_FOLLOWS, NO_BODY_FOLLOWS } from './markers.ts';
import { COPIED_BYTES, type Messages, type MessageUser, SILENT } from './messages.ts';
import { type RouterCore, RouterExchange } from './router-exchange.ts';

const BODY_ENDED_TEXT = Buffer.from(BODY_ENDED);

/** A connector that speaks protocol 1.0: each idle WebSocket is a slot, and serves one request. */
export class Connector1 extends Connector {
  /** Ready for a request, the one that has waited longest first. */
  readonly #idle: Socket1[] = [];
  readonly #all = new Set<Socket1>();
  #busy = 0;

  get slots(): number {
    return Math.max(1, this.#all.size);
  }

  get inFlight(): number {
    return this.#busy;
  }

  protected get room(): number {
    return this.#idle.length;
  }

  get size(): number {
    return this.#all.size;
  }

  get bufferedBytes(): number {
    let sum = 0;
    for (const socket of this.#all) sum += socket.messages.unsentBytes;
    return sum;
  }

  get sockets(): readonly ShownSocket[] {
    return [...this.#all].map((socket) => ({
      id: socket.id,
      port: socket.port,
      heardMs: socket.messages.heardMs,
      inFlight: socket.exchange === null ? 0 : 1,
    }));
  }

  /** A socket of this connector has registered. */
  add(id: string, port: number, messages: Messages): void {
    messages.carried = this.carried;
    const socket = new Socket1(this, id, port, messages);
    this.#all.add(socket);
    this.#idle.push(socket);
    this.changed();
  }

  protected send(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink | null {
    const socket = this.#idle.shift();
    if (socket === undefined) return null;
    this.#busy++;
    return socket.begin(head, reply, notes);
  }

  protected retire(): void {
    for (const socket of this.#idle.splice(0)) {
      this.#all.delete(socket);
      socket.messages.close(GOING_AWAY, 'Going away');
    }
  }

  protected cut(failure: Failure): void {
    this.retire();
    for (const socket of this.#all) socket.cut(failure);
  }

  /** @internal It is not ready any more, or it is again. */
  ready(socket: Socket1, isReady: boolean): void {
    const at = this.#idle.indexOf(socket);
    if (isReady && at < 0 && this.#all.has(socket)) this.#idle.push(socket);
    else if (!isReady && at >= 0) this.#idle.splice(at, 1);
    this.changed();
  }

  /** @internal Its exchange is over. */
  done(): void {
    this.#busy--;
  }

  /** @internal */
  gone(socket: Socket1): void {
    if (!this.#all.delete(socket)) return;
    const at = this.#idle.indexOf(socket);
    if (at >= 0) this.#idle.splice(at, 1);
    this.changed();
  }
}

/** One WebSocket of protocol 1.0. */
class Socket1 implements MessageUser {
  readonly connector: Connector1;
  readonly id: string;
  readonly port: number;
  readonly messages: Messages;
  exchange: Exchange1 | null = null;
  #used = false;
  #overdue = false;
  /** When it was to be closed by the connector, monotonic ms; Infinity before. */
  #doneMs = Infinity;

  constructor(connector: Connector1, id: string, port: number, messages: Messages) {
    this.connector = connector;
    this.id = id;
    this.port = port;
    this.messages = messages;
    messages.user = this;
  }

  begin(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    this.#used = true;
    return (this.exchange = new Exchange1(this, this.connector.options.core, head, reply, notes));
  }

  text(bytes: Buffer, start: number, end: number): void {
    if (this.exchange !== null) this.exchange.text(bytes, start, end);
    else this.#strange();
  }

  binary(bytes: Buffer, start: number, end: number): void {
    if (this.exchange !== null) this.exchange.binary(bytes, start, end);
    else this.#strange();
  }

  /** Nobody has asked it anything. What comes behind an answer that is over is of no use either. */
  #strange(): void {
    if (this.#used) this.messages.waste(1);
    else this.messages.fault(PROTOCOL_ERROR, 'a message before any request');
  }

  drained(): void {
    this.exchange?.socketDrained();
  }

  ticked(now: number): void {
    if (this.exchange !== null) {
      this.exchange.ticked(now);
      return;
    }
    if (this.#used) {
      if (now < this.#doneMs) return;
      this.messages.close(GOING_AWAY, 'Going away');
      this.connector.gone(this);
      return;
    }
    const overdue = this.messages.isOverdue(now);
    if (overdue === this.#overdue) return;
    this.#overdue = overdue;
    this.connector.ready(this, !overdue);
  }

  closed(code: number, reason: string): void {
    const { exchange } = this;
    this.connector.gone(this);
    exchange?.closed(code, reason);
  }

  /** The exchange is over. `isCut`: the socket has been closed by us. */
  over(isCut: boolean): void {
    if (this.exchange === null) return;
    this.exchange = null;
    this.#doneMs = this.connector.options.core.loop.clock.now() + this.connector.options.core.limits.closeTimeoutMs;
    // Answers that nobody reads any more must not hold up the close behind them.
    this.messages.resume();
    this.connector.done();
    if (isCut) this.connector.gone(this);
  }

  cut(failure: Failure): void {
    const { exchange } = this;
    if (exchange === null) this.messages.close(GOING_AWAY, 'Going away');
    else exchange.cut(failure);
    this.connector.gone(this);
  }
}

/** One request and its answer on a socket of its own. */
class Exchange1 extends RouterExchange {
  readonly #socket: Socket1;
  /** The request's sender has been told to pause. */
  #waits = false;
  /** Since when the answer is all there but for the close, monotonic ms; 0 = it is not. */
  #completeMs = 0;

  constructor(socket: Socket1, core: RouterCore, head: RequestHead, reply: ReplySink, notes: Notes) {
    super(core, head, reply, notes);
    this.#socket = socket;
    const { rules } = socket.connector.options;
    const room = requestTextRoom(head) + 2;
    // What is that short is copied at once.
    const out = room <= COPIED_BYTES ? core.scratchText(room) : Buffer.allocUnsafe(room);
    let end = writeRequestText(head, out, 0, rules.keepsHost, rules.legacyForwarded);
    end += out.latin1Write(this.hasEnded ? NO_BODY_FOLLOWS : BODY_FOLLOWS, end);
    socket.messages.sendText(out.subarray(0, end));
  }

  protected sendBody(chunk: Uint8Array): boolean {
    const { messages } = this.#socket;
    const { sendBytes } = this.core.limits;
    for (let from = 0; from < chunk.length; from += sendBytes) messages.sendBinary(Buffer.from(chunk.subarray(from, from + sendBytes)));
    this.#waits = messages.isFull;
    return !this.#waits;
  }

  protected sendEnd(): void {
    this.#socket.messages.sendText(BODY_ENDED_TEXT);
  }

  socketDrained(): void {
    if (!this.#waits) return;
    this.#waits = false;
    this.roomy();
  }

  protected cancel(_failure: Failure): void {
    this.#socket.messages.close(GOING_AWAY, 'Going away');
    this.#socket.over(true);
  }

  protected left(): void {
    this.#socket.over(false);
  }

  drained(): void {
    this.#socket.messages.resume();
  }

  text(bytes: Buffer, start: number, end: number): void {
    this.answerHead(bytes, start, end);
  }

  binary(bytes: Buffer, start: number, end: number): void {
    if (!this.answerBody(bytes.subarray(start, end)) && !this.over) this.#socket.messages.pause();
    if (end - start < SMALL) this.#socket.messages.waste(1);
  }

  /** A connector that forgets to close must not keep the client. */
  ticked(now: number): void {
    if (!this.isComplete) return;
    if (this.#completeMs === 0) this.#completeMs = now;
    else if (now - this.#completeMs >= this.core.limits.closeTimeoutMs) this.answerEnd();
  }

  closed(code: number, reason: string): void {
    if (code === CLOSED_WELL || this.isComplete) this.answerEnd();
    else {
      const { connector } = this.#socket;
      connector.tell(code, reason);
      this.fail(failureOfClose(code, connector.registration.route), false);
    }
  }

  cut(failure: Failure): void {
    this.fail(failure, true);
  }
}

/** Messages with less than this carry next to nothing, bytes. */
const SMALL = 64;

/** Why there is no whole answer, by what the WebSocket was closed with. What the connector says of it is for the log: it may tell of the inside. */
export function failureOfClose(code: number, route: string): Failure {
  switch (code) {
    case BAD_REQUEST:
      return new Failure('bad_request', 'the connector refused the request');
    case ERRORED:
      return new Failure('upstream_closed', 'the connector got no answer from its service');
    case SILENT:
      return new Failure('first_byte_timeout', `The ${route} service did not respond in time.`);
    case BROKEN:
    case NO_CODE:
      return new Failure('tunnel_lost', 'the connection to the connector broke');
    default:
      return new Failure('tunnel_lost', `the connector closed its connection (${code})`);
  }
}
