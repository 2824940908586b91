/** Bounds of slime's wire. slime has none: it has neither pings nor windows nor refusals, so each of these is a time or a number that ends a wait. */
export const slimeLimits = {
  /** A worker that neither asks for work nor has any is gone after this, ms. Longer than the first waits of its backoff (1 s, 2 s, 4 s). */
  absentMs: 10_000,
  /**
   * Between the delivery of a request and the beginning of its answer, ms: slime's agent says nothing in between, and one that died with the request
   * would not be noticed. Half an hour: answers of models may take minutes, and `--timeout` is for those who know better.
   */
  answerMs: 1_800_000,
  /** The same from when a worker of that id asked for work again from the same address: it may be another process, or one that has given up. */
  doubtMs: 60_000,
  /** The same from when no connection of the agent is left and it may only have let idle ones go, ms. */
  quietMs: 600_000,
  /**
   * An agent that closes its last connection sooner than this after it got a request has died, ms: idle connections are let go by Go's client after
   * 90 s, by nginx after 60.
   */
  idleMs: 50_000,
  /** How often workers and requests are looked at, ms. */
  sweepMs: 500,
  /** Workers of one token: each is a connection that waits. */
  workersPerToken: 10_000,
  /** Requests that a worker has at once: one, and those whose client has left or whose id another process uses as well. */
  worksPerWorker: 16,
  /** Bytes of a hardware report. */
  reportBytes: 64 * 1024,
  /** Reports that are kept; the oldest go. */
  reports: 10_000,
  /** Bytes of a request that are kept until something of its answer comes, for the case that it never left. As for native sessions. */
  keptBytes: 20 * 64 * 1024,
  /** Bytes of an answer that nobody wants, read so that a worker whose client has left need not fail; then its connection is cut. */
  discardedBytes: 64 * 1024,
  /** Interim answers to one request. */
  informationalCount: 100,
  /** An agent's wait after a poll that its hub has dropped, ms: slime's own. */
  redialMs: 100,
  /** How long a poll that an agent takes back may still bring work that was on its way, ms. */
  withdrawMs: 1_000,
  /** An agent's backoff when a hub cannot be reached, ms. */
  backoffBaseMs: 1_000,
  backoffCapMs: 15_000,
  /** An agent's wait for the first byte of a hub's answer to join, ms. */
  joinTimeoutMs: 10_000,
} as const;

/** The three addresses. */
export const JOIN = '/v1/agent/join';
export const ACCEPT = '/v1/agent/accept';
export const SUBMIT = '/v1/agent/submit';

/** An agent id: a decimal integer of 64 bits. */
export const AGENT_ID: RegExp = /^-?\d{1,19}$/;
