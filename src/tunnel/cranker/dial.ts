import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import type tls from 'node:tls';
import type { Handler } from '../../http/exchange.ts';
import { fieldLine, type ResponseHead } from '../../http/head.ts';
import { isLoopback } from '../../schema/address.ts';
import type { UpstreamUrl } from '../../schema/upstream-url.ts';
import type { Log } from '../../observe/log.ts';
import { Backoff } from '../../std/backoff.ts';
import type { Loop } from '../../std/loop.ts';
import { tunnelLimits } from '../limits.ts';
import type { DialState, HubConnection } from '../native/dial.ts';
import { plainText } from '../native/frames.ts';
import { type AttemptFailure, UpgradeAttempt, type Upgraded } from '../upgrade-attempt.ts';
import { acceptOf, newKey } from '../websocket-handshake.ts';
import { CLOSED_WELL, GOING_AWAY } from './close-codes.ts';
import { ConnectorCore } from './dial-exchange.ts';
import { type ConnectorLimits, connectorLimits } from './dial-limits.ts';
import type { RequestLine } from './dial-line.ts';
import { DialSocket1 } from './dial-socket-1.ts';
import { DialSocket3 } from './dial-socket-3.ts';
import type { DialSocket, SocketOwner } from './dial-socket.ts';
import { type Framing, loadFraming, Messages, SILENT } from './messages.ts';
import { type CrankerVersion, offerOf, versionGranted } from './negotiate.ts';

/** What a connector says when it registers. */
export interface RegistrationWords {
  /** `*`: whatever nobody else takes. */
  readonly route: string;
  /** `*`: any. Looked at by routers in protocol 3.0 only. */
  readonly domain: string;
  readonly componentName: string;
  /** What its instance id begins with: the rest is random, and another for each router. */
  readonly instance: string;
  /** Protocols that may be spoken, the preferred one first. */
  readonly versions: readonly CrankerVersion[];
  /** Fields that go along: names and values, in turn. */
  readonly fields: readonly string[];
  /** Sockets that are kept ready. */
  readonly window: number;
}

export interface RouterDialOptions {
  /** Its user info is Basic Authorization (for a proxy in front of the router), its path a prefix of /register. */
  readonly hub: UpstreamUrl;
  /** The address to connect to, when the router's name has several; its name stays what is asked for. */
  readonly address?: string | null;
  readonly registration: RegistrationWords;
  /** '' for none. */
  token(): string;
  /** Called after a 401. True when token() now says something else, which is then tried without the long wait. */
  reloadToken?(): boolean;
  readonly handler: Handler;
  readonly line: RequestLine;
  readonly loop: Loop;
  readonly log: Log;
  readonly limits?: ConnectorLimits;
  onState?(state: DialState): void;
  readonly proxy?: UpstreamUrl | null;
  readonly trust?: tls.SecureContext;
  hubTrust?(): tls.SecureContext;
  readonly random?: () => number;
}

/** Registers with a Cranker router, and keeps a window of sockets there. */
export function dialRouter(options: RouterDialOptions): HubConnection {
  return new RouterDialer(options);
}

class RouterDialer implements HubConnection, SocketOwner {
  state: DialState = 'connecting';
  readonly hubId = '';
  readonly roundTripMs = 0;
  readonly #options: RouterDialOptions;
  readonly #limits: ConnectorLimits;
  readonly #core: ConnectorCore;
  readonly #framing: Framing;
  readonly #backoff: Backoff;
  readonly #random: () => number;
  readonly #shown: string;
  readonly #query: string;
  readonly #sockets = new Set<DialSocket>();
  /** Connections that are not closed yet, those whose close is on its way included. */
  #connections = 0;
  readonly #attempts = new Set<UpgradeAttempt>();
  readonly #endWatch: () => void;
  /** The socket over which a registration is being ended. */
  #farewell: Messages | null = null;
  #timer: NodeJS.Timeout | null = null;
  #grace: NodeJS.Timeout | null = null;
  /** The last try came through, so more than one may be made at once. */
  #proven = false;
  /** No protocols are offered: a router that knows none of them refused. */
  #plain = false;
  #stopping = false;
  /** What will leave has been told to. */
  #left = false;
  #closed: (() => void)[] = [];
  /** What went wrong last, so that the same line is not logged every five seconds. */
  #complaint = '';

