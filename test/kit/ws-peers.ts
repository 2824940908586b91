// The `ws` package as both ends of WebSockets.
import { once } from 'node:events';
import type http from 'node:http';
import type { EventEmitter } from 'node:events';
import type { Answerer } from './http-origin.ts';
import type { Kit } from './kit.ts';

/** What tests use of a WebSocket of `ws`: events `open`, `message` (Buffer, isBinary), `ping` and `pong` (Buffer), `close` (code, reason Buffer), `error`. */
export interface Peer extends EventEmitter {
  readonly protocol: string;
  readonly extensions: string;
  readonly readyState: number;
  binaryType: string;
  send(data: Buffer | string, options?: { readonly binary?: boolean; readonly fin?: boolean; readonly compress?: boolean }): void;
  ping(data?: Buffer): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
}

interface PeerServer extends EventEmitter {
  handleUpgrade(request: http.IncomingMessage, socket: unknown, head: Buffer, done: (peer: Peer) => void): void;
}

interface Ws {
  readonly WebSocket: new (url: string, protocols: readonly string[], options: object) => Peer;
  readonly WebSocketServer: new (options: object) => PeerServer;
}

const { WebSocket, WebSocketServer } = (await import('ws')) as unknown as Ws;

/** A message of any size passes; compression is offered and granted. */
const OPTIONS = { maxPayload: 64 * 1024 * 1024, perMessageDeflate: { threshold: 0 } };

export interface PeerOrigin {
  readonly port: number;
  /** The origin's ends, in order. */
  readonly peers: readonly Peer[];
}

/** An origin that takes every WebSocket. `serve` is given each; `answer` serves requests. */
export async function startPeers(made: Kit, serve: (peer: Peer) => void, answer?: Answerer): Promise<PeerOrigin> {
  const origin = await made.startOrigin(answer);
  const server = new WebSocketServer({ noServer: true, ...OPTIONS, handleProtocols: () => 'second' });
  const peers: Peer[] = [];
  origin.server.on('upgrade', (request: http.IncomingMessage, socket, head: Buffer) =>
    server.handleUpgrade(request, socket, head, (peer) => {
      peer.on('error', () => {});
      peers.push(peer);
      serve(peer);
    }),
  );
  made.later(() => {
    for (const peer of peers) peer.terminate();
  });
  return { port: origin.port, peers };
}

/** A client, once it is open. @param ca of a server with TLS, whose name is `server` */
export async function connectPeer(made: Kit, url: string, options: { readonly ca?: string; readonly deflate?: boolean } = {}): Promise<Peer> {
  const { ca, deflate = false } = options;
  const peer = new WebSocket(url, ['first', 'second'], {
    ...OPTIONS,
    perMessageDeflate: deflate ? OPTIONS.perMessageDeflate : false,
    ...(ca === undefined ? {} : { ca, servername: 'localhost' }),
  });
  made.later(() => peer.terminate());
  await once(peer, 'open');
  peer.on('error', () => {});
  return peer;
}

/** The next messages of a peer, once there are as many. */
export class Mailbox {
  readonly messages: { readonly data: Buffer; readonly isBinary: boolean }[] = [];
  closed: { readonly code: number; readonly reason: string } | null = null;

  constructor(peer: Peer) {
    peer.on('message', (data: Buffer, isBinary: boolean) => this.messages.push({ data, isBinary }));
    peer.on('close', (code: number, reason: Buffer) => {
      this.closed = { code, reason: reason.toString() };
    });
  }
}
