import { randomBytes } from 'node:crypto';
import type { ClientCertificate } from '../../http/client-certificate.ts';
import { Failure } from '../../http/failure.ts';
import { fieldLine, type RequestHead } from '../../http/head.ts';
import { WINDLASS_HUB, WINDLASS_TOKEN } from '../../http/names.ts';
import type { Log } from '../../observe/log.ts';
import type { Loop } from '../../std/loop.ts';
import type { Wire } from '../../std/wire.ts';
import { type TunnelLimits, tunnelLimits } from '../limits.ts';
import { labelsWithin } from '../labels.ts';
import type { AgentIdentity, Session } from '../session.ts';
import { turnAway } from '../turn-away.ts';
import { handshakeProblem } from '../websocket-handshake.ts';
import { frameBounds } from './frames.ts';
import type { Hello, Sibling } from './hello.ts';
import { HubSession } from './hub-session.ts';
import { acceptLines, asksForWebSocket, overWebSocket } from './websocket.ts';

/** What a valid token proves. */
export interface AgentClaims {
  readonly tokenId: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly scopePaths: readonly string[];
  /** Wall-clock ms; 0 = never. */
  readonly expiresMs: number;
  /** Labels that the agent may announce with these values alone. */
  readonly labels: ReadonlyMap<string, string>;
  /** Stands for the secret that sealed it; absent when nobody asks. */
  readonly sealedBy?: string;
}

export interface AcceptOptions {
  readonly loop: Loop;
  readonly log: Log;
  readonly hubId: string;
  /** Other hubs that agents are told of. */
  readonly siblings?: readonly Sibling[];
  readonly limits?: TunnelLimits;
  /** Agents must have shown a certificate in the TLS handshake. */
  requiresCertificate?(): boolean;
  /** Is this token good? */
  authenticate(token: string, remoteAddress: string): AgentClaims | Failure;
  /** A session is ready to be used. Returns null when it is taken, else why not; set `session.owner` before. */
  joined(session: Session): Failure | null;
}

/** The `Upgrade` token of the native tunnel. */
export const PROTOCOL = 'windlass/1';

const DEFAULT_BOUNDS = frameBounds(tunnelLimits);

/**
 * Takes over a connection that asked for `Upgrade: windlass/1`: answers 101, or why not, and makes a session of it.
 * `rest` is what came behind the head; it is ours to hold.
 */
export function acceptAgent(head: RequestHead, wire: Wire, rest: Buffer, options: AcceptOptions): void {
  const { address, certificate } = head.peer;
  const limits = options.limits ?? tunnelLimits;
  const asked = head.value(WINDLASS_HUB);
  const isFramed = asksForWebSocket(head);
  const problem = isFramed ? handshakeProblem(head) : head.upgrade === PROTOCOL ? '' : `the protocol spoken here is ${PROTOCOL}`;
  const claims =
    problem !== ''
      ? new Failure('bad_request', problem)
      : asked !== '' && asked !== options.hubId
        ? new Failure('overload', 'this is another hub', 1)
        : certificate === null && options.requiresCertificate?.() === true
          ? new Failure('forbidden', 'agents must show a client certificate here: give --cert-file and --key-file, and an https:// hub')
          : options.authenticate(head.value(WINDLASS_TOKEN), address);
  if (claims instanceof Failure) {
    // Who goes on trying has had a line for each of the first tries.
    const level = claims.code === 'too_many_requests' ? 'debug' : 'warn';
    options.log[level]({ peer: address, reason: claims.detail, code: claims.code }, 'tunnel: an agent was turned away');
    turnAway(wire, options.loop, claims);
    return;
  }
  // The id lets an agent that has come by two ways see it before its HELLO would replace its first session.
  const id = fieldLine('Windlass-Hub', options.hubId);
  // Whoever looks for a clock that is wrong begins here.
  const date = `Date: ${new Date(options.loop.clock.wall()).toUTCString()}\r\n`;
  const lines = isFramed ? `Upgrade: websocket\r\n${acceptLines(head)}` : `Upgrade: ${PROTOCOL}\r\n`;
  wire.write(Buffer.from(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n${lines}${date}${id}\r\n`, 'latin1'));
  const stream = isFramed ? overWebSocket(options.loop, wire, rest, 'hub') : wire;
  const session = new HubSession(
    {
      loop: options.loop,
      log: options.log,
      limits,
      bounds: limits === tunnelLimits ? DEFAULT_BOUNDS : frameBounds(limits),
      hubId: options.hubId,
      siblings: options.siblings ?? [],
      sessionId: randomBytes(8).toString('hex'),
      address,
      identify: (hello) => identityOf(hello, claims, address, certificate),
      joined: (session) => options.joined(session),
    },
    stream,
  );
  stream.user = session;
  if (!isFramed && rest.length > 0) session.received(rest, 0, rest.length);
}

function identityOf(hello: Hello, claims: AgentClaims, address: string, certificate: ClientCertificate | null): AgentIdentity | string {
  const labels = labelsWithin(hello.labels, claims.labels);
  if (typeof labels === 'string') return `the agent token does not allow this value of the label ${labels}`;
  return {
    id: hello.agent,
    instance: hello.instance,
    tokenId: claims.tokenId,
    name: claims.name,
    scopes: claims.scopes,
    scopePaths: claims.scopePaths,
    expiresMs: claims.expiresMs,
    labels,
    hardware: hello.hardware,
    software: hello.software,
    address,
    ...(certificate === null ? {} : { certificate }),
    ...(claims.sealedBy === undefined ? {} : { sealedBy: claims.sealedBy }),
  };
}
