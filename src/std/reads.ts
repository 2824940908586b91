// HOT: every byte that enters the process passes here.

/** Bytes that one read may bring. */
export const READ_BYTES = 64 * 1024;
/** How many connections may hold a read buffer of their own (bulk transfers); the others share one. Bound: 64 x 64 KiB = 4 MiB. */
const PRIVATE_MAX = 64;

/**
 * Read buffers. Idle and small traffic shares one buffer for all connections (10,000 idle clients must not hold 640 MiB); a connection
 * in the middle of a bulk transfer borrows a private one, which can be passed on to a socket without a copy.
 *
 * The rule for whoever receives a chunk: it is **borrowed** until the call returns. To hold it longer, hold `keep(chunk)` instead.
 */
export class Reads {
  readonly shared: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  /**
   * Is the chunk being delivered in memory that nobody else reads into? Then it may be handed to a socket without a copy.
   * Set by Wire before each delivery; a flag, because asking a chunk for its `buffer` is a slow call.
   */
  private = true;
  /** Set by keep() when the private buffer of the read being delivered must not be read into again. */
  kept = false;
  #privates = 0;

  /** The same bytes, safe to hold. Call it only inside the call that delivered the chunk. Copies what is under a quarter of its buffer, so that small chunks don't pin large buffers. */
  keep(chunk: Uint8Array): Uint8Array {
    if (!this.private || chunk.length * 4 < READ_BYTES) return Buffer.from(chunk);
    this.kept = true;
    return chunk;
  }

  /** A private buffer, or null when too many are out. */
  borrow(): Buffer | null {
    if (this.#privates >= PRIVATE_MAX) return null;
    this.#privates++;
    return Buffer.allocUnsafeSlow(READ_BYTES);
  }

  giveBack(): void {
    this.#privates--;
  }
}
