import type { PluginExchange } from '../../proxy/plugin.ts';
import { TELL_MS } from './limits.ts';

/** Tells clients that asked where their requests stand, as long as they wait. */
export class WaitTellers {
  readonly #waiting = new Set<PluginExchange>();
  #timer: NodeJS.Timeout | null = null;

  add(exchange: PluginExchange): void {
    this.#waiting.add(exchange);
    this.#timer ??= setInterval(() => this.#tell(), TELL_MS).unref();
  }

  remove(exchange: PluginExchange): void {
    if (this.#waiting.delete(exchange) && this.#waiting.size === 0) this.close();
  }

  #tell(): void {
    for (const exchange of this.#waiting) {
      const { place } = exchange;
      if (place === null) continue;
      const { position, estimatedWaitMs } = place;
      const estimate = estimatedWaitMs === null ? [] : ['Queue-Estimate', String(Math.ceil(estimatedWaitMs / 1000))];
      exchange.inform(['Queue-Position', String(position), ...estimate]);
    }
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}

/** Is `queue-position` among the preferences (RFC 7240)? */
export function wantsPosition(prefer: string | undefined): boolean {
  return prefer !== undefined && /(?:^|[,;\s])queue-position(?:$|[,;\s])/i.test(prefer);
}
