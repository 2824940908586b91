// HOT: one object per exchange, no closures.
import { Buffer } from 'node:buffer';
import type { BodySink, Notes, ReplySink, RequestSink, Writer } from '../../http/exchange.ts';
import { Failure, failures, type FailureCode, isFailureCode } from '../../http/failure.ts';
import { keepMetadata } from '../../http/grpc-metadata.ts';
import { type HeaderList, NO_BODY, type Peer, RequestHead, type ResponseHead, UNKNOWN_LENGTH } from '../../http/head.ts';
import type { HttpLimits } from '../../http/limits.ts';
import { parseResponse } from '../../http/parse.ts';
import {
  CANCEL,
  F_NO_BODY,
  F_RELEASED,
  F_UNKNOWN_LENGTH,
  fieldsFit,
  HEAD_FIXED,
  HEADER_BYTES,
  plainText,
  readU16,
  readU24,
  writeHeader,
} from './frames.ts';
import { readOpen } from './open.ts';
import { END_SENT, OPEN_ENDED } from './output.ts';
import { ends, Stream, type StreamOwner } from './stream.ts';
import { readTimes } from './times.ts';

/** What a hub stream needs of its session. */
export interface HubStreamOwner extends StreamOwner {
  readonly headLimits: HttpLimits;
  /** Scratch of whoever parses an answer. */
  readonly scratch: ResponseHead;
  /** Failure that streams end with when the session is closed by us; null when it was lost. */
  readonly closeFailure: Failure | null;
  readonly lossReason: string;
}

/** A request as it was sent, for sending it again. */
export interface Reclaimed {
  readonly head: RequestHead;
  readonly body: readonly Uint8Array[];
  /** Is the body complete? */
  readonly complete: boolean;
}

/**
 * Bytes of a body that are kept until the first frame comes back: the first window (64 KiB), which may leave, and what is written beyond it: a held body,
 * and one read of 64 KiB each time that the request is sent anew (16 times at most). That part waits here anyway; without it no large body could be
 * sent again after REFUSED.
 */
const KEPT_BYTES = 20 * 64 * 1024;

/** One exchange at the hub's end. */
export class HubStream extends Stream implements RequestSink {
  /** Who fills the request. */
  writer: Writer | null = null;
  readonly #owner: HubStreamOwner;
  readonly #reply: ReplySink;
  readonly #notes: Notes;
  /** The client asked for a protocol change. */
  readonly #upgrade: boolean;
  #upgraded = false;
  #headCame = false;
  #informationals = 0;
  #over = false;
  /** Monotonic ms of our CANCEL; 0 before. */
  #cancelledMs = 0;
  /** The OPEN frame, for reclaim(); null once something came back. */
  #openBytes: Buffer | null;
  #openAt: number;
  readonly #openEpoch: number;
  readonly #peer: Peer;
  /** The body behind the OPEN frame, until something comes back. */
  #kept: Uint8Array[] | null = null;
  #keptBytes = 0;
  #lossy = false;
  /** When it failed, had the request been written to its end? */
  #whole = false;

  constructor(owner: HubStreamOwner, id: number, head: RequestHead, reply: ReplySink, notes: Notes, openBytes: Buffer, openAt: number) {
    super(owner, id);
    this.#owner = owner;
    this.#reply = reply;
    reply.writer = this;
    this.#notes = notes;
    this.#upgrade = head.upgrade !== '';
    this.#openBytes = openBytes;
    this.#openAt = openAt;
    this.#openEpoch = owner.out.epoch;
    this.#peer = head.peer;
    this.sendLeft = head.length >= 0 ? head.length : head.length === UNKNOWN_LENGTH || this.#upgrade ? -1 : 0;
  }

  protected override get sink(): BodySink | null {
    return this.#over || this.#cancelledMs !== 0 ? null : this.#reply;
  }

  protected override get source(): Writer | null {
    return this.writer;
  }

  // --- the request, from the caller

