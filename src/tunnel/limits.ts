/** Bounds of one session of a tunnel. Each is a promise to the process: whatever the other end does, it cannot cost more than this. */
export interface TunnelLimits {
  /** Bytes of a head's text in one frame. 64 KiB less one, since its length is a u16; edge proxies stop at 32 KiB. */
  headBytes: number;
  /** Fields in a head: what the HTTP side lets in (100) and what proxies on the way add. */
  fieldCount: number;
  /** Bytes of typed fields in OPEN, HEAD, END and REFUSED; trailers come on top of it. */
  fieldsBytes: number;
  /** Bytes of a trailer section. */
  trailerBytes: number;
  /** Body bytes that may stand in an OPEN or HEAD frame: enough for a usual JSON exchange in one frame, little enough to be copied. */
  inlineBytes: number;
  /** Bytes of one DATA frame. */
  dataBytes: number;
  /** Bytes of one DATA frame while several streams send: what a small answer may have to wait behind. */
  sharedDataBytes: number;
  /** Bytes of HELLO. */
  helloBytes: number;
  /** Labels in HELLO. */
  labelCount: number;
  /** Bytes of the name of a label, and of its value. */
  labelNameBytes: number;
  labelValueBytes: number;
  /** Slots an agent may claim: what fits its stream limit many times over, and no arithmetic overflows. */
  slotCount: number;
  /** Time from the connection to HELLO or WELCOME, ms. */
  handshakeTimeoutMs: number;
  /** Streams open at once in a session, at the agent; over it, REFUSED. No less than `slotCount`: a slot that was offered and is then refused costs the session. */
  streams: number;
  /** First window of a stream, each direction. Part of the protocol: both ends assume it. */
  windowBytes: number;
  /** Window that a stream which is read quickly may grow to. */
  windowMaxBytes: number;
  /** Half the window consumed within this time (or twice the round trip) means that the window is what holds the stream back. */
  windowQuickMs: number;
  /** Half the window consumed slower than this means that the window is larger than its use. */
  windowSlowMs: number;
  /** Body bytes held for all streams of a session, beyond which stalled streams are granted no more than `stalledWindowBytes`. */
  sessionBytes: number;
  /** What all windows of a session may grow by, together: a path of 300 Mbit/s and 100 ms is filled with it, and fifty readers that stall hold 16 MiB and no more. */
  growthBytes: number;
  stalledWindowBytes: number;
  /** Credit one stream may pile up, bytes: more is an attack on arithmetic. */
  creditBytes: number;
  /** Bytes that wait for a socket that does not take them, control frames and heads, before the session is given up. */
  unsentBytes: number;
  /**
   * What a peer's frames may cost, points per second in the long run and in one burst; prices are in native/frames.ts. A million points are
   * 500,000 frames that carry an exchange on (a fast hub sees 60,000), 100,000 credits or tiny pieces, 1,000 pings.
   */
  costPerSecond: number;
  costBurst: number;
  /** Interim answers (1xx) to one request. */
  informationalCount: number;
  /** OPENs refused within a second before the agent gives the hub up; ten times the slots ever offered when that is more. */
  refusalsPerSecond: number;
  /** How long a slot that was granted to a hub may lie unused before it moves on: ms at least, and round trips (there and back, and some work). */
  grantMinMs: number;
  grantRoundTrips: number;
  /** How long nobody must have waited at any hub before every hub is promised every free slot again, ms at least; `grantRoundTrips` when that is more. */
  calmAfterMs: number;
  /** Shortest time between two WAITING to one agent, ms: an agent cannot use news that come faster than a request takes. */
  waitingEveryMs: number;
  /** How often a session looks at its deadlines, ms. */
  tickMs: number;
  /** Silence after which a PING is sent, ms; after the same again without a byte, no new work goes there. */
  pingAfterMs: number;
  /** Silence after which the peer is dead, ms. */
  deadAfterMs: number;
  /** How often the round trip of a session that is not silent is measured, ms. */
  measureEveryMs: number;
  /** Time without progress of a body for which the peer grants no credit, ms. Longer than a slow client is borne with (300 s), so that who knows more decides first. */
  stallTimeoutMs: number;
  /** Time a cancelled stream waits for the agent's last word, ms: longer than the agent's own grace (5 s). */
  cancelTimeoutMs: number;
  /** Time for the last frames of a session to leave, ms. */
  lingerMs: number;
  /** Longest failure text taken from a peer, characters. */
  detailLength: number;
  /** Shortest wait before an agent whose token was refused asks again, ms: a wrong token does not become right by hammering. */
  refusedRetryMs: number;
  /** First and longest wait of the reconnect backoff, ms. */
  backoffBaseMs: number;
  backoffCapMs: number;
  /** Longest Retry-After that an agent obeys, ms. */
  retryAfterMaxMs: number;
}

export const tunnelLimits: TunnelLimits = {
  headBytes: 65_535,
  fieldCount: 160,
  fieldsBytes: 4 * 1024,
  trailerBytes: 16 * 1024,
  inlineBytes: 16 * 1024,
  dataBytes: 64 * 1024,
  sharedDataBytes: 16 * 1024,
  helloBytes: 16 * 1024,
  labelCount: 64,
  labelNameBytes: 64,
  labelValueBytes: 256,
  slotCount: 100_000,
  handshakeTimeoutMs: 10_000,
  streams: 100_000,
  windowBytes: 64 * 1024,
  windowMaxBytes: 1024 * 1024,
  windowQuickMs: 50,
  windowSlowMs: 2_000,
  sessionBytes: 16 * 1024 * 1024,
  growthBytes: 4 * 1024 * 1024,
  stalledWindowBytes: 16 * 1024,
  creditBytes: 0x7fff_ffff,
  unsentBytes: 4 * 1024 * 1024,
  costPerSecond: 1_000_000,
  costBurst: 250_000,
  informationalCount: 100,
  refusalsPerSecond: 32,
  grantMinMs: 20,
  grantRoundTrips: 2.2,
  calmAfterMs: 50,
  waitingEveryMs: 5,
  tickMs: 1_000,
  pingAfterMs: 5_000,
  deadAfterMs: 15_000,
  measureEveryMs: 15_000,
  stallTimeoutMs: 330_000,
  cancelTimeoutMs: 30_000,
  lingerMs: 1_000,
  detailLength: 300,
  refusedRetryMs: 30_000,
  backoffBaseMs: 250,
  backoffCapMs: 5_000,
  retryAfterMaxMs: 60_000,
};
