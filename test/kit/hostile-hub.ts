import { once } from 'node:events';
import net from 'node:net';
import { HELLO, WELCOME } from '../../src/tunnel/native/frames.ts';
import type { Kit } from './kit.ts';
import { frame, Scripted } from './tunnel.ts';

/** What a hostile hub does to each agent session, once it has said WELCOME. */
export type Malice = (agent: Scripted, port: number) => void;

/** A hub that takes every agent, and then does what its script says. */
export class HostileHub {
  readonly agents: Scripted[] = [];
  port = 0;
  readonly server: net.Server;

  /** `welcome`: what its WELCOME says beside its name; null = it never says it. */
  constructor(malice: Malice, welcome: ((port: number) => object) | null) {
    this.server = net.createServer((socket) => {
      const agent = new Scripted(socket, true);
      this.agents.push(agent);
      socket.once('data', () => socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: windlass/1\r\n\r\n'));
      void agent.next(HELLO).then(
        () => {
          if (welcome === null) return;
          agent.send(frame(WELCOME, 0, 0, JSON.stringify({ version: 1, hub: 'hostile', session: 's', ...welcome(this.port) })));
          malice(agent, this.port);
        },
        // It left before it had said HELLO.
        () => {},
      );
    });
  }

  close(): void {
    this.server.close();
    for (const { socket } of this.agents) socket.destroy();
  }
}

/** Starts a hostile hub that is gone when the test is over. */
export async function startHostileHub(
  kit: Pick<Kit, 'later'>,
  malice: Malice = () => {},
  welcome: ((port: number) => object) | null = () => ({}),
): Promise<HostileHub> {
  const hub = new HostileHub(malice, welcome);
  hub.server.listen(0, '127.0.0.1');
  await once(hub.server, 'listening');
  hub.port = (hub.server.address() as net.AddressInfo).port;
  kit.later(() => hub.close());
  return hub;
}
