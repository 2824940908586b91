// HOT: every head, frame and small body that leaves the process is written into a slab.

/** Bytes per slab: below malloc's mmap threshold, so that a freed slab is reused without page faults. */
export const SLAB_BYTES = 64 * 1024;
/** A slab with less room than this is not offered again. */
const WORTHWHILE = 1024;

/** Append-only memory: `at` moves forward only, so a view of what was written stays valid for as long as somebody holds it. */
export interface Slab {
  readonly bytes: Buffer;
  /** Where the next byte goes. Whoever writes moves it, within the turn in which it was taken. */
  at: number;
}

/**
 * Hands out append-only output memory.
 * Nothing is ever overwritten and nothing is returned: when the last view is gone the collector takes the slab. That makes
 * "may this buffer be reused yet?" a question nobody has to ask, on the path where a wrong answer sends one user's bytes to another.
 */
export class Slabs {
  #current: Slab = { bytes: Buffer.allocUnsafeSlow(SLAB_BYTES), at: 0 };

  /** A slab with at least `room` free bytes. Write synchronously, then set `at` past what was written. */
  take(room: number): Slab {
    const slab = this.#current;
    if (SLAB_BYTES - slab.at >= room) return slab;
    const fresh: Slab = { bytes: Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, room)), at: 0 };
    if (room <= SLAB_BYTES - WORTHWHILE) this.#current = fresh;
    return fresh;
  }

  /** A copy of `chunk` that lives as long as it is held. */
  copy(chunk: Uint8Array): Buffer {
    const n = chunk.length;
    const slab = this.take(n);
    const from = slab.at;
    slab.bytes.set(chunk, from);
    slab.at = from + n;
    return slab.bytes.subarray(from, from + n);
  }
}
