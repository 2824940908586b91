/** Bounds of what is ordered from an ACME server, and how patient we are with it. */
export interface AcmeLimits {
  /** One request, from connecting to the last byte of its answer, ms. */
  readonly requestTimeoutMs: number;
  /** Bytes of an answer: a chain of certificates has some 10 KiB. */
  readonly answerBytes: number;
  /** How often a request is made again because its nonce was refused (RFC 8555 6.5): a server that restarted refuses one, a test server as many as it is told to. */
  readonly nonceTries: number;
  /** How long to wait before asking again whether something is done, where the server does not say, ms: the first time, and at most. */
  readonly pollMs: number;
  readonly pollMaxMs: number;
  /** From the order to the certificate, ms. Servers look from several places, and queue. */
  readonly orderTimeoutMs: number;
  /** Orders that run at once. */
  readonly ordersAtOnce: number;
  /** Orders for one certificate within an hour. Let's Encrypt locks a name out after five failed proofs in an hour. */
  readonly ordersPerHour: number;
  /** Orders for all certificates within an hour. Let's Encrypt takes 300 in three hours. */
  readonly ordersPerHourOfAll: number;
  /** After a failure, how long to wait before the next try, ms: the first time, and at most; twice as long each time. */
  readonly retryMs: number;
  readonly retryMaxMs: number;
  /** After `rateLimited` without a word on how long that lasts, ms; and the longest word that is believed. */
  readonly rateLimitedMs: number;
  readonly rateLimitedMaxMs: number;
  /** Which part of its lifetime a certificate has behind it when it is ordered anew. */
  readonly renewAfterShare: number;
  /** Which part of its lifetime later that may be, at random: not everybody in the same second. */
  readonly renewJitterShare: number;
  /** Between two looks at the clock, ms: a machine that slept has lost time that no timer saw. */
  readonly lookMs: number;
  /** How long a certificate that nobody orders any more is kept after its end, ms. */
  readonly forgetMs: number;
  /** Proofs that are waited for at once, 300 bytes each. */
  readonly challenges: number;
  /** Names in one certificate. */
  readonly names: number;
}

export const acmeLimits: AcmeLimits = {
  requestTimeoutMs: 30_000,
  answerBytes: 1024 * 1024,
  nonceTries: 10,
  pollMs: 500,
  pollMaxMs: 10_000,
  orderTimeoutMs: 300_000,
  ordersAtOnce: 4,
  ordersPerHour: 4,
  ordersPerHourOfAll: 80,
  retryMs: 60_000,
  retryMaxMs: 6 * 3_600_000,
  rateLimitedMs: 3_600_000,
  rateLimitedMaxMs: 8 * 86_400_000,
  renewAfterShare: 2 / 3,
  renewJitterShare: 0.02,
  lookMs: 3_600_000,
  forgetMs: 30 * 86_400_000,
  challenges: 1_000,
  names: 100,
};
