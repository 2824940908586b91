/** Bounds of what stands between the proxy core and its endpoints. */

/** Idle connections kept per endpoint. As many as an agent has slots, or a busy direct upstream has clients at once. */
export const IDLE_CONNECTIONS = 512;
/** How long an idle upstream connection is kept, ms: below the 60 s after which many servers close theirs. */
export const IDLE_MS = 55_000;
/** A pooled connection takes a request that must not be sent twice only when it was used this recently, ms (Node closes at 5 s, and says so late). */
export const FRESH_MS = 2_000;
/** Distance kept to the peer's own `Keep-Alive: timeout`, ms. */
export const KEEP_ALIVE_MARGIN_MS = 2_000;
/** Kinds of requests (scope and path) told apart at once; idle ones make room. */
export const LANES = 1024;
/** Agents with a free slot that are compared for one request. */
export const LOOKS = 8;
/** Retry-After while no eligible agent is connected, s. */
export const RETRY_AFTER_NO_AGENT_S = 5;
/** Retry-After while all slots are taken, s: reckoned from the time that requests take of late, within these bounds. */
export const RETRY_AFTER_NO_SLOT_S = 1;
export const RETRY_AFTER_MAX_S = 120;
/** Share of the newest request in the smoothed service time. */
export const SERVICE_WEIGHT = 0.1;
/** Agents whose slots are counted for it; more are taken to be alike. */
export const RETRY_AFTER_LOOKS = 64;
