/** Bounds of basic_auth. */

/** What a new hash costs: 2^15 blocks of 1 KiB, some 50 ms and 32 MiB. */
export const LN = 15;
/** Cheaper hashes are no protection. */
export const LN_MIN = 10;
/** What a hash of the file may take. */
export const HASH_BYTES_MAX = 256 * 1024 * 1024;
/** Passwords checked at the same time: Node's pool has four threads, and others need them too. */
export const CHECKS = 2;
/** Passwords that wait to be checked; beyond it is 503. */
export const CHECKS_WAITING = 64;
/** Credentials known to be right, so that they are checked once. */
export const RIGHT = 1_000;
/** Wrong tries that cost nothing, per address and per user. */
export const TRIES = 5;
/** From then on a wait of 1 s after each, doubled up to this one. */
export const HOLD_MAX_MS = 60_000;
/** A wrong try is forgotten when none has followed for so long. */
export const FORGET_MS = 10 * 60_000;
/** Addresses, and users, whose wrong tries are remembered. */
export const REMEMBERED = 10_000;
