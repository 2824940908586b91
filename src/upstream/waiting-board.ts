// HOT under load: changed() runs per request that waits or stops waiting.
import { type Clock, systemClock } from '../std/clock.ts';
import { tunnelLimits } from '../tunnel/limits.ts';
import type { Session } from '../tunnel/session.ts';
import type { WaitingLine } from './queue.ts';

/** An agent that wants to know who waits here, and what it may serve. */
export interface BoardMember {
  readonly session: Session;
  readonly lanes: readonly { readonly line: WaitingLine }[];
  /** Those who wait for it alone. */
  readonly own: WaitingLine | null;
}

/** With more listeners than this, news come in proportion more rarely: what a request that waits costs in frames stays bounded. */
const LISTENERS = 16;
/**
 * Each listener hears how many wait in its turn, so that several of them cost no more frames than one (five agents and eight hubs: 6.4 frames per
 * request before, 5.5 now). Whether any waits at all it hears at once: it would keep slots for nobody, or offer one to every hub. At most so many times rarer than that.
 */
const RARER = 8;

/** Tells agents that have other hubs as well how many requests wait here for them, so that they can share out their slots. Costs nothing while there are none. */
export class WaitingBoard {
  readonly #clock: Clock;
  readonly #members = new Set<BoardMember>();
  #armed = false;
  #toldMs = Number.NEGATIVE_INFINITY;
  /** When all was told last, not only that nobody waits. */
  #allToldMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** Who is there already may want to be told anew. */
  add(member: BoardMember): void {
    this.#members.add(member);
    this.changed();
  }

  remove(member: BoardMember): void {
    this.#members.delete(member);
  }

  /** Somebody waits, or waits no more. */
  changed(): void {
    if (this.#armed || this.#members.size === 0) return;
    this.#armed = true;
    const left = this.#toldMs + this.#everyMs - this.#clock.now();
    if (left <= 0) setImmediate(this.#tell);
    else setTimeout(this.#tell, left);
  }

  get #everyMs(): number {
    return tunnelLimits.waitingEveryMs * Math.ceil(this.#members.size / LISTENERS);
  }

  readonly #tell = (): void => {
    this.#armed = false;
    this.#toldMs = this.#clock.now();
    const all = this.#toldMs - this.#allToldMs >= this.#everyMs * Math.min(this.#members.size, RARER);
    if (all) this.#allToldMs = this.#toldMs;
    let withheld = false;
    for (const { session, lanes, own } of this.#members) {
      let count = own === null ? 0 : own.size;
      let sinceMs = own === null || own.first === null ? Number.POSITIVE_INFINITY : own.first.notes.startMs;
      for (let i = 0; i < lanes.length; i++) {
        const { line } = lanes[i]!;
        count += line.size;
        if (line.first !== null) sinceMs = Math.min(sinceMs, line.first.notes.startMs);
      }
      if (session.tellWaiting?.(count, count === 0 ? this.#toldMs : sinceMs, all) === false) withheld = true;
    }
    if (withheld) this.changed();
  };
}
