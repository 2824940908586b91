import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** Tokens that only we can make: `TIME.RANDOM.SIGNATURE`, time in seconds, 36 digits. */
export class CsrfTokens {
  readonly #key: string;
  readonly #ttlMs: number;

  /** `ttlMs`: 0 = for ever. */
  constructor(key: string, ttlMs: number) {
    this.#key = key;
    this.#ttlMs = ttlMs;
  }

  make(wallMs: number): string {
    const text = `${Math.floor(wallMs / 1000).toString(36)}.${randomBytes(16).toString('base64url')}`;
    return `${text}.${this.#sign(text)}`;
  }

  isGood(token: string, wallMs: number): boolean {
    const [, text, time, signature] = FORM.exec(token) ?? [];
    if (signature === undefined) return false;
    if (!timingSafeEqual(Buffer.from(signature), Buffer.from(this.#sign(text!)))) return false;
    const ageMs = wallMs - Number.parseInt(time!, 36) * 1000;
    return this.#ttlMs === 0 || ageMs < this.#ttlMs;
  }

  #sign(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('base64url');
  }
}

const FORM = /^(([\da-z]{1,9})\.[\w-]{22})\.([\w-]{43})$/;
