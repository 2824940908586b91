import type { CrankerVersion } from './negotiate.ts';
import type { Messages, MessageUser } from './messages.ts';

/** Who keeps a connector's sockets. */
export interface SocketOwner {
  /** A request has come over it. */
  used(socket: DialSocket): void;
  /** It is of no use any more, and it was not us who ended it in order. `isTold`: the router did, or the network. */
  lost(socket: DialSocket, code: number, reason: string, isTold: boolean): void;
}

/** One WebSocket of a connector at one router. */
export interface DialSocket extends MessageUser {
  readonly version: CrankerVersion;
  readonly messages: Messages;
  /** Monotonic ms of its registration. */
  readonly sinceMs: number;
  /** May the router send a request over it? */
  readonly isReady: boolean;
  readonly inFlight: number;
  readonly bufferedBytes: number;
  /** The router is about to hear that nothing new is to come; what comes all the same is served. */
  retire(): void;
  /** Closes it once nothing runs there. */
  leave(): void;
  /** Ends it at once, and what runs there. */
  cut(): void;
}
