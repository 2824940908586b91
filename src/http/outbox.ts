// HOT: everything an HTTP/1 connection writes, in either direction, leaves through its Outbox.
import type { Loop } from '../std/loop.ts';
import type { Slab } from '../std/slabs.ts';
import type { Flushable } from '../std/turn.ts';
import type { Wire } from '../std/wire.ts';

/** Chunks up to this size are copied behind what is pending, so that a head and its small body leave in one system call; larger ones go by reference. */
export const COPY_BYTES = 4 * 1024;
/** Unsent bytes above which a connection asks its writer to stop. */
export const HIGH_WATER = 64 * 1024;

/** Gathers what a connection writes within a turn and hands it to the socket in as few calls as it can. */
export class Outbox implements Flushable {
  queued = false;
  readonly #loop: Loop;
  readonly #wire: Wire;
  /** Pending: slab.bytes[from..to). */
  #slab: Slab | null = null;
  #from = 0;
  #to = 0;
  /** By slab: bytes that were handed to a socket which had not taken everything. */
  readonly #owed: Slab[] = [];
  readonly #owedBytes: number[] = [];
  /** Of the pending bytes, those that somebody else may want to send again, and will give back. */
  #retained = 0;

  constructor(loop: Loop, wire: Wire) {
    this.#loop = loop;
    this.#wire = wire;
  }

  /** A slab in which `room` bytes may be written at `at`, behind what is pending where possible. Follow with wrote(). */
  reserve(room: number): Slab {
    const pending = this.#slab;
    if (pending !== null && pending.at === this.#to && pending.bytes.length - pending.at >= room) return pending;
    this.send();
    const slab = this.#loop.slabs.take(room);
    this.#slab = slab;
    this.#from = this.#to = slab.at;
    this.#loop.turn.later(this);
    return slab;
  }

  /** The reserved slab has been written up to `end`. */
  wrote(slab: Slab, end: number): void {
    slab.at = this.#to = end;
  }

  /**
   * Takes text that stands in a slab already: bytes[from..to). What follows is put right behind it where there is room.
   * `retained`: the caller gives it back to the slab itself.
   */
  adopt(slab: Slab, from: number, to: number, retained: boolean): void {
    this.send();
    this.#retained = retained ? to - from : 0;
    this.#slab = slab;
    this.#from = from;
    this.#to = to;
    this.#loop.turn.later(this);
  }

  /** Copies a small chunk. */
  append(chunk: Uint8Array): void {
    const slab = this.reserve(chunk.length);
    slab.bytes.set(chunk, slab.at);
    this.wrote(slab, slab.at + chunk.length);
  }

  text(text: string): void {
    const slab = this.reserve(text.length);
    this.wrote(slab, slab.at + slab.bytes.latin1Write(text, slab.at));
  }

  /** One piece of a body as a borrowed chunk, small or large. */
  body(chunk: Uint8Array): void {
    if (chunk.length <= COPY_BYTES) this.append(chunk);
    else this.#pass(chunk, '', '');
  }

  /** One piece of a chunked body. */
  chunk(chunk: Uint8Array): void {
    const size = `${chunk.length.toString(16)}\r\n`;
    if (chunk.length > COPY_BYTES) {
      this.#pass(chunk, size, '\r\n');
      return;
    }
    this.reserve(size.length + chunk.length + 2);
    this.text(size);
    this.append(chunk);
    this.text('\r\n');
  }

  /** A large chunk by reference, with what was pending before it, in one system call; copied when its memory is shared. */
  #pass(chunk: Uint8Array, before: string, behind: string): void {
    const wire = this.#wire;
    if (before !== '') this.text(before);
    if (!this.#loop.reads.private) {
      this.append(chunk);
      if (behind !== '') this.text(behind);
      this.send();
      return;
    }
    if (this.#slab === null && behind === '') {
      wire.writeBorrowed(chunk);
      return;
    }
    wire.cork();
    this.send();
    wire.writeBorrowed(chunk, true);
    if (behind !== '') this.text(behind);
    this.send();
    wire.uncork();
    this.drained();
  }

  /** Hands what is pending to the socket now. */
  send(): void {
    const slab = this.#slab;
    if (slab === null) return;
    this.#slab = null;
    const bytes = this.#to - this.#from;
    const retained = this.#retained;
    this.#retained = 0;
    if (bytes === 0) return;
    this.#wire.write(slab.bytes.subarray(this.#from, this.#to));
    this.#owe(slab, bytes - retained);
  }

  /** Bytes of a slab that may be used again once the kernel has taken them: now, or when the socket is empty again. */
  #owe(slab: Slab, bytes: number): void {
    if (this.#wire.buffered === 0) {
      if (this.#owed.length > 0) this.drained();
      this.#loop.slabs.release(slab, bytes);
    } else {
      this.#owed.push(slab);
      this.#owedBytes.push(bytes);
    }
  }

  /** The socket is empty: what a slow reader had kept from reuse is free. Without this its slabs would be left to the collector. */
  drained(): void {
    if (this.#wire.buffered > 0) return;
    for (let i = 0; i < this.#owed.length; i++) this.#loop.slabs.release(this.#owed[i]!, this.#owedBytes[i]!);
    this.#owed.length = 0;
    this.#owedBytes.length = 0;
  }

  /** Forgets what is pending. */
  drop(): void {
    this.#slab = null;
    this.#retained = 0;
  }

  /** Turn calls this for what its writer did not send within the turn: a head whose body is still to come, an event of a stream. */
  flush(): void {
    if (this.#slab !== null) this.send();
  }

  /** Is all that was written with the kernel? */
  get empty(): boolean {
    return this.#slab === null && this.#wire.buffered === 0;
  }

  get full(): boolean {
    return this.#wire.buffered >= HIGH_WATER;
  }
}
