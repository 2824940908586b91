import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';

/** An HTTP proxy of the kind that companies have, for tests. */
export class ConnectProxy {
  readonly #server = http.createServer((_, response) => {
    response.statusCode = 405;
    response.end();
  });
  readonly #sockets = new Set<net.Socket>();
  /** What it was asked for: `host:port`, and the authorization that came with it. */
  readonly asked: { target: string; authorization: string | undefined }[] = [];
  /** What it answers; 200 connects to the port that was asked for, on loopback, whatever the name. */
  status = 200;
  /** `Basic …` that it wants; otherwise 407. */
  wants: string | null = null;
  port = 0;

  constructor() {
    this.#server.on('connect', (request, socket: net.Socket, head: Buffer) => {
      this.#keep(socket);
      const authorization = request.headers['proxy-authorization'];
      this.asked.push({ target: request.url!, authorization });
      const status = this.wants !== null && authorization !== this.wants ? 407 : this.status;
      if (status !== 200) {
        socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n`);
        return;
      }
      const onward = net.connect(Number(request.url!.split(':').at(-1)), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\nProxy-Agent: test\r\n\r\n');
        if (head.length > 0) onward.write(head);
        socket.pipe(onward).pipe(socket);
      });
      this.#keep(onward);
      onward.on('close', () => socket.destroy());
      socket.on('close', () => onward.destroy());
    });
  }

  #keep(socket: net.Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
  }

  async listen(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as net.AddressInfo).port;
    return this;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
