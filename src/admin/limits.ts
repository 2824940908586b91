/** Bounds of the admin API and the console. */
export const adminLimits = {
  /** Bytes of a request's body: the longest configuration that can be handled in a form. */
  bodyBytes: 2 * 1024 * 1024,
  /** The same where nobody has shown who they are: a name and a password. */
  strangerBodyBytes: 16 * 1024,
  /** Arrays and objects inside one another. */
  jsonDepth: 64,
  /** Things wrong with a body that one answer lists. */
  bodyProblems: 20,
  /** Event streams open at once: a browser opens one for each page. */
  eventStreams: 64,
  /** Silence on an event stream before a comment shows that it lives, ms: proxies cut what is silent for 30 s or more. */
  eventPingMs: 15_000,
  /** How often an open stream is asked whether who opened it may still see it, ms. */
  eventCheckMs: 1_000,
  /** Connections to the listener for operators. */
  connections: 256,
} as const;
