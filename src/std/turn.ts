// HOT: runs at the end of every turn of the event loop in which something was written.

/** Something that gathers output during a turn and hands it to its socket at the end of it. */
export interface Flushable {
  /** True while it stands in the turn's list; kept by Turn. */
  queued: boolean;
  flush(): void;
}

/**
 * Gathers everything that wants to be flushed in this turn of the event loop and flushes it once, with one setImmediate for all.
 * Under load this is what makes many requests share one system call; neither nextTick nor a microtask waits for the other sockets of the turn.
 */
export class Turn {
  #now: Flushable[] = [];
  #next: Flushable[] = [];
  #armed = false;
  readonly #run = (): void => {
    const list = this.#now;
    this.#now = this.#next;
    this.#next = list;
    this.#armed = false;
    for (let i = 0; i < list.length; i++) {
      const item = list[i]!;
      item.queued = false;
      item.flush();
    }
    list.length = 0;
  };

  later(item: Flushable): void {
    if (item.queued) return;
    item.queued = true;
    this.#now.push(item);
    if (!this.#armed) {
      this.#armed = true;
      setImmediate(this.#run);
    }
  }
}
