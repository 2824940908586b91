/** Bounds of what stands between the proxy core and its endpoints. */

/** Idle connections kept per endpoint. As many as an agent has slots, or a busy direct upstream has clients at once. */
export const IDLE_CONNECTIONS = 512;
/** How long an idle upstream connection is kept, ms: below the 60 s after which many servers close theirs. */
export const IDLE_MS = 55_000;
/** A pooled connection takes a request that must not be sent twice only when it was used this recently, ms (Node closes at 5 s, and says so late). */
export const FRESH_MS = 2_000;
/** Distance kept to the peer's own `Keep-Alive: timeout`, ms. */
export const KEEP_ALIVE_MARGIN_MS = 2_000;
/** Streams on one HTTP/2 session to an upstream, when nobody says otherwise: what most servers allow. */
export const H2_STREAMS = 100;
/** Silence after which the system asks whether the other side of a session is still there, when nobody says otherwise, ms. */
export const H2_KEEP_ALIVE_MS = 60_000;
/** How long an upstream that chose HTTP/1.1 in TLS is spoken to in it without being asked again, ms. */
export const H1_CHOICE_MS = 600_000;
/** Body bytes held of a request while TLS chooses its protocol, before its writer is asked to stop. */
export const HELD_BYTES = 32 * 1024;
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
/** Longest time that passive health leaves an endpoint out, ms. */
export const EJECT_MAX_MS = 300_000;
/** Share with which an endpoint that came back begins. */
export const SLOW_START_LEAST = 0.1;
/** How often its share grows, ms. */
export const SLOW_START_STEP_MS = 250;
/** Consistent hashing: how much more than its share of the requests in flight an endpoint may have before its keys go to the next, and how many in any case. */
export const HASH_OVERLOAD = 1.25;
export const HASH_ALWAYS = 8;
/** Retry-After when no endpoint is usable and nothing tells when one will be, s. */
export const RETRY_AFTER_NO_ENDPOINT_S = 5;
/** Agents that are remembered when they have left, so that they count as away and not as unknown; the longest gone are forgotten first. */
export const AWAY_AGENTS = 4096;
/** What is remembered of all of them together, facts: some 30 MiB. An agent usually has five to twenty, one that means harm a thousand. */
export const AWAY_FACTS = 100_000;
/** How long they are remembered, ms: over a night and a machine's repair. */
export const KNOWN_FOR_MS = 86_400_000;
/** How long after its start a hub without any agent calls nobody unknown, ms: those it had come back within 5 s. */
export const RETURN_MS = 10_000;
/** Shortest time between two looks at requests that wait for one certain agent, ms. */
export const AFFINITY_STEP_MS = 5;
/** Share of a request's patience that it may spend on one certain agent. */
export const AFFINITY_SHARE = 0.5;
/** Shortest time between two looks at who has waited long enough for a higher class, ms. */
export const AGEING_STEP_MS = 100;
/** How long an endpoint's report of its load counts, ms: longer than most calls last, and no longer than who was busy once may be left in peace. */
export const LOAD_REPORT_MS = 30_000;
/** Load at which an endpoint counts as full, whatever more it reports. */
export const LOAD_FULL = 0.99;
/** A larger figure is no load but something else (percent, bytes), and is not believed. */
export const LOAD_MOST = 10;
/** Longest report that is read, characters. */
export const LOAD_REPORT_CHARACTERS = 4096;
export const resolveLimits = {
  /** An answer holds at least and at most this long, ms, whatever name servers say; and when nobody says. */
  shortestMs: 5_000,
  longestMs: 300_000,
  usualMs: 60_000,
  /** Addresses of one name that are used: more than anybody balances by DNS, and no more than a name server may make us hold. */
  addresses: 256,
  /** How soon a lookup that failed is made again, ms. */
  retryMs: 5_000,
  /** How long the last good addresses of a name are used that name servers say is gone, ms. */
  graceMs: 300_000,
  /** For one question to one name server, ms, and how often it is put. */
  queryMs: 2_000,
  tries: 2,
  /** Lookups that run at once, over all upstreams. */
  atOnce: 16,
  /** How long a new configuration waits for the first answers, ms. */
  firstMs: 5_000,
} as const;

/** Places in a line that clients may be told of, and for how long an answer to that holds, ms: to put a line in order takes a millisecond. */
export const PLACES = 1_000;
export const PLACES_MS = 500;
