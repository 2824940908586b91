// HOT: free is asked for per request.
import type { Notes, ReplySink, RequestSink } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import type { RequestHead } from '../../http/head.ts';
import { Refusal } from '../../http/refusal.ts';
import type { Log } from '../../observe/log.ts';
import { plainText } from '../native/frames.ts';
import type { AgentIdentity, Session, SessionOwner, WireAbilities } from '../session.ts';
import type { DarkMode } from './dark-mode.ts';
import type { Carried } from './messages.ts';
import type { CrankerVersion } from './negotiate.ts';
import type { RouterCore } from './router-exchange.ts';

/** What a connector said when it registered. */
export interface Registration {
  readonly instanceId: string;
  readonly componentName: string;
  /** `*`: whatever nobody else takes. */
  readonly route: string;
  /** `*`: any. */
  readonly domain: string;
  readonly version: CrankerVersion;
  readonly address: string;
}

/** One WebSocket of a connector, for people to look at. */
export interface ShownSocket {
  readonly id: string;
  readonly port: number;
  readonly heardMs: number;
  /** 3.0: requests in it. */
  readonly inFlight: number;
}

/** How a router treats its connectors. */
export interface RouterRules {
  /** Requests at once to one connector of protocol 3.0; 0 = as many as come. */
  readonly maxInFlight: number;
  /** Is the client's Host passed on? */
  readonly keepsHost: boolean;
  /** Are `X-Forwarded-*` passed on beside `Forwarded`? */
  readonly legacyForwarded: boolean;
}

export interface ConnectorOptions {
  readonly core: RouterCore;
  readonly log: Log;
  readonly rules: RouterRules;
  readonly dark: DarkMode;
  readonly registration: Registration;
  readonly agent: AgentIdentity;
  /** All of its sockets are gone. */
  over(connector: Connector): void;
}

/** Upgrades, trailers and interim answers have no place in these protocols; a request can be cancelled. */
const ABILITIES: WireAbilities = { upgrade: false, trailers: false, informational: false, cancel: true };

/** How long a connector without any socket is kept: in 1.0 each request uses one up, and the next is being dialled. ms */
const LINGER_MS = 2_000;

/** All WebSockets that one connector has registered for one route: an agent, as its router sees it. */
export abstract class Connector implements Session {
  readonly wireName = 'cranker';
  readonly abilities = ABILITIES;
  readonly options: ConnectorOptions;
  readonly agent: AgentIdentity;
  readonly registration: Registration;
  readonly sinceMs: number;
  roundTripMs = 0;
  owner: SessionOwner | null = null;
  /** Bytes of all its sockets, those that are gone as well. */
  protected readonly carried: Carried = { sent: 0, received: 0 };
  /** Gets no new work: it has deregistered, or the router leaves. */
  protected draining = false;
  #isOver = false;
  #lingers: NodeJS.Timeout | null = null;

  constructor(options: ConnectorOptions) {
    this.options = options;
    this.agent = options.agent;
    this.registration = options.registration;
    this.sinceMs = options.core.loop.clock.now();
  }

  get id(): string {
    return this.agent.id;
  }

  get bytesSent(): number {
    return this.carried.sent;
  }

  get bytesReceived(): number {
    return this.carried.received;
  }

  abstract readonly slots: number;
  abstract readonly inFlight: number;
  abstract readonly bufferedBytes: number;
  /** Sockets that a request may be sent to, dark mode aside. */
  protected abstract readonly room: number;
  abstract readonly sockets: readonly ShownSocket[];
  /** Sockets, with and without requests. */
  abstract readonly size: number;
  protected abstract send(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink | null;
  /** Closes sockets without work; those with work finish it. */
  protected abstract retire(): void;
  protected abstract cut(failure: Failure): void;

  get free(): number {
    return this.draining || this.#isOver || !this.options.dark.serves(this.registration) ? 0 : this.room;
  }

  open(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    notes.agent = this.agent.id;
    notes.address = this.registration.address;
    notes.began = 'no';
    return (
      this.send(head, reply, notes) ??
      new Refusal(this.options.core.loop.turn, reply, new Failure('tunnel_lost_unsent', 'the connector has no socket left'))
    );
  }

  /** A socket has come, gone, or become free. */
  protected changed(): void {
    if (this.#isOver) return;
    if (this.size > 0) {
      if (this.#lingers !== null) clearTimeout(this.#lingers);
      this.#lingers = null;
    } else if (this.draining) {
      this.#end('deregistered');
      return;
    } else if (this.#lingers === null) {
      this.#lingers = setTimeout(() => this.#end('its last socket has closed'), LINGER_MS);
      this.#lingers.unref();
    }
    this.owner?.changed(this);
  }

  /** @internal Why it gave a request up, in its words: for whoever looks for faults. */
  tell(code: number, reason: string): void {
    const { log, core } = this.options;
    log.debug({ agent: this.agent.id, code, reason: plainText(reason, core.limits.detailLength) }, 'cranker: a connector gave a request up');
  }

  /** Dark mode has changed. */
  look(): void {
    if (!this.#isOver) this.owner?.changed(this);
  }

  drain(): void {
    if (this.draining) return;
    this.draining = true;
    this.retire();
    this.changed();
  }

  /** Sockets may be added to one that is not on its way out. */
  get takesMore(): boolean {
    return !this.draining && !this.#isOver;
  }

  close(failure: Failure): void {
    this.draining = true;
    this.cut(failure);
    this.#end(failure.detail);
  }

  #end(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#lingers !== null) clearTimeout(this.#lingers);
    this.options.over(this);
    this.owner?.lost(this, reason);
  }
}
