import type { JSONWebKeySet, JWSHeaderParameters, CryptoKey, FlattenedJWSInput } from 'jose';
import type { Clock } from '../../std/clock.ts';
import type { Log } from '../../observe/log.ts';
import type { Jose } from './jose.ts';
import { JWKS_BYTES, JWKS_COOLDOWN_MS, JWKS_FIRST_COOLDOWN_MS, JWKS_TIMEOUT_MS } from './limits.ts';

type Finder = (header: JWSHeaderParameters, token: FlattenedJWSInput) => Promise<CryptoKey>;

/** There are no keys to check a token with. */
export class KeysUnavailable extends Error {}

/** The keys at an address: fetched with the first token (who only checks a file asks nobody), anew when they are old or a token names one that is not among them, and kept when that fails. */
export class Jwks {
  readonly #url: string;
  readonly #ttlMs: number;
  readonly #jose: Jose;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #ended = new AbortController();
  #find: Finder | null = null;
  #loadedMs = 0;
  #triedMs = -Infinity;
  #pending: Promise<boolean> | null = null;
  #isFailing = false;

  constructor(url: string, ttlMs: number, jose: Jose, clock: Clock, log: Log) {
    this.#url = url;
    this.#ttlMs = ttlMs;
    this.#jose = jose;
    this.#clock = clock;
    this.#log = log;
  }

  /** The key for a token. @throws KeysUnavailable, or jose's JWKSNoMatchingKey */
  readonly find = async (header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> => {
    if (this.#find === null && !(await this.#load())) throw new KeysUnavailable();
    // Old keys are good while new ones are on their way: nobody waits for them.
    if (this.#clock.now() - this.#loadedMs > this.#ttlMs) void this.#load();
    try {
      return await this.#find!(header, token);
    } catch (error) {
      if (!(error instanceof this.#jose.errors.JWKSNoMatchingKey) || !(await this.#load())) throw error;
      return this.#find!(header, token);
    }
  };

  /** One at a time, and not too often. @returns whether there are new keys */
  #load(): Promise<boolean> {
    if (this.#pending !== null) return this.#pending;
    const now = this.#clock.now();
    if (now - this.#triedMs < (this.#find === null ? JWKS_FIRST_COOLDOWN_MS : JWKS_COOLDOWN_MS)) return Promise.resolve(false);
    this.#triedMs = now;
    this.#pending = this.#fetch().finally(() => (this.#pending = null));
    return this.#pending;
  }

  async #fetch(): Promise<boolean> {
    try {
      const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(JWKS_TIMEOUT_MS)]);
      const response = await fetch(this.#url, { redirect: 'error', signal, headers: { Accept: 'application/jwk-set+json, application/json' } });
      if (response.status !== 200) {
        await response.body?.cancel();
        throw new Error(`it answered ${response.status}`);
      }
      this.#find = this.#jose.createLocalJWKSet(keysIn(await boundedText(response)));
      this.#loadedMs = this.#clock.now();
      if (this.#isFailing) this.#log.info({}, 'the keys of jwks_url could be fetched again');
      this.#isFailing = false;
      return true;
    } catch (error) {
      if (this.#ended.signal.aborted) return false;
      const { message, cause } = error as Error;
      const reason = cause instanceof Error ? cause.message : message;
      if (!this.#isFailing)
        this.#log.warn({ reason, has_keys: this.#find !== null }, 'the keys of jwks_url could not be fetched; those that are there stay');
      this.#isFailing = true;
      return false;
    }
  }

  close(): void {
    this.#ended.abort();
  }
}

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > JWKS_BYTES) throw new Error(`it is larger than ${JWKS_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Public keys alone: a secret that stands there would be known to everybody. @throws when there is none */
function keysIn(text: string): JSONWebKeySet {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    throw new Error('it is no JSON');
  }
  const keys = (set as { keys?: unknown } | null)?.keys;
  const usable = (Array.isArray(keys) ? (keys as unknown[]) : []).filter(
    (key): key is JSONWebKeySet['keys'][number] =>
      typeof key === 'object' && key !== null && 'kty' in key && ['RSA', 'EC', 'OKP'].includes(String(key.kty)) && !('d' in key),
  );
  if (usable.length === 0) throw new Error('it holds no public keys');
  return { keys: usable };
}
