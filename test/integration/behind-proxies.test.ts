import { createHash } from 'node:crypto';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';
import { describe, expect, test } from 'vitest';
import { Cidrs } from '../../src/schema/cidrs.ts';
import { parseCidr } from '../../src/schema/cidrs.ts';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { RawClient } from '../kit/client.ts';
import { kit, metric, metricBecomes, portOf, type Listening } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const { startOrigin, startHubWith, startAgentFor, folder, later } = kit();

const root = new URL('../../', import.meta.url).pathname;
const FIXTURES = join(root, 'test/fixtures');

type Hub = Awaited<ReturnType<typeof startHubWith>>;

/** The configuration that a guide shows, with ports and files of this test. */
function configOf(kind: 'nginx' | 'haproxy', front: number, hubs: readonly Hub[], pem: string): string {
  const page = readFileSync(join(root, 'docs', hubs.length === 1 ? 'production.md' : 'two-hubs.md'), 'utf8');
  let text = new RegExp(`^\`\`\`${kind}\n([^]*?)^\`\`\`$`, 'm').exec(page)?.[1];
  if (text === undefined) throw new Error(`the guide shows no configuration of ${kind}`);
  for (const [i, name] of (hubs.length === 1 ? ['127.0.0.1'] : ['hub-a.internal', 'hub-b.internal']).entries())
    text = text.replace(`${name}:8080`, `127.0.0.1:${portOf(hubs[i]!)}`).replace('port 9080', `port ${hubs[i]!.adminAddress!.port}`);
  return text
    .replace('listen 443', `listen 127.0.0.1:${front}`)
    .replace('bind :443', `bind 127.0.0.1:${front}`)
    .replace('/etc/ssl/hub.pem', join(FIXTURES, 'one.pem'))
    .replace('/etc/ssl/hub.key', join(FIXTURES, 'one.key'))
    .replace('/etc/haproxy/hub.pem', pem);
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  await once(server.close(), 'close');
  return port;
}

