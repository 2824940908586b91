// HOT: one HeldBody per request that waits.
import { Buffer } from 'node:buffer';
import type { QueueRoom } from '../upstream/upstream.ts';

/** A plugin that wants to see so many bytes of the body. */
interface Peek {
  readonly bytes: number;
  resolve(start: Uint8Array): void;
}

/** What has come of a request's body while nobody takes it, and who looks at its beginning meanwhile. The memory is booked with those who bound it. */
export class HeldBody {
  readonly #room: QueueRoom;
  #own: QueueRoom | undefined;
  chunks: Uint8Array[] = [];
  bytes = 0;
  isComplete = false;
  /** Whoever sends it has been asked to stop. */
  isBlocked = false;
  #peeks: Peek[] | null = null;

  /** `room`: that of the process; `own`: that of the upstream it waits at, which may have none. */
  constructor(room: QueueRoom, own: QueueRoom | undefined) {
    this.#room = room;
    this.#own = own;
  }

  /** It goes to another upstream. */
  moveTo(own: QueueRoom | undefined): void {
    const { bytes } = this;
    this.#book(-bytes);
    this.#own = own;
    this.#book(bytes);
  }

  /** Takes a copy. @returns false when there is no memory left for it */
  push(chunk: Uint8Array): boolean {
    const { length } = chunk;
    const room = this.#room;
    const own = this.#own;
    if (room.bytes + length > room.maxBytes || (own !== undefined && own.bytes + length > own.maxBytes)) return false;
    this.chunks.push(Buffer.from(chunk));
    this.#book(length);
    return true;
  }

  /** Holds what somebody gave back. */
  take(chunks: Uint8Array[], isComplete: boolean): void {
    let bytes = 0;
    for (const chunk of chunks) bytes += chunk.length;
    this.chunks = chunks;
    this.#book(bytes);
    this.isComplete = isComplete;
    // Whoever writes it may have been told to stop by the sink that is gone.
    this.isBlocked = !isComplete;
  }

  /** Gives away what is held, and is as new. Who looks at its beginning goes on waiting. */
  give(): Pick<HeldBody, 'chunks' | 'isComplete' | 'isBlocked'> {
    const { chunks, isComplete, isBlocked } = this;
    this.#book(-this.bytes);
    this.chunks = [];
    this.isComplete = this.isBlocked = false;
    return { chunks, isComplete, isBlocked };
  }

  /** Gives the memory back. Whoever still looks at it sees what there was. */
  forget(): void {
    if (this.#peeks !== null) this.tellPeeks(true);
    this.#book(-this.bytes);
    this.chunks = [];
  }

  #book(bytes: number): void {
    this.bytes += bytes;
    this.#room.bytes += bytes;
    if (this.#own !== undefined) this.#own.bytes += bytes;
  }

  get isPeeked(): boolean {
    return this.#peeks !== null;
  }

  /** The first bytes, at most so many, as soon as they are here; fewer when the body is shorter or no more of it is read. */
  peek(bytes: number): Promise<Uint8Array> {
    return new Promise((resolve) => {
      (this.#peeks ??= []).push({ bytes, resolve });
      this.tellPeeks(false);
    });
  }

  /** `all`: no more is to be expected. */
  tellPeeks(all: boolean): void {
    const peeks = this.#peeks;
    if (peeks === null) return;
    this.#peeks = null;
    const later: Peek[] = [];
    for (const peek of peeks) {
      if (all || this.isComplete || this.isBlocked || this.bytes >= peek.bytes) peek.resolve(Buffer.concat(this.chunks).subarray(0, peek.bytes));
      else later.push(peek);
    }
    if (later.length > 0) this.#peeks = later;
  }
}
