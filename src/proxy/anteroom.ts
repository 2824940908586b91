import type { Exchange } from './exchange.ts';

/** How many requests may be inside a hub at once, those that wait for a slot included, and where the others wait, unread. */
export class Anteroom {
  readonly #places: number;
  /** How many may wait here. It may depend on how things stand. */
  readonly #room: () => number;
  /** How long one may wait here, ms. */
  readonly waitMs: number;
  #inside = 0;
  readonly #waiting: Exchange[] = [];

  constructor(places: number, room: () => number, waitMs: number) {
    this.#places = places;
    this.#room = room;
    this.waitMs = waitMs;
  }

  /** @returns whether there was a place inside: it is taken now */
  enter(): boolean {
    if (this.#inside >= this.#places) return false;
    this.#inside++;
    return true;
  }

  /** @returns whether it may wait */
  wait(exchange: Exchange): boolean {
    if (this.#waiting.length >= this.#room()) return false;
    this.#waiting.push(exchange);
    return true;
  }

  /** Somebody who was inside has gone: who has waited longest comes in. */
  exit(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#inside--;
    else next.enter();
  }

  /** Who waited left, or its time was over. */
  leave(exchange: Exchange): void {
    const at = this.#waiting.indexOf(exchange);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  get waiting(): number {
    return this.#waiting.length;
  }
}
