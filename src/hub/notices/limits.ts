/** Bounds of notices and of telling them. */
export const noticeLimits = {
  /** How long notices are gathered before the first of them is sent, ms: what belongs together comes together. */
  gatherMs: 500,
  /** Notices that wait for a receiver that does not take them; more are counted alone. */
  pending: 500,
  /** Notices in one message. */
  perMessage: 50,
  /** How long a receiver may take to answer, ms. */
  timeoutMs: 10_000,
  /** Tries for one message, and the longest waits between the first two and between any two, ms. */
  tries: 6,
  backoffBaseMs: 1_000,
  backoffCapMs: 60_000,
  /** Bytes of an answer that are looked at. */
  answerBytes: 16 * 1024,
  /** Characters of a receiver's own words about a message that it does not take. */
  reasonChars: 200,
  /** Characters of one notice's message. */
  messageChars: 500,
  /** Bytes of a text of WeCom. */
  wecomBytes: 4_096,
  /** Between two looks at what there is, ms. */
  lookMs: 1_000,
  /** How long an agent is away before it counts as lost, ms: those that a restart disturbs are back within five seconds. */
  lostMs: 10_000,
  /** How long a queue is long, or short again, before somebody is told, ms. */
  queueMs: 5_000,
  /** Agents and endpoints that are followed. */
  followed: 20_000,
  /** Between two looks at how long certificates are good, ms. */
  certificatesMs: 3_600_000,
  /** How long before its end a certificate is told of, days, the last first. */
  expiryDays: [1, 7, 30],
} as const;
