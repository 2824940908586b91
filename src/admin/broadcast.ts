import { adminLimits } from './limits.ts';
import type { Tick } from './model.ts';
import type { EventOut } from './route.ts';

/** What can change behind a page. */
export type Changed = 'config' | 'agents' | 'upstreams' | 'certificates' | 'queue';

/** Says every second how things are, as long as somebody listens. */
export interface TickSource {
  /** @returns ends it */
  follow(heard: (tick: Tick) => void): () => void;
}

/** Tells all pages that are open what happens: each second's numbers, made once for all, and that something else than numbers has changed. */
export class Broadcast {
  readonly #ticks: TickSource | null;
  readonly #outs = new Set<EventOut>();
  readonly #changed = new Set<Changed>();
  #unfollow: () => void = () => {};
  #timer: NodeJS.Timeout | null = null;

  constructor(ticks: TickSource | null) {
    this.#ticks = ticks;
  }

  /** @returns ends it */
  readonly join = (out: EventOut): (() => void) => {
    this.#outs.add(out);
    if (this.#outs.size === 1 && this.#ticks !== null) this.#unfollow = this.#ticks.follow((tick) => this.#tell('tick', tick));
    return () => {
      this.#outs.delete(out);
      if (this.#outs.size > 0) return;
      this.#unfollow();
      this.#unfollow = () => {};
    };
  };

  /** Soon told to all who listen; ten thousand agents that come are one change. */
  changed(what: Changed): void {
    if (this.#outs.size === 0) return;
    this.#changed.add(what);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      for (const one of this.#changed) this.#tell('change', { what: one });
      this.#changed.clear();
    }, adminLimits.changesMs).unref();
  }

  #tell(event: string, data: unknown): void {
    for (const out of this.#outs) out.send(event, data);
  }

  /** Ends all streams. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const out of this.#outs) out.end();
  }
}
