import type { ClientCertificate } from '../http/client-certificate.ts';
import type { Failure } from '../http/failure.ts';
import type { Endpoint } from '../http/exchange.ts';

/** Who is at the other end of a session: what the token proves, then what the agent says of itself. */
export interface AgentIdentity {
  /** The agent's id: stable across restarts, told to applications in `Slime-Agent-Id`. */
  readonly id: string;
  /** Random per process of the agent. */
  readonly instance: string;
  /** Id and name of the token it came with. */
  readonly tokenId: string;
  readonly name: string;
  /** Scopes of the token: a request that names a scope goes only to agents that carry it. */
  readonly scopes: readonly string[];
  /** Paths of the token: when there are any, the agent serves exactly these. */
  readonly scopePaths: readonly string[];
  /** Wall-clock ms at which the token ends; 0 = never. */
  readonly expiresMs: number;
  /** Stands for the secret that sealed the token; absent when nobody asks. */
  readonly sealedBy?: string;
  /** Labels the agent announces. Claims, not proofs, unless the token restricts them. */
  readonly labels: ReadonlyMap<string, string>;
  readonly hardware: Hardware | null;
  /** Name and version of its program; absent or '': it does not say. */
  readonly software?: string;
  /** Where it dialled in from. */
  readonly address: string;
  /** What it has shown in the TLS handshake, checked; absent: nothing. */
  readonly certificate?: ClientCertificate;
}

/** What an agent's machine has; every part may be unknown. */
export interface Hardware {
  readonly cpuCores: number;
  readonly cpuModel: string;
  readonly memoryBytes: number;
  readonly gpus: readonly string[];
  readonly platform: string;
  readonly arch: string;
}

/** What a wire can carry. A request that needs what is lacking is not eligible there; it is never mangled. */
export interface WireAbilities {
  readonly upgrade: boolean;
  readonly trailers: boolean;
  readonly informational: boolean;
  readonly cancel: boolean;
}

/** Who keeps a hub's sessions (upstream/agents.ts). */
export interface SessionOwner {
  /** `free` may have changed. */
  changed(session: Session): void;
  /** The session is over; exactly once. Its streams have been aborted already. */
  lost(session: Session, reason: string): void;
}

/**
 * What a hub knows of one connected agent, whatever its wire: an endpoint that has slots.
 * A refused request (nothing of it reached the agent's upstream) aborts its reply with the failure `refused` or `tunnel_lost_unsent`.
 */
export interface Session extends Endpoint {
  readonly agent: AgentIdentity;
  readonly abilities: WireAbilities;
  /** What it speaks; absent: our own. */
  readonly wireName?: string;
  /** Slots that a request may be sent to now. 0 while draining, overdue with a ping, or gone. */
  readonly free: number;
  /** Slots the agent has in all. */
  readonly slots: number;
  /** Streams open now. */
  readonly inFlight: number;
  /** Round trip of the last ping, ms; 0 before the first. */
  readonly roundTripMs: number;
  /** Monotonic ms of the handshake. */
  readonly sinceMs: number;
  /** Bytes held by this session: unsent output and unconsumed input of all streams. */
  readonly bufferedBytes: number;
  /** Frames so far, where the wire has frames. */
  readonly framesSent?: number;
  readonly framesReceived?: number;
  /** Bytes so far, where the wire counts them. */
  readonly bytesSent?: number;
  readonly bytesReceived?: number;
  owner: SessionOwner | null;
  /** The agent has other hubs as well, so it is told who waits here. Absent where the wire cannot say so. */
  readonly shared?: boolean;
  /**
   * Tells the agent how many requests wait that it may serve, and since when (monotonic ms) the oldest does. Not `urgent`: only when it believes
   * that none waits, or that some do and none does. @returns false when that was not so, and it is to be told later
   */
  tellWaiting?(count: number, sinceMs: number, urgent?: boolean): boolean;
  /** Asks the agent to leave: it opens no new work here, what runs finishes, then the session ends. */
  drain(): void;
  /** Ends it now: streams are aborted with `failure`. */
  close(failure: Failure): void;
}
