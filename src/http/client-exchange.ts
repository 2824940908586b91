// HOT: one object per request to an HTTP/1 upstream.
import { Buffer } from 'node:buffer';
import type { Loop } from '../std/loop.ts';
import type { Slab } from '../std/slabs.ts';
import type { ClientConnection } from './client-h1.ts';
import type { Notes, ReplySink, RequestSink, Writer } from './exchange.ts';
import { Failure } from './failure.ts';
import { type HeaderList, type RequestHead, UNKNOWN_LENGTH } from './head.ts';
import { IDEMPOTENT } from './methods.ts';
import { SEC_WEBSOCKET_KEY } from './names.ts';
import { COPY_BYTES } from './outbox.ts';
import { requestRoom, trailerLines, writeRequest } from './write.ts';

/** Request bytes kept for a second try on a fresh connection (rule R1). */
const KEPT_BYTES = 64 * 1024;

/** One request to an upstream: the sink of its body, and the writer of its answer. */
export class ClientExchange implements RequestSink, Writer {
  readonly #loop: Loop;
  readonly reply: ReplySink;
  readonly notes: Notes;
  readonly isHead: boolean;
  readonly upgrade: string;
  /** Of the WebSocket that is asked for; '' when none is. */
  readonly websocketKey: string;
  readonly method: string;
  writer: Writer | null = null;
  connection: ClientConnection | null = null;
  requestEnded = false;
  /** Something of it was handed to a socket. */
  sent = false;
  replyEnded = false;
  readonly #chunked: boolean;
  readonly #expected: number;
  #written = 0;
  #aborted = false;
  #settled = false;
  /** The head as text: slab.bytes[from..to), until it is sent and will not be sent again. */
  #slab: Slab | null;
  readonly #from: number;
  readonly #to: number;
  /** The head once it has left its slab: a copy, for a second try. */
  #copy: Buffer | null = null;
  /** Idempotent, so that a second try is allowed while its body is kept (rule R1). */
  readonly #repeatable: boolean;
  /** Body written so far, while a second try is still possible; null from then on. */
  #kept: Uint8Array[] | null;
  #keptBytes = 0;
  #trailers: HeaderList | undefined = undefined;

  constructor(loop: Loop, head: RequestHead, authority: string, reply: ReplySink, notes: Notes) {
    this.#loop = loop;
    this.reply = reply;
    this.notes = notes;
    this.method = head.method;
    this.isHead = head.method === 'HEAD';
    this.upgrade = head.upgrade;
    this.websocketKey = head.upgrade !== '' && head.upgrade.toLowerCase() === 'websocket' ? head.value(SEC_WEBSOCKET_KEY) : '';
    this.#chunked = head.length === UNKNOWN_LENGTH;
    this.#expected = head.length;
    // Room for a small body behind the head, so that both leave in one piece.
    const slab = loop.slabs.take(requestRoom(head, authority) + COPY_BYTES);
    this.#slab = slab;
    this.#from = slab.at;
    slab.at = this.#to = writeRequest(head, authority, true, slab.bytes, slab.at);
    this.requestEnded = head.bodiless;
    this.#repeatable = IDEMPOTENT.has(head.method) && head.upgrade === '';
    this.#kept = this.#repeatable ? [] : null;
    reply.writer = this;
  }

  /** May it be sent again on a fresh connection, since a reused one was closed without a byte of an answer? */
  get retriable(): boolean {
    return this.#repeatable && this.#kept !== null && this.sent && this.notes.reused;
  }

