import { once } from 'node:events';
import net from 'node:net';

/** One way between an agent and a hub: a TCP relay that can be slow, silent or torn. */
export class Relay {
  readonly #server: net.Server;
  readonly #target: number;
  readonly #ways = new Set<Way>();
  /** Of each direction, ms. */
  delayMs: number;
  /** Nothing passes, and nobody is told. */
  silent = false;
  port = 0;

  constructor(target: number, delayMs: number) {
    this.#target = target;
    this.delayMs = delayMs;
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  async listen(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as net.AddressInfo).port;
    return this;
  }

  get open(): number {
    return this.#ways.size / 2;
  }

  /** The network heals: what was held passes. */
  heal(): void {
    this.silent = false;
    for (const way of this.#ways) way.wake();
  }

  /** Both ends see a reset. */
  cut(): void {
    for (const way of this.#ways) way.tear();
  }

  /** One end is told that the other has finished, though it has not. */
  halfClose(toHub: boolean): void {
    for (const way of this.#ways) if (way.toHub === toHub) way.finish();
  }

  close(): void {
    this.#server.close();
    this.cut();
  }

  #accept(client: net.Socket): void {
    const hub = net.connect({ port: this.#target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const there = new Way(this, client, hub, true);
    const back = new Way(this, hub, client, false);
    for (const way of [there, back]) this.#ways.add(way);
    const gone = (): void => {
      if (this.silent) {
        // Nobody hears of it before the network heals.
        there.broken = back.broken = true;
        return;
      }
      this.#ways.delete(there);
      this.#ways.delete(back);
      there.tear();
    };
    there.gone = back.gone = gone;
    for (const socket of [client, hub]) {
      socket.on('error', () => {});
      socket.on('close', gone);
    }
  }
}

interface Held {
  readonly dueMs: number;
  /** Null: the end. */
  readonly bytes: Buffer | null;
}

/** Bytes that wait before a source is not read any more. */
const HELD_BYTES = 256 * 1024;

/** One direction of one connection. */
class Way {
  readonly #relay: Relay;
  readonly #from: net.Socket;
  readonly #to: net.Socket;
  readonly toHub: boolean;
  readonly #held: Held[] = [];
  #heldBytes = 0;
  #timer: NodeJS.Timeout | null = null;
  #finished = false;
  broken = false;
  gone: () => void = () => {};

  constructor(relay: Relay, from: net.Socket, to: net.Socket, toHub: boolean) {
    this.#relay = relay;
    this.#from = from;
    this.#to = to;
    this.toHub = toHub;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.on('end', () => this.#take(null));
    to.on('drain', () => this.wake());
  }

  wake(): void {
    if (this.broken) this.gone();
    else this.#pass();
  }

  tear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const socket of [this.#from, this.#to]) if (!socket.destroyed) socket.resetAndDestroy();
  }

  finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#to.end();
  }

  #take(bytes: Buffer | null): void {
    const { delayMs, silent } = this.#relay;
    if (delayMs === 0 && !silent && this.#held.length === 0) {
      this.#give(bytes);
      return;
    }
    this.#held.push({ dueMs: performance.now() + delayMs, bytes });
    this.#heldBytes += bytes?.length ?? 0;
    if (this.#heldBytes > HELD_BYTES) this.#from.pause();
    if (this.#timer === null) this.#pass();
  }

  #give(bytes: Buffer | null): boolean {
    if (this.#finished || this.#to.destroyed) return true;
    if (bytes === null) {
      this.finish();
      return true;
    }
    if (this.#to.write(bytes)) return true;
    this.#from.pause();
    return false;
  }

  #pass(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#relay.silent) return;
    const now = performance.now();
    while (this.#held.length > 0) {
      const { dueMs, bytes } = this.#held[0]!;
      if (dueMs > now + 0.5) {
        this.#timer = setTimeout(() => this.#pass(), dueMs - now);
        break;
      }
      this.#held.shift();
      this.#heldBytes -= bytes?.length ?? 0;
      if (!this.#give(bytes)) return;
    }
    if (this.#heldBytes <= HELD_BYTES && this.#to.writableNeedDrain !== true) this.#from.resume();
  }
}
