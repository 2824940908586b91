/** Bounds of an HTTP/1 connection. Each is a promise to the process: whatever a peer does, it cannot cost more than this. */
export interface HttpLimits {
  /** Bytes of the request target (414). 16 KiB: browsers and CDNs stop at 8 to 16. */
  targetBytes: number;
  /** Bytes of a whole head, request line included (431 for requests, 502 for answers). 32 KiB: what edge proxies allow. */
  headBytes: number;
  /** Fields in a head (431). Counted by us; a list is never cut silently. */
  fieldCount: number;
  /** Bytes of a request body; 0 = unlimited (413). */
  bodyBytes: number;
  /** Time from the first byte of a head to its end, ms (408). */
  headTimeoutMs: number;
  /** Time a new connection may stay silent before its first byte, ms (closed without a word). */
  firstByteTimeoutMs: number;
  /** Time without a byte of a body that is being read, ms (408; answers: cut). */
  bodyIdleTimeoutMs: number;
  /** Time without progress while a client does not take the answer, ms (cut). */
  writeIdleTimeoutMs: number;
  /** Idle time of a kept-alive client connection, ms. */
  keepAliveTimeoutMs: number;
  /** Requests served on one connection. */
  requestsPerConnection: number;
  /** Connections open at once; over it, new ones are closed. 0 = what the file descriptors allow. */
  connections: number;
  /** Bytes of requests that wait behind the one being served (pipelining), or of a body that waits for a slot. Then reading pauses. */
  waitingBytes: number;
  /** Bytes of an unread request body that are drained after an early answer, to keep the connection. Then it is closed. */
  drainBytes: number;
  /** Time for that, ms. */
  drainTimeoutMs: number;
  /** Interim (1xx) answers of an upstream to one request. */
  informationalCount: number;
  /** Bytes of one chunk-size line, extensions included. */
  chunkLineBytes: number;
  /** Bytes of a trailer section. */
  trailerBytes: number;
}

export const httpLimits: HttpLimits = {
  targetBytes: 16 * 1024,
  headBytes: 32 * 1024,
  fieldCount: 100,
  bodyBytes: 0,
  headTimeoutMs: 10_000,
  firstByteTimeoutMs: 30_000,
  bodyIdleTimeoutMs: 30_000,
  writeIdleTimeoutMs: 300_000,
  keepAliveTimeoutMs: 75_000,
  requestsPerConnection: 1_000_000,
  connections: 0,
  waitingBytes: 64 * 1024,
  drainBytes: 64 * 1024,
  drainTimeoutMs: 1_000,
  informationalCount: 100,
  chunkLineBytes: 4 * 1024,
  trailerBytes: 16 * 1024,
};
