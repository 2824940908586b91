/** Bounds of what is read at start. */
export const configLimits = {
  /** Bytes of a configuration file: 10,000 locations fit four times; a device or a log given by mistake does not fill memory. */
  fileBytes: 16 * 1024 * 1024,
  /** Bytes of a file with a secret in it: a token has at most 4 KiB, and nobody rotates more than a few secrets at once. */
  secretFileBytes: 64 * 1024,
} as const;
