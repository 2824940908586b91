// HOT: one object per exchange, no closures.
import type { BodySink, Notes, ReplySink, RequestSink, Writer } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import { type HeaderList, NO_BODY, type RequestHead, type ResponseHead, UNKNOWN_LENGTH } from '../../http/head.ts';
import { responseRoom, writeResponse } from '../../http/write.ts';
import {
  F_END,
  F_NO_BODY,
  F_RELEASED,
  F_UNKNOWN_LENGTH,
  HEAD,
  HEAD_FIXED,
  HEADER_BYTES,
  INFO,
  patchLength,
  plainText,
  RESET,
  writeHeader,
  writeU16,
} from './frames.ts';
import { END_SENT, OPEN_ENDED } from './output.ts';
import { Stream, type StreamOwner } from './stream.ts';
import { TIMES_BYTES, writeTimes } from './times.ts';

/** What an agent stream needs of its session. */
export interface AgentStreamOwner extends StreamOwner {
  /** The slot of a stream is free. @returns whether this hub may use it: then say RELEASED, or call untold() */
  release(): boolean;
  /** The hub was not told by RELEASED: SLOTS will. */
  untold(): void;
}

/** One exchange at the agent's end: the reply sink of whoever answers it. It holds a slot until the answerer has settled. */
export class AgentStream extends Stream implements ReplySink {
  /** Who fills the answer. */
  writer: Writer | null = null;
  readonly #owner: AgentStreamOwner;
  readonly #notes: Notes;
  readonly #upgrade: boolean;
  readonly #isHead: boolean;
  #upgraded = false;
  #request: RequestSink | null = null;
  #headSent = false;
  /** The answer is over: complete, failed, or not wanted. */
  #answered = false;
  /** The answerer has settled. */
  #settled = false;
  #cancelled = false;
  /** The session is over. */
  #lost = false;
  /** RESET has been sent. */
  #reset = false;

  constructor(owner: AgentStreamOwner, id: number, head: RequestHead, notes: Notes) {
    super(owner, id);
    this.#owner = owner;
    this.#notes = notes;
    this.#upgrade = head.upgrade !== '';
    this.#isHead = head.method === 'HEAD';
    this.receiveLeft = head.length >= 0 ? head.length : head.length === UNKNOWN_LENGTH || this.#upgrade ? -1 : 0;
  }

  protected override get sink(): BodySink | null {
    return this.#settled || this.#cancelled ? null : this.#request;
  }

  protected override get source(): Writer | null {
    return this.writer;
  }

  /** Takes what handler.open() returned. */
  attach(request: RequestSink): void {
    request.writer = this;
    this.#request = request;
    if (this.gone) request.settled();
  }

  // --- the answer, from the answerer

