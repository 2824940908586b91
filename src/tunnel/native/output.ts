// HOT: everything a session sends passes here.
import type { Buffer } from 'node:buffer';
import type { HeaderList } from '../../http/head.ts';
import type { Loop } from '../../std/loop.ts';
import type { Slab } from '../../std/slabs.ts';
import type { Flushable } from '../../std/turn.ts';
import type { Wire } from '../../std/wire.ts';
import type { TunnelLimits } from '../limits.ts';
import { DATA, END, F_END, HEADER_BYTES, patchLength, T_TRAILERS, trailerText, writeHeader, writeU16 } from './frames.ts';

/** Chunks up to this size are copied into the batch; larger ones whose memory may be passed on go by reference. */
const COPY_BYTES = 4 * 1024;
/** Unsent bytes at the socket above which nothing more is handed to it: with one more chunk on top, at most 128 KiB. */
const HIGH_WATER = 64 * 1024;
/** Bytes handed over in one go before the event loop gets its turn. */
const PUMP_BYTES = 1024 * 1024;

/** Has the sender said that its body ends? */
export const OPEN_ENDED = 0;
export const END_WANTED = 1;
export const END_SENT = 2;

/** The sending half of a stream, as its output sees it. */
export interface Sender {
  readonly id: number;
  /** Body bytes that the peer allows now. */
  credit: number;
  /** Chunks that wait for credit or for the socket, from `pendingAt`; they are ours to hold. */
  pending: Uint8Array[];
  pendingAt: number;
  pendingBytes: number;
  ending: number;
  trailers: HeaderList | null;
  /** The header of the last frame of this stream that END or RELEASED may still be added to, while `frameEpoch` is the output's epoch. */
  frameBytes: Buffer | null;
  frameAt: number;
  frameEpoch: number;
  /** Where the frame stands that the stream keeps (its OPEN, to send it again); null for none. */
  retainedSlab: Slab | null;
  retainedAt: number;
  /** Inline body bytes that the OPEN or HEAD frame may still take. */
  inlineRoom: number;
  /** Stands in the ring of those with something to send; kept by Output. */
  ready: boolean;
  nextReady: Sender | null;
  /** A write() said false and drained() has not been called yet. */
  wantsDrain: boolean;
  /** Stands in the list of those that wait for the socket; kept by Output. */
  waiting: boolean;
  /** All that was pending is out, or the socket takes more: tell the writer when it waits. */
  roomy(): void;
  /** END is out. */
  endSent(): void;
}

/** Who owns an output. */
export interface OutputOwner {
  /** Called once per turn before the batch is handed over: the place for what is a level, not an event. */
  beforeFlush(): void;
  /** Everything in the batch has been handed to the socket. */
  handed(): void;
  /** Too much waits for a socket that does not take it. */
  overflowed(): void;
}

/**
 * The output of one session: control frames and small bodies are gathered in a batch and handed over once per turn; then bodies, round robin over
 * the streams that have some, never more than 128 KiB ahead of the socket, so that a CANCEL or PING never waits behind megabytes.
 */
export class Output implements Flushable {
  queued = false;
  /** Changes whenever the batch is handed over: a frame written in an earlier epoch cannot be changed any more. */
  epoch = 1;
  /** The socket has enough; nothing is handed to it before it is empty. */
  blocked = false;
  /** Body bytes that wait, of all streams. */
  pendingBytes = 0;
  /** Frames written so far, and bytes handed to the socket. */
  frames = 0;
  bytes = 0;
  readonly #loop: Loop;
  readonly #wire: Wire;
  readonly #owner: OutputOwner;
  readonly #limits: TunnelLimits;
  /** The batch: views that are closed, then slab.bytes[from..to). */
  #views: Buffer[] = [];
  /** By view: its slab, and how many of its bytes may be given back once the kernel has them. */
  #slabs: Slab[] = [];
  #freeBytes: number[] = [];
  /** Bytes of slab.bytes[from..to) that a stream keeps, to send its request again, and gives back itself. */
  #retained = 0;
  #batchBytes = 0;
  #slab: Slab | null = null;
  #from = 0;
  #to = 0;
  /** The stream whose frame is the last of the batch and may grow, and where that frame begins. */
  #last: Sender | null = null;
  #lastAt = 0;
  #lastLength = 0;
  #firstReady: Sender | null = null;
  #lastReady: Sender | null = null;
  #waiters: Sender[] = [];
  #closed = false;

