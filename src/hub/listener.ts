import type { Loop } from '../std/loop.ts';
import type { CertFiles } from '../certs/files.ts';
import type { Log } from '../observe/log.ts';
import { maxDescriptors, openDescriptors } from '../observe/process.ts';
import { formatAddress, type Address } from '../schema/address.ts';
import type { HttpLimits } from '../http/limits.ts';
import { type ServerCounts, ServerH1, type ServerOptions, type TakeOver } from '../http/server-h1.ts';
import { Door } from '../proxy/door.ts';
import type { Proxy } from '../proxy/handle.ts';
import type { Site } from '../proxy/site.ts';
import { connectionsFor } from './pressure.ts';

/** What a listening socket needs to know. */
export interface ListenerSpec {
  readonly host: string;
  readonly port: number;
  readonly limits: HttpLimits;
  readonly site: Site;
  /** Null = plain HTTP. Closed with the listener. */
  readonly certs: CertFiles | null;
  /** Is this peer's word on who its client is to be believed? */
  trusts(address: string): boolean;
  readonly halfClose: ServerOptions['halfClose'];
  /** Agents may dial in. */
  readonly takeOver?: TakeOver;
  readonly log: Log;
  /** Descriptors that one client may need, its upstream's included. */
  readonly descriptorsPerClient: number;
}

/** A listening socket and what is served behind it. */
export class Listener {
  readonly #spec: ListenerSpec;
  readonly server: ServerH1;
  readonly door: Door;
  address: Address;

  constructor(spec: ListenerSpec, proxy: Proxy, loop: Loop) {
    this.#spec = spec;
    this.address = { host: spec.host, port: spec.port };
    this.door = new Door(proxy, spec.site);
    const { certs, log, takeOver } = spec;
    this.server = new ServerH1({
      loop,
      limits: withinDescriptors(spec.limits, spec.descriptorsPerClient),
      handler: this.door,
      refuse: this.door.refuse,
      rescue: this.door.rescue,
      trusts: (address) => spec.trusts(address),
      halfClose: spec.halfClose,
      ...(takeOver === undefined ? {} : { takeOver }),
      ...(certs === null
        ? {}
        : {
            tls: {
              pair: () => certs.current,
              failed: (reason, address) => log.debug({ peer: address, reason }, 'TLS: no connection came of a handshake'),
            },
          }),
    });
    if (certs !== null) certs.changed = () => this.server.renewTls();
  }

  /** @throws the listen error */
  async listen(): Promise<void> {
    const { address, port } = await this.server.listen(this.#spec.host, this.#spec.port);
    this.address = { host: address, port };
  }

  get counts(): ServerCounts {
    return this.server.counts;
  }

  get isSecure(): boolean {
    return this.#spec.certs !== null;
  }

  /** Reads certificates again. */
  look(): void {
    this.#spec.certs?.look();
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
      this.server.destroy();
    }
    this.close();
  }

  /** Closes what goes on beside the socket. */
  close(): void {
    this.#spec.certs?.close();
  }
}

/** Without a number of its own, a listener takes as many connections as there are descriptors for. */
function withinDescriptors(limits: HttpLimits, perClient: number): HttpLimits {
  return limits.connections > 0 ? limits : { ...limits, connections: connectionsFor(maxDescriptors(), openDescriptors(), perClient) };
}
