/** Bounds of certificates that come from files. */
export const certLimits = {
  /** Between two looks at files that nobody said have changed, ms. A renewed certificate is in use within 5 s even where changes are not told. */
  pollMs: 4_000,
  /** Quiet time after a change before files are read, ms: tools write the certificate and then the key. */
  settleMs: 200,
  /** Bytes of a PEM file: the longest chains in use have 20 KiB. */
  fileBytes: 1024 * 1024,
  /** A certificate with less left than this is warned of, ms. A week: renewal that works never gets there. */
  soonExpiredMs: 7 * 86_400_000,
} as const;
