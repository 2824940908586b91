import { randomBytes } from 'node:crypto';
import { certLimits } from './limits.ts';

/**
 * The key under which TLS sessions are sealed for clients to keep (RFC 5077): one for all listeners of a process, so that a new certificate or
 * configuration ends no session. Another one every day: who steals it can read TLS 1.2 connections that were taken up again under it.
 */
export class TicketKeys {
  readonly #now: () => number;
  #current: Buffer;
  #dueMs: number;

  /** `now`: monotonic ms. */
  constructor(now: () => number) {
    this.#now = now;
    this.#current = randomBytes(KEY_BYTES);
    this.#dueMs = now() + certLimits.ticketKeyMs;
  }

  /** 48 bytes, as Node wants them. Sessions that were sealed under an earlier one begin anew. */
  get current(): Buffer {
    const now = this.#now();
    if (now >= this.#dueMs) {
      this.#current = randomBytes(KEY_BYTES);
      this.#dueMs = now + certLimits.ticketKeyMs;
    }
    return this.#current;
  }
}

const KEY_BYTES = 48;
