/** What tests use of packages that come without types. */
declare module 'ws' {
  import type { EventEmitter } from 'node:events';
  import type { IncomingMessage, Server } from 'node:http';
  import type { Duplex } from 'node:stream';
  export class WebSocket extends EventEmitter {
    constructor(url: string);
    on(event: 'message', listener: (message: Buffer) => void): this;
    send(message: string): void;
    close(): void;
    terminate(): void;
  }
  export class WebSocketServer extends EventEmitter {
    constructor(options: { server: Server } | { noServer: true });
    on(event: 'connection', listener: (socket: WebSocket) => void): this;
    handleUpgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array, done: (socket: WebSocket) => void): void;
  }
}

declare module 'express' {
  import type { IncomingMessage, ServerResponse } from 'node:http';
  type Next = (error?: unknown) => void;
  type Handler = (
    request: IncomingMessage & { params: Record<string, string>; body: unknown; ip: string },
    response: ServerResponse & { json(value: unknown): void; send(text: string): void },
    next: Next,
  ) => void;
  interface Application {
    (request: IncomingMessage, response: ServerResponse): void;
    use(handler: Handler): void;
    use(path: string, handler: Handler): void;
    get(path: string, handler: Handler): void;
    post(path: string, handler: Handler): void;
  }
  interface Express {
    (): Application;
    json(): Handler;
  }
  const express: Express;
  export default express;
}
