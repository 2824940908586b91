/** Bounds of what the core does beside passing things on. */

/** Attempts per request, the first one included (rule R1). A refusal is none: nothing of the request had begun. */
export const ATTEMPTS = 2;
/** A request that is refused this often is in a loop, not in a race. */
export const REDISPATCHES = 16;
/** Further attempts allowed per request that comes in: when everything fails, retries must not double the load. */
export const RETRY_SHARE = 0.2;
/** Further attempts that may be saved up, and how many are there at the start. */
export const RETRIES_SAVED = 100;
export const RETRIES_AT_START = 10;
/** Copies of heads kept for requests that will wait: some 3 KiB each. */
export const SPARE_HEADS = 256;
/** How long a plugin may make a request wait, ms. Longer than any that asks somebody else should. */
export const PLUGIN_MS = 30_000;
/** Longest deadline that a gRPC client's is taken for, ms: 24 days. Timers and the tunnel count in 32 bits, and clients may say 11,000 years. */
export const GRPC_TIMEOUT_MAX_MS = 0x7fff_ffff;
/** Locations with their upstreams that are counted one by one, some 2 KiB each; the others are counted together. Twice what a gateway of a thousand locations has. */
export const TALLIES = 2_000;
/** Text of one exchange that the inspector keeps: what its memory is at first, and at most, bytes. Heads that do not fit are not kept. */
export const INSPECTED_FIRST_BYTES = 2 * 1024;
export const INSPECTED_HEADS_BYTES = 64 * 1024;
/** Text of all of them, bytes: over it the oldest go. */
export const INSPECTED_BYTES = 64 * 1024 * 1024;
/** Places without an exchange that are kept for those that come. */
export const INSPECTED_SPARE = 256;
/** How long an exchange that is made once more may take, ms, and how much of its answer is read, bytes. */
export const REPLAY_MS = 60_000;
export const REPLAY_BYTES = 64 * 1024 * 1024;
