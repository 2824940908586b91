import { isIP } from 'node:net';
import { lookup } from 'node:dns/promises';
import type { Log } from '../observe/log.ts';
import type { Fields } from '../observe/redact.ts';
import { isLoopback } from '../schema/address.ts';
import { forbiddenAddress } from '../schema/forbidden-address.ts';
import { parseServerUrl, type UpstreamUrl } from '../schema/upstream-url.ts';
import type { DialOptions, HubConnection } from '../tunnel/native/dial.ts';
import type { Sibling, Welcome } from '../tunnel/native/hello.ts';
import { ADDRESSES, CONNECTIONS, RESOLVE_EVERY_MS, RESOLVE_SPACING_MS } from './limits.ts';

/** All addresses of a name, as text. Rejects when there are none. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/** What Hubs asks of whoever dials. */
export type DialHooks = Required<Pick<DialOptions, 'onState' | 'isTaken' | 'welcomed'>>;

export interface HubsOptions {
  /** Never empty. */
  readonly hubs: readonly UpstreamUrl[];
  readonly log: Log;
  /** Opens a lasting connection; `address` is one of several that the hub's name has, null to go by the name. */
  dial(hub: UpstreamUrl, address: string | null, hooks: DialHooks): HubConnection;
  /** Is a name to be resolved here? A proxy on the way does that itself. */
  resolvable?(hub: UpstreamUrl): boolean;
  readonly resolve?: Resolve;
  /** Is a hub left, once what runs there is done, when its address is named no more? Else it is kept for as long as it works. */
  readonly leavesUnnamed?: boolean;
  /** Called when the first session of this agent has begun. */
  joined?(): void;
}

/** One agent's connections: one to each hub it was given, to each address of a hub's name, and to each sibling that a hub names; never two to one hub. */
export class Hubs {
  readonly #options: HubsOptions;
  readonly #resolve: Resolve;
  readonly #targets = new Map<string, Target>();
  readonly #siblings = new Map<string, Named>();
  readonly #timer: NodeJS.Timeout;
  #soon: NodeJS.Timeout | null = null;
  #resolving = false;
  /** Something has changed since the round that runs began. */
  #outdated = false;
  #stopping = false;
  #complained = new Set<string>();

