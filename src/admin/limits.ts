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
  /** Those of one person or token: browsers open six connections to a place at most, and nobody keeps others from looking. */
  eventStreamsOfOne: 24,
  /** Silence on an event stream before a comment shows that it lives, ms: proxies cut what is silent for 30 s or more. */
  eventPingMs: 15_000,
  /** How often an open stream is asked whether who opened it may still see it, ms. */
  eventCheckMs: 1_000,
  /** A session that is not used ends, ms. */
  sessionIdleMs: 30 * 60_000,
  /** And this long after its login in any case, ms: a page left open for days was not meant to be. */
  sessionMs: 24 * 60 * 60_000,
  /** Sessions at once; whoever has not been here longest makes room. */
  sessions: 1_000,
  /** How long a login link counts, ms. */
  ticketMs: 5 * 60_000,
  /** Login links that nobody has used yet; the oldest makes room. */
  tickets: 100,
  /** Tokens for scripts. */
  tokens: 1_000,
  /** How often the time of their last use is written down, ms. */
  tokenUsesMs: 60_000,
  /** Characters of a name and of a password that are looked at; who sends more has neither. */
  nameCharacters: 128,
  passwordCharacters: 1_024,
  /** Entries of the audit log in memory: what its page shows. */
  auditEntries: 1_000,
  /** Characters of one text in an entry. */
  auditCharacters: 300,
  /** Bytes of the audit log's file, before it becomes the older one (of which there is one). */
  auditFileBytes: 8 * 1024 * 1024,
  /** Time in which changes of one kind are told as one, ms: pages ask anew each time, and while thousands of agents come and go that is without a pause. */
  changesMs: 1_000,
  /** How long requests may take to end when operators are to ask at another address, ms. Event streams do not end by themselves, and pages join again. */
  leaveMs: 5_000,
  /** Connections to the listener for operators. */
  connections: 256,
} as const;
