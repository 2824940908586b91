import { expect, test } from 'vitest';
import { kit, metric, metricBecomes } from '../kit/kit.ts';
import { asks, field, startHolding } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startHubWith, startAgentFor, startOrigin, rawClient } = tools;

test('bodies of waiting requests together are bounded: the one too many gets 503, the others keep their places', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith({ queueBytes: 100_000 });
  await startAgentFor(hub, origin);
  const first = await asks(tools, hub, '/first');
  await arrived(0);
  const post = async (bytes: number) => {
    const client = await rawClient(hub);
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nContent-Length: ${bytes}\r\n\r\n`);
    return client.send(Buffer.alloc(bytes, 'x'));
  };
  const fits = await post(50_000);
  await metricBecomes(hub, 'windlass_buffered_bytes', (value) => value >= 50_000);
  const alsoFits = await post(50_000);
  await metricBecomes(hub, 'windlass_buffered_bytes', (value) => value >= 100_000);
  const answer = await (await post(1)).answer();
  expect(answer.status).toBe(503);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'queue_full' });
  expect(await metric(hub, 'windlass_queue_size')).toBe(2);
  (await arrived(0)).response.end('0');
  expect((await first.answer()).status).toBe(200);
  for (const [i, client] of [fits, alsoFits].entries()) {
    (await arrived(i + 1)).response.end('ok');
    expect((await client.answer()).status).toBe(200);
  }
  expect(origin.requests.map(({ bytes }) => bytes)).toEqual([0, 50_000, 50_000]);
  await metricBecomes(hub, 'windlass_buffered_bytes', (value) => value === 0);
});

test('the age of whoever has waited longest is on the metrics page, and 0 when nobody waits', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  await asks(tools, hub);
  await arrived(0);
  expect(await metric(hub, 'windlass_queue_oldest_age_seconds')).toBe(0);
  const waits = await asks(tools, hub, '/', ['Slime-Block: 1']);
  await metricBecomes(hub, 'windlass_queue_oldest_age_seconds', (value) => value > 0);
  (await arrived(0)).response.end();
  (await arrived(1)).response.end();
  expect((await waits.answer()).status).toBe(200);
  await metricBecomes(hub, 'windlass_queue_oldest_age_seconds', (value) => value === 0);
});

test('a 503 for want of a free slot says when to come back', async () => {
  const { origin } = await startHolding(tools);
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  await asks(tools, hub);
  await metricBecomes(hub, 'windlass_requests_in_flight', (value) => value === 1);
  const answer = await (await asks(tools, hub)).answer();
  expect(answer.status).toBe(503);
  expect(field(answer, 'Retry-After')).toBe('1');
});

test('a request that waits while no agent is there calls the on-empty webhook once, and is served when an agent has come', async () => {
  const webhook = await startOrigin((request, response) => {
    request.resume();
    response.end();
  });
  const hub = await startHubWith({ onEmpty: `http://127.0.0.1:${webhook.port}/start?key=k` });
  const clients = [await asks(tools, hub, '/', ['Slime-Block: 1']), await asks(tools, hub, '/', ['Slime-Block: 1'])];
  await metricBecomes(hub, 'windlass_queue_size', (value) => value === 2);
  await until('the webhook was called', () => webhook.requests.length > 0);
  await startAgentFor(hub, await startOrigin());
  for (const client of clients) expect((await client.answer()).status).toBe(200);
  expect(webhook.requests.map(({ method, url }) => `${method} ${url}`)).toEqual(['POST /start?key=k']);
  expect(JSON.stringify(hub.log)).not.toContain('key=k');
});

test('requests that do not wait call no webhook', async () => {
  const webhook = await startOrigin();
  const hub = await startHubWith({ onEmpty: `http://127.0.0.1:${webhook.port}/` });
  expect((await (await asks(tools, hub)).answer()).status).toBe(503);
  expect(webhook.requests).toHaveLength(0);
});
