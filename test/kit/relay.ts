import type { Buffer } from 'node:buffer';
import { once } from 'node:events';
import net from 'node:net';
import { type Kit, type Listening, portOf } from './kit.ts';

/** A TCP relay that can fall silent as a network does: no FIN, no RST, and what was sent meanwhile arrives when it heals. */
export class Relay {
  port = 0;
  connections = 0;
  /** What those who dialled have sent, connection by connection. */
  readonly heard: Buffer[][] = [];
  readonly server: net.Server;
  readonly #to: number;
  readonly #states: { forgotten: boolean }[] = [];
  readonly #sockets = new Set<net.Socket>();
  /** What is done when the network heals; null while it is well. */
  #later: (() => void)[] | null = null;

  constructor(to: Listening) {
    this.#to = portOf(to);
    this.server = net.createServer({ allowHalfOpen: true }, (near) => {
      this.#sockets.add(near);
      near.on('error', () => {});
      const heard: Buffer[] = [];
      this.heard.push(heard);
      this.connections++;
      const state = { forgotten: false };
      this.#do(state, () => this.#connect(near, heard, state));
    });
  }

  #do(state: { readonly forgotten: boolean }, run: () => void): void {
    if (state.forgotten) return;
    if (this.#later === null) run();
    else this.#later.push(run);
  }

  #connect(near: net.Socket, heard: Buffer[], state: { forgotten: boolean }): void {
    if (near.destroyed) return;
    this.#states.push(state);
    const far = net.connect({ port: this.#to, host: '127.0.0.1', allowHalfOpen: true });
    this.#sockets.add(far);
    near.on('data', (bytes: Buffer) => heard.push(bytes));
    for (const [from, onto] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (bytes: Buffer) => this.#do(state, () => onto.write(bytes)));
      from.on('end', () => this.#do(state, () => onto.end()));
      from.on('error', () => {});
      from.on('close', () => {
        this.#sockets.delete(from);
        this.#do(state, () => onto.destroy());
      });
    }
  }

  /** Nothing passes any more, in either direction. */
  silence(): void {
    this.#later ??= [];
  }

  /** The network is well again. `forgetful`: for new connections only, as with an address translator that was restarted. */
  heal(how: 'well' | 'forgetful' = 'well'): void {
    if (how === 'forgetful') {
      for (const state of this.#states) state.forgotten = true;
      // What was dialled meanwhile is dialled again by who dialled it.
      this.#later = [];
    }
    const all = this.#later ?? [];
    this.#later = null;
    for (const run of all) run();
  }

  /** Ends every connection at both sides. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Starts a relay that is gone when the test is over. */
export async function startRelay(kit: Pick<Kit, 'later'>, to: Listening): Promise<Relay> {
  const relay = new Relay(to);
  relay.server.listen(0, '127.0.0.1');
  await once(relay.server, 'listening');
  relay.port = (relay.server.address() as net.AddressInfo).port;
  kit.later(() => {
    relay.server.close();
    relay.cut();
  });
  return relay;
}
