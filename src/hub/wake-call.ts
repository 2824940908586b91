import type { Clock } from '../std/clock.ts';
import type { Log } from '../observe/log.ts';

/** Between two calls, ms: whoever starts machines needs to hear it once, and again should the first call have come to nothing. */
const EVERY_MS = 10_000;
/** How long the other side may take to answer, ms. */
const TIMEOUT_MS = 5_000;

/** What the call says. */
export interface WakeFacts {
  /** Requests that wait now. */
  readonly waiting: number;
  /** The scope that is asked for, '' for none. */
  readonly scope: string;
  /** The upstream that is asked, in a gateway. */
  readonly upstream?: string;
}

/** Calls a webhook when a request waits and no agent is there that could ever serve it: for whoever can start one (zero to one). */
export class WakeCall {
  readonly #url: string;
  readonly #hubId: string;
  readonly #log: Log;
  readonly #clock: Clock;
  #calledMs = Number.NEGATIVE_INFINITY;

  constructor(url: string, hubId: string, log: Log, clock: Clock) {
    this.#url = url;
    this.#hubId = hubId;
    this.#log = log;
    this.#clock = clock;
  }

  call(facts: WakeFacts): void {
    const now = this.#clock.now();
    if (now - this.#calledMs < EVERY_MS) return;
    this.#calledMs = now;
    void this.#post(facts);
  }

  async #post({ waiting, scope, upstream }: WakeFacts): Promise<void> {
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ event: 'no_agent', hub: this.#hubId, waiting, scope, upstream }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
        redirect: 'manual',
      });
      await response.body?.cancel();
      if (response.status >= 300) this.#log.warn({ status: response.status }, 'the on-empty webhook was called and did not say yes');
      else this.#log.info({ waiting }, 'a request waits and no agent is there: the on-empty webhook was called');
    } catch (error) {
      const { name, cause } = error as Error & { cause?: NodeJS.ErrnoException };
      // The URL may hold a key: it is not logged.
      this.#log.warn({ reason: cause?.code ?? name }, 'the on-empty webhook could not be called');
    }
  }
}
