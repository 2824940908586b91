import { Buffer } from 'node:buffer';
import { ChunkedDecoder } from '../../http/chunked.ts';
import type { ReplySink, RequestSink, Writer } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import { NO_BODY, ResponseHead, UNKNOWN_LENGTH } from '../../http/head.ts';
import type { HttpLimits } from '../../http/limits.ts';
import { INCOMPLETE, parseResponse, REFUSED } from '../../http/parse.ts';
import type { Loop } from '../../std/loop.ts';
import { slimeLimits } from './limits.ts';
import { answerProblem } from './problem.ts';
import type { Carrier, SlimeWork } from './work.ts';

const HEAD = 0;
const LENGTH = 1;
const CHUNKS = 2;
/** The body ends where the submission does. */
const REST = 3;
/** The answer is complete; the submission need not have ended. */
const DONE = 4;
const OVER = 5;

const NOTHING = Buffer.alloc(0);

/** An answer on its way: the third of slime's requests, whose body is an HTTP/1.1 answer as text. It is read as strictly as that of any upstream. */
export class SlimeSubmission implements RequestSink, Carrier {
  writer: Writer | null = null;
  readonly #work: SlimeWork;
  readonly #agent: ReplySink;
  readonly #loop: Loop;
  readonly #limits: HttpLimits;
  readonly #scratch: ResponseHead;
  #state = HEAD;
  /** Bytes of a head that is not complete. */
  #carry: Buffer = NOTHING;
  #informationals = 0;
  #remaining = 0;
  #decoder: ChunkedDecoder | null = null;
  #isBlocked = false;

  constructor(work: SlimeWork, agent: ReplySink, loop: Loop, limits: HttpLimits, scratch: ResponseHead) {
    this.#work = work;
    this.#agent = agent;
    this.#loop = loop;
    this.#limits = limits;
    this.#scratch = scratch;
    work.carrier = this;
  }

