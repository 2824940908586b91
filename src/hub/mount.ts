import { Buffer } from 'node:buffer';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type net from 'node:net';
import { type PairedSocket, socketPair } from '../std/socket-pair.ts';
import type { ServerH1 } from '../http/server-h1.ts';

/** Fields about the connection of Node's server, which ends there; `Expect` it has answered itself. */
const NOT_PASSED = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade', 'expect']);

/** A request that a server of node:http has read, served as if it had come to our own: over a connection within the process. */
export function handleHere(server: ServerH1, request: IncomingMessage, response: ServerResponse): void {
  if (server.draining) {
    response.writeHead(503, { 'Retry-After': '1', Connection: 'close' }).end();
    return;
  }
  const { remoteAddress, remotePort, localAddress, localPort } = request.socket;
  const [near, far] = socketPair({
    ...(remoteAddress === undefined ? {} : { remoteAddress }),
    ...(remotePort === undefined ? {} : { remotePort }),
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(localPort === undefined ? {} : { localPort }),
  });
  server.serve(far.asSocket, 'encrypted' in request.socket, EMPTY);
  const outgoing = requestTo(near, request);
  if (outgoing === null) {
    near.destroy();
    response.writeHead(400, { Connection: 'close' }).end();
    return;
  }
  outgoing.on('response', (incoming) => answer(incoming, response));
  outgoing.on('information', ({ statusCode }) => {
    if (statusCode === 102 && !response.headersSent) response.writeProcessing();
  });
  // No answer at all, not even one that says why: the hub was cut.
  outgoing.on('error', () => response.destroy());
  response.on('close', () => outgoing.destroy());
  request.on('error', () => outgoing.destroy());
  request.on('end', () => outgoing.addTrailers(pairsOf(request.rawTrailers)));
  request.pipe(outgoing);
}

/** The same request over that connection; null when it holds what nobody may send. */
function requestTo(near: PairedSocket, request: IncomingMessage): http.ClientRequest | null {
  try {
    return http.request({
      createConnection: () => near.asSocket,
      method: request.method,
      path: request.url,
      headers: fieldsOf(request) as unknown as http.OutgoingHttpHeaders,
      setHost: false,
      maxHeaderSize: 128 * 1024,
    });
  } catch {
    return null;
  }
}

function answer(incoming: IncomingMessage, response: ServerResponse): void {
  response.statusCode = incoming.statusCode!;
  response.statusMessage = incoming.statusMessage!;
  for (const [name, values] of grouped(incoming.rawHeaders)) response.setHeader(name, values.length === 1 ? values[0]! : values);
  response.flushHeaders();
  incoming.on('error', () => response.destroy());
  incoming.on('end', () => {
    if (incoming.rawTrailers.length > 0) response.addTrailers(pairsOf(incoming.rawTrailers));
    response.end();
  });
  incoming.pipe(response, { end: false });
}

/** A connection that asks a server of node:http for an upgrade: an agent that dials in, or an application's WebSocket. `head`: what has been read behind the head. */
export function upgradeHere(server: ServerH1, request: IncomingMessage, socket: Duplex, head: Uint8Array): void {
  if (server.draining) {
    socket.end('HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    return;
  }
  let text = `${request.method} ${request.url} HTTP/1.1\r\n`;
  const { rawHeaders } = request;
  for (let i = 0; i < rawHeaders.length; i += 2) text += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`;
  server.serve(socket as net.Socket, 'encrypted' in socket, Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), head]));
}

function fieldsOf({ rawHeaders, headers }: IncomingMessage): string[] {
  const fields: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) if (!NOT_PASSED.has(rawHeaders[i]!.toLowerCase())) fields.push(rawHeaders[i]!, rawHeaders[i + 1]!);
  if (headers['transfer-encoding'] !== undefined) fields.push('Transfer-Encoding', 'chunked');
  const takesTrailers = /(?:^|,)\s*trailers\s*(?:,|$)/i.test(String(headers.te ?? ''));
  fields.push('Connection', takesTrailers ? 'TE, close' : 'close');
  if (takesTrailers) fields.push('TE', 'trailers');
  return fields;
}

function grouped(raw: readonly string[]): Map<string, string[]> {
  const all = new Map<string, string[]>();
  const spelled = new Map<string, string>();
  for (let i = 0; i < raw.length; i += 2) {
    const lower = raw[i]!.toLowerCase();
    if (NOT_PASSED.has(lower)) continue;
    const name = spelled.get(lower) ?? raw[i]!;
    spelled.set(lower, name);
    all.set(name, [...(all.get(name) ?? []), raw[i + 1]!]);
  }
  return all;
}

function pairsOf(raw: readonly string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i]!, raw[2 * i + 1]!]);
}

const EMPTY = Buffer.alloc(0);
