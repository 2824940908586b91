import type { KeyObject } from 'node:crypto';
import type { JWTPayload } from 'jose';
import type { Clock } from '../../std/clock.ts';
import { keyedDigest } from '../../std/keyed-digest.ts';
import type { Jose } from './jose.ts';
import { Jwks, KeysUnavailable } from './jwks.ts';
import { TOKEN_CHARS, VERIFIED, VERIFIED_MS } from './limits.ts';

export type Claims = Readonly<JWTPayload>;

/** What a token says, or why it is not taken: a sentence for its sender. `unavailable`: nobody knows whether it is right. */
export type Checked = { readonly claims: Claims } | { readonly claims: null; readonly why: string; readonly unavailable: boolean };

export interface Demands {
  readonly algorithms: readonly string[];
  /** Empty: any. */
  readonly issuers: readonly string[];
  readonly audiences: readonly string[];
  readonly leewayMs: number;
}

/** Checks tokens, and remembers for a while those that were right. */
export class Verifier {
  readonly #jose: Jose;
  readonly #key: KeyObject | Uint8Array | Jwks;
  readonly #demands: Demands;
  readonly #clock: Clock;
  readonly #nameOf = keyedDigest();
  readonly #verified = new Map<string, { claims: Claims; untilMs: number }>();

  constructor(jose: Jose, key: KeyObject | Uint8Array | Jwks, demands: Demands, clock: Clock) {
    this.#jose = jose;
    this.#key = key;
    this.#demands = demands;
    this.#clock = clock;
  }

  /** The claims of a token that was right a moment ago; null: check() it. */
  known(token: string): Claims | null {
    if (this.#verified.size === 0 || token.length > TOKEN_CHARS) return null;
    const found = this.#verified.get(this.#nameOf(token));
    return found !== undefined && this.#clock.wall() < found.untilMs ? found.claims : null;
  }

  async check(token: string): Promise<Checked> {
    if (token.length > TOKEN_CHARS) return refusal('Token is too long');
    const { algorithms, issuers, audiences, leewayMs } = this.#demands;
    const options = {
      algorithms: [...algorithms],
      clockTolerance: leewayMs / 1000,
      currentDate: new Date(this.#clock.wall()),
      ...(issuers.length === 0 ? {} : { issuer: [...issuers] }),
      ...(audiences.length === 0 ? {} : { audience: [...audiences] }),
    };
    const key = this.#key;
    try {
      const { payload } =
        key instanceof Jwks ? await this.#jose.jwtVerify(token, key.find, options) : await this.#jose.jwtVerify(token, key, options);
      this.#remember(token, payload);
      return { claims: payload };
    } catch (error) {
      if (error instanceof KeysUnavailable) return { claims: null, why: 'Tokens cannot be checked now', unavailable: true };
      return refusal(this.#sentence(error));
    }
  }

  #remember(token: string, claims: Claims): void {
    const now = this.#clock.wall();
    const untilMs = Math.min(now + VERIFIED_MS, claims.exp === undefined ? Infinity : claims.exp * 1000);
    if (untilMs <= now) return;
    const name = this.#nameOf(token);
    this.#verified.delete(name);
    if (this.#verified.size >= VERIFIED) this.#verified.delete(this.#verified.keys().next().value!);
    this.#verified.set(name, { claims, untilMs });
  }

  /** Nothing of the token stands in it. */
  #sentence(error: unknown): string {
    const { errors } = this.#jose;
    if (error instanceof errors.JWTExpired) return 'Token has expired';
    if (error instanceof errors.JWTClaimValidationFailed) return SENTENCES.get(error.claim) ?? 'Token is malformed';
    if (error instanceof errors.JWSSignatureVerificationFailed) return 'Token has a wrong signature';
    if (error instanceof errors.JOSEAlgNotAllowed) return 'Token is signed in a way that is not allowed';
    if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) return 'Token is signed with an unknown key';
    if (error instanceof errors.JOSEError) return 'Token is malformed';
    // A key that does not fit, such as a short one: whatever it is, the token is not shown to be right.
    return 'Token cannot be checked';
  }
}

function refusal(why: string): Checked {
  return { claims: null, why, unavailable: false };
}

const SENTENCES: ReadonlyMap<string, string> = new Map([
  ['nbf', 'Token is not valid yet'],
  ['iss', 'Token is of another issuer'],
  ['aud', 'Token is for another audience'],
]);
