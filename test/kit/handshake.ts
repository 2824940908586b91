import { createHash } from 'node:crypto';
import type http from 'node:http';
import type { Kit } from './kit.ts';

/** Asks for a WebSocket. @returns the status of the answer */
export async function handshake({ rawClient }: Kit, port: number, fields: Readonly<Record<string, string>> = {}, path = '/'): Promise<number> {
  const client = await rawClient({ port });
  const lines = Object.entries({ Host: 'a', Connection: 'Upgrade', Upgrade: 'websocket', ...fields }).map(([name, value]) => `${name}: ${value}\r\n`);
  client.send(
    `GET ${path} HTTP/1.1\r\n${lines.join('')}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\n\r\n`,
  );
  await client.until(() => client.text.includes('\r\n\r\n'));
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(client.text)![1]);
  client.reset();
  return status;
}

/** An origin that grants every handshake, and answers everything else with `ok`. */
export async function startSocketOrigin({ startOrigin }: Kit): ReturnType<Kit['startOrigin']> {
  const origin = await startOrigin();
  origin.server.on('upgrade', (_request, socket) => {
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n',
    );
    socket.on('error', () => {});
  });
  return origin;
}

/** What grants a request for a WebSocket; `fields`: lines of its own, each with its CRLF. */
export function switched({ headers }: http.IncomingMessage, fields = ''): string {
  const accept = createHash('sha1').update(`${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  return `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n${fields}\r\n`;
}
