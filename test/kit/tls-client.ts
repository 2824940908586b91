import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import { RawClient } from './client.ts';
import { soon } from './until.ts';

export const FIXTURES: string = new URL('../fixtures/', import.meta.url).pathname;

/** The text of a fixture. */
export function fixture(name: string): string {
  return readFileSync(join(FIXTURES, name), 'latin1');
}

/** A certificate to show, with its key. */
export function shown(name: 'alice' | 'bob' | 'odd' | 'alice-expired' | 'two'): { cert: string; key: string } {
  const key = name === 'bob' || name === 'two' ? name : 'alice';
  return { cert: fixture(`${name}.pem`), key: fixture(`${key}.key`) };
}

export interface TlsClient extends RawClient {
  readonly socket: tls.TLSSocket;
}

/** A client over TLS that believes the authority of the fixtures and asks for `localhost`. Rejects when there is no handshake. */
export async function tlsClient(
  { later }: { readonly later: (close: () => unknown) => void },
  port: number,
  options: tls.ConnectionOptions = {},
): Promise<TlsClient> {
  const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: fixture('ca.pem'), allowHalfOpen: true, ...options } as never);
  later(() => socket.destroy());
  const client = new RawClient(socket) as TlsClient;
  const failed = new Promise<never>((_, reject) => socket.once('error', reject));
  failed.catch(() => {});
  await soon('a handshake', Promise.race([once(socket, 'secureConnect'), failed]));
  return client;
}

/** One request over a handshake of its own. @returns the text of the answer's body; `refused` when none came, whenever in the handshake that was */
export async function tlsGet(
  made: { readonly later: (close: () => unknown) => void },
  port: number,
  options: tls.ConnectionOptions = {},
  request = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
): Promise<string> {
  try {
    const client = await tlsClient(made, port, options);
    return (await client.send(request).answer()).body.toString();
  } catch {
    return 'refused';
  }
}