async function startFront(kind: 'nginx' | 'haproxy', ...hubs: readonly Hub[]): Promise<Listening> {
  const place = folder();
  const front = await freePort();
  const pem = join(place, 'both.pem');
  writeFileSync(pem, `${readFileSync(join(FIXTURES, 'one.pem'), 'utf8')}${readFileSync(join(FIXTURES, 'one.key'), 'utf8')}`);
  const text = configOf(kind, front, hubs, pem);
  const path = join(place, `${kind}.conf`);
  const temps = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path ${place}/${one};`).join(' ');
  writeFileSync(
    path,
    kind === 'haproxy'
      ? text
      : `daemon off; worker_processes 1; pid ${place}/pid; error_log stderr; events {}\nhttp { access_log off; ${temps}\n${text}}\n`,
  );
  const child = spawn(COMMANDS[kind], kind === 'nginx' ? ['-p', place, '-c', path] : ['-db', '-f', path], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  later(async () => {
    if (child.exitCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
  await until(`${kind} to listen`, async () => {
    if (child.exitCode !== null) throw new Error(`${kind} ended: ${said}`);
    const socket = net.connect(front, '127.0.0.1');
    const answer = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false);
    socket.destroy();
    return answer;
  });
  return { port: front };
}

async function secureClient(to: Listening): Promise<RawClient> {
  const socket = tls.connect({ port: portOf(to), host: '127.0.0.1', ca: readFileSync(join(FIXTURES, 'ca.pem')), servername: 'localhost' });
  later(() => socket.destroy());
  await once(socket, 'secureConnect');
  return new RawClient(socket);
}

const COMMANDS = { nginx: '/usr/sbin/nginx', haproxy: '/usr/sbin/haproxy' };

for (const kind of ['nginx', 'haproxy'] as const) {
  describe.skipIf(spawnSync(COMMANDS[kind], ['-v']).status !== 0)(`behind ${kind}, configured as the guide says`, () => {
    test('agents and applications both come through it: answers, large bodies, event streams and WebSockets', async () => {
      let nextEvent = (): void => {};
      const origin = await startOrigin((request, response) => {
        if (request.url === '/events') {
          response.writeHead(200, { 'Content-Type': 'text/event-stream' });
          response.write('data: 1\n\n');
          nextEvent = () => response.end('data: 2\n\n');
        } else if (request.method === 'POST') request.pipe(response);
        else response.end(`${String(request.headers['x-forwarded-proto'])} ${String(request.headers['x-forwarded-for'])}`);
      });
      origin.server.on('upgrade', (request, socket: net.Socket) => {
        // RFC 6455 4.2.2; HAProxy looks at it.
        const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
        socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
        socket.on('error', () => {}).pipe(socket);
      });
      const hub = await startHubWith({ trustedProxies: new Cidrs(parseCidr('loopback')), queueTimeoutMs: 5_000 });
      const front = await startFront(kind, hub);
      const agent = await startAgentFor(hub, origin, {
        hubs: [parseUpstreamUrl(`https://localhost:${portOf(front)}`)],
        caFile: join(FIXTURES, 'ca.pem'),
        slots: 4,
      });
      expect(agent.log.filter((line) => line.level === 'warn' || line.level === 'error')).toEqual([]);

      const client = await secureClient(front);
      const plain = await client.send('GET / HTTP/1.1\r\nHost: hub.example.com\r\n\r\n').answer();
      expect([plain.status, plain.body.toString()]).toEqual([200, expect.stringMatching(/^https 127\.0\.0\.1/)]);

      const body = Buffer.alloc(3_000_000, 'windlass ');
      const poster = await secureClient(front);
      poster.send(`POST / HTTP/1.1\r\nHost: hub.example.com\r\nContent-Length: ${body.length}\r\n\r\n`).send(body);
      expect((await poster.answer('POST')).body.equals(body)).toBe(true);

      const listener = await secureClient(front);
      listener.send('GET /events HTTP/1.1\r\nHost: hub.example.com\r\nAccept: text/event-stream\r\n\r\n');
      await listener.until(({ text }) => text.includes('data: 1'), 'the first event, before there is a second');
      nextEvent();
      expect((await listener.answer()).body.toString()).toBe('data: 1\n\ndata: 2\n\n');

      const socket = await secureClient(front);
      socket.send(
        'GET /ws HTTP/1.1\r\nHost: hub.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
      );
      await socket.until(({ text }) => text.includes(' 101 '), 'the upgrade');
      socket.send('to and fro');
      await socket.until(({ text }) => text.endsWith('to and fro'), 'the echo');
    });

    test('two hubs are one name: when one is gone all requests go to the other, and when it is back to both', async () => {
      const origin = await startOrigin((request, response) => {
        request.resume();
        request.on('end', () => response.end(request.url));
      });
      const settings = { trustedProxies: new Cidrs(parseCidr('loopback')), queueTimeoutMs: 8_000 };
      const hubs = [await startHubWith({ ...settings, hubId: 'a' }), await startHubWith({ ...settings, hubId: 'b' })];
      const front = await startFront(kind, ...hubs);
      await startAgentFor(hubs[0]!, origin, { hubs: hubs.map((hub) => parseUpstreamUrl(`127.0.0.1:${portOf(hub)}`)), slots: 4 });
      for (const hub of hubs) await metricBecomes(hub, 'windlass_agent_sessions', (count) => count === 1);
      const posts = async (what: string): Promise<void> => {
        for (let i = 0; i < 8; i++) {
          // A connection of its own each: so both hubs have their turn.
          const client = await secureClient(front);
          client.send(`POST /${what}-${i} HTTP/1.1\r\nHost: hub.example.com\r\nContent-Length: 2\r\n\r\nhi`);
          const answer = await client.answer('POST');
          expect([answer.status, answer.body.toString()]).toEqual([200, `/${what}-${i}`]);
          client.socket.destroy();
        }
      };
      const served = (hub: Hub) => metric(hub, 'windlass_requests_total{code="2xx"}');
      await posts('both');
      expect(await served(hubs[0]!)).toBeGreaterThan(0);
      expect(await served(hubs[1]!)).toBeGreaterThan(0);
      const [gone, { address, adminAddress }] = [hubs[0]!, hubs[0]!];
      gone.destroy();
      await posts('one');
      const again = await startHubWith({ ...settings, hubId: 'a', port: address.port, adminAddr: adminAddress });
      await until('it to be asked again', async () => {
        await posts('back');
        return (await served(again)) > 0;
      });
      const urls = origin.requests.map(({ url }) => url).filter((url) => !url.startsWith('/back'));
      expect(urls.length).toBe(16);
    });
  });
}
