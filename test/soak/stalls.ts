import { Spread } from './spread.ts';

const EVERY_MS = 5;
/** Less is how timers are. */
const STALL_MS = 3;
const REMEMBERED = 400;

/** Notices when this process itself stands still. */
export class Stalls {
  readonly #from: number[] = [];
  readonly #to: number[] = [];
  readonly #timer: NodeJS.Timeout;
  #due = performance.now() + EVERY_MS;
  /** How late timers are, ms. */
  readonly late = new Spread();

  constructor() {
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
  }

  /** Time in which we stood still since then, up to now, ms. */
  since(fromMs: number): number {
    const now = performance.now();
    // The one that we are just coming from has not been seen yet.
    let sum = now - this.#due > STALL_MS ? now - Math.max(fromMs, this.#due) : 0;
    for (let i = this.#to.length - 1; i >= 0 && this.#to[i]! > fromMs; i--) sum += this.#to[i]! - Math.max(fromMs, this.#from[i]!);
    return sum;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    const late = Math.max(0, now - this.#due);
    this.late.add(late);
    if (late > STALL_MS) {
      this.#from.push(this.#due);
      this.#to.push(now);
      if (this.#to.length > REMEMBERED) {
        this.#from.splice(0, REMEMBERED / 2);
        this.#to.splice(0, REMEMBERED / 2);
      }
    }
    this.#due = now + EVERY_MS;
  }
}
