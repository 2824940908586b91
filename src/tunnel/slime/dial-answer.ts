import { Buffer } from 'node:buffer';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Loop } from '../../std/loop.ts';
import type { ReplySink, RequestSink, Writer } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import { type HeaderList, NO_BODY, ResponseHead, UNKNOWN_LENGTH } from '../../http/head.ts';
import { responseRoom, writeResponse } from '../../http/write.ts';
import { problemBody } from './problem.ts';

/** What an answer needs of the worker that brings it. */
export interface AnswerOwner {
  readonly loop: Loop;
  /** A submission, its head not sent yet. `isFresh`: on a connection of its own. */
  submit(connectionId: string, isFresh: boolean): ClientRequest;
  /** The service is done: its slot is free. */
  released(): void;
  /** The submission is over as well. */
  done(answer: DialAnswer): void;
}

/** What may be sent once more when a kept connection turns out to be closed, bytes. */
const KEPT_BYTES = 64 * 1024;
/** No hub closes a connection that has been idle for less, ms; and one that was being closed breaks within this time, ms. */
const IDLE_MS = 5_000;
const STALE_MS = 1_000;

/** The answer to one request, on its way to a hub of slime: the body of a third request. */
export class DialAnswer implements ReplySink {
  writer: Writer | null = null;
  readonly #owner: AnswerOwner;
  readonly #connectionId: string;
  readonly #isHead: boolean;
  #service: RequestSink | null = null;
  #request: ClientRequest | null = null;
  /** The body needs chunks, for its length is not known. */
  #isChunked = false;
  #headSent = false;
  #ended = false;
  #settled = false;
  #closed = false;
  #told = false;
  /** All that was written, for a second try. */
  #kept: Buffer[] | null = [];
  #keptBytes = 0;
  #isSecond = false;
  readonly #sinceMs: number;
  #begunMs = 0;

  constructor(owner: AnswerOwner, connectionId: string, isHead: boolean) {
    this.#owner = owner;
    this.#connectionId = connectionId;
    this.#isHead = isHead;
    this.#sinceMs = owner.loop.clock.now();
  }

  /** Takes what handler.open() returned. */
  attach(service: RequestSink): void {
    this.#service = service;
    this.#finish();
  }

  get bufferedBytes(): number {
    return this.#request?.writableLength ?? 0;
  }

  /** The wire has no place for them. */
  informational(): void {}

  head(head: ResponseHead): void {
    if (this.#headSent || this.#ended) return;
    this.#headSent = true;
    head.upgrade = '';
    const { status } = head;
    const isBodiless = this.#isHead || status === 204 || status === 304;
    if (!isBodiless && head.length === NO_BODY) head.length = 0;
    this.#isChunked = !isBodiless && head.length === UNKNOWN_LENGTH;
    const text = Buffer.allocUnsafe(responseRoom(head));
    this.#send(text.subarray(0, writeResponse(head, this.#isChunked, 'keep', text, 0)));
  }

  write(chunk: Uint8Array): boolean {
    if (!this.#headSent || this.#ended || chunk.length === 0) return true;
    const mine = this.#owner.loop.reads.keep(chunk);
    if (!this.#isChunked) return this.#send(mine);
    return this.#send(Buffer.concat([Buffer.from(`${mine.length.toString(16)}\r\n`, 'latin1'), mine, CRLF]));
  }

  end(_trailers?: HeaderList): void {
    if (!this.#headSent || this.#ended) return;
    this.#ended = true;
    if (this.#isChunked) this.#send(LAST_CHUNK);
    this.#request?.end();
  }

  /** Whoever waits at the hub gets an answer, whatever has happened here; one that has begun is broken off. */
  abort(failure: Failure): void {
    if (this.#ended) return;
    if (this.#headSent) {
      this.#ended = true;
      this.#request?.destroy();
      if (this.#request === null) this.#close();
      return;
    }
    const { detail, code } = failure;
    const status = failure.status === 499 || failure.status === 598 ? 502 : failure.status;
    const body = problemBody(status, detail, code);
    this.head(ResponseHead.make(status, ['Content-Type', 'application/problem+json'], body.length));
    if (!this.#isHead) this.#send(body);
    this.end();
  }

  settled(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#owner.released();
    if (!this.#headSent) this.abort(new Failure('internal', 'the answer ended without an end'));
    this.#finish();
  }

  /** Nobody wants it: the agent stops. */
  cut(): void {
    this.#ended = true;
    this.#request?.destroy();
    if (this.#request === null) this.#close();
  }

  #send(bytes: Uint8Array): boolean {
    if (this.#closed) return true;
    if (this.#kept !== null) {
      this.#keptBytes += bytes.length;
      if (this.#keptBytes > KEPT_BYTES) this.#kept = null;
      else this.#kept.push(Buffer.from(bytes));
    }
    return (this.#request ??= this.#begin()).write(bytes);
  }

  #begin(): ClientRequest {
    this.#begunMs = this.#owner.loop.clock.now();
    const request = this.#owner.submit(this.#connectionId, this.#isSecond);
    request.on('drain', () => this.writer?.drained());
    request.on('response', (response: IncomingMessage) => {
      this.#kept = null;
      response.resume();
      // A hub that answers before it has all of it wants no more.
      if (!this.#ended) {
        this.#ended = true;
        request.destroy();
      }
      response.once('close', () => this.#close());
    });
    request.on('error', () => {
      if (this.#wasStale(request)) this.#again(this.#kept!);
      else this.#close();
    });
    request.on('close', () => {
      if (this.#request === request) this.#close();
    });
    return request;
  }

  /** Was it sent on a kept connection that the hub was just closing? It had been idle for a while then, and breaks at once. Else the hub means it. */
  #wasStale(request: ClientRequest): boolean {
    if (this.#isSecond || !request.reusedSocket || this.#kept === null || this.#request !== request) return false;
    return this.#begunMs - this.#sinceMs >= IDLE_MS && this.#owner.loop.clock.now() - this.#begunMs < STALE_MS;
  }

  #again(kept: readonly Buffer[]): void {
    this.#isSecond = true;
    this.#kept = null;
    const request = this.#begin();
    this.#request = request;
    for (const bytes of kept) request.write(bytes);
    if (this.#ended) request.end();
    else this.writer?.drained();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#settled) this.#service?.abort(new Failure('client_gone', 'the hub takes no more of the answer'));
    this.#ended = true;
    this.#finish();
  }

  #finish(): void {
    if (!this.#closed || !this.#settled || this.#service === null || this.#told) return;
    this.#told = true;
    this.#service.settled();
    this.#owner.done(this);
  }
}

const CRLF = Buffer.from('\r\n', 'latin1');
const LAST_CHUNK = Buffer.from('0\r\n\r\n', 'latin1');
