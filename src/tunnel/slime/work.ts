import { Buffer } from 'node:buffer';
import type { Flushable } from '../../std/turn.ts';
import type { Loop } from '../../std/loop.ts';
import type { Notes, ReplySink, RequestSink, Writer } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import { type HeaderList, type RequestHead, ResponseHead, UNKNOWN_LENGTH } from '../../http/head.ts';
import { requestRoom, writeRequest } from '../../http/write.ts';
import { slimeLimits } from './limits.ts';
import type { SlimePoll } from './poll.ts';

/** Who keeps works: their worker. */
export interface WorkOwner {
  readonly loop: Loop;
  /** Bytes of requests and answers so far, as they are carried. */
  bytesSent: number;
  bytesReceived: number;
  /** The request never left: its poll may carry another. */
  unused(poll: SlimePoll): void;
  /** It is over, answered or not. */
  ended(work: SlimeWork): void;
}

/** What carries the answer: the third of slime's requests. */
export interface Carrier {
  /** Nobody wants the answer any more: its connection is cut, which is all that slime's agent understands. */
  cut(failure: Failure): void;
  /** The client can take more. */
  drained(): void;
}

/**
 * One request that an agent of slime is to answer. It leaves at the end of the turn in which it got its poll: until then it provably never left
 * (rule R1), from then on nobody knows, until its answer begins.
 */
export class SlimeWork implements RequestSink, Flushable, Writer {
  readonly id: number;
  readonly reply: ReplySink;
  readonly notes: Notes;
  readonly isHead: boolean;
  writer: Writer | null = null;
  queued = false;
  readonly poll: SlimePoll;
  readonly #owner: WorkOwner;
  readonly #head: RequestHead;
  /** The body so far, while it may be needed again. */
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #isLossy = false;
  #isReclaimable = true;
  #ended = false;
  #written = 0;
  /** The poll's answer has begun. */
  #left = false;
  /** And has been written to its end, or given up. */
  #delivered = false;
  #waiting = false;
  #over = false;
  /** The connection that brings the answer; null before. */
  carrier: Carrier | null = null;
  /** When its answer must have begun, monotonic ms. */
  due: number;

  constructor(owner: WorkOwner, poll: SlimePoll, id: number, head: RequestHead, reply: ReplySink, notes: Notes) {
    this.#owner = owner;
    this.poll = poll;
    this.id = id;
    this.#head = head.keep();
    this.reply = reply;
    this.notes = notes;
    this.isHead = head.method === 'HEAD';
    this.#ended = head.bodiless;
    this.due = owner.loop.clock.now() + slimeLimits.answerMs;
    owner.loop.turn.later(this);
  }

  /** Is there nobody any more who wants the answer? */
  get isUnwanted(): boolean {
    return this.#over;
  }

  /** Was the length of the request's body known, so that whoever has all of it knows? */
  get isWhole(): boolean {
    return this.#head.length !== UNKNOWN_LENGTH;
  }

