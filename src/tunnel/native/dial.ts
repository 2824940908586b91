import { Buffer } from 'node:buffer';
import type tls from 'node:tls';
import type { Handler } from '../../http/exchange.ts';
import { fieldLine, type ResponseHead } from '../../http/head.ts';
import { isLoopback } from '../../schema/address.ts';
import type { UpstreamUrl } from '../../schema/upstream-url.ts';
import type { Log } from '../../observe/log.ts';
import { VERSION as PROGRAM_VERSION } from '../../observe/version.ts';
import { Backoff } from '../../std/backoff.ts';
import type { Loop } from '../../std/loop.ts';
import { type TunnelLimits, tunnelLimits } from '../limits.ts';
import type { Hardware } from '../session.ts';
import { type AttemptFailure, UpgradeAttempt, type Upgraded } from '../upgrade-attempt.ts';
import { newKey } from '../websocket-handshake.ts';
import { PROTOCOL } from './accept.ts';
import { AgentSession } from './agent-session.ts';
import { frameBounds, plainText } from './frames.ts';
import { type Farewell, VERSION, type Welcome } from './hello.ts';
import type { SlotLedger } from './slots.ts';
import { askLines, isGranted, overWebSocket } from './websocket.ts';

export type Transport = 'upgrade' | 'websocket';

/** Who an agent says it is. */
export interface DialIdentity {
  readonly agentId: string;
  /** Random per process. */
  readonly instance: string;
  /** Told as label `name`, unless there is one; '' for none. */
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly hardware: Hardware | null;
}

/** `parked`: there is a session to that hub by another way, so this one waits until retryNow(). */
export type DialState = 'connecting' | 'joined' | 'waiting' | 'parked' | 'leaving' | 'closed';

export interface DialOptions {
  /** Its user info is Basic Authorization (for a proxy in front of the hub), its path a prefix. */
  readonly hub: UpstreamUrl;
  /** The address to connect to, when the hub's name has several; its name stays what is asked for. */
  readonly address?: string | null;
  token(): string;
  /** Called after a 401. True when token() now says something else, which is then tried without the long wait. */
  reloadToken?(): boolean;
  readonly identity: DialIdentity;
  readonly slots: SlotLedger;
  readonly handler: Handler;
  readonly loop: Loop;
  readonly log: Log;
  readonly limits?: TunnelLimits;
  onState?(state: DialState): void;
  /** Is there a session to the hub of that id already? Then a second one is not begun: it would replace the first. */
  isTaken?(hubId: string): boolean;
  welcomed?(welcome: Welcome): void;
  /** An HTTP proxy on the way to the hub. */
  readonly proxy?: UpstreamUrl | null;
  /** `websocket`: the WebSocket form of the wire, for networks that let nothing else pass. */
  readonly transport?: Transport;
  /** What to trust instead of what Node believes. */
  readonly trust?: tls.SecureContext;
  /** What to trust of the hub alone, and to show it; asked at every try. Absent: `trust`. */
  hubTrust?(): tls.SecureContext;
  readonly random?: () => number;
}

/** An agent's lasting connection to one hub: dialled again for as long as it is not closed. */
export interface HubConnection {
  readonly state: DialState;
  /** Id of the hub at the other end; '' while there is none. */
  readonly hubId: string;
  /** Bytes held for this hub. */
  readonly bufferedBytes: number;
  /** Requests running for this hub. */
  readonly inFlight: number;
  /** Round trip of the last ping, ms. */
  readonly roundTripMs: number;
  /** Tries now, when it waits for its next try or is parked. */
  retryNow(): void;
  /** Takes nothing new, finishes what runs, leaves. Resolves when the connection is closed; bound it and call destroy(). */
  close(): Promise<void>;
  destroy(): void;
}

/** Dials a hub and keeps the connection. */
export function dialHub(options: DialOptions): HubConnection {
  return new Dialer(options);
}

const NOTHING = Buffer.alloc(0);
const DEFAULT_BOUNDS = frameBounds(tunnelLimits);