  informational(head: ResponseHead): void {
    if (this.#headSent || this.#answered) return;
    this.#message(head, INFO, 0);
  }

  head(head: ResponseHead): void {
    if (this.#headSent || this.#answered) return;
    this.#headSent = true;
    let flags = 0;
    if (head.status === 101) {
      this.#upgraded = true;
      this.receiveLeft = -1;
    } else if (head.length === NO_BODY || this.#isHead || head.status === 204 || head.status === 304) {
      // A Content-Length in such an answer speaks of a body that does not come (RFC 9110 6.4.1).
      flags = F_NO_BODY | F_END;
      this.sendLeft = 0;
    } else if (head.length === UNKNOWN_LENGTH) flags = F_UNKNOWN_LENGTH;
    else this.sendLeft = head.length;
    this.#message(head, HEAD, flags);
    if ((flags & F_END) !== 0) this.ending = END_SENT;
  }

  #message(head: ResponseHead, type: number, flags: number): void {
    const { out } = this.#owner;
    const { times } = this.#notes;
    const fieldBytes = times !== null && type === HEAD ? TIMES_BYTES : 0;
    const slab = out.reserve(HEADER_BYTES + HEAD_FIXED + fieldBytes + responseRoom(head));
    const { bytes } = slab;
    const from = slab.at;
    let at = writeHeader(bytes, from, 0, type, flags, this.id);
    at = writeU16(bytes, at, fieldBytes);
    const textAt = at + 2 + fieldBytes;
    if (fieldBytes > 0) {
      const { connectMs, connectTlsMs } = this.#notes;
      writeTimes(times!, connectMs, connectTlsMs, this.session.loop.clock.now(), bytes, at + 2);
    }
    const end = writeResponse(head, false, 'keep', bytes, textAt);
    if (end - textAt > this.session.limits.headBytes) {
      this.#fail(new Failure('bad_response', 'the head of the answer is too large for the tunnel'));
      return;
    }
    writeU16(bytes, at, end - textAt);
    patchLength(bytes, from, end - from - HEADER_BYTES);
    if (type === HEAD) out.commitFrame(this, from, end, (flags & F_END) === 0 ? this.session.limits.inlineBytes : 0);
    else out.commit(end);
  }

  write(chunk: Uint8Array): boolean {
    if (this.#answered || this.ending !== OPEN_ENDED || !this.#headSent) return true;
    return this.send(chunk);
  }

  end(trailers?: HeaderList): void {
    if (this.#answered || !this.#headSent) return;
    this.#answered = true;
    if (this.ending === OPEN_ENDED) this.sendEnd(trailers);
  }

  abort(failure: Failure): void {
    if (this.#answered) return;
    this.#fail(failure);
  }

  /** The answer fails: the hub hears why. */
  #fail(failure: Failure): void {
    if (this.#reset || this.#lost) return;
    this.#answered = true;
    this.#owner.out.drop(this);
    this.ending = END_SENT;
    this.#sendReset(failure.code, failure.detail, 0);
  }

  #sendReset(code: string, text: string, flags: number): void {
    this.#reset = true;
    const { out } = this.#owner;
    const detail = plainText(text, this.session.limits.detailLength);
    const room = HEADER_BYTES + 2 + code.length + 4 * detail.length;
    const slab = out.reserve(room);
    const { bytes } = slab;
    const from = slab.at;
    let at = writeHeader(bytes, from, 0, RESET, flags, this.id);
    const { began } = this.#notes;
    bytes[at++] = began === 'no' && !this.#headSent ? 0 : began === 'maybe' && !this.#headSent ? 1 : 2;
    bytes[at++] = code.length;
    at += bytes.latin1Write(code, at);
    at += bytes.write(detail, at, 'utf8');
    patchLength(bytes, from, at - from - HEADER_BYTES);
    out.commitFrame(this, from, at, 0);
  }

  /** Nothing of the exchange runs here any more: its slot is free. */
  settled(): void {
    if (this.#settled) return;
    this.#settled = true;
    const mine = this.#owner.release();
    if (this.#lost) {
      this.#request?.settled();
      return;
    }
    if (!this.#answered) {
      if (this.#cancelled) this.#answered = true;
      else this.#fail(new Failure('internal', 'the answer ended without an end'));
    }
    if (this.#cancelled && !this.#reset && !(this.remoteEnded && this.ending === END_SENT)) {
      this.#sendReset('client_gone', '', mine ? F_RELEASED : 0);
      this.ending = END_SENT;
      this.#finish();
      return;
    }
    if (this.ending !== END_SENT) {
      // The end of the answer still waits for credit: the slot does not.
      if (mine) this.#owner.untold();
      return;
    }
    const told = mine && this.#owner.out.addFlags(this, F_RELEASED);
    if (mine && !told) this.#owner.untold();
    // Nobody reads the rest of the request: the hub need not send it.
    if (!told && !this.remoteEnded && !this.#reset) this.#sendReset('settled', '', 0);
    this.#finish();
  }

  endSent(): void {
    if (!this.#settled || this.gone) return;
    if (!this.remoteEnded && !this.#reset) this.#sendReset('settled', '', 0);
    this.#finish();
  }

  #finish(): void {
    if (this.gone) return;
    this.leave();
    this.#request?.settled();
  }

  // --- the request, from the hub

  override carries(): boolean {
    if (!this.#upgrade || this.#upgraded || this.#headSent || this.#cancelled || this.#answered) return true;
    this.#stop(new Failure('bad_request', 'bytes before the upgrade was granted'));
    return false;
  }

  protected override finished(_flags: number, trailers: HeaderList | undefined): void {
    if (!this.#settled && !this.#cancelled) this.#request?.end(trailers);
  }

  /** The client is gone. */
  cancel(): void {
    if (this.#cancelled || this.gone) return;
    this.#cancelled = true;
    this.#answered = true;
    this.#owner.out.drop(this);
    if (this.#settled) {
      // The end of its answer was waiting for credit that will not come.
      this.#sendReset('client_gone', '', 0);
      this.ending = END_SENT;
      this.#finish();
    } else this.#request?.abort(new Failure('client_gone', 'the client left'));
  }

  protected override mismatched(detail: string, ours: boolean): void {
    this.#stop(new Failure(ours ? 'bad_response' : 'bad_request', detail));
  }

  /** Both sides hear of a failure that neither reported. */
  #stop(failure: Failure): void {
    if (this.#cancelled || this.#lost) return;
    this.#cancelled = true;
    this.#fail(failure);
    if (!this.#settled) this.#request?.abort(failure);
    else this.#finish();
  }

  override lost(): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#answered = true;
    this.ending = END_SENT;
    this.leave();
    if (this.#settled) this.#request?.settled();
    else if (!this.#cancelled) this.#request?.abort(new Failure('client_gone', 'the hub was lost'));
  }

  override crashed(): void {
    this.#stop(new Failure('internal', 'the agent failed'));
  }

  /** handler.open() threw: there is nobody who would settle. */
  neverOpened(): void {
    this.#fail(new Failure('internal', 'the agent failed'));
    this.settled();
  }

  override stalled(): void {
    this.#stop(new Failure('client_stalled', 'the hub takes no more of the answer'));
  }
}
