import type { Loop } from '../std/loop.ts';
import type { Timed } from '../std/sweeper.ts';
import { resolveLimits } from './limits.ts';
import { isGone, type Resolve } from './resolve.ts';

export interface NameOptions {
  readonly name: string;
  readonly resolve: Resolve;
  readonly loop: Loop;
  /** Looked up once, until it is found. */
  readonly once: boolean;
  /** How often it is looked up, ms; null = as long as answers hold, within bounds. */
  readonly everyMs: number | null;
  /** Its addresses have changed; also when there are none any more. */
  changed(): void;
  /** A lookup failed; once until one succeeds again. */
  failed(error: NodeJS.ErrnoException): void;
}

/**
 * A name whose addresses are kept up to date. When it cannot be looked up the last good ones stay: for a while when name servers say that there is
 * no such name any more, and as long as it takes when they say nothing (their silence says nothing about the addresses).
 */
export class WatchedName implements Timed {
  ips: readonly string[] = [];
  place = -1;
  due = Number.POSITIVE_INFINITY;
  readonly #options: NameOptions;
  #goodMs = Number.NEGATIVE_INFINITY;
  #failing = false;
  #looking: Promise<void> | null = null;
  #closed = false;

  constructor(options: NameOptions) {
    this.#options = options;
    options.loop.sweeper.add(this);
  }

  get name(): string {
    return this.#options.name;
  }

  /** Looks it up now, or joins the lookup that runs. Never fails. */
  look(): Promise<void> {
    this.due = Number.POSITIVE_INFINITY;
    this.#looking ??= this.#look();
    return this.#looking;
  }

  expired(): void {
    void this.look();
  }

  close(): void {
    this.#closed = true;
    this.due = Number.POSITIVE_INFINITY;
    this.#options.loop.sweeper.remove(this);
  }

  async #look(): Promise<void> {
    const { name, resolve, loop, once, everyMs } = this.#options;
    const { shortestMs, longestMs, retryMs, graceMs } = resolveLimits;
    try {
      const { ips, ttlMs } = await resolve(name);
      if (ips.length === 0) throw Object.assign(new Error('no address'), { code: 'ENODATA' });
      if (this.#closed) return;
      const now = loop.clock.now();
      this.#goodMs = now;
      this.#failing = false;
      if (!once) this.due = now + (everyMs ?? Math.min(longestMs, Math.max(shortestMs, ttlMs ?? resolveLimits.usualMs)));
      this.#set(ips);
    } catch (error) {
      if (this.#closed) return;
      const now = loop.clock.now();
      this.due = now + Math.min(retryMs, everyMs ?? retryMs);
      const wasFailing = this.#failing;
      this.#failing = true;
      if (isGone(error) && now - this.#goodMs > graceMs) this.#set([]);
      if (!wasFailing) this.#options.failed(error as NodeJS.ErrnoException);
    } finally {
      this.#looking = null;
    }
  }

  /** The order of addresses means nothing, name servers turn it round on purpose. */
  #set(ips: readonly string[]): void {
    const next = [...new Set(ips)].toSorted().slice(0, resolveLimits.addresses);
    if (next.length === this.ips.length && next.every((ip, i) => ip === this.ips[i])) return;
    this.ips = next;
    this.#options.changed();
  }
}
