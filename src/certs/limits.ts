/** Bounds of certificates that come from files, and of those that an authority of ours makes. */
export const certLimits = {
  /** Between two looks at files that nobody said have changed, ms. A renewed certificate is in use within 5 s even where changes are not told. */
  pollMs: 4_000,
  /** Quiet time after a change before files are read, ms: tools write the certificate and then the key. */
  settleMs: 200,
  /** Bytes of a PEM file: the longest chains in use have 20 KiB. */
  fileBytes: 1024 * 1024,
  /** A certificate with less left than this is warned of, ms. A week: renewal that works never gets there. */
  soonExpiredMs: 7 * 86_400_000,
  /** Between two warnings of one that goes on growing old, ms. */
  warnEveryMs: 86_400_000,
  /** How long one key seals TLS sessions, ms: what it could open if it were stolen is a day's. */
  ticketKeyMs: 86_400_000,
  /** Certificates that an authority keeps, 3 KiB each: the names are whatever clients ask for. One that was given up is made anew in a millisecond. */
  leaves: 1_000,
  /** How long one of them is good for, ms. 397 days: browsers take none that is good for longer. */
  leafMs: 397 * 86_400_000,
  /** How long the authority itself is, ms. */
  authorityMs: 10 * 365 * 86_400_000,
  /** How far a certificate reaches back before the moment at which it was made, ms: clocks of clients may be behind. */
  clockLeewayMs: 3_600_000,
} as const;