  constructor(loop: Loop, wire: Wire, owner: OutputOwner, limits: TunnelLimits) {
    this.#loop = loop;
    this.#wire = wire;
    this.#owner = owner;
    this.#limits = limits;
  }

  /** Bytes of the batch. */
  get batchBytes(): number {
    return this.#batchBytes + this.#to - this.#from;
  }

  /** Bytes held here or at the socket. */
  get bufferedBytes(): number {
    return this.batchBytes + this.pendingBytes + this.#wire.buffered;
  }

  /** A slab in which `room` bytes may be written from `slab.at`, behind the batch. Follow with commit() at once. */
  reserve(room: number): Slab {
    const slab = this.#loop.slabs.take(room);
    if (slab !== this.#slab || slab.at !== this.#to) {
      this.#closeView();
      this.#slab = slab;
      this.#from = this.#to = slab.at;
    }
    return slab;
  }

  /** The reserved slab has been written up to `at`. */
  commit(at: number): void {
    this.#slab!.at = this.#to = at;
    this.frames++;
    this.#last = null;
    if (!this.queued && !this.#closed) this.#loop.turn.later(this);
    if (this.blocked && this.batchBytes > this.#limits.unsentBytes) this.#owner.overflowed();
  }

  /** As commit(), for a frame of a stream that begins at `frameAt`: later bytes and flags may join it while it is in the batch. */
  commitFrame(stream: Sender, frameAt: number, at: number, inlineRoom: number): void {
    this.commit(at);
    stream.frameBytes = this.#slab!.bytes;
    stream.frameAt = frameAt;
    stream.frameEpoch = this.epoch;
    stream.inlineRoom = inlineRoom;
    this.#last = stream;
    this.#lastAt = frameAt;
    this.#lastLength = at - frameAt - HEADER_BYTES;
  }

  /** The frame that was committed last is the stream's to keep: it gives its bytes back itself. @returns the frame's slab */
  retain(stream: Sender): Slab {
    const slab = this.#slab!;
    stream.retainedSlab = slab;
    stream.retainedAt = this.#lastAt;
    this.#retained += this.#to - this.#lastAt;
    return slab;
  }

  /** Gives a retained frame of `n` bytes back, when it has left for certain. What a peer claims to have seen is no proof. */
  release(slab: Slab, n: number, epoch: number): void {
    if (epoch !== this.epoch && this.#wire.buffered === 0) this.#loop.slabs.release(slab, n);
  }

  /** A frame without a payload, or with a short one that `fill` has no part in. */
  empty(type: number, flags: number, stream: number): void {
    const slab = this.reserve(HEADER_BYTES);
    this.commit(writeHeader(slab.bytes, slab.at, 0, type, flags, stream));
  }

  /** A frame whose payload exists already. For cold paths. */
  whole(type: number, flags: number, stream: number, payload: Uint8Array): void {
    const slab = this.reserve(HEADER_BYTES + payload.length);
    const at = writeHeader(slab.bytes, slab.at, payload.length, type, flags, stream);
    slab.bytes.set(payload, at);
    this.commit(at + payload.length);
  }

  /** Sets flags of a stream's last frame when it is still in the batch. */
  addFlags(stream: Sender, flags: number): boolean {
    if (stream.frameEpoch !== this.epoch || stream.frameBytes === null) return false;
    stream.frameBytes[stream.frameAt + 4]! |= flags;
    return true;
  }

  /**
   * Body bytes of a stream: a borrowed chunk, which is always taken. The cheapest way out is chosen: into the stream's own frame that is still
   * in the batch, into a DATA frame in the batch, by reference straight to the socket, or into the stream's queue.
   * @returns may more be written?
   */
  body(stream: Sender, chunk: Uint8Array): boolean {
    const n = chunk.length;
    if (stream.pendingBytes === 0 && stream.credit >= n && this.#firstReady === null && !this.blocked) {
      const copy = n <= COPY_BYTES || !this.#loop.reads.private;
      if (copy && n <= this.#limits.dataBytes) {
        stream.credit -= n;
        if (!this.#extend(stream, chunk, n)) this.#copied(stream, chunk, n);
        if (this.batchBytes >= HIGH_WATER) this.#handOver();
        return this.#mayGoOn(stream);
      }
      if (!copy && this.#wire.buffered < HIGH_WATER && n <= this.#limits.dataBytes) {
        stream.credit -= n;
        this.#passed(stream, chunk, n);
        return this.#mayGoOn(stream);
      }
    }
    this.queue(stream, this.#loop.reads.keep(chunk));
    return this.#mayGoOn(stream);
  }

  /** Would body() put this chunk into the stream's frame that stands last in the batch? */
  joins(stream: Sender, chunk: Uint8Array): boolean {
    const n = chunk.length;
    const slab = this.#slab;
    return (
      this.#last === stream &&
      stream.inlineRoom >= n &&
      stream.credit >= n &&
      (n <= COPY_BYTES || !this.#loop.reads.private) &&
      stream.pendingBytes === 0 &&
      this.#firstReady === null &&
      !this.blocked &&
      slab !== null &&
      slab.at === this.#to &&
      slab.bytes.length - slab.at >= n
    );
  }

  #mayGoOn(stream: Sender): boolean {
    if (stream.pendingBytes === 0 && stream.credit > 0) {
      if (!this.blocked) return true;
      if (!stream.waiting) {
        stream.waiting = true;
        this.#waiters.push(stream);
      }
    }
    stream.wantsDrain = true;
    return false;
  }

  /** Puts a chunk that is ours to hold into the stream's queue. */
  queue(stream: Sender, chunk: Uint8Array): void {
    if (stream.pending === NOTHING) stream.pending = [];
    stream.pending.push(chunk);
    stream.pendingBytes += chunk.length;
    this.pendingBytes += chunk.length;
    this.schedule(stream);
  }

  /** The stream has something to send, or credit for it. */
  schedule(stream: Sender): void {
    if (stream.ready || stream.pendingBytes === 0 || stream.credit === 0 || this.#closed) return;
    stream.ready = true;
    stream.nextReady = null;
    if (this.#lastReady === null) this.#firstReady = stream;
    else this.#lastReady.nextReady = stream;
    this.#lastReady = stream;
    this.#loop.turn.later(this);
  }

  /** Credit arrived. */
  credited(stream: Sender): void {
    if (stream.pendingBytes > 0) this.schedule(stream);
    else if (stream.wantsDrain) {
      if (!this.blocked) stream.roomy();
      else if (!stream.waiting) {
        stream.waiting = true;
        this.#waiters.push(stream);
      }
    }
  }

  /** The body ends here. */
  end(stream: Sender, trailers: HeaderList | null): void {
    stream.trailers = trailers;
    stream.ending = END_WANTED;
    if (stream.pendingBytes === 0) this.#sendEnd(stream);
  }

  /** Forgets what a stream had queued. */
  drop(stream: Sender): void {
    this.pendingBytes -= stream.pendingBytes;
    stream.pendingBytes = 0;
    stream.pending = NOTHING;
    stream.pendingAt = 0;
    if (this.#last === stream) this.#last = null;
  }

  /** The socket is empty again. */
  drained(): void {
    this.blocked = false;
    this.flush();
  }

  close(): void {
    this.#closed = true;
    this.#views = [];
    this.#slabs = [];
    this.#freeBytes = [];
    this.#retained = 0;
    this.#batchBytes = 0;
    this.#slab = null;
    this.#from = this.#to = 0;
    this.#last = null;
    this.epoch++;
    this.#firstReady = this.#lastReady = null;
    this.#waiters = [];
  }

  /** End of the turn: the batch, then bodies. */
  flush(): void {
    if (this.#closed) return;
    if (!this.blocked) {
      this.#owner.beforeFlush();
      if (this.#firstReady === null) this.#handOver();
      else this.#pump();
    }
    if (!this.blocked && this.#waiters.length > 0) this.#tellWaiters();
  }

  /** Hands the batch to the socket, whatever is there already. For a session's last words. */
  force(): void {
    if (!this.#closed) this.#handOver();
  }

  #tellWaiters(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (let i = 0; i < waiters.length; i++) {
      const stream = waiters[i]!;
      stream.waiting = false;
      if (!stream.wantsDrain || stream.pendingBytes > 0 || stream.credit === 0) continue;
      if (this.blocked) {
        stream.waiting = true;
        this.#waiters.push(stream);
      } else stream.roomy();
    }
  }

  #closeView(): void {
    if (this.#to > this.#from) {
      this.#views.push(this.#slab!.bytes.subarray(this.#from, this.#to));
      this.#slabs.push(this.#slab!);
      this.#freeBytes.push(this.#to - this.#from - this.#retained);
      this.#batchBytes += this.#to - this.#from;
    }
    this.#retained = 0;
    this.#slab = null;
    this.#from = this.#to = 0;
    this.#last = null;
  }

  /** Gives the batch to the socket, in one system call where it can be. */
  #handOver(): void {
    this.#closeView();
    const views = this.#views;
    if (views.length === 0) return;
    this.epoch++;
    this.bytes += this.#batchBytes;
    const wire = this.#wire;
    if (views.length === 1) {
      if (!wire.write(views[0]!)) this.blocked = true;
    } else {
      wire.cork();
      for (let i = 0; i < views.length; i++) wire.write(views[i]!);
      wire.uncork();
      if (wire.buffered >= HIGH_WATER) this.blocked = true;
    }
    const { slabs } = this.#loop;
    if (wire.buffered === 0) for (let i = 0; i < views.length; i++) slabs.release(this.#slabs[i]!, this.#freeBytes[i]!);
    views.length = 0;
    this.#slabs.length = 0;
    this.#freeBytes.length = 0;
    this.#batchBytes = 0;
    this.#owner.handed();
  }

  /** Lets a stream's frame that is the last of the batch grow. */
  #extend(stream: Sender, chunk: Uint8Array, n: number): boolean {
    if (this.#last !== stream || stream.inlineRoom < n) return false;
    const slab = this.#slab!;
    if (slab.at !== this.#to || slab.bytes.length - slab.at < n) return false;
    slab.bytes.set(chunk, slab.at);
    slab.at = this.#to = slab.at + n;
    stream.inlineRoom -= n;
    this.#lastLength += n;
    if (stream.retainedSlab === slab && stream.retainedAt === this.#lastAt) this.#retained += n;
    patchLength(slab.bytes, this.#lastAt, this.#lastLength);
    return true;
  }

  /** A DATA frame in the batch. */
  #copied(stream: Sender, chunk: Uint8Array, n: number): void {
    const slab = this.reserve(HEADER_BYTES + n);
    const frameAt = slab.at;
    const at = writeHeader(slab.bytes, frameAt, n, DATA, 0, stream.id);
    slab.bytes.set(chunk, at);
    this.commitFrame(stream, frameAt, at + n, this.#limits.sharedDataBytes - n);
  }

  /** A DATA frame straight to the socket, its payload by reference, together with the batch. */
  #passed(stream: Sender, chunk: Uint8Array, n: number): void {
    const slab = this.reserve(HEADER_BYTES);
    this.commit(writeHeader(slab.bytes, slab.at, n, DATA, 0, stream.id));
    const wire = this.#wire;
    wire.cork();
    this.#handOver();
    wire.write(chunk);
    wire.uncork();
    this.bytes += n;
    const { buffered } = wire;
    // Not all of it is with the kernel: whoever lent the chunk must not read into it again.
    if (buffered > 0) this.#loop.reads.kept = true;
    this.blocked = buffered >= HIGH_WATER;
  }

  #sendEnd(stream: Sender): void {
    stream.ending = END_SENT;
    const { trailers } = stream;
    if (trailers !== null && trailers.length > 0) {
      const text = trailerText(trailers);
      const slab = this.reserve(HEADER_BYTES + 3 + text.length);
      const frameAt = slab.at;
      let at = writeHeader(slab.bytes, frameAt, 3 + text.length, END, F_END, stream.id);
      slab.bytes[at++] = T_TRAILERS;
      at = writeU16(slab.bytes, at, text.length);
      at += slab.bytes.latin1Write(text, at);
      this.commitFrame(stream, frameAt, at, 0);
    } else if (this.addFlags(stream, F_END)) stream.inlineRoom = 0;
    else {
      const slab = this.reserve(HEADER_BYTES);
      const frameAt = slab.at;
      this.commitFrame(stream, frameAt, writeHeader(slab.bytes, frameAt, 0, END, F_END, stream.id), 0);
    }
    stream.endSent();
  }

  /** Bodies that waited, round robin, until the socket has enough. */
  #pump(): void {
    const wire = this.#wire;
    const done: Sender[] = [];
    let budget = PUMP_BYTES;
    do {
      wire.cork();
      this.#handOver();
      while (this.#firstReady !== null && wire.buffered < HIGH_WATER) {
        const stream = this.#firstReady;
        this.#firstReady = stream.nextReady;
        if (this.#firstReady === null) this.#lastReady = null;
        stream.nextReady = null;
        stream.ready = false;
        if (stream.pendingBytes === 0 || stream.credit === 0) continue;
        const several = this.#firstReady !== null;
        const n = Math.min(stream.pendingBytes, stream.credit, several ? this.#limits.sharedDataBytes : this.#limits.dataBytes);
        this.#piece(stream, n);
        budget -= n;
        if (stream.pendingBytes > 0) this.schedule(stream);
        else done.push(stream);
      }
      wire.uncork();
    } while (this.#firstReady !== null && wire.buffered === 0 && budget > 0);
    this.blocked = wire.buffered >= HIGH_WATER;
    if (this.#firstReady !== null && !this.blocked) this.#loop.turn.later(this);
    for (let i = 0; i < done.length; i++) {
      const stream = done[i]!;
      if (stream.ending === END_WANTED && stream.pendingBytes === 0) this.#sendEnd(stream);
      else if (stream.wantsDrain && stream.credit > 0) this.credited(stream);
    }
  }

  /** One DATA frame of n bytes from a stream's queue. */
  #piece(stream: Sender, n: number): void {
    const slab = this.#loop.slabs.take(HEADER_BYTES);
    const from = slab.at;
    const last = n === stream.pendingBytes && stream.ending === END_WANTED && (stream.trailers === null || stream.trailers.length === 0);
    slab.at = writeHeader(slab.bytes, from, n, DATA, last ? F_END : 0, stream.id);
    const wire = this.#wire;
    wire.write(slab.bytes.subarray(from, slab.at));
    this.frames++;
    this.bytes += HEADER_BYTES + n;
    stream.credit -= n;
    stream.pendingBytes -= n;
    this.pendingBytes -= n;
    stream.frameBytes = null;
    let left = n;
    const { pending } = stream;
    let at = stream.pendingAt;
    while (left > 0) {
      const chunk = pending[at]!;
      if (chunk.length <= left) {
        wire.write(chunk);
        left -= chunk.length;
        pending[at++] = NO_BYTES;
      } else {
        wire.write(chunk.subarray(0, left));
        pending[at] = chunk.subarray(left);
        left = 0;
      }
    }
    if (at === pending.length) {
      pending.length = 0;
      at = 0;
    } else if (at > 64) {
      pending.splice(0, at);
      at = 0;
    }
    stream.pendingAt = at;
    if (last) {
      stream.ending = END_SENT;
      stream.endSent();
    }
  }
}

const NO_BYTES = new Uint8Array(0);
/** What `pending` is while there has been none: shared, never written to. */
export const NOTHING: Uint8Array[] = [];
