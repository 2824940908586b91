/** Bounds of the cache beside those of its settings. */

/** Answers that may be kept for one address, by what `Vary` names: or a client that invents languages would fill the cache alone. */
export const VARIANTS = 64;
/** What an entry costs beside its body, fields and key: a guess at objects and maps. */
export const ENTRY_BYTES = 1024;
/** Addresses that are remembered as not to be kept, so that nobody waits for an answer that is not for him. */
export const PASSES = 10_000;
/** Characters of the longest of them: 10 MiB together. */
export const PASS_CHARS = 1_024;
/** How long, ms. */
export const PASS_MS = 10_000;
/** Share of the cache's size that bodies on their way into it may take. */
export const COLLECTING_SHARE = 0.25;
/** Longest wait for the answer to somebody else's request, ms: the core lets plugins wait 30 s. */
export const LOCK_MS = 20_000;
