// HOT: every head, frame and small body that leaves the process is written into a slab.

/** Bytes per slab: room for several reads' worth of body, and for some hundred heads. */
export const SLAB_BYTES = 256 * 1024;
/** Slabs kept for reuse; more are left to the collector. */
const SPARE = 16;
/** Requests for this much or more get memory of their own, so that the rest of a slab is not thrown away for them. */
const OVERSIZE = SLAB_BYTES / 2;

/** Append-only memory: `at` moves forward only, so a view of what was written stays valid for as long as somebody counts on it. */
export interface Slab {
  readonly bytes: Buffer;
  /** Where the next byte goes. Whoever writes moves it, within the turn in which it was taken. */
  at: number;
  /** Bytes that were given back. */
  released: number;
  /** No longer handed out. */
  retired: boolean;
}

/**
 * Hands out append-only output memory.
 * Whoever wrote bytes and no longer needs them (the kernel has taken them) may give them back with release(); a slab of which every byte was given
 * back is used again. That is an optimisation that fails safe: bytes that nobody gives back keep their slab from reuse for ever, and the collector
 * takes it when the last view is gone. Without it a busy hub spends a tenth of its time collecting 64 KiB buffers.
 */
export class Slabs {
  #current: Slab = createSlab(SLAB_BYTES);
  readonly #spare: Slab[] = [];

  /** A slab with at least `room` free bytes. Write synchronously, then set `at` past what was written. */
  take(room: number): Slab {
    const slab = this.#current;
    if (SLAB_BYTES - slab.at >= room) return slab;
    if (room >= OVERSIZE) return createSlab(room);
    const fresh = this.#spare.pop() ?? createSlab(SLAB_BYTES);
    this.#current = fresh;
    slab.retired = true;
    if (slab.released === slab.at) this.#reuse(slab);
    return fresh;
  }

  /** `n` bytes of the slab are not needed any more. Each byte may be given back once, by whoever wrote it. */
  release(slab: Slab, n: number): void {
    slab.released += n;
    if (slab.retired && slab.released === slab.at) this.#reuse(slab);
  }

  #reuse(slab: Slab): void {
    if (this.#spare.length >= SPARE) return;
    slab.at = 0;
    slab.released = 0;
    slab.retired = false;
    this.#spare.push(slab);
  }
}

function createSlab(bytes: number): Slab {
  return { bytes: Buffer.allocUnsafeSlow(bytes), at: 0, released: 0, retired: false };
}
