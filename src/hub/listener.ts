import type { Loop } from '../std/loop.ts';
import type { Log } from '../observe/log.ts';
import { maxDescriptors, openDescriptors } from '../observe/process.ts';
import { formatAddress, type Address } from '../schema/address.ts';
import type { HttpLimits } from '../http/limits.ts';
import { SPEAKS_TLS } from '../http/parse.ts';
import { Upgrades } from '../http/upgrades.ts';
import { type ServerCounts, ServerH1, type ServerOptions } from '../http/server-h1.ts';
import { Door } from '../proxy/door.ts';
import type { Proxy } from '../proxy/handle.ts';
import type { Site } from '../proxy/site.ts';
import type { SlimeDesk } from '../tunnel/slime/desk.ts';
import { connectionsFor } from './pressure.ts';
import { SlimeDoor } from './slime-door.ts';

/** What a listening socket needs to know. */
export interface ListenerSpec extends Pick<ServerOptions, 'halfClose' | 'takeOver' | 'tls' | 'proxyProtocol'> {
  readonly address: Address;
  readonly limits: HttpLimits;
  readonly site: Site;
  /** Where agents of slime come in; absent: they are not let in. */
  readonly slime?: SlimeDesk;
  /** Somebody spoke TLS to this socket, which has none. */
  readonly spokeTls?: (address: string) => void;
  /** Descriptors that one client may need, its upstream's included. */
  readonly descriptorsPerClient: number;
}

/** A listening socket and what is served behind it. */
export class Listener {
  spec: ListenerSpec;
  readonly #loop: Loop;
  readonly server: ServerH1;
  readonly door: Door;
  readonly upgrades: Upgrades;
  address: Address;

  constructor(spec: ListenerSpec, proxy: Proxy, loop: Loop) {
    this.spec = spec;
    this.#loop = loop;
    this.address = spec.address;
    this.door = new Door(proxy, spec.site);
    this.upgrades = new Upgrades(this.door, { loop, idleTimeoutMs: () => this.spec.limits.upgradeIdleTimeoutMs });
    this.server = new ServerH1(this.#optionsOf(spec));
  }

  #optionsOf(spec: ListenerSpec): ServerOptions {
    const { door } = this;
    const { site, spokeTls } = spec;
    return {
      loop: this.#loop,
      limits: withinDescriptors(spec.limits, spec.descriptorsPerClient),
      handler: spec.slime === undefined ? this.upgrades : new SlimeDoor(spec.slime, this.upgrades, door.refuse),
      refuse:
        spokeTls === undefined
          ? door.refuse
          : (failure, peer, ...more) => {
              if (failure.detail === SPEAKS_TLS) spokeTls(peer.address);
              return door.refuse(failure, peer, ...more);
            },
      rescue: door.rescue,
      trusts: (address) => site.trusts(address),
      halfClose: spec.halfClose,
      ...(spec.takeOver === undefined ? {} : { takeOver: spec.takeOver }),
      ...(spec.tls === undefined ? {} : { tls: spec.tls }),
      ...(spec.proxyProtocol === undefined ? {} : { proxyProtocol: spec.proxyProtocol }),
    };
  }

  /** `held`: connections wait for server.release(). @throws the listen error */
  async listen(held: boolean): Promise<void> {
    if (held) this.server.hold();
    const { host, port } = this.spec.address;
    const bound = await this.server.listen(host, port);
    this.address = { host: bound.address, port: bound.port };
  }

  /** After server.stopListening(): at the same address as before. @throws the listen error */
  async listenAgain(): Promise<void> {
    if (!this.server.isListening) await this.server.listen(this.spec.address.host, this.address.port);
  }

  /** Can this socket go by that, too? Whether bytes begin with TLS or a PROXY header is a matter of the socket. */
  canBecome(spec: ListenerSpec): boolean {
    return (spec.tls === undefined) === (this.spec.tls === undefined) && isProxied(spec) === isProxied(this.spec);
  }

  /** Serves that from now on. Connections stay, requests that are inside end as they began. */
  become(spec: ListenerSpec): void {
    const before = this.spec;
    this.spec = spec;
    this.door.site = spec.site;
    this.server.become(this.#optionsOf(spec));
    // Who was let in by other rules for certificates comes in anew: the one that was taken back may be on an open connection.
    if (before.tls?.clients?.id !== spec.tls?.clients?.id) this.server.closeIdle();
  }

  get counts(): ServerCounts {
    return this.server.counts;
  }

  get isSecure(): boolean {
    return this.spec.tls !== undefined;
  }

  /** Stops accepting and lets what runs finish for at most so long; the rest is cut. */
  async drain(timeoutMs: number, log: Log): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, timeoutMs, 'late');
      timer.unref();
    });
    const outcome = await Promise.race([this.server.drain(), late]);
    clearTimeout(timer);
    if (outcome === 'late') {
      const { connections } = this.counts;
      log.warn({ address: formatAddress(this.address), connections }, `not finished within ${timeoutMs} ms: the rest is cut`);
      await this.upgrades.leave('the server is going away');
      this.server.destroy();
    }
  }
}

function isProxied({ proxyProtocol }: ListenerSpec): boolean {
  return proxyProtocol !== undefined && proxyProtocol !== null;
}

/** Without a number of its own, a listener takes as many connections as there are descriptors for. */
function withinDescriptors(limits: HttpLimits, perClient: number): HttpLimits {
  return limits.connections > 0 ? limits : { ...limits, connections: connectionsFor(maxDescriptors(), openDescriptors(), perClient) };
}
