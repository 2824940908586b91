/** Bounds of the Cranker wire. Each is a promise to the process: whatever a peer does, it cannot cost more than this. */
export interface CrankerLimits {
  /** Bytes of a head's text that is taken. 64 KiB: where every router and connector of the family stops. */
  headBytes: number;
  /** Fields in a head. */
  fieldCount: number;
  /** Bytes of one WebSocket message that is taken. The family sends at most 64 KiB; a megabyte lets bold ones pass. */
  messageBytes: number;
  /** Bytes of a body in one message that is sent, the frame's head included: crank4go reads no more than 16 KiB. */
  sendBytes: number;
  /** Bytes of a head's text in one HEADER frame of 3.0 (facts of the family: 16,000 characters). */
  headerChunkBytes: number;
  /** 3.0: bytes out and not acknowledged above which a stream's sender stops, and below which it goes on. Part of the protocol: both ends assume it. */
  windowBytes: number;
  resumeBytes: number;
  /** 3.0: unacknowledged bytes of one stream that are taken from a peer: its window, and what it may overshoot by (73 to 82 KB have been seen, with frames up to a message). */
  overshootBytes: number;
  /** Requests that run at once on one 3.0 connection where nothing else is set; ids are 31 bits, memory is not. */
  streams: number;
  /** Bytes that wait for a socket that does not take them, before it is given up. */
  unsentBytes: number;
  /** Silence of ours after which a ping is sent, ms. */
  pingAfterMs: number;
  /** Silence of the peer's after which it gets no new work, ms. A live one has answered two pings by then. */
  overdueMs: number;
  /** Silence of the peer's after which it is dead, ms. */
  idleTimeoutMs: number;
  /** How long a close may take to be answered, ms. */
  closeTimeoutMs: number;
  /** How often a connection looks at its deadlines, ms. */
  tickMs: number;
  /**
   * Messages that carry next to nothing (pings, empty and tiny frames, frames for nobody) that a peer may send per second in the long run, and in one burst; each
   * request adds some. 20,000 are a hundred language models that stream, or a twentieth of a core.
   */
  idlePerSecond: number;
  idleBurst: number;
  /** Longest failure text taken from a peer, characters. */
  detailLength: number;
}

export const crankerLimits: CrankerLimits = {
  headBytes: 64 * 1024,
  fieldCount: 160,
  messageBytes: 1024 * 1024,
  sendBytes: 16 * 1024,
  headerChunkBytes: 16_000,
  windowBytes: 64 * 1024,
  resumeBytes: 16 * 1024,
  overshootBytes: 1024 * 1024 + 64 * 1024,
  streams: 10_000,
  unsentBytes: 4 * 1024 * 1024,
  pingAfterMs: 10_000,
  overdueMs: 25_000,
  idleTimeoutMs: 60_000,
  closeTimeoutMs: 5_000,
  tickMs: 1_000,
  idlePerSecond: 20_000,
  idleBurst: 100_000,
  detailLength: 300,
};