  write(chunk: Uint8Array): boolean {
    this.#work.heard(chunk.length);
    if (this.#state === OVER) return true;
    this.#isBlocked = false;
    if (this.#state === HEAD) {
      this.#work.began();
      if (this.#carry.length > 0) {
        chunk = Buffer.concat([this.#carry, chunk]);
        this.#loop.reads.private = true;
      }
      this.#head(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
    } else this.#body(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length), 0);
    return !this.#isBlocked;
  }

  #head(bytes: Buffer): void {
    const head = this.#scratch;
    const { reply, notes } = this.#work;
    let from = 0;
    for (;;) {
      const at = parseResponse(head, bytes, from, bytes.length, this.#limits);
      if (at === INCOMPLETE) {
        this.#carry = Buffer.from(bytes.subarray(from));
        return;
      }
      if (at === REFUSED) {
        this.#bad(head.problemDetail);
        return;
      }
      from = at;
      if (head.status >= 200 || head.status === 101) break;
      head.length = NO_BODY;
      if (++this.#informationals > slimeLimits.informationalCount) {
        this.#bad(`more than ${slimeLimits.informationalCount} interim answers`);
        return;
      }
      reply.informational(head);
      // What was heard may have ended it.
      if (this.#isOver()) return;
    }
    this.#carry = NOTHING;
    const { status } = head;
    if (status === 101) {
      this.#bad('an upgrade that nobody asked for');
      return;
    }
    head.upgrade = '';
    if (this.#work.isHead || status === 204 || status === 304) {
      head.length = NO_BODY;
      this.#state = DONE;
    } else if (head.length >= 0) {
      this.#remaining = head.length;
      this.#state = head.length === 0 ? DONE : LENGTH;
    } else if (head.chunked) {
      this.#decoder = new ChunkedDecoder(this.#limits);
      this.#state = CHUNKS;
      head.length = UNKNOWN_LENGTH;
    } else this.#state = REST;
    const bodiless = this.#state === DONE;
    notes.firstByteMs = this.#loop.clock.now();
    reply.writer = this;
    reply.head(head);
    if (this.#isOver()) return;
    if (bodiless) this.#work.answered(undefined);
    if (from < bytes.length) this.#body(bytes, from);
  }

  #isOver(): boolean {
    return this.#state === OVER;
  }

  #body(bytes: Buffer, from: number): void {
    const { reply } = this.#work;
    switch (this.#state) {
      case LENGTH: {
        const n = Math.min(this.#remaining, bytes.length - from);
        this.#remaining -= n;
        if (!reply.write(bytes.subarray(from, from + n))) this.#isBlocked = true;
        if (this.#isOver() || this.#remaining > 0) return;
        this.#state = DONE;
        this.#work.answered(undefined);
        if (from + n < bytes.length) this.#excess();
        return;
      }
      case CHUNKS: {
        const decoder = this.#decoder!;
        const at = decoder.feed(bytes, from, bytes.length, reply);
        if (this.#isOver()) return;
        if (decoder.problem !== '') {
          this.#bad(`chunked body: ${decoder.problem}`);
          return;
        }
        this.#isBlocked = decoder.blocked;
        if (!decoder.done) return;
        this.#state = DONE;
        this.#work.answered(decoder.trailers);
        if (at < bytes.length) this.#excess();
        return;
      }
      case REST:
        if (!reply.write(bytes.subarray(from))) this.#isBlocked = true;
        return;
      case DONE:
        this.#excess();
    }
  }

  /** The client has its answer; what follows is no part of any. */
  #excess(): void {
    this.#isBlocked = false;
    this.#state = OVER;
    answerProblem(this.#agent, new Failure('bad_request', 'there are bytes behind the answer'));
  }

  #bad(detail: string): void {
    this.#state = OVER;
    this.#isBlocked = false;
    this.#work.fail(new Failure('bad_response', detail));
    answerProblem(this.#agent, new Failure('bad_request', `this is no answer: ${detail}`));
  }

  end(): void {
    switch (this.#state) {
      case OVER:
        return;
      case HEAD:
        this.#bad('it ended before its head was complete');
        return;
      case LENGTH:
      case CHUNKS:
        this.#bad('it ended before it was complete');
        return;
      case REST:
        this.#work.answered(undefined);
    }
    this.#state = OVER;
    answerOk(this.#agent);
  }

  /** The agent broke off: what began is not complete (rule R2). */
  abort(failure: Failure): void {
    if (this.#state === OVER) return;
    this.#state = OVER;
    const began = this.#work.notes.firstByteMs > 0 || this.#carry.length > 0;
    this.#work.fail(
      began
        ? new Failure('upstream_closed', `the agent broke off its answer: ${failure.detail}`)
        : new Failure('tunnel_lost', `the agent was lost before its answer began: ${failure.detail}`),
    );
  }

  cut(failure: Failure): void {
    if (this.#state === OVER) return;
    this.#state = OVER;
    this.#agent.abort(failure);
  }

  drained(): void {
    this.writer?.drained();
  }

  settled(): void {}
}

/** An answer that nobody wants any more. A short one is read, since its agent means well; a long one is cut, which tells it to stop. */
export class UnwantedAnswer implements RequestSink {
  writer: Writer | null = null;
  readonly #work: SlimeWork;
  readonly #agent: ReplySink;
  #bytes = 0;
  #over = false;

  constructor(work: SlimeWork, agent: ReplySink) {
    this.#work = work;
    this.#agent = agent;
  }

  write(chunk: Uint8Array): boolean {
    this.#work.heard(chunk.length);
    this.#bytes += chunk.length;
    if (this.#bytes > slimeLimits.discardedBytes && !this.#over) {
      this.#over = true;
      this.#agent.abort(new Failure('client_gone', 'the client has left'));
    }
    return true;
  }

  end(): void {
    if (!this.#over) answerOk(this.#agent);
  }

  abort(): void {
    this.#over = true;
  }

  settled(): void {}
}

/** 200, empty. */
export function answerOk(agent: ReplySink): void {
  agent.head(ResponseHead.make(200, [], 0));
  agent.end();
}