  /** Writes what there is so far to the connection: its head, and after a wait or a lost try the body that came meanwhile. */
  send(): void {
    const { out } = this.connection!;
    this.sent = true;
    this.notes.began = 'maybe';
    const kept = this.#kept;
    const slab = this.#slab;
    const again = this.retriable;
    if (slab !== null) {
      out.adopt(slab, this.#from, this.#to, again);
      if (!again) this.#slab = null;
    } else out.append(this.#copy!);
    if (kept !== null && kept.length > 0) {
      for (const chunk of kept) this.#put(chunk);
      if (!this.#repeatable) this.#kept = null;
    }
    if (this.requestEnded) {
      if (this.#chunked) out.text(lastChunk(this.#trailers));
      out.send();
    } else if (this.#waiting) {
      this.#waiting = false;
      this.writer?.drained();
    }
  }

  #waiting = false;

  /** Its connection was lost: until it is sent again, what comes of its body is kept. */
  unsend(): void {
    this.sent = false;
    this.#waiting = true;
  }

  /** Does it still hold on to the slab that its head stands in? */
  get pinsSlab(): boolean {
    return this.#slab !== null;
  }

  /** From the slab into memory of its own. */
  unpin(): void {
    const slab = this.#slab!;
    this.#copy = Buffer.from(slab.bytes.subarray(this.#from, this.#to));
    this.#giveBack(slab);
  }

  /** It will not be sent again. */
  forget(): void {
    this.#kept = null;
    this.#copy = null;
    if (this.#slab !== null) this.#giveBack(this.#slab);
  }

  /** Only what the kernel has taken is given back: an upstream may answer before it has read the head, even before the head has left. */
  #giveBack(slab: Slab): void {
    this.#slab = null;
    if (this.connection?.out.empty === true) this.#loop.slabs.release(slab, this.#to - this.#from);
  }

  #put(chunk: Uint8Array): void {
    const { out } = this.connection!;
    if (this.#chunked) out.chunk(chunk);
    else out.body(chunk);
  }

  write(chunk: Uint8Array): boolean {
    const n = chunk.length;
    if (this.#aborted || n === 0) return true;
    const { connection } = this;
    // The upstream has answered already: the rest of the request is nobody's (fault row 25).
    if (connection === null && this.#settled) return true;
    if (connection !== null && connection.isRaw) {
      connection.out.body(chunk);
      return !connection.out.full;
    }
    this.#written += n;
    if (this.#expected >= 0 && this.#written > this.#expected) {
      this.#break('the request body is longer than its Content-Length');
      return true;
    }
    const ready = connection !== null && this.sent;
    if (this.#kept !== null || !ready) {
      this.#keptBytes += n;
      if (this.#keptBytes <= KEPT_BYTES || !ready) (this.#kept ??= []).push(this.#loop.reads.keep(chunk));
      else this.#kept = null;
    }
    if (!ready) {
      this.#waiting = true;
      return this.#keptBytes < KEPT_BYTES / 2;
    }
    this.#put(chunk);
    if (!connection.out.full) return true;
    connection.stall();
    return false;
  }

  end(trailers?: HeaderList): void {
    if (this.#aborted) return;
    const { connection } = this;
    if (connection !== null && connection.isRaw) {
      connection.out.send();
      connection.wire.end();
      return;
    }
    if (this.requestEnded && this.#expected <= 0) {
      // Bodiless: the head is all there is.
      if (connection !== null && this.sent) {
        connection.out.send();
        connection.requestSent();
      }
      return;
    }
    if (this.#expected >= 0 && this.#written < this.#expected) {
      this.#break('the request body is shorter than its Content-Length');
      return;
    }
    this.requestEnded = true;
    this.#trailers = trailers;
    if (connection === null || !this.sent) return;
    if (this.#chunked) connection.out.text(lastChunk(trailers));
    connection.out.send();
    connection.requestSent();
  }

  #break(detail: string): void {
    this.#aborted = true;
    this.reply.abort(new Failure('bad_request', detail));
    this.#leave();
  }

  abort(_failure: Failure): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#leave();
  }

  #leave(): void {
    const { connection } = this;
    if (connection !== null) connection.abandon(this);
    else this.settleReply();
  }

  settled(): void {
    this.#kept = null;
  }

  /** What came of the body, while all of it is still here: for another attempt elsewhere. The head is the caller's to keep. */
  reclaim(): { head: null; body: Uint8Array[]; complete: boolean } | null {
    if (this.#kept === null && this.#written > 0) return null;
    return { head: null, body: this.#kept ?? [], complete: this.requestEnded };
  }

  /** Says the endpoint's last word, once. */
  settleReply(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.reply.settled();
  }

  /** The reply can take more. */
  drained(): void {
    this.connection?.resumeReading();
  }
}

function lastChunk(trailers: HeaderList | undefined): string {
  return trailers === undefined ? '0\r\n\r\n' : `0\r\n${trailerLines(trailers)}\r\n`;
}
