/** Bounds of jwt. */

/** Longer tokens are refused unread. */
export const TOKEN_CHARS = 16 * 1024;
/** Tokens that were right, so that they are checked once. */
export const VERIFIED = 2_000;
/** How long they count as right, ms, unless they end before: a key that is withdrawn lets nobody in for longer. */
export const VERIFIED_MS = 60_000;
/** What a claim may amount to in a header. */
export const CLAIM_CHARS = 4 * 1024;
/** A body that is made into a token. */
export const BODY_BYTES = 64 * 1024;
/** A set of keys. */
export const JWKS_BYTES = 256 * 1024;
/** How long its server may take, ms. */
export const JWKS_TIMEOUT_MS = 5_000;
/** Keys are not fetched more often: tokens with made-up key ids must not become requests. */
export const JWKS_COOLDOWN_MS = 10_000;
/** Unless there are none at all. */
export const JWKS_FIRST_COOLDOWN_MS = 1_000;
