/** One request to the upstream that others wait for, who want the same. */
export class Flight {
  readonly #landed: () => void;
  #waiting: (() => void)[] = [];
  #isOver = false;
  /** The upstream failed: who waits may have what is old, where that is allowed. */
  hasFailed = false;

  constructor(landed: () => void) {
    this.#landed = landed;
  }

  /** How many wait. */
  get followers(): number {
    return this.#waiting.length;
  }

  /** Resolves when it is decided whether there is an answer for all, or after so many ms. */
  wait(ms: number): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    return new Promise((resolve) => {
      const go = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((one) => one !== go);
        resolve();
      }, ms);
      this.#waiting.push(go);
    });
  }

  /** The answer is kept, or it is certain that it will not be. */
  land(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#landed();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }
}
