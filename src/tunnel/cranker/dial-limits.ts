import { type CrankerLimits, crankerLimits } from './limits.ts';

/** Bounds of a connector's end of the Cranker wire. */
export interface ConnectorLimits extends CrankerLimits {
  /** How often a ping is sent, ms, whatever else is sent: what comes back is the proof that the router lives. */
  pingEveryMs: number;
  /** Bytes of a request's body, of protocol 1.0, that its upstream has not taken, above which its socket is not read. */
  pauseBytes: number;
  /** Bytes of request bodies and heads that one socket of protocol 3.0 holds, of all its streams. */
  heldBytes: number;
  /** An answer of which the router takes nothing for so long is given up, ms. */
  stallTimeoutMs: number;
  /** How long the end of a registration may take to be answered, ms. */
  deregisterTimeoutMs: number;
  /** How long a router may take, after the end of a registration, to close the idle sockets itself, ms. */
  deregisteredGraceMs: number;
}

/** Those that differ from the router's: a connector knows within 20 s that its router is dead, as all of the family do. */
export const connectorLimits: ConnectorLimits = {
  ...crankerLimits,
  // Pings go by pingEveryMs.
  pingAfterMs: Infinity,
  pingEveryMs: 5_000,
  overdueMs: Infinity,
  idleTimeoutMs: 20_000,
  // The last bytes of an answer may be on their way to a slow client when the connector has closed.
  closeTimeoutMs: 60_000,
  overshootBytes: 512 * 1024,
  pauseBytes: 64 * 1024,
  heldBytes: 32 * 1024 * 1024,
  stallTimeoutMs: 330_000,
  deregisterTimeoutMs: 5_000,
  deregisteredGraceMs: 1_000,
};

/** Requests that wait at an agent for one of its slots, and for how long, ms. Routers of the family give up after 5 to 60 s. */
export const LINE_PLACES = 1_000;
export const LINE_WAIT_MS = 30_000;
