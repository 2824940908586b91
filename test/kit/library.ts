import http from 'node:http';
import type net from 'node:net';
import { once } from 'node:events';
import { type Agent, serve, type ServeOptions, type Served, startHub, type Hub, type HubOptions } from '../../src/index.ts';
import type { Kit } from './kit.ts';

export const LIBRARY_SECRET = 'a secret that only tests of the library know';

/** The library as others use it, on loopback, closed when the test is over. */
export class Library {
  readonly #tools: Kit;

  constructor(tools: Kit) {
    this.#tools = tools;
  }

  readonly hub = async (options: Partial<HubOptions> = {}): Promise<Hub> => {
    const hub = await startHub({ secret: LIBRARY_SECRET, listen: { host: '127.0.0.1', port: 0 }, drainTimeoutMs: 2_000, ...options });
    this.#tools.later(() => hub.destroy());
    return hub;
  };

  /** Joined when it returns. */
  readonly serve = async (hub: Hub, handler: Served, options: Partial<ServeOptions> = {}): Promise<Agent> => {
    const agent = await serve(handler, {
      hub: at(hub),
      token: hub.issueToken(),
      reportHardware: false,
      proxy: null,
      drainTimeoutMs: 2_000,
      ...options,
    });
    this.#tools.later(() => agent.destroy());
    await agent.ready;
    return agent;
  };

  /** A server of node:http that listens. @returns its port */
  readonly listen = async (server: http.Server | net.Server): Promise<number> => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#tools.later(() => {
      server.close();
      if (server instanceof http.Server) server.closeAllConnections();
    });
    return (server.address() as net.AddressInfo).port;
  };
}

export function at(hub: Hub): string {
  return `http://127.0.0.1:${hub.address!.port}`;
}

/** What a stream of Node says, as text. */
export async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (piece: string) => (text += piece));
  await once(stream, 'end');
  return text;
}
