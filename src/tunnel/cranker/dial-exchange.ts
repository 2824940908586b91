// HOT: one object per exchange, no closures.
import { Buffer } from 'node:buffer';
import { type Handler, Notes, type ReplySink, type RequestSink, type Writer } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import { NO_BODY, RequestHead, ResponseHead, UNKNOWN_LENGTH } from '../../http/head.ts';
import { httpLimits, type HttpLimits } from '../../http/limits.ts';
import { REASONS } from '../../http/write.ts';
import type { Log } from '../../observe/log.ts';
import type { Loop } from '../../std/loop.ts';
import type { ConnectorLimits } from './dial-limits.ts';
import type { RequestLine, Waiter } from './dial-line.ts';
import { HeadReader } from './head-text.ts';

/** What the exchanges of a connector share. */
export class ConnectorCore {
  readonly loop: Loop;
  readonly log: Log;
  readonly limits: ConnectorLimits;
  readonly headLimits: HttpLimits;
  readonly handler: Handler;
  readonly line: RequestLine;
  readonly reader = new HeadReader();
  /** Scratch of whoever reads a request. */
  readonly scratch: RequestHead;

  constructor(loop: Loop, log: Log, limits: ConnectorLimits, handler: Handler, line: RequestLine) {
    this.loop = loop;
    this.log = log;
    this.limits = limits;
    this.headLimits = { ...httpLimits, headBytes: limits.headBytes, targetBytes: limits.headBytes, fieldCount: limits.fieldCount };
    this.handler = handler;
    this.line = line;
    this.scratch = new RequestHead(limits.fieldCount);
  }
}

/** One exchange at the connector's end: what protocols 1.0 and 3.0 have in common. It holds a slot until the answerer has settled. */
export abstract class ConnectorExchange implements ReplySink, Writer, Waiter {
  /** Who fills the answer. */
  writer: Writer | null = null;
  waitsSinceMs = 0;
  protected readonly core: ConnectorCore;
  #request: RequestSink | null = null;
  /** The request, while it waits for a slot, and what came of its body. */
  #head: RequestHead | null = null;
  #waiting: Buffer[] = [];
  #bodyEnded = false;
  /** Body bytes still to come; -1 when nobody knows. */
  #receiveLeft = 0;
  #isHead = false;
  #headSent = false;
  /** No body byte goes behind the head. */
  #bodiless = false;
  /** The answer is over: complete, failed, or not wanted. */
  protected answered = false;
  /** The router does not want it any more. */
  #cancelled = false;
  /** Nothing more of the request is passed on. */
  #isStopped = false;
  /** Nothing runs at the upstream, not yet or not any more. */
  #settled = true;
  #isOver = false;

