import net from 'node:net';
import type { Children } from './child.ts';
import { Fleet } from './fleet.ts';
import type { Origin, OriginUser } from './origin.ts';
import type { Wanted } from './request.ts';
import { Spread } from './spread.ts';

const AT_ONCE = 8;

/** How long it takes from a client's departure until the service behind the agent is told, on a hub and an agent that have little else to do. */
export async function measureDepartures(children: Children, count: number): Promise<Spread> {
  const took = new Spread();
  const running = new Map<number, { arrived(): void; ended(finAtMs: number): void }>();
  const user: OriginUser = {
    arrived: (_: Origin, { id }: Wanted) => running.get(id)?.arrived(),
    ended: (_: Origin, { id }: Wanted, finAtMs: number) => running.get(id)?.ended(finAtMs),
    defect: () => {},
  };
  const fleet = await new Fleet({ children, delaysMs: [0], slots: [16], logged: () => {} }).start(user);
  const { port } = fleet.hubs[0]!;
  let id = 0;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (id < count) await leave(port, id++, running, took);
    }),
  );
  await fleet.close();
  return took;
}

function leave(port: number, id: number, running: Map<number, { arrived(): void; ended(finAtMs: number): void }>, took: Spread): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    let leftMs = 0;
    socket.on('error', () => {});
    // Every other one leaves within its answer.
    const within = id % 2 === 1;
    const target = within ? `/${id}/events/500/0/1000/0/0/0` : `/${id}/length/60000/0/10/0/0/0`;
    running.set(id, {
      arrived: () => {
        setTimeout(
          () => {
            leftMs = performance.now();
            socket.destroy();
          },
          within ? 110 + (id % 60) : 5 + (id % 30),
        );
      },
      ended: (finAtMs) => {
        running.delete(id);
        if (leftMs > 0 && finAtMs > 0) took.add(finAtMs - leftMs);
        resolve();
      },
    });
    socket.write(`GET ${target} HTTP/1.1\r\nHost: app.example\r\n\r\n`);
  });
}
