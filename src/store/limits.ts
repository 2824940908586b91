/** Longest file of records, bytes: a record has some 300, so 50,000 of them. */
export const FILE_BYTES = 16 * 1024 * 1024;
/** How often a file is looked at for changes that others made, ms. */
export const LOOK_MS = 1_000;
/** How long a change waits for others who are at it, ms, and in which steps it looks. */
export const LOCK_WAIT_MS = 5_000;
export const LOCK_STEP_MS = 20;
/** A lock this old belongs to somebody who is gone, ms. */
export const LOCK_STALE_MS = 30_000;
