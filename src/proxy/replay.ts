import { Buffer } from 'node:buffer';
import type { Loop } from '../std/loop.ts';
import { Notes, type ReplySink, type RequestSink, type Writer } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import { makePeer, RequestHead, type ResponseHead } from '../http/head.ts';
import type { HttpLimits } from '../http/limits.ts';
import { parseRequest } from '../http/parse.ts';
import type { Door } from './door.ts';
import type { Inspected, Inspector } from './inspector.ts';
import { REPLAY_BYTES, REPLAY_MS } from './limits.ts';

/** Why an exchange cannot be made once more; '' when it can. */
export function replayProblem(exchange: Inspected): string {
  const text = exchange.came;
  if (text === '') return 'its head is not kept: it could not be read, or is too large';
  const method = text.slice(0, text.indexOf(' '));
  if (!SAFE.has(method)) return `${SHOWN.test(method) ? method : 'its method'} may change something: only GET, HEAD and OPTIONS are sent again`;
  if (exchange.hasBody) return 'it had a body, and bodies are not kept';
  if (exchange.upgrade !== '') return 'it asked for another protocol, and nobody is there to speak it';
  return '';
}

const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
const SHOWN = /^[A-Z-]{1,20}$/;

/**
 * Makes an exchange once more, as if its client had sent it again to the same server: with all its fields, its secrets included. Nobody reads the answer.
 * @returns the number of the new one, or why it cannot be made
 */
export function replay(exchange: Inspected, inspector: Inspector, door: Door, limits: HttpLimits, loop: Loop): number | Failure {
  const bytes = Buffer.from(exchange.came, 'latin1');
  const head = new RequestHead(limits.fieldCount);
  if (parseRequest(head, bytes, 0, bytes.length, limits) !== bytes.length)
    return new Failure('bad_request', 'its head is no longer taken by this server');
  const peer = makePeer(exchange.address, exchange.port, exchange.localPort, exchange.scheme, false);
  peer.http2 = exchange.http2;
  peer.localAddress = exchange.localAddress;
  peer.certificate = exchange.certificate;
  head.peer = peer;
  const notes = new Notes(loop.clock.now());
  const reply = new Unread(notes);
  return inspector.replay(exchange.number, () => reply.began(door.open(head, reply, notes)));
}

/** Takes an answer for nobody: counts it, bounded in time and bytes. */
class Unread implements ReplySink {
  writer: Writer | null = null;
  readonly #notes: Notes;
  readonly #timer: NodeJS.Timeout;
  #request: RequestSink | null = null;
  #isOver = false;

  constructor(notes: Notes) {
    this.#notes = notes;
    this.#timer = setTimeout(() => this.#cut('takes too long'), REPLAY_MS).unref();
  }

  began(request: RequestSink): void {
    this.#request = request;
    request.end();
    if (this.#isOver) this.#leave();
  }

  informational(): void {}

  head(head: ResponseHead): void {
    this.#notes.status = head.status;
  }

  write(chunk: Uint8Array): boolean {
    this.#notes.replyBytes += chunk.length;
    if (this.#notes.replyBytes > REPLAY_BYTES) this.#cut('is too large');
    return true;
  }

  end(): void {
    this.#leave();
  }

  abort(failure: Failure): void {
    this.#notes.failure ??= failure;
    this.#leave();
  }

  settled(): void {}

  #cut(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const failure = new Failure('client_gone', `the answer to a request that was sent again ${why}`);
    this.#notes.failure = failure;
    // Never from inside the call that brought the bytes.
    setImmediate(() => {
      this.#request?.abort(failure);
      this.#finish();
    });
  }

  #leave(): void {
    if (this.#isOver && this.#request === null) return;
    this.#isOver = true;
    if (this.#request === null) return;
    setImmediate(() => this.#finish());
  }

  #finish(): void {
    clearTimeout(this.#timer);
    const request = this.#request;
    this.#request = null;
    request?.settled();
  }
}
