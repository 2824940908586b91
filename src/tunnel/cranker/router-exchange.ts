// HOT: one object per exchange, no closures.
import { Buffer } from 'node:buffer';
import type { Notes, ReplySink, RequestSink, Writer } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import { type HeaderList, NO_BODY, type RequestHead, ResponseHead, UNKNOWN_LENGTH } from '../../http/head.ts';
import type { HttpLimits } from '../../http/limits.ts';
import type { Loop } from '../../std/loop.ts';
import { HeadReader } from './head-text.ts';
import type { CrankerLimits } from './limits.ts';
import { type Framing, loadFraming } from './messages.ts';

/** What the exchanges of a router share. */
export class RouterCore {
  readonly loop: Loop;
  readonly limits: CrankerLimits;
  readonly headLimits: HttpLimits;
  readonly reader = new HeadReader();
  /** Scratch of whoever reads an answer. */
  readonly scratch: ResponseHead;
  #framing: Framing | null = null;
  /** Copies of heads that nobody needs any more. */
  readonly #spare: RequestHead[] = [];
  #scratchText: Buffer = Buffer.allocUnsafeSlow(4096);

  constructor(loop: Loop, limits: CrankerLimits, headLimits: HttpLimits) {
    this.loop = loop;
    this.limits = limits;
    this.headLimits = { ...headLimits, headBytes: limits.headBytes, fieldCount: limits.fieldCount };
    this.scratch = new ResponseHead(limits.fieldCount);
  }

