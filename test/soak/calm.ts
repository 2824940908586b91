/** Since when something has been left alone. */
export class Calm {
  #troubles = 0;
  #sinceMs = 0;

  begin(): void {
    this.#troubles++;
  }

  /** The trouble is over; its traces are, too, after `marginMs`. */
  end(marginMs: number): void {
    this.#troubles--;
    this.#sinceMs = Math.max(this.#sinceMs, performance.now() + marginMs);
  }

  /** Monotonic ms; infinite while it is being disturbed. */
  get sinceMs(): number {
    return this.#troubles > 0 ? Infinity : this.#sinceMs;
  }
}