  constructor(options: RouterDialOptions) {
    const { hub, address, registration } = options;
    this.#options = options;
    this.#limits = options.limits ?? connectorLimits;
    this.#random = options.random ?? Math.random;
    this.#core = new ConnectorCore(options.loop, options.log, this.#limits, options.handler, options.line);
    this.#framing = loadFraming();
    this.#backoff = new Backoff(tunnelLimits.backoffBaseMs, tunnelLimits.backoffCapMs, this.#random);
    this.#shown = address === undefined || address === null ? hub.shown : `${hub.shown} (${address})`;
    const instance = `${registration.instance}-${randomBytes(4).toString('hex')}`;
    this.#query = `connectorInstanceID=${encodeURIComponent(instance)}&componentName=${encodeURIComponent(registration.componentName)}`;
    if (hub.protocol === 'http' && !isLoopback(hub.host))
      options.log.warn({ hub: this.#shown }, 'the connection to this router is not encrypted: all requests travel in plain text');
    this.#endWatch = options.line.watch(() => this.#offersChanged());
    if (options.line.offers) this.#fill();
    else this.state = 'waiting';
  }

  get bufferedBytes(): number {
    let sum = 0;
    for (const socket of this.#sockets) sum += socket.bufferedBytes;
    return sum;
  }

  get inFlight(): number {
    let sum = 0;
    for (const socket of this.#sockets) sum += socket.inFlight;
    return sum;
  }

  get #ready(): number {
    let count = 0;
    for (const socket of this.#sockets) if (socket.isReady) count++;
    return count;
  }

  retryNow(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#fill();
  }

  async close(): Promise<void> {
    const done = new Promise<void>((resolve) => this.#closed.push(resolve));
    if (!this.#stopping) {
      this.#stopping = true;
      this.#withdraw();
    }
    return done;
  }

  destroy(): void {
    this.#stopping = this.#left = true;
    this.#callOff();
    for (const socket of this.#sockets) socket.cut();
    this.#finish();
  }

  #finish(): void {
    this.#endWatch();
    this.#callOff();
    this.#become('closed');
    const waiting = this.#closed;
    this.#closed = [];
    for (const resolve of waiting) resolve();
  }

  #callOff(): void {
    for (const attempt of this.#attempts) attempt.cancel();
    this.#attempts.clear();
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#grace !== null) clearTimeout(this.#grace);
    this.#timer = this.#grace = null;
    const farewell = this.#farewell;
    this.#farewell = null;
    farewell?.wire.destroy();
  }

  #become(state: DialState): void {
    if (this.state === state || this.state === 'closed') return;
    this.state = state;
    try {
      this.#options.onState?.(state);
    } catch (error) {
      this.#options.log.error({ error }, 'cranker: a watcher of the connection threw');
    }
  }

  // --- the window

  get #isOpen(): boolean {
    return !this.#stopping && this.#options.line.offers;
  }

  /** Dials what is missing in the window. While it is not known that the router takes us, one socket knocks. */
  #fill(): void {
    if (!this.#isOpen || this.#timer !== null) return;
    const missing = this.#options.registration.window - this.#ready - this.#attempts.size;
    const most = this.#proven ? missing : Math.min(missing, 1 - this.#attempts.size);
    for (let i = 0; i < most; i++) this.#dial();
    if (this.state !== 'joined') this.#become('connecting');
  }

  #dial(): void {
    const { registration } = this.#options;
    const offered = this.#plain ? [] : registration.versions.includes('3.0') ? registration.versions : [];
    const key = newKey();
    const attempt: UpgradeAttempt = this.#attempt('register', key, offered, (outcome) => {
      this.#attempts.delete(attempt);
      if (!this.#isOpen) {
        if ('wire' in outcome) outcome.wire.destroy();
        return;
      }
      if ('wire' in outcome) this.#upgraded(outcome, offered);
      else this.#failed(outcome);
    });
    this.#attempts.add(attempt);
  }

