/** Bounds of an HTTP connection, and of HTTP/2 what is beside it. Each is a promise to the process: whatever a peer does, it cannot cost more than this. */
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
  /**
   * Time that an upgraded connection may be without a byte either way, ms (closed); 0 = for ever. An hour: what is said there is said seldom, and peers
   * that have died are found by TCP keep-alive and the tunnel's pings; this is for those that live and have forgotten it.
   */
  upgradeIdleTimeoutMs: number;
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
  /** Streams of HTTP/2 open at once on one connection; over it they are refused (REFUSED_STREAM). 0: HTTP/2 is not spoken. 100: the least that RFC 9113 6.5.2 recommends, and what Envoy advises. */
  h2Streams: number;
  /**
   * Bytes of a request body that a client may send ahead on one stream of HTTP/2. 256 KiB: 5 MB/s at 50 ms of round trip; with all streams stalled,
   * 25 MiB per connection is the worst.
   */
  h2StreamWindow: number;
  /** The same for all streams of a connection together. 1 MiB: four streams at full speed. */
  h2ConnectionWindow: number;
  /** Streams that a client of HTTP/2 may reset, or have reset for its faults, at once; over it the connection is closed (ENHANCE_YOUR_CALM). */
  h2ResetBurst: number;
  /** And so many more each second. A page that is left cancels some dozens. */
  h2ResetsPerSecond: number;
  /** PING, SETTINGS and PRIORITY frames in ten seconds; over it the connection is closed. Clients that measure round trips send some ten a second. */
  h2ControlFrames: number;
  /**
   * Bytes in ten seconds that are neither head nor body of a request, beside a quarter of what the client is sent (it has to say that it took it).
   * 64 KiB are 5,000 WINDOW_UPDATE frames that nobody needs.
   */
  h2OverheadBytes: number;
  /** How long a client of HTTP/2 may take to answer whether it is there, where nothing that it sends makes sense any more, ms. */
  h2PingTimeoutMs: number;
  /** Settings in one SETTINGS frame. There are seven. */
  h2Settings: number;
  /** Memory that Node's HTTP/2 may use for one connection, MiB; over it streams are refused. 100 answers of 64 KiB that wait, and room. */
  h2SessionMiB: number;
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
  upgradeIdleTimeoutMs: 3_600_000,
  keepAliveTimeoutMs: 75_000,
  requestsPerConnection: 1_000_000,
  connections: 0,
  waitingBytes: 64 * 1024,
  drainBytes: 64 * 1024,
  drainTimeoutMs: 1_000,
  informationalCount: 100,
  chunkLineBytes: 4 * 1024,
  trailerBytes: 16 * 1024,
  h2Streams: 100,
  h2StreamWindow: 256 * 1024,
  h2ConnectionWindow: 1024 * 1024,
  h2ResetBurst: 100,
  h2ResetsPerSecond: 10,
  h2ControlFrames: 1_000,
  h2OverheadBytes: 64 * 1024,
  h2PingTimeoutMs: 5_000,
  h2Settings: 32,
  h2SessionMiB: 16,
};

/** Bounds of HTTP/2 connections to upstreams. */
export const clientH2Limits = {
  /** Body bytes that an upstream may send ahead of us on one stream: what a client that does not read costs here. */
  streamWindowBytes: 256 * 1024,
  /** The same for a whole connection; they are granted again as they arrive, so that a stream that stands still does not hold up the others. */
  sessionWindowBytes: 1024 * 1024,
  /** What Node may hold for one connection, MB: heads, and output that the socket has not taken. */
  sessionMemoryMb: 64,
  /** Frames that break the protocol but not the connection, before it is closed. */
  invalidFrames: 100,
  /** SETTINGS and PING frames of the peer within one second. */
  controlsPerSecond: 500,
  /** Silence while a stream waits, after which the peer is asked whether it is there, ms. */
  silenceMs: 15_000,
  /** How long it may take to say so, ms. */
  pingTimeoutMs: 10_000,
  /** Shortest time between two such questions while it says nothing else, ms: servers of gRPC hang up on who asks more often than every five minutes. */
  pingEveryMs: 310_000,
  /** How long the peer may take to close its side of a connection that is done, ms. */
  closeMs: 5_000,
  /** Unsent bytes of one stream above which its writer is asked to stop. */
  highWaterBytes: 64 * 1024,
  /** Body bytes that are kept until the head of the answer comes, in case the upstream never began with the request. */
  keptBytes: 64 * 1024,
} as const;

/** How long both ends of an upgraded connection that we end may take to close it in order, ms. A few trips. */
export const UPGRADE_GOODBYE_MS = 2_000;

/**
 * How long an event stream may be silent, unless its upstream says otherwise, ms. An hour: many say something only when something happens, and whoever is
 * cut comes again and asks for what it has missed. Peers that have died are found by TCP keep-alive and the tunnel's pings.
 */
export const STREAM_IDLE_MS = 3_600_000;
