import http from 'node:http';
import http2 from 'node:http2';
import { once } from 'node:events';
import type net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { connectH2 } from '../kit/h2-client.ts';
import { kit, metric, metricBecomes } from '../kit/kit.ts';
import { until } from '../kit/until.ts';
import { WAYS, type Way } from '../kit/upgraded.ts';

const made = kit();
const EVENTS = 'text/event-stream';

/** An answer that the test writes, at the origin. */
interface Held {
  readonly gone: () => boolean;
  head(type: string): void;
  write(text: string): void;
  end(text: string): void;
}

interface Heard {
  readonly text: () => string;
  readonly status: () => number;
  readonly over: () => boolean;
  leave(): void;
}

async function originOf({ upstream }: Pick<Way, 'upstream'>, held: Held[]): Promise<number> {
  const server = upstream === 'HTTP/2' ? http2.createServer() : http.createServer();
  if (server instanceof http.Server) {
    server.on('request', (_request, response: http.ServerResponse) => {
      let gone = false;
      response.on('close', () => (gone = true));
      held.push({
        gone: () => gone,
        head: (type) => {
          response.writeHead(200, { 'Content-Type': type });
          response.flushHeaders();
        },
        write: (text) => void response.write(text),
        end: (text) => void response.end(text),
      });
    });
  } else {
    server.on('stream', (stream: http2.ServerHttp2Stream) => {
      let gone = false;
      stream.on('close', () => (gone = true));
      stream.on('error', () => {});
      held.push({
        gone: () => gone,
        head: (type) => stream.respond({ ':status': 200, 'content-type': type }),
        write: (text) => void stream.write(text),
        end: (text) => void stream.end(text),
      });
    });
  }
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  made.later(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as net.AddressInfo).port;
}

function ask({ client }: Pick<Way, 'client'>, port: number): Heard {
  let text = '';
  let status = 0;
  let over = false;
  if (client === 'HTTP/2') {
    const stream = connectH2(made.later, port).request({ ':path': '/', accept: EVENTS });
    stream.on('response', (head) => (status = Number(head[':status'])));
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
    stream.on('error', () => {});
    stream.on('close', () => (over = true));
    return { text: () => text, status: () => status, over: () => over, leave: () => stream.close(http2.constants.NGHTTP2_CANCEL) };
  }
  const request = http.get({ port, host: '127.0.0.1', agent: false, headers: { Accept: EVENTS } }, (answer) => {
    status = answer.statusCode!;
    answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
    answer.on('error', () => {});
    answer.on('close', () => (over = true));
  });
  request.on('error', () => (over = true));
  return { text: () => text, status: () => status, over: () => over, leave: () => request.destroy() };
}

/** `idleTimeoutMs` counts for both: silence in an answer is told from silence in an event stream. */
async function startOf(way: Way, held: Held[]): ReturnType<typeof made.startHubWith> {
  const port = await originOf(way, held);
  const target = parseUpstreamUrl(`${way.upstream === 'HTTP/2' ? 'h2c' : 'http'}://127.0.0.1:${port}`);
  if (!way.tunnel) return made.startDirect({ to: [target], idleTimeoutMs: 400 });
  const hub = await made.startHubWith();
  await made.startAgentFor(hub, { port }, { upstreams: [target], slots: 4, idleTimeoutMs: 400 });
  return hub;
}