  #attempt(
    kind: 'register' | 'deregister',
    key: string,
    offered: readonly CrankerVersion[],
    done: (outcome: AttemptFailure | Upgraded) => void,
  ): UpgradeAttempt {
    return new UpgradeAttempt({
      ...this.#options,
      timeoutMs: kind === 'register' ? tunnelLimits.handshakeTimeoutMs : this.#limits.deregisterTimeoutMs,
      text: () => this.#requestText(kind, key, offered),
      accepts: (head) => isGranted(head, key, offered),
      done,
    });
  }

  /** @throws RangeError when the token cannot stand in a field */
  #requestText(kind: 'register' | 'deregister', key: string, offered: readonly CrankerVersion[]): string {
    const { hub, registration } = this.#options;
    const { route, domain, fields } = registration;
    let text = `GET ${hub.path}/${kind}/?${this.#query} HTTP/1.1\r\n${fieldLine('Host', hub.authority)}Connection: Upgrade\r\nUpgrade: websocket\r\n`;
    text += `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n`;
    if (offered.length > 0) text += `Sec-WebSocket-Protocol: ${offerOf(offered)}\r\n`;
    // Always 1.0, also where 3.0 is wanted: a router that knows nothing of subprotocols insists on it.
    text += `CrankerProtocol: 1.0\r\n${fieldLine('Route', route)}${fieldLine('Domain', domain)}`;
    const own = this.#options.token();
    if (own !== '') text += fieldLine('Windlass-Token', own);
    let authorized = false;
    for (let i = 0; i < fields.length; i += 2) {
      text += fieldLine(fields[i]!, fields[i + 1]!);
      if (fields[i]!.toLowerCase() === 'authorization') authorized = true;
    }
    if (hub.authorization !== null && !authorized) text += fieldLine('Authorization', hub.authorization);
    return `${text}\r\n`;
  }

  #upgraded({ wire, rest, head }: Upgraded, offered: readonly CrankerVersion[]): void {
    const version = versionGranted(head.get('sec-websocket-protocol') ?? '', offered) ?? '1.0';
    const { versions, route } = this.#options.registration;
    if (!versions.includes(version)) {
      wire.destroy();
      this.#wait(this.#backoff.next(), `the router speaks protocol ${version} only, and --protocols asks for ${versions.join(', ')}`);
      return;
    }
    const { loop, log } = this.#options;
    const messages = new Messages(loop, wire, 'connector', this.#limits, this.#framing);
    const socket = version === '3.0' ? new DialSocket3(this.#core, messages, this) : new DialSocket1(this.#core, messages, this);
    this.#sockets.add(socket);
    this.#connections++;
    wire.socket.once('close', () => this.#gone(socket));
    this.#proven = true;
    if (this.state !== 'joined') {
      this.#complaint = '';
      log.info({ hub: this.#shown, route, protocol: version }, 'registered with the router');
      this.#become('joined');
    }
    if (rest.length > 0) messages.received(Buffer.from(rest), 0, rest.length);
    this.#fill();
  }

  #failed(failure: AttemptFailure): void {
    this.#proven = false;
    const { status, reason, retryAfterMs } = failure;
    if (status === 401 || status === 403) {
      const fresh = status === 401 && this.#options.reloadToken?.() === true;
      this.#wait(fresh ? this.#backoff.next() : this.#patience(), `the router did not take this connector: ${reason}`);
      return;
    }
    // Some refuse what they do not know instead of letting it be.
    if (OFFENDED.has(status) && this.#options.registration.versions.includes('1.0')) this.#plain = !this.#plain;
    // Spread, so that those who were told the same do not come at the same moment.
    const asked = Math.min(retryAfterMs, tunnelLimits.retryAfterMaxMs) * (1 + this.#random() / 2);
    this.#wait(Math.max(asked, this.#backoff.next()), `the router cannot be reached: ${reason}`);
  }

  /** For what time alone will not cure. */
  #patience(): number {
    return tunnelLimits.refusedRetryMs * (1 + this.#random() / 2);
  }

  #wait(ms: number, complaint: string): void {
    const { log } = this.#options;
    const fields = { hub: this.#shown, retryInMs: Math.round(ms) };
    if (complaint !== '') {
      if (complaint !== this.#complaint) log.warn(fields, complaint);
      else log.debug(fields, complaint);
      this.#complaint = complaint;
    }
    if (this.#ready === 0) this.#become('waiting');
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#fill();
    }, ms);
  }

  // --- sockets

  used(socket: DialSocket): void {
    const { line } = this.#options;
    if (line.isFull) {
      // A router that sends far more than is served is not invited to go on at once.
      if (socket.version === '1.0') this.#wait(this.#backoff.next(), '');
      return;
    }
    this.#backoff.reset();
    if (socket.version === '1.0') this.#fill();
  }

  lost(socket: DialSocket, code: number, reason: string, isTold: boolean): void {
    this.#sockets.delete(socket);
    // Nobody is there who would answer a close.
    if (code === SILENT) socket.messages.wire.destroy();
    if (!isTold || !this.#isOpen) return;
    // One that lasted proves that the router is well: the first try comes soon.
    if (this.#options.loop.clock.now() - socket.sinceMs >= tunnelLimits.backoffCapMs) this.#backoff.reset();
    const why = plainText(reason, this.#limits.detailLength);
    const words = code === SILENT ? why : code === GOING_AWAY ? 'it is going away' : `code ${code}${why === '' ? '' : `, ${why}`}`;
    this.#wait(this.#backoff.next(), `the router closed the connection: ${words}`);
  }

  /** The connection is closed for good. */
  #gone(socket: DialSocket): void {
    this.#sockets.delete(socket);
    this.#connections--;
    if (this.#stopping && this.#left && this.#connections === 0 && this.state !== 'closed') this.#finish();
  }

  // --- leaving

  /** A service that is not well has no slots: then the registration ends, and what runs goes on. */
  #offersChanged(): void {
    if (this.#stopping) return;
    if (this.#options.line.offers) this.#fill();
    else this.#withdraw();
  }

  /** The router is asked to send nothing more; it closes what is idle. What it leaves open is closed from here. */
  #withdraw(): void {
    this.#callOff();
    const leaving = [...this.#sockets];
    for (const socket of leaving) socket.retire();
    const isIdle = this.#connections === 0;
    this.#become(this.#stopping ? 'leaving' : 'waiting');
    if (isIdle) {
      if (this.#stopping) this.#finish();
      return;
    }
    this.#deregister(() => {
      this.#grace = setTimeout(() => {
        this.#grace = null;
        for (const socket of leaving) socket.leave();
        if (!this.#stopping) return;
        this.#left = true;
        if (this.#connections === 0) this.#finish();
      }, this.#limits.deregisteredGraceMs);
    });
  }

  #deregister(then: () => void): void {
    const attempt: UpgradeAttempt = this.#attempt('deregister', newKey(), [], (outcome) => {
      if (!this.#attempts.delete(attempt)) {
        if ('wire' in outcome) outcome.wire.destroy();
        return;
      }
      if (!('wire' in outcome)) {
        this.#options.log.debug({ hub: this.#shown, reason: outcome.reason }, 'the router takes no end of a registration');
        then();
        return;
      }
      const { wire, rest } = outcome;
      const messages = new Messages(this.#options.loop, wire, 'connector', this.#limits, this.#framing);
      this.#farewell = messages;
      const over = (): void => {
        if (this.#farewell !== messages) return;
        this.#farewell = null;
        then();
      };
      const due = this.#options.loop.clock.now() + this.#limits.deregisterTimeoutMs;
      messages.user = {
        text: () => {},
        binary: () => {},
        drained: () => {},
        ticked: (now) => {
          if (now < due) return;
          messages.close(CLOSED_WELL, '');
          over();
        },
        closed: over,
      };
      if (rest.length > 0) messages.received(Buffer.from(rest), 0, rest.length);
    });
    this.#attempts.add(attempt);
  }
}

/** Statuses of a router that may have taken offence at the subprotocols. */
const OFFENDED: ReadonlySet<number> = new Set([400, 426, 500, 501]);

/** Is the 101 the answer to our key? */
function isGranted(head: ResponseHead, key: string, offered: readonly CrankerVersion[]): boolean {
  return (
    head.upgrade.toLowerCase() === 'websocket' &&
    head.get('sec-websocket-accept') === acceptOf(key) &&
    head.get('sec-websocket-extensions') === undefined &&
    versionGranted(head.get('sec-websocket-protocol') ?? '', offered) !== null
  );
}
