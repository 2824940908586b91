import { expect, test } from 'vitest';
import { ask, type Asked } from '../kit/ask.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit, metric, SECRET } from '../kit/kit.ts';
import { startHolding } from '../kit/stage.ts';
import { turns, until } from '../kit/until.ts';

const tools = kit();
const { startAgentFor, rawClient } = tools;

test('a cache in front of an agent of one slot: the slot is free again after a client that left, an answer in place of another, and a fetch in the background', async () => {
  const { origin, arrived } = await startHolding(tools);
  const gateway = await startGatewayOf(
    tools,
    `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["all"]
[locations.all]
upstream = "box"
plugins = ["kept"]
[plugins.kept]
category = "cache"
lock = "10s"
[upstreams.box]
agents = "gpu=box"
`,
  );
  const port = gateway.port();
  await startAgentFor({ port }, origin, { labels: new Map([['gpu', 'box']]), agentId: 'one', slots: 1 });
  const get = (path: string): Promise<Asked> => ask(port, { path, headers: { Host: 'a' } });
  const idle = () => until('nothing to run', async () => (await metric(gateway, 'windlass_requests_in_flight')) === 0);
  const head = { 'Cache-Control': 'max-age=1, stale-while-revalidate=300', ETag: '"v"' };

  // The first client leaves while another waits for its answer.
  const leader = await rawClient({ port });
  leader.send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
  const first = await arrived(0);
  const follower = get('/x');
  await until('the follower', async () => (await metric(gateway, 'windlass_requests_in_flight')) === 2);
  leader.reset();
  await turns(20);
  first.response.writeHead(200, head).end('one');
  expect([(await follower).text, origin.requests.length]).toEqual(['one', 1]);
  await idle();

  // What is old is given out, and fetched in the background; the upstream says that it is still good.
  await until('old age', async () => (await get('/x')).headers['x-cache-status'] === 'stale');
  (await arrived(1)).response.writeHead(304, head).end();
  await until('the new age', async () => (await get('/x')).headers['x-cache-status'] === 'hit');
  await idle();

  // An error that goes on and on is not waited for.
  const kept = get('/z');
  (await arrived(2)).response.writeHead(200, { 'Cache-Control': 'max-age=1, stale-while-revalidate=0, stale-if-error=300' }).end('three');
  await kept;
  const isOld = async () => (await ask(port, { path: '/z', headers: { Host: 'a', 'Cache-Control': 'only-if-cached' } })).status === 504;
  await until('old age', isOld);
  const old = get('/z');
  const failing = await arrived(3);
  failing.response.writeHead(503).write('there is no end to this');
  const { text, headers } = await old;
  expect([text, headers['x-cache-status']]).toEqual(['three', 'stale']);
  await idle();

  // The slot is free.
  const next = get('/y');
  (await arrived(4)).response.end('two');
  expect((await next).text).toBe('two');
  expect(origin.mostRunning).toBe(1);
});