describe.each(WAYS)('an event stream $name', (way) => {
  test('hears each event before the next is written, whatever its size, and the end', async () => {
    const held: Held[] = [];
    const front = await startOf(way, held);
    const heard = ask(way, front.address.port);
    const answer = await until('the request', () => held[0]);
    answer.head(EVENTS);
    await until('the head, before any event', () => heard.status() === 200);
    let all = '';
    for (const size of [1, 10, 1000, 5000, 70_000, 1]) {
      const event = `data: ${'x'.repeat(size)}\n\n`;
      all += event;
      answer.write(event);
      await until('the event', () => heard.text().length >= all.length);
    }
    answer.end('data: last\n\n');
    await until('the end', () => heard.over());
    expect(heard.text()).toBe(`${all}data: last\n\n`);
    await metricBecomes(front, 'windlass_requests_in_flight', (n) => n === 0);
  });

  test('may be silent for longer than other answers [fault 24]', async () => {
    const held: Held[] = [];
    const front = await startOf(way, held);
    const [events, page] = [ask(way, front.address.port), ask(way, front.address.port)];
    const answers = await until('both', () => (held.length === 2 ? held : null));
    answers[0]!.head(EVENTS);
    answers[1]!.head('text/plain');
    for (const answer of answers) answer.write('one');
    const types = await until('the cut of the other one', () => (events.over() || page.over() ? [events, page] : null));
    const cut = types.find((one) => one.over())!;
    const live = types.find((one) => !one.over())!;
    await sleep(600);
    expect(live.over()).toBe(false);
    held[0]!.write(' two');
    await until('the next event', () => live.text() === 'one two');
    expect(cut.text()).toBe('one');
    live.leave();
  });

  test('whose client leaves is over at the origin', async () => {
    const held: Held[] = [];
    const front = await startOf(way, held);
    const heard = ask(way, front.address.port);
    const answer = await until('the request', () => held[0]);
    answer.head(EVENTS);
    answer.write('data: 1\n\n');
    await until('an event', () => heard.text() !== '');
    heard.leave();
    await until('the end at the origin', () => answer.gone());
    await metricBecomes(front, 'windlass_requests_in_flight', (n) => n === 0);
    if (way.tunnel) await metricBecomes(front, 'windlass_agent_slots{state="free"}', (n) => n === 4);
  });

  test('a long poll waits for its answer, and one whose client leaves is over at the origin', async () => {
    const held: Held[] = [];
    const front = await startOf(way, held);
    const [patient, other] = [ask(way, front.address.port), ask(way, front.address.port)];
    await until('both', () => held.length === 2);
    // Longer than any answer may pause: that clock runs from its head on.
    await sleep(700);
    expect([patient.over(), other.over()]).toEqual([false, false]);
    other.leave();
    const left = await until('one to be gone', () => held.find((one) => one.gone()));
    const stayed = held.find((one) => one !== left)!;
    stayed.head('application/json');
    stayed.end('{}');
    await until('the answer', () => patient.over());
    expect([patient.status(), patient.text()]).toEqual([200, '{}']);
    await metricBecomes(front, 'windlass_requests_in_flight', (n) => n === 0);
  });
});

test('plugins that look at heads, compression among them, do not hold an event back', async () => {
  const held: Held[] = [];
  const port = await originOf({ upstream: 'HTTP/1.1' }, held);
  const gateway = await startGatewayOf(
    made,
    `[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "one"
plugins = ["id", "heads", "small", "stats"]
[upstreams.one]
addrs = ["127.0.0.1:${port}"]
stream_idle_timeout = "0s"
[plugins.id]
category = "request_id"
[plugins.heads]
category = "response_headers"
set_headers = ["X-A: b"]
[plugins.small]
category = "compression"
[plugins.stats]
category = "accept_encoding"
encodings = "gzip"
`,
  );
  for (const client of ['HTTP/1.1', 'HTTP/2'] as const) {
    const heard = ask({ client }, gateway.port());
    const answer = await until('the request', () => held.find((one) => !one.gone()));
    answer.head(EVENTS);
    for (let i = 1; i <= 5; i++) {
      answer.write(`data: ${i}\n\n`);
      await until('the event', () => heard.text().endsWith(`data: ${i}\n\n`));
    }
    heard.leave();
    await until('the end at the origin', () => answer.gone());
  }
});

test('many streams through one tunnel hold little memory while they wait, and all hear the next event', async () => {
  const held: Held[] = [];
  const streams = 400;
  const port = await originOf({ upstream: 'HTTP/1.1' }, held);
  const hub = await made.startHubWith();
  await made.startAgentFor(hub, { port }, { slots: streams });
  const all = Array.from({ length: streams }, () => ask({ client: 'HTTP/1.1' }, hub.address.port));
  await until('all of them', () => held.length === streams);
  for (const answer of held) answer.head(EVENTS);
  for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
    for (const answer of held) answer.write(event);
    await until('all to hear it', () => all.every((one) => one.text().endsWith(event)));
  }
  expect(await metric(hub, 'windlass_buffered_bytes')).toBe(0);
  for (const one of all) one.leave();
  await until('the end of all', () => held.every((one) => one.gone()));
});
