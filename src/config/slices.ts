/** Longest time that reading a configuration may keep the event loop from requests, ms. */
const SLICE_MS = 5;

/** Cuts long work into slices: whoever loops calls pause() in each round. */
export class Slices {
  #beganMs = performance.now();

  /** Lets others run when it has been long. */
  async pause(): Promise<void> {
    if (performance.now() - this.#beganMs < SLICE_MS) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#beganMs = performance.now();
  }
}