  /** The turn ends: off it goes. */
  flush(): void {
    if (this.#over) return;
    if (this.poll.isGone) {
      this.fail(new Failure('tunnel_lost_unsent', 'the agent was lost before the request was sent'));
      return;
    }
    this.#left = true;
    this.notes.began = 'maybe';
    const head = this.#head;
    const text = Buffer.allocUnsafe(requestRoom(head, ''));
    const end = writeRequest(head, '', true, text, 0);
    const { reply } = this.poll;
    reply.writer = this;
    this.#owner.loop.reads.private = true;
    const length = head.bodiless ? end : head.length === UNKNOWN_LENGTH ? UNKNOWN_LENGTH : end + head.length;
    reply.head(ResponseHead.make(200, ['Slime-Connection-Id', String(this.id)], length));
    this.#carry(text.subarray(0, end));
    for (const chunk of this.#kept) this.#send(chunk);
    if (this.#ended) this.#finish();
    else if (this.#waiting) {
      this.#waiting = false;
      this.writer?.drained();
    }
  }

  write(chunk: Uint8Array): boolean {
    if (this.#over || this.#delivered || chunk.length === 0) return true;
    if (this.#head.length >= 0 && this.#written + this.#keptIfWaiting + chunk.length > this.#head.length) {
      this.#break('the request body is longer than its Content-Length');
      return true;
    }
    if (this.#isReclaimable) this.#keep(this.#owner.loop.reads.keep(chunk));
    if (this.#left) return this.#send(chunk);
    this.#waiting = this.#keptBytes >= slimeLimits.keptBytes / 2;
    return !this.#waiting;
  }

  get #keptIfWaiting(): number {
    return this.#left ? 0 : this.#keptBytes;
  }

  #keep(chunk: Uint8Array): void {
    this.#keptBytes += chunk.length;
    // Before it has left everything is needed, whatever it costs: its writer has been asked to stop.
    if (this.#left && this.#keptBytes > slimeLimits.keptBytes) this.#isLossy = true;
    if (this.#isLossy) this.#kept = [];
    else this.#kept.push(chunk);
  }

  #send(chunk: Uint8Array): boolean {
    this.#written += chunk.length;
    if (this.#head.length !== UNKNOWN_LENGTH) return this.#carry(chunk);
    this.#carry(Buffer.from(`${chunk.length.toString(16)}\r\n`, 'latin1'));
    this.#carry(chunk);
    return this.#carry(CRLF);
  }

  #carry(bytes: Uint8Array): boolean {
    this.#owner.bytesSent += bytes.length;
    return this.poll.reply.write(bytes);
  }

  /** The wire has no place for trailers: a request that cannot do without them does not come here. */
  end(_trailers?: HeaderList): void {
    if (this.#over || this.#ended) return;
    this.#ended = true;
    if (this.#left) this.#finish();
  }

  #finish(): void {
    if (this.#delivered) return;
    const { length } = this.#head;
    if (length >= 0 && this.#written < length) {
      this.#break('the request body is shorter than its Content-Length');
      return;
    }
    this.#delivered = true;
    const { reply } = this.poll;
    if (length === UNKNOWN_LENGTH) this.#carry(LAST_CHUNK);
    reply.end();
  }

  #break(detail: string): void {
    this.#stop();
    this.fail(new Failure('bad_request', detail));
  }

  /** The client left, or its deadline has passed. */
  abort(failure: Failure): void {
    if (this.#over) return;
    this.#over = true;
    this.#isReclaimable = false;
    this.#kept = [];
    if (!this.#left) {
      this.#owner.unused(this.poll);
      this.#owner.ended(this);
    } else {
      this.#stop();
      this.due = this.#owner.loop.clock.now() + slimeLimits.answerMs;
      if (this.carrier !== null) {
        this.carrier.cut(failure);
        this.#owner.ended(this);
      }
    }
    this.reply.settled();
  }

  /** The rest of the request is nobody's. */
  #stop(): void {
    if (!this.#left || this.#delivered) return;
    this.#delivered = true;
    this.poll.reply.abort(new Failure('client_gone', 'the request broke off'));
  }

  settled(): void {
    this.#kept = [];
  }

  /** The agent's end of the poll was lost while the request was on its way. */
  pollLost(): void {
    // Not sent yet: the turn's end will see.
    if (!this.#left || this.#over || this.carrier !== null) return;
    this.#delivered = true;
    this.fail(new Failure('tunnel_lost', 'the agent was lost while the request was sent'));
  }

  /** The poll can take more. */
  drained(): void {
    this.writer?.drained();
  }

  // --- the answer

  /** So much of an answer came, whatever becomes of it. */
  heard(bytes: number): void {
    this.#owner.bytesReceived += bytes;
  }

  /** Its first bytes are here: nothing is sent again from now on. */
  began(): void {
    this.#isReclaimable = false;
    this.#kept = [];
    this.notes.began = 'yes';
  }

  /** The answer is complete. */
  answered(trailers: HeaderList | undefined): void {
    if (this.#over) return;
    this.#over = true;
    // Who answers before the upload is through reads no more of it.
    const waits = !this.#delivered && !this.#ended;
    this.#stop();
    this.#owner.ended(this);
    this.reply.end(trailers);
    if (waits) this.writer?.drained();
    this.reply.settled();
  }

  fail(failure: Failure): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.ended(this);
    this.notes.failure = failure;
    this.reply.abort(failure);
    this.reply.settled();
  }

  /** The request as it was sent, while nothing of an answer came and all of it is still here: for whoever sends it again. */
  reclaim(): { head: RequestHead; body: Uint8Array[]; complete: boolean } | null {
    if (!this.#isReclaimable || this.#isLossy) return null;
    return { head: this.#head, body: this.#kept, complete: this.#ended };
  }
}

const CRLF = Buffer.from('\r\n', 'latin1');
const LAST_CHUNK = Buffer.from('0\r\n\r\n', 'latin1');