  write(chunk: Uint8Array): boolean {
    if (this.#over || this.#cancelledMs !== 0 || this.ending !== OPEN_ENDED) return true;
    if (this.#openBytes === null) return this.send(chunk);
    return this.#writeKept(chunk);
  }

  /** Until something comes back the body may be needed again: what joins the OPEN frame stands there, the rest is kept here. */
  #writeKept(chunk: Uint8Array): boolean {
    if (this.#keptBytes === 0 && this.#owner.out.joins(this, chunk)) return this.send(chunk);
    const mine = this.#owner.loop.reads.keep(chunk);
    this.#keep(mine);
    return this.send(mine);
  }

  #keep(chunk: Uint8Array): void {
    this.#keptBytes += chunk.length;
    if (this.#keptBytes > KEPT_BYTES) {
      this.#lossy = true;
      this.#kept = null;
    } else if (!this.#lossy) (this.#kept ??= []).push(chunk);
  }

  end(trailers?: HeaderList): void {
    if (this.#over || this.#cancelledMs !== 0 || this.ending !== OPEN_ENDED) return;
    this.sendEnd(trailers);
  }

  abort(failure: Failure): void {
    if (this.#over || this.#cancelledMs !== 0) return;
    this.#release();
    this.#cancel(failure.code);
    this.#cancelledMs = this.session.loop.sweeper.coarse;
    this.#owner.out.drop(this);
    this.ending = END_SENT;
    this.receiveLeft = -1;
  }

  settled(): void {}

  #cancel(code: string): void {
    const { out } = this.#owner;
    const slab = out.reserve(HEADER_BYTES + code.length);
    const at = writeHeader(slab.bytes, slab.at, code.length, CANCEL, 0, this.id);
    out.commit(at + slab.bytes.latin1Write(code, at));
  }

  endSent(): void {
    if (this.remoteEnded && !this.#over) this.#finish();
  }

  // --- the answer, from the agent

  override carries(): boolean {
    if (this.#headCame || this.#cancelledMs !== 0) return true;
    this.#fail(new Failure('tunnel_error', 'the agent sent a body before its head'), true);
    return false;
  }

  head(flags: number, bytes: Buffer, start: number, end: number): void {
    this.#message(flags, bytes, start, end, false);
  }

  info(bytes: Buffer, start: number, end: number): void {
    this.#message(0, bytes, start, end, true);
  }

  #message(flags: number, bytes: Buffer, start: number, end: number, interim: boolean): void {
    const fieldsEnd = start + HEAD_FIXED + readU16(bytes, start);
    const textEnd = fieldsEnd + readU16(bytes, start + 2);
    if (textEnd > end || (interim && textEnd !== end) || (fieldsEnd > start + HEAD_FIXED && !fieldsFit(bytes, start + HEAD_FIXED, fieldsEnd))) {
      this.session.violated('lengths that do not fit their frame');
      return;
    }
    this.#release();
    this.#notes.began = 'yes';
    if (this.#cancelledMs !== 0) {
      if (!interim) this.#rest(flags, bytes, textEnd, end);
      return;
    }
    if (this.#headCame) {
      this.#fail(new Failure('tunnel_error', interim ? 'the agent sent an interim answer after the answer' : 'the agent sent a second head'), true);
      return;
    }
    const head = this.#owner.scratch;
    const at = parseResponse(head, bytes, fieldsEnd, textEnd, this.#owner.headLimits);
    if (at !== textEnd) {
      this.#fail(new Failure('bad_response', at > 0 ? 'bytes behind the head' : at === 0 ? 'a head that does not end' : head.problemDetail), true);
      return;
    }
    keepMetadata(head);
    const { status } = head;
    if (interim !== (status < 200 && status !== 101)) {
      this.#fail(new Failure('bad_response', `status ${status} is ${interim ? 'not an interim answer' : 'an interim answer'}`), true);
      return;
    }
    if (interim) {
      head.length = NO_BODY;
      if (++this.#informationals > this.session.limits.informationalCount)
        this.#fail(new Failure('bad_response', `more than ${this.session.limits.informationalCount} interim answers`), true);
      else this.#reply.informational(head);
      return;
    }
    this.#headCame = true;
    const { times } = this.#notes;
    this.#notes.firstByteMs = this.session.loop.clock.now();
    if (times !== null && fieldsEnd > start + HEAD_FIXED) readTimes(times, bytes, start + HEAD_FIXED, fieldsEnd);
    if (status === 101) {
      if (!this.#upgrade || head.upgrade === '' || ends(flags)) {
        this.#fail(new Failure('bad_response', 'an upgrade that nobody asked for'), true);
        return;
      }
      this.#upgraded = true;
      this.receiveLeft = this.sendLeft = -1;
    } else {
      head.upgrade = '';
      if ((flags & F_NO_BODY) !== 0) head.length = NO_BODY;
      else if ((flags & F_UNKNOWN_LENGTH) !== 0) head.length = UNKNOWN_LENGTH;
      this.receiveLeft = head.length === NO_BODY ? 0 : head.length === UNKNOWN_LENGTH ? -1 : head.length;
      // The chance of an upgrade has passed: the request has no body.
      if (this.#upgrade && this.ending === OPEN_ENDED) {
        this.sendLeft = 0;
        this.#owner.out.end(this, null);
      }
    }
    this.#reply.head(head);
    this.#rest(flags, bytes, textEnd, end);
  }

  /** What follows a head in its frame. */
  #rest(flags: number, bytes: Buffer, from: number, end: number): void {
    if (from < end && !this.gone && !this.arrived(bytes, from, end)) return;
    if (ends(flags) && !this.gone) this.arrivedEnd(flags, undefined);
  }

  protected override finished(flags: number, trailers: HeaderList | undefined): void {
    let waits = false;
    // The agent is done with the request as well: what is left of it is not sent.
    if ((flags & F_RELEASED) !== 0 && this.ending !== END_SENT) waits = this.#stopSending();
    if (this.#cancelledMs === 0) this.#reply.end(trailers);
    if (waits) this.writer?.drained();
    if (this.ending === END_SENT && !this.#over) this.#finish();
  }

  #stopSending(): boolean {
    const waits = this.wantsDrain;
    this.#owner.out.drop(this);
    this.ending = END_SENT;
    this.wantsDrain = false;
    return waits;
  }

  /** Both directions are complete. */
  #finish(): void {
    this.#over = true;
    this.leave();
    this.#reply.settled();
  }

  protected override mismatched(detail: string, ours: boolean): void {
    if (this.#cancelledMs !== 0) {
      this.#finish();
      return;
    }
    this.#fail(new Failure(ours ? 'bad_request' : 'bad_response', detail), true);
  }

  refused(): void {
    if (this.#over) return;
    if (this.#openBytes === null && this.#cancelledMs === 0) {
      this.#fail(new Failure('tunnel_error', 'the agent refused what it had begun'), true);
      return;
    }
    this.#notes.began = 'no';
    this.#fail(new Failure('refused', 'the agent has no free slot'), false);
  }

  reset(bytes: Buffer, start: number, end: number): void {
    if (this.#over) return;
    const began = bytes[start]!;
    const codeEnd = start + 2 + bytes[start + 1]!;
    if (codeEnd > end || began > 2) {
      this.session.violated('a RESET that cannot be read');
      return;
    }
    if (this.remoteEnded) {
      // The answer is complete: the agent only wants no more of the request.
      if (this.ending !== END_SENT && this.#stopSending()) this.writer?.drained();
      if (!this.#over) this.#finish();
      return;
    }
    const code = bytes.latin1Slice(start + 2, codeEnd);
    const detail = plainText(bytes.toString('utf8', codeEnd, end), this.session.limits.detailLength);
    this.#notes.began = began === 0 && !this.#headCame ? 'no' : began === 2 || this.#headCame ? 'yes' : 'maybe';
    this.#fail(new Failure(believable(code, began), detail), false);
  }

  // --- ends

  #fail(failure: Failure, tellAgent: boolean): void {
    if (this.#over) return;
    this.#over = true;
    if (tellAgent && this.#cancelledMs === 0) this.#cancel(failure.code);
    const cancelled = this.#cancelledMs !== 0;
    this.#whole = this.ending !== OPEN_ENDED;
    this.ending = END_SENT;
    this.leave();
    if (!cancelled && (!this.remoteEnded || this.#upgraded)) {
      this.#notes.failure = failure;
      this.#reply.abort(failure);
    }
    this.#reply.settled();
  }

  /** Its OPEN has been handed to the socket. */
  handed(): void {
    if (this.#notes.began === 'no') this.#notes.began = 'maybe';
  }

  override lost(): void {
    const { closeFailure, lossReason } = this.#owner;
    if (this.#notes.began === 'no')
      this.#fail(new Failure('tunnel_lost_unsent', `the agent was lost before the request was sent: ${lossReason}`), false);
    else this.#fail(closeFailure ?? new Failure('tunnel_lost', `the agent was lost: ${lossReason}`), false);
  }

  override crashed(): void {
    this.#fail(new Failure('internal', 'the hub failed while it passed the answer on'), true);
  }

  override stalled(): void {
    this.#fail(new Failure('upstream_stalled', 'the agent takes no more of the request'), true);
  }

  /** Once a second. */
  ticked(now: number): void {
    if (this.#cancelledMs !== 0) {
      if (now - this.#cancelledMs >= this.session.limits.cancelTimeoutMs) this.#finish();
      return;
    }
    const open = this.#openBytes;
    // A request that waits long for its first frame does not pin a slab of which it uses a fraction.
    if (open !== null && this.frameEpoch !== this.#owner.out.epoch) {
      const length = HEADER_BYTES + readU24(open, this.#openAt);
      if (length * 4 < open.length) {
        this.#openBytes = Buffer.from(open.subarray(this.#openAt, this.#openAt + length));
        this.#openAt = 0;
        this.frameBytes = null;
        this.#giveBack();
      }
    }
  }

  /** Something of the answer came: the request is not sent again. */
  #release(): void {
    if (this.#openBytes !== null) this.#giveBack();
    this.#openBytes = null;
    this.#kept = null;
  }

  /** The slab that the OPEN frame stands in may be used again. */
  #giveBack(): void {
    const slab = this.retainedSlab;
    if (slab === null) return;
    this.retainedSlab = null;
    this.#owner.out.release(slab, HEADER_BYTES + readU24(slab.bytes, this.retainedAt), this.#openEpoch);
  }

  /** CREDIT came: the agent's upstream has taken part of the body. */
  override credited(bytes: number): void {
    this.#release();
    this.#notes.began = 'yes';
    super.credited(bytes);
  }

  /**
   * The request as it was sent, while nothing but REFUSED or RESET came back and its body is not larger than 64 KiB. For whoever sends it again;
   * valid as long as it is held.
   */
  reclaim(): Reclaimed | null {
    const bytes = this.#openBytes;
    if (bytes === null || this.#lossy || (this.trailers !== null && this.trailers.length > 0)) return null;
    const at = this.#openAt;
    const flags = bytes[at + 4]!;
    const end = at + HEADER_BYTES + readU24(bytes, at);
    const head = new RequestHead(this.session.limits.fieldCount);
    const outcome = readOpen(head, flags, bytes, at + HEADER_BYTES, end, this.#owner.headLimits);
    if (outcome !== true) return null;
    head.peer = this.#peer;
    const body: Uint8Array[] = head.end < end ? [bytes.subarray(head.end, end)] : [];
    if (this.#kept !== null) for (const chunk of this.#kept) body.push(chunk);
    return { head, body, complete: this.#over ? this.#whole : this.ending !== OPEN_ENDED };
  }
}

/** Failures of which only the hub can know, or that never go on a wire. */
const NOT_THEIRS: ReadonlySet<string> = new Set([
  'refused',
  'tunnel_lost',
  'tunnel_lost_unsent',
  'client_gone',
  'client_stalled',
  'unauthorized',
  'no_location',
  'queue_full',
  'queue_timeout',
]);

/** The code that an agent gives, when it may be its own and agrees with what it says of the request's beginning. */
function believable(code: string, began: number): FailureCode {
  if (!isFailureCode(code) || NOT_THEIRS.has(code)) return 'tunnel_error';
  // `always` would send the request again, whatever its method.
  if (failures[code][4] === 'always' && began !== 0) return 'tunnel_error';
  return code;
}