class Dialer implements HubConnection {
  state: DialState = 'connecting';
  hubId = '';
  readonly #options: DialOptions;
  readonly #limits: TunnelLimits;
  readonly #backoff: Backoff;
  readonly #random: () => number;
  readonly #shown: string;
  #timer: NodeJS.Timeout | null = null;
  #attempt: UpgradeAttempt | null = null;
  #session: AgentSession | null = null;
  #stopping = false;
  #closed: (() => void)[] = [];
  /** What went wrong last, so that the same line is not logged every five seconds. */
  #complaint = '';

  constructor(options: DialOptions) {
    this.#options = options;
    this.#limits = options.limits ?? tunnelLimits;
    this.#random = options.random ?? Math.random;
    this.#backoff = new Backoff(this.#limits.backoffBaseMs, this.#limits.backoffCapMs, this.#random);
    const { address } = options;
    this.#shown = address === undefined || address === null ? options.hub.shown : `${options.hub.shown} (${address})`;
    if (options.hub.protocol === 'http' && !isLoopback(options.hub.host))
      options.log.warn({ hub: this.#shown }, 'the connection to this hub is not encrypted: the agent token travels in plain text');
    this.#dial();
  }

  get bufferedBytes(): number {
    return this.#session?.bufferedBytes ?? 0;
  }

  get inFlight(): number {
    return this.#session?.inFlight ?? 0;
  }

  get roundTripMs(): number {
    return this.#session?.roundTripMs ?? 0;
  }

  retryNow(): void {
    if (this.#stopping || (this.#timer === null && this.state !== 'parked')) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#dial();
  }

  close(): Promise<void> {
    this.#stopping = true;
    const done = new Promise<void>((resolve) => this.#closed.push(resolve));
    if (this.#session !== null) {
      this.#become('leaving');
      this.#session.leave();
    } else this.destroy();
    return done;
  }

  destroy(): void {
    this.#stopping = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#attempt?.cancel();
    this.#attempt = null;
    const session = this.#session;
    this.#session = null;
    session?.cut();
    this.#finish();
  }

  #finish(): void {
    this.#become('closed');
    const waiting = this.#closed;
    this.#closed = [];
    for (const resolve of waiting) resolve();
  }

  #become(state: DialState): void {
    if (this.state === state || this.state === 'closed') return;
    this.state = state;
    try {
      this.#options.onState?.(state);
    } catch (error) {
      this.#options.log.error({ error }, 'tunnel: a watcher of the connection threw');
    }
  }

  #dial(): void {
    this.#timer = null;
    this.#become('connecting');
    const { hub, transport } = this.#options;
    const key = transport === 'websocket' ? newKey() : '';
    this.#attempt = new UpgradeAttempt({
      ...this.#options,
      timeoutMs: this.#limits.handshakeTimeoutMs,
      text: () => requestText(hub, this.#options.token(), key),
      accepts: (head) => (key === '' ? head.upgrade === PROTOCOL : isGranted(head, key)),
      done: (outcome) => {
        this.#attempt = null;
        if (this.#stopping) {
          if ('wire' in outcome) outcome.wire.destroy();
        } else if ('wire' in outcome) this.#upgraded(outcome, key !== '');
        else this.#failed(outcome);
      },
    });
  }

