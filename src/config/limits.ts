/** Bounds of what is read at start. */
export const configLimits = {
  /** Bytes of a configuration file, or of all the files of a folder: 10,000 locations fit four times; a device or a log given by mistake does not fill memory. */
  fileBytes: 16 * 1024 * 1024,
  /** Bytes of a file with a secret in it: a token has at most 4 KiB, and nobody rotates more than a few secrets at once. */
  secretFileBytes: 64 * 1024,
  /** Files in a folder that is a configuration. */
  files: 10_000,
  /** Folders within folders. */
  folderDepth: 8,
  /** Tables and lists within each other: ours need five. */
  depth: 32,
  /** Bytes of a list of revoked tokens: a hundred thousand of them. */
  revokedFileBytes: 8 * 1024 * 1024,
  /** Bytes of the file of a plugin of somebody's own. */
  moduleBytes: 4 * 1024 * 1024,
  /** Characters of an item's name. */
  nameChars: 128,
  /** Problems told at once. More help nobody. */
  problems: 1000,
} as const;
