import { once } from 'node:events';
import http from 'node:http';
import { expect, test } from 'vitest';
import { socketPair } from './socket-pair.ts';

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  stream.on('data', (piece: Buffer) => (text += piece.toString()));
  await once(stream, 'end');
  return text;
}

test('what is written at one end is read at the other, and each direction ends by itself', async () => {
  const [near, far] = socketPair();
  near.end('ping');
  expect(await textOf(far)).toBe('ping');
  far.end('pong');
  expect(await textOf(near)).toBe('pong');
});

test('a chunk is delivered after the call that sends it, and is a copy', async () => {
  const [near, far] = socketPair();
  const heard: string[] = [];
  far.on('data', (chunk: Buffer) => heard.push(chunk.toString()));
  const chunk = Buffer.from('one');
  near.write(chunk);
  chunk.write('two');
  expect(heard).toEqual([]);
  await once(far, 'data');
  expect(heard).toEqual(['one']);
});

test('who does not read is not written to without bound', async () => {
  const [near, far] = socketPair();
  const chunk = Buffer.alloc(64 * 1024);
  while (near.write(chunk));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(near.writableNeedDrain).toBe(true);
  expect(near.writableLength + far.readableLength).toBeLessThanOrEqual(256 * 1024);
  far.resume();
  await once(near, 'drain');
});

test('an end that is destroyed before its end is a reset at the other, one that had ended is not', async () => {
  const [near, far] = socketPair();
  const error = once(far, 'error');
  near.destroy();
  expect((await error)[0]).toMatchObject({ code: 'ECONNRESET' });
  const [left, right] = socketPair();
  left.end('all');
  left.destroySoon();
  expect(await textOf(right)).toBe('all');
});

test('a closed end is not noticed before the work that holds it is over', async () => {
  const [near, far] = socketPair();
  far.on('error', () => {});
  let finish!: () => void;
  near.hold(new Promise<void>((resolve) => (finish = resolve)));
  near.destroy();
  await once(near, 'close');
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  expect(far.destroyed).toBe(false);
  finish();
  await new Promise((resolve) => far.once('close', resolve));
});

test('a server of node:http that listens nowhere serves it, and its client keeps it alive', async () => {
  const server = http.createServer((request, response) => {
    response.end(`${request.url} from ${request.socket.remoteAddress}`);
  });
  const [near, far] = socketPair({ remoteAddress: '192.0.2.1' });
  server.emit('connection', far);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  Object.assign(agent, { createConnection: () => near });
  for (const path of ['/a', '/b']) {
    const request = http.get({ path, agent });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    expect(await textOf(response)).toBe(`${path} from 192.0.2.1`);
  }
  agent.destroy();
});