  #upgraded(upgraded: Upgraded, isWebSocket: boolean): void {
    const hubId = hubIdOf(upgraded.head);
    let { wire, rest } = upgraded;
    if (isWebSocket) {
      wire = overWebSocket(this.#options.loop, wire, rest, 'agent');
      rest = NOTHING;
    }
    if (hubId !== '' && this.#options.isTaken?.(hubId) === true) {
      wire.destroy();
      this.#options.log.debug({ hub: this.#shown, hubId }, 'this hub is connected already, by another address');
      this.#backoff.reset();
      this.#become('parked');
      return;
    }
    this.hubId = hubId;
    const { identity, slots, handler, loop, log } = this.#options;
    const labels = new Map(identity.labels);
    if (identity.name !== '' && !labels.has('name')) labels.set('name', identity.name);
    let joined = false;
    const session = new AgentSession(
      {
        loop,
        log,
        limits: this.#limits,
        bounds: this.#limits === tunnelLimits ? DEFAULT_BOUNDS : frameBounds(this.#limits),
        handler,
        slots,
        hub: this.#shown,
        joined: (welcome) => {
          joined = true;
          this.#complaint = '';
          log.info({ hub: this.#shown, hubId: welcome.hub, session: welcome.session }, 'joined the hub');
          this.hubId = welcome.hub;
          this.#become('joined');
          this.#options.welcomed?.(welcome);
        },
        over: (reason, farewell) => this.#over(session, joined, reason, farewell),
      },
      wire,
    );
    this.#session = session;
    wire.user = session;
    session.start({
      versions: [VERSION],
      software: `windlass/${PROGRAM_VERSION}`,
      agent: identity.agentId,
      instance: identity.instance,
      labels,
      hardware: identity.hardware,
    });
    if (rest.length > 0) session.received(rest, 0, rest.length);
  }

  #over(session: AgentSession, joined: boolean, reason: string, farewell: Farewell | null): void {
    if (this.#session !== session) return;
    this.#session = null;
    this.hubId = '';
    if (this.#stopping) {
      this.#finish();
      return;
    }
    // A session that lasted proves that the hub is well: the first try comes soon. One that takes agents only to drop them is not asked ten times a second.
    if (joined && this.#options.loop.clock.now() - session.sinceMs >= this.#limits.backoffCapMs) this.#backoff.reset();
    const retryAfterMs = farewell?.retryAfterMs ?? 0;
    if (farewell?.code === 'forbidden' || farewell?.code === 'unauthorized')
      this.#wait(this.#patience(), `the hub turned this agent away: ${reason}`);
    else
      this.#wait(this.#backoffMs(retryAfterMs), joined ? `the connection to the hub ended: ${reason}` : `the hub did not take this agent: ${reason}`);
  }

  #failed(failure: AttemptFailure): void {
    if (failure.status === 401 || failure.status === 403) {
      const fresh = failure.status === 401 && this.#options.reloadToken?.() === true;
      const why =
        failure.status === 401 ? `the hub refused this agent's token: ${failure.reason}` : `the hub turned this agent away: ${failure.reason}`;
      this.#wait(fresh ? this.#backoffMs(0) : this.#patience(), why);
    } else this.#wait(this.#backoffMs(failure.retryAfterMs), `the hub cannot be reached: ${failure.reason}`);
  }

  /** For what time alone will not cure. */
  #patience(): number {
    return this.#limits.refusedRetryMs * (1 + this.#random() / 2);
  }

  #backoffMs(retryAfterMs: number): number {
    const next = this.#backoff.next();
    if (retryAfterMs === 0) return next;
    // Spread over half as much again, so that those who were told the same do not come at the same moment.
    return Math.max(next, Math.min(retryAfterMs, this.#limits.retryAfterMaxMs) * (1 + this.#random() / 2));
  }

  #wait(ms: number, complaint: string): void {
    const { log } = this.#options;
    const fields = { hub: this.#shown, retryInMs: Math.round(ms) };
    if (complaint !== this.#complaint) log.warn(fields, complaint);
    else log.debug(fields, complaint);
    this.#complaint = complaint;
    this.#become('waiting');
    this.#timer = setTimeout(() => this.#dial(), ms);
  }
}

/** What asks a hub to take an agent; with a key over a WebSocket. @throws RangeError when the token cannot stand in a field */
export function requestText(hub: UpstreamUrl, token: string, key: string): string {
  const upgrade = key === '' ? `Upgrade: ${PROTOCOL}\r\n` : `Upgrade: websocket\r\n${askLines(key)}`;
  let text = `GET ${hub.path}/windlass/agent HTTP/1.1\r\n${fieldLine('Host', hub.authority)}Connection: Upgrade\r\n${upgrade}`;
  text += fieldLine('Windlass-Token', token);
  if (hub.authorization !== null) text += fieldLine('Authorization', hub.authorization);
  return `${text}\r\n`;
}

function hubIdOf(head: ResponseHead): string {
  return plainText(head.get('windlass-hub') ?? '', 128);
}