  constructor(options: HubsOptions) {
    this.#options = options;
    this.#resolve = options.resolve ?? resolveName;
    // What needs no resolving is dialled at once.
    for (const hub of options.hubs) if (!this.#isNamed(hub)) this.#dial(hub, null);
    this.#timer = setInterval(() => {
      this.#unpark();
      void this.#refresh();
    }, RESOLVE_EVERY_MS);
    this.#timer.unref();
    void this.#refresh();
  }

  /** Sessions that work now. */
  get joined(): number {
    let count = 0;
    for (const { connection } of this.#targets.values()) if (connection.state === 'joined') count++;
    return count;
  }

  get bufferedBytes(): number {
    let sum = 0;
    for (const { connection } of this.#targets.values()) sum += connection.bufferedBytes;
    return sum;
  }

  /** Those who wait for their next try do it now. */
  retryNow(): void {
    for (const { connection } of this.#targets.values()) if (connection.state !== 'parked') connection.retryNow();
    void this.#refresh();
  }

  /** Takes nothing new, finishes what runs, leaves every hub. */
  async close(): Promise<void> {
    this.#stop();
    await Promise.all([...this.#targets.values()].map(({ connection }) => connection.close()));
  }

  destroy(): void {
    this.#stop();
    for (const { connection } of this.#targets.values()) connection.destroy();
  }

  #stop(): void {
    this.#stopping = true;
    clearInterval(this.#timer);
    if (this.#soon !== null) clearTimeout(this.#soon);
  }

  #isNamed(hub: UpstreamUrl): boolean {
    return isIP(hub.host) === 0 && !isLoopback(hub.host) && (this.#options.resolvable?.(hub) ?? true);
  }

  /** Looks who is to be dialled, and dials whoever is not yet. */
  async #refresh(): Promise<void> {
    if (this.#stopping) return;
    if (this.#resolving) {
      this.#outdated = true;
      return;
    }
    this.#resolving = true;
    try {
      const wanted = new Set<string>();
      const hubs = [...this.#options.hubs, ...[...this.#siblings.values()].filter(({ by }) => by.size > 0).map(({ hub }) => hub)];
      for (const hub of hubs) {
        const addresses = await this.#addresses(hub);
        if (this.#stopping) return;
        for (const address of addresses) {
          wanted.add(keyOf(hub, address));
          this.#dial(hub, address);
        }
      }
      // Whoever is not named any more stays for as long as it works, or is left in order.
      for (const [key, { connection }] of this.#targets) {
        if (wanted.has(key) || connection.state === 'leaving') continue;
        if (connection.state === 'joined') {
          if (this.#options.leavesUnnamed === true) this.#part(key, connection);
          continue;
        }
        this.#targets.delete(key);
        for (const { by } of this.#siblings.values()) by.delete(key);
        connection.destroy();
      }
    } finally {
      this.#resolving = false;
    }
    if (!this.#outdated) return;
    this.#outdated = false;
    await this.#refresh();
  }

  #part(key: string, connection: HubConnection): void {
    void connection.close().then(() => {
      if (this.#targets.get(key)?.connection === connection) this.#targets.delete(key);
      void this.#refresh();
    });
  }

  /** The addresses to dial for a hub; null is "by its name". */
  async #addresses(hub: UpstreamUrl): Promise<readonly (string | null)[]> {
    if (!this.#isNamed(hub)) return [null];
    try {
      const addresses = [...new Set(await this.#resolve(hub.host))].toSorted();
      // Whoever leaves addresses must know them.
      const byName = addresses.length === 0 || (addresses.length === 1 && this.#options.leavesUnnamed !== true);
      return byName ? [null] : addresses.slice(0, ADDRESSES);
    } catch {
      // A name server that is down is no news of the hub: those that are known stay, and an unknown name complains as it is dialled.
      const known = [...this.#targets.values()].filter((target) => target.hub === hub).map(({ address }) => address);
      return known.length > 0 ? known : [null];
    }
  }

  #dial(hub: UpstreamUrl, address: string | null): void {
    const key = keyOf(hub, address);
    if (this.#targets.has(key)) return;
    if (this.#targets.size >= CONNECTIONS) {
      this.#complainOnce('', { hub: hub.shown }, `more than ${CONNECTIONS} hubs and addresses: the rest is not dialled`);
      return;
    }
    let wasJoined = false;
    // The dialer calls nobody back before this function has returned.
    const connection = this.#options.dial(hub, address, {
      onState: (state) => {
        if (state === 'joined') {
          wasJoined = true;
          this.#options.joined?.();
        } else if (wasJoined && (state === 'waiting' || state === 'closed')) {
          wasJoined = false;
          this.#lost();
        }
      },
      isTaken: (hubId) => this.#isTaken(hubId, key),
      welcomed: (welcome) => this.#welcomed(key, hub, welcome),
    });
    this.#targets.set(key, { hub, address, connection });
  }

  #isTaken(hubId: string, by: string): boolean {
    for (const [key, { connection }] of this.#targets) if (key !== by && connection.hubId === hubId) return true;
    return false;
  }

  /** A connection is gone: whoever was parked behind it takes its place, and names may lead elsewhere now. */
  #lost(): void {
    if (this.#stopping) return;
    this.#unpark();
    if (this.#soon !== null) return;
    this.#soon = setTimeout(() => {
      this.#soon = null;
      void this.#refresh();
    }, RESOLVE_SPACING_MS);
    this.#soon.unref();
  }

  #unpark(): void {
    for (const { connection } of this.#targets.values()) if (connection.state === 'parked') connection.retryNow();
  }

  #welcomed(key: string, hub: UpstreamUrl, welcome: Welcome): void {
    for (const { by } of this.#siblings.values()) by.delete(key);
    for (const sibling of welcome.siblings) if (sibling.id !== welcome.hub) this.#name(key, hub, sibling);
    void this.#refresh();
  }

  /** A hub names another. */
  #name(key: string, by: UpstreamUrl, { id, address }: Sibling): void {
    let hub: UpstreamUrl;
    try {
      hub = parseServerUrl(address);
    } catch {
      this.#complainOnce(address, { hub: by.shown, sibling: id }, 'the hub names a sibling whose address cannot be used');
      return;
    }
    // Else a hub could have the token sent in plain text.
    if (by.protocol === 'https' && hub.protocol === 'http') {
      this.#complainOnce(address, { hub: by.shown, sibling: id }, 'a sibling without TLS, named by a hub with TLS, is not dialled');
      return;
    }
    // A hub may not have an agent knock at doors that only the agent's machine can reach.
    if (forbiddenAddress(bare(hub.host)) !== null || (isLoopback(hub.host) && !isLoopback(by.host))) {
      this.#complainOnce(address, { hub: by.shown, sibling: id }, 'a sibling on this machine or at a link-local address is not dialled');
      return;
    }
    if (this.#options.hubs.some((given) => given.shown === hub.shown)) return;
    let named = this.#siblings.get(hub.shown);
    if (named === undefined) {
      if (this.#siblings.size >= CONNECTIONS) return;
      named = { hub, by: new Set() };
      this.#siblings.set(hub.shown, named);
    }
    named.by.add(key);
  }

  #complainOnce(about: string, fields: Fields, complaint: string): void {
    if (this.#complained.has(about) || this.#complained.size > CONNECTIONS) return;
    this.#complained.add(about);
    this.#options.log.warn(fields, complaint);
  }
}

interface Target {
  readonly hub: UpstreamUrl;
  readonly address: string | null;
  readonly connection: HubConnection;
}

interface Named {
  readonly hub: UpstreamUrl;
  /** Keys of the connections whose hubs named it last time. */
  readonly by: Set<string>;
}

function bare(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host;
}

function keyOf(hub: UpstreamUrl, address: string | null): string {
  return `${hub.shown} ${address ?? ''}`;
}

async function resolveName(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}