  /** Memory for a text that is copied at once: it is overwritten by the next one. */
  scratchText(bytes: number): Buffer {
    if (this.#scratchText.length < bytes) this.#scratchText = Buffer.allocUnsafeSlow(bytes * 2);
    return this.#scratchText;
  }

  keep(head: RequestHead): RequestHead {
    return head.keep(this.#spare.pop());
  }

  giveBack(copy: RequestHead): void {
    if (this.#spare.length < SPARE_HEADS) this.#spare.push(copy);
  }

  /** Loaded with the first connector. */
  get framing(): Framing {
    return (this.#framing ??= loadFraming());
  }
}

/** Copies of heads that are kept to be filled again: as many as run at once where memory counts. */
const SPARE_HEADS = 256;

/** Bytes of a body that are kept until the answer begins, in case that it must be sent again (rule R1). */
const KEPT_BYTES = 64 * 1024;

const NOTHING: Uint8Array[] = [];

/** One exchange at the router's end: what protocols 1.0 and 3.0 have in common. The answer's framing is checked here, and nothing of it is believed. */
export abstract class RouterExchange implements RequestSink, Writer {
  /** Who fills the request. */
  writer: Writer | null = null;
  protected readonly core: RouterCore;
  readonly #reply: ReplySink;
  protected readonly notes: Notes;
  /** For reclaim(); null once something came back. */
  #head: RequestHead | null;
  #kept: Uint8Array[] = NOTHING;
  #keptBytes = 0;
  #lossy = false;
  /** Answers to HEAD have no body, whatever they say. */
  readonly #isHead: boolean;
  /** Body bytes still to be sent; -1 when nobody knows. */
  #sendLeft: number;
  /** Body bytes still to come; -1 when nobody knows, -2 when there are none and what comes is thrown away. */
  #receiveLeft = -1;
  protected hasEnded: boolean;
  protected headCame = false;
  /** The answer is complete. */
  protected answered = false;
  /** Nothing more happens. */
  over = false;

  constructor(core: RouterCore, head: RequestHead, reply: ReplySink, notes: Notes) {
    this.core = core;
    this.#reply = reply;
    reply.writer = this;
    this.notes = notes;
    this.#head = core.keep(head);
    this.#isHead = head.method === 'HEAD';
    this.#sendLeft = head.length >= 0 ? head.length : head.length === UNKNOWN_LENGTH ? -1 : 0;
    this.hasEnded = head.bodiless;
    notes.began = 'maybe';
  }

  // --- the request

  write(chunk: Uint8Array): boolean {
    const n = chunk.length;
    if (this.over || this.answered || this.hasEnded || n === 0) return true;
    if (this.#sendLeft >= 0) {
      if (n > this.#sendLeft) {
        this.fail(new Failure('bad_request', 'the body is longer than its announced length'), true);
        return true;
      }
      this.#sendLeft -= n;
    }
    if (this.#head !== null && !this.#lossy) {
      this.#keptBytes += n;
      this.#lossy = this.#keptBytes > KEPT_BYTES;
      if (this.#lossy) this.#kept = NOTHING;
      else if (this.#kept === NOTHING) this.#kept = [Uint8Array.from(chunk)];
      else this.#kept.push(Uint8Array.from(chunk));
    }
    return this.sendBody(chunk);
  }

  end(_trailers?: HeaderList): void {
    if (this.over || this.answered || this.hasEnded) return;
    if (this.#sendLeft > 0) {
      this.fail(new Failure('bad_request', `the body ended ${this.#sendLeft} bytes before its announced length`), true);
      return;
    }
    this.hasEnded = true;
    this.sendEnd();
  }

  /** The client has left, or nobody wants the answer any more. */
  abort(failure: Failure): void {
    if (this.over) return;
    this.#finish();
    this.cancel(failure);
    this.#reply.settled();
  }

  settled(): void {}

  /** A piece of the body, borrowed. @returns false to ask for a pause until writer.drained() */
  protected abstract sendBody(chunk: Uint8Array): boolean;
  protected abstract sendEnd(): void;
  /** The connector is to stop; nothing more comes from here. */
  protected abstract cancel(failure: Failure): void;
  /** Both directions are done with. `wasWhole`: the request has been sent to its end. */
  protected abstract left(wasWhole: boolean): void;
  /** The reply takes more again. */
  abstract drained(): void;

  // --- the answer

  /** @returns false when the exchange is over for it */
  protected answerHead(bytes: Buffer, start: number, end: number): boolean {
    if (this.over) return false;
    const { core, notes } = this;
    if (this.headCame) {
      this.fail(new Failure('tunnel_error', 'the connector sent a second head'), true);
      return false;
    }
    const head = core.scratch;
    this.#release();
    notes.began = 'yes';
    if (!core.reader.response(head, bytes, start, end, core.headLimits)) {
      this.fail(new Failure('bad_response', head.problemDetail), true);
      return false;
    }
    const { status } = head;
    if (status < 200 || status > 599) {
      this.fail(new Failure('bad_response', `status ${status} cannot be the answer`), true);
      return false;
    }
    this.headCame = true;
    notes.firstByteMs = core.loop.clock.now();
    head.upgrade = '';
    // A router's answers do not say which server made them.
    head.removeName('server');
    if (this.#isHead || status === 204 || status === 304) {
      head.length = NO_BODY;
      this.#receiveLeft = -2;
    } else this.#receiveLeft = head.length >= 0 ? head.length : -1;
    this.#reply.head(head);
    return !this.over;
  }

  /** @returns true when the reply takes more */
  protected answerBody(chunk: Uint8Array): boolean {
    if (this.over || this.answered) return true;
    const n = chunk.length;
    if (!this.headCame) {
      this.fail(new Failure('tunnel_error', 'the connector sent a body before its head'), true);
      return true;
    }
    if (this.#receiveLeft === -2 || n === 0) return true;
    if (this.#receiveLeft >= 0) {
      if (n > this.#receiveLeft) {
        this.fail(new Failure('bad_response', 'the body is longer than its announced length'), true);
        return true;
      }
      this.#receiveLeft -= n;
    }
    return this.#reply.write(chunk);
  }

  /** Has the answer all that it announced, so that its end needs no word? */
  protected get isComplete(): boolean {
    return this.headCame && (this.#receiveLeft === 0 || this.#receiveLeft === -2);
  }

  /** The end of the answer. One that is too short breaks the client's connection. */
  protected answerEnd(): void {
    if (this.over || this.answered) return;
    if (!this.headCame) {
      this.fail(new Failure('bad_response', 'the connector ended its answer before its head'), true);
      return;
    }
    if (this.#receiveLeft > 0) {
      this.fail(new Failure('bad_response', `the body ended ${this.#receiveLeft} bytes before its announced length`), true);
      return;
    }
    this.answered = true;
    this.#reply.end();
    if (this.over) return;
    const wasWhole = this.hasEnded;
    this.#finish();
    this.left(wasWhole);
    // What is left of the request is read and thrown away, or its connection is closed: that is for whoever has it.
    if (!wasWhole) this.writer?.drained();
    this.#reply.settled();
  }

  /** `tell`: the connector does not know of it. */
  protected fail(failure: Failure, tell: boolean): void {
    if (this.over) return;
    this.#wasWhole = this.hasEnded;
    this.over = true;
    if (tell) this.cancel(failure);
    else this.left(this.#wasWhole);
    this.hasEnded = true;
    if (!this.answered) {
      this.notes.failure = failure;
      this.#reply.abort(failure);
    }
    this.#release();
    this.#reply.settled();
  }

  /** It is not sent again. */
  #release(): void {
    if (this.#head !== null) this.core.giveBack(this.#head);
    this.#head = null;
    this.#kept = NOTHING;
  }

  #wasWhole = false;

  #finish(): void {
    this.over = true;
    this.hasEnded = true;
    this.#release();
  }

  /** Does anybody wait for the answer's head still? */
  protected get isUnanswered(): boolean {
    return !this.headCame;
  }

  /** Fills of the request were told to pause; they may go on. */
  roomy(): void {
    if (!this.over) this.writer?.drained();
  }

  /** The request as it was sent, while nothing has come back and its body is no larger than 64 KiB; for whoever sends it again. */
  reclaim(): { head: RequestHead; body: Uint8Array[]; complete: boolean } | null {
    if (this.#head === null || this.#lossy) return null;
    const head = this.#head;
    // It is somebody else's from now on.
    this.#head = null;
    return { head, body: this.#kept, complete: this.over ? this.#wasWhole : this.hasEnded };
  }
}
