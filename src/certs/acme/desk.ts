/** Lets only so many orders run at once; the others wait in line. */
export class OrderDesk {
  readonly #places: number;
  #busy = 0;
  readonly #line: (() => void)[] = [];

  constructor(places: number) {
    this.#places = places;
  }

  async run<T>(order: () => Promise<T>): Promise<T> {
    if (this.#busy >= this.#places) await new Promise<void>((resolve) => this.#line.push(resolve));
    else this.#busy++;
    try {
      return await order();
    } finally {
      const next = this.#line.shift();
      // The place goes from hand to hand.
      if (next === undefined) this.#busy--;
      else next();
    }
  }
}