  constructor(core: ConnectorCore) {
    this.core = core;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  // --- what a wire does

  protected abstract sendHead(head: ResponseHead, bodiless: boolean): void;
  /** A borrowed piece of the answer's body. @returns false to ask for a pause until writer.drained() */
  protected abstract sendBody(chunk: Uint8Array): boolean;
  protected abstract sendEnd(): void;
  /** The answer fails where it stands; what was to be sent of it is dropped. */
  protected abstract sendFailure(failure: Failure): void;
  /** What was to be sent is dropped: nobody reads it. */
  protected abstract drop(): void;
  /** Has all of the answer left? */
  protected abstract readonly isSent: boolean;
  /** Nothing of the exchange is left. */
  protected abstract forget(): void;
  /** All of the request's body that has come has been taken. */
  abstract drained(): void;

  // --- the request, from the router

  /** `hasBody`: end() of the body will come. */
  begin(head: RequestHead, hasBody: boolean): void {
    this.#isHead = head.method === 'HEAD';
    this.#receiveLeft = head.length >= 0 ? head.length : head.length === UNKNOWN_LENGTH ? -1 : 0;
    this.#bodyEnded = !hasBody;
    // What these protocols cannot carry. Routers of the family keep it to themselves, nearly always.
    head.upgrade = '';
    if (head.expectContinue) {
      head.expectContinue = false;
      head.removeName('expect');
    }
    if (this.core.line.take()) this.#open(head);
    else if (this.core.line.wait(this)) this.#head = head.keep();
    else this.refuse(new Failure('no_free_slot', `all slots of the agent are busy, and ${this.core.line.waiting} requests wait for one`, 1));
  }

  /** Answers without asking anybody. */
  refuse(failure: Failure): void {
    this.#fail(failure);
    this.#finish();
  }

  served(): void {
    const head = this.#head!;
    this.#head = null;
    this.#open(head);
  }

  tired(): void {
    this.#head = null;
    this.#waiting = [];
    this.refuse(new Failure('queue_timeout', 'no slot of the agent became free in time', 1));
  }

  #open(head: RequestHead): void {
    const { core } = this;
    this.#settled = false;
    let request: RequestSink;
    try {
      request = core.handler.open(head, this, new Notes(core.loop.sweeper.coarse));
    } catch (error) {
      core.log.error({ error }, 'cranker: a handler threw');
      this.#fail(new Failure('internal', 'the agent failed'));
      this.settled();
      return;
    }
    this.#request = request;
    request.writer = this;
    if (this.#settled) {
      request.settled();
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    let taken = true;
    for (const chunk of waiting) if (!request.write(chunk)) taken = false;
    if (waiting.length > 0 && taken) this.drained();
    if (this.#bodyEnded && !this.#isStopped) request.end();
  }

  /** A borrowed piece of the request's body. @returns whether it has been consumed; else drained() follows */
  protected body(chunk: Buffer): boolean {
    const n = chunk.length;
    if (n === 0 || this.#isDeaf) return true;
    if (this.#bodyEnded || (this.#receiveLeft >= 0 && n > this.#receiveLeft)) {
      this.stop(new Failure('bad_request', 'the body is longer than its announced length'));
      return true;
    }
    if (this.#receiveLeft > 0) this.#receiveLeft -= n;
    if (this.#request !== null) return this.#request.write(chunk);
    this.#waiting.push(Buffer.from(chunk));
    return false;
  }

  /** The request's body is complete. */
  protected bodyEnd(): void {
    if (this.#isDeaf || this.#bodyEnded) return;
    if (this.#receiveLeft > 0) {
      this.stop(new Failure('bad_request', `the body ended ${this.#receiveLeft} bytes before its announced length`));
      return;
    }
    this.#bodyEnded = true;
    this.#request?.end();
  }

  /** Does nobody listen to the router any more? */
  get #isDeaf(): boolean {
    return this.#isOver || this.#isStopped || (this.#settled && this.#head === null);
  }

  /** The client has left, or the router is gone. */
  cancel(failure: Failure): void {
    if (this.#cancelled || this.#isOver) return;
    this.#cancelled = this.#isStopped = this.answered = true;
    this.drop();
    this.#leave(failure);
  }

  /** Both sides hear of a failure that neither reported. */
  protected stop(failure: Failure): void {
    if (this.#isStopped || this.#isOver) return;
    this.#fail(failure);
    this.#isStopped = true;
    this.#leave(failure);
  }

  #leave(failure: Failure): void {
    if (this.#head !== null) {
      this.core.line.leave(this);
      this.#head = null;
      this.#waiting = [];
    }
    if (this.#settled) this.#finish();
    else this.#request?.abort(failure);
  }

  // --- the answer, from the answerer

  informational(): void {}

  head(head: ResponseHead): void {
    if (this.#headSent || this.answered) return;
    this.#headSent = true;
    const { status, length } = head;
    this.#bodiless = length === NO_BODY || length === 0 || this.#isHead || status === 204 || status === 304;
    this.sendHead(head, this.#bodiless);
  }

  write(chunk: Uint8Array): boolean {
    if (this.answered || !this.#headSent || this.#bodiless) return true;
    return this.sendBody(chunk);
  }

  end(): void {
    if (this.answered) return;
    if (!this.#headSent) {
      this.#fail(new Failure('internal', 'the answer ended before its head'));
      return;
    }
    this.answered = true;
    this.sendEnd();
  }

  abort(failure: Failure): void {
    this.#fail(failure);
  }

  settled(): void {
    if (this.#settled) return;
    this.#settled = true;
    if (!this.answered) this.#fail(new Failure('internal', 'the answer ended without an end'));
    this.core.line.release();
    this.#finish();
  }

  /** Before the head most failures have a status of their own; 502 is what routers make of one that is told in the wire's own words. */
  #fail(failure: Failure): void {
    if (this.answered) return;
    if (this.#headSent || failure.status === 502) {
      this.answered = true;
      this.sendFailure(failure);
      return;
    }
    const { status } = failure;
    const title = REASONS[status] ?? 'Error';
    const body = Buffer.from(`${JSON.stringify({ type: 'about:blank', title, status, detail: failure.detail, code: failure.code })}\n`);
    const retry = failure.retryAfterS > 0 ? ['Retry-After', String(failure.retryAfterS)] : [];
    this.head(ResponseHead.make(status, ['Content-Type', 'application/problem+json', ...retry], body.length));
    this.write(body);
    this.answered = true;
    this.sendEnd();
  }

  /** All of the answer has left, perhaps. */
  protected sent(): void {
    this.#finish();
  }

  #finish(): void {
    if (this.#isOver || !this.#settled || !this.answered || !(this.#cancelled || this.isSent)) return;
    this.#isOver = true;
    this.forget();
    this.#request?.settled();
  }
}
