/** When a hub or proxy begins to say no, and how. */
export const pressureLimits = {
  /** Share of the heap from which nothing new may wait: a waiting request is what grows without bringing anything to an end. */
  busyShare: 0.85,
  /** Share from which new requests get 503: what is left is for those that run. */
  fullShare: 0.95,
  /** How far below its mark the heap must be before a measure ends: a minor collection frees about that much. */
  relief: 0.05,
  /** V8's young generation at its largest, which its heap limit includes: three semi-spaces of 16 MiB. */
  youngBytes: 48 * 1024 * 1024,
  /** Between two closings of idle connections while memory is short, ms. */
  idleEveryMs: 200,
  /** Between two log lines about the same shortage, ms. */
  alarmMs: 60_000,
  /** Share of the descriptors that clients do not get: operators, logs and certificates need some when it matters most. */
  reservedShare: 0.05,
} as const;

/** Between two log lines about the same reason why handshakes fail, ms. */
export const HANDSHAKE_LINES_MS = 60_000;

/** Agents that operators have said something of, tokens that were revoked, and issued, each: more than anybody looks through. */
export const KEPT_RECORDS = 20_000;
/** Agents that have left and are still shown, the longest gone forgotten first. */
export const AWAY_SHOWN = 10_000;
/** Labels that operators give one agent. */
export const GIVEN_LABELS = 64;
/** Requests of the live view: sent to one page within a second, and looked at in one turn when the list is searched. */
export const TRAFFIC_PER_SECOND = 200;
export const TRAFFIC_SLICE = 1_000;
/** Requests that are kept when the live view is switched on without a number. */
export const TRAFFIC_USUAL = 1_000;
