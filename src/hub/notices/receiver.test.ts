import { createHmac } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { NoticeReceiver } from '../../../test/kit/notice-receiver.ts';
import { until } from '../../../test/kit/until.ts';
import { NOTICE_EVENTS, type NotificationSettings } from '../../config/sections/notification.ts';
import { createLog } from '../../observe/log.ts';
import { systemClock } from '../../std/clock.ts';
import { noticeLimits } from './limits.ts';
import type { Notice } from './notice.ts';
import { Receiver } from './receiver.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

async function told(change: Partial<NotificationSettings> = {}) {
  const server = await NoticeReceiver.start();
  const counts = { sent: 0, failed: 0, dropped: 0 };
  let logged = '';
  const settings: NotificationSettings = {
    name: 'ops',
    url: new URL(server.url),
    format: 'json',
    secret: null,
    events: new Set(NOTICE_EVENTS),
    queueThreshold: null,
    intervalMs: 10,
    ...change,
  };
  const receiver = new Receiver({
    settings,
    speaker: () => ({ name: 'edge', hostname: 'box', ip: '192.0.2.1' }),
    log: createLog({ format: 'json', stream: { write: (text) => (logged += text) } }),
    clock: systemClock,
    counts,
    // No waiting between tries.
    random: () => 0,
  });
  ends.push(() => {
    receiver.close();
    server.close();
  });
  return { server, receiver, counts, logged: () => logged };
}

function notice(event: Notice['event'], subject: string, message = `${subject} it is`): Notice {
  return { event, subject, message, atMs: Date.UTC(2030, 0, 2) };
}

test('a message holds all that happened, what happened twice once with its count, and is signed', async () => {
  const { server, receiver, counts } = await told({ secret: 'shared-secret' });
  receiver.tell(notice('agent_lost', 'gpu-1'));
  receiver.tell(notice('agent_joined', 'gpu-2'));
  receiver.tell(notice('agent_lost', 'gpu-1', 'once more'));
  const [{ headers, text, body }] = (await server.has(1)) as [(typeof server.received)[0]];
  expect(body).toMatchObject({
    version: 1,
    name: 'edge',
    hostname: 'box',
    notices: [
      { event: 'agent_joined', level: 'info', subject: 'gpu-2', count: 1 },
      { event: 'agent_lost', level: 'warning', subject: 'gpu-1', message: 'once more', count: 2, at: '2030-01-02T00:00:00.000Z' },
    ],
    omitted: 0,
  });
  const seconds = String(headers['windlass-timestamp']);
  expect(Math.abs(Number(seconds) * 1000 - Date.now())).toBeLessThan(60_000);
  expect(headers['windlass-signature']).toBe(`sha256=${createHmac('sha256', 'shared-secret').update(`${seconds}.${text}`).digest('hex')}`);
  expect(headers['windlass-delivery']).toBe((body as { id: string }).id);
  await until('the count', () => counts.sent === 2);
});

test('only events that are asked for are told, and without a secret nothing is signed', async () => {
  const { server, receiver } = await told({ events: new Set(['reload_failed'] as const) });
  receiver.tell(notice('agent_lost', 'gpu-1'));
  receiver.tell(notice('reload_failed', 'configuration'));
  await server.has(1);
  expect(server.notices.map(({ event }) => event)).toEqual(['reload_failed']);
  expect(server.received[0]!.headers['windlass-signature']).toBeUndefined();
});

test('a message that is not taken is sent again with the same id, and a refusal is not', async () => {
  const { server, receiver, counts, logged } = await told();
  server.answers.push(503, 500, 200);
  receiver.tell(notice('reload_failed', 'configuration'));
  await server.has(3);
  expect(new Set(server.received.map(({ headers }) => headers['windlass-delivery'])).size).toBe(1);
  await until('the count', () => counts.sent === 1);
  server.answers.push(404);
  receiver.tell(notice('reload_succeeded', 'configuration'));
  await until('the other count', () => counts.failed === 1);
  expect(server.received).toHaveLength(4);
  expect(logged()).toContain('"reason":"status 404"');
  expect(logged()).not.toContain('canary');
});

test('a receiver that is gone costs a bounded number of tries and of notices', async () => {
  const { server, receiver, counts, logged } = await told();
  server.close();
  receiver.tell(notice('agent_lost', 'gpu-1'));
  await until('the count', () => counts.failed === 1);
  expect(logged()).toContain('ECONNREFUSED');
  for (let i = 0; i < noticeLimits.pending + 7; i++) receiver.tell(notice('agent_lost', `gpu-${i}`));
  expect(counts.dropped).toBe(7);
});

test('what was left out is counted for who is told', async () => {
  const { server, receiver } = await told();
  for (let i = 0; i < noticeLimits.pending + 7; i++) receiver.tell(notice('agent_lost', `gpu-${i}`));
  await server.has(noticeLimits.pending / noticeLimits.perMessage);
  expect(server.received[0]!.body).toMatchObject({ omitted: 7 });
  expect(server.notices).toHaveLength(noticeLimits.pending);
});

const HOSTILE = 'evil\u001b[2J\n<font color="red">[x](http://evil)</font> @all *b* `c`';

test.each(['wecom', 'dingtalk'] as const)('%s gets a message of its own form, in which a name from outside is text', async (format) => {
  const { server, receiver } = await told({ format });
  receiver.tell(notice('agent_lost', 'x', HOSTILE));
  const [{ body }] = (await server.has(1)) as [(typeof server.received)[0]];
  const { msgtype, markdown } = body as { msgtype: string; markdown: Record<string, string> };
  expect(msgtype).toBe('markdown');
  const text = markdown[format === 'wecom' ? 'content' : 'text']!;
  expect(text).toMatch(/^\*\*edge\*\* on box\n> ⚠️ evil.*, 2030-01-02T00:00:00\.000Z$/);
  expect(text.split('\n')).toHaveLength(2);
  expect(text.split('\n')[1]).not.toMatch(/[<[\]()*`@\p{C}]/u);
});

test('a text for wecom is never longer than wecom takes, and says how much is missing', async () => {
  const { server, receiver } = await told({ format: 'wecom' });
  for (let i = 0; i < 50; i++) receiver.tell(notice('agent_lost', `${i}`, '机'.repeat(400)));
  const [{ body }] = (await server.has(1)) as [(typeof server.received)[0]];
  const { content } = (body as { markdown: { content: string } }).markdown;
  expect(Buffer.byteLength(content)).toBeLessThanOrEqual(noticeLimits.wecomBytes);
  expect(content).toMatch(/\n> and 4\d more$/);
});

test('a robot of dingtalk with a secret finds time and signature in the address', async () => {
  const { server, receiver } = await told({ format: 'dingtalk', secret: 'SECabc' });
  receiver.tell(notice('agent_lost', 'x'));
  const [{ target }] = (await server.has(1)) as [(typeof server.received)[0]];
  const { searchParams } = new URL(target, 'http://x');
  const timestamp = searchParams.get('timestamp')!;
  expect(searchParams.get('key')).toBe('canary-of-the-robot');
  expect(searchParams.get('sign')).toBe(createHmac('sha256', 'SECabc').update(`${timestamp}\nSECabc`).digest('base64'));
});

test('a robot that says 200 and means no is believed', async () => {
  const { server, receiver, counts, logged } = await told({ format: 'wecom' });
  server.answers.push(
    { status: 200, body: '{"errcode":45009,"errmsg":"busy"}' },
    { status: 200, body: '{"errcode":93000,"errmsg":"invalid webhook url"}' },
  );
  receiver.tell(notice('agent_lost', 'x'));
  await until('the count', () => counts.failed === 1);
  expect(server.received).toHaveLength(2);
  expect(logged()).toContain('errcode 93000: invalid webhook url');
});

test('what a robot says of a message is told, but for secrets that it says back', async () => {
  const { server, receiver, logged } = await told({ format: 'dingtalk', secret: 'SECabc' });
  server.answers.push(
    { status: 200, body: '{"errcode":310000,"errmsg":"keywords not in content\\u001b[2J"}' },
    { status: 200, body: '{"errcode":310001,"errmsg":"bad key canary-of-the-robot"}' },
    { status: 200, body: '{"errcode":310002,"errmsg":"not SECabc"}' },
  );
  for (const [i, code] of [310_000, 310_001, 310_002].entries()) {
    receiver.tell(notice('agent_lost', `x${i}`));
    await until('a line', () => logged().includes(String(code)));
  }
  expect(logged()).toContain('errcode 310000: keywords not in content?[2J"');
  expect(logged()).toContain('errcode 310001"');
  expect(logged()).toContain('errcode 310002"');
});

test('the JSON of Pingap is one request for each notice, and what was taken is not sent again', async () => {
  const { server, receiver } = await told({ format: 'normal' });
  server.answers.push(200, 503);
  receiver.tell(notice('endpoint_unhealthy', 'api 10.0.0.1:80', 'it is ill'));
  receiver.tell(notice('reload_failed', 'configuration', 'it is broken'));
  await server.has(3);
  expect(server.received.map(({ body }) => body)).toEqual([
    { name: 'edge', level: 'warn', hostname: 'box', ip: '192.0.2.1', category: 'backend_status', message: 'it is ill' },
    { name: 'edge', level: 'error', hostname: 'box', ip: '192.0.2.1', category: 'reload_config_fail', message: 'it is broken' },
    { name: 'edge', level: 'error', hostname: 'box', ip: '192.0.2.1', category: 'reload_config_fail', message: 'it is broken' },
  ]);
});

test('who is told no more is let go of at once, with what has waited', async () => {
  const { server, receiver, counts } = await told();
  server.answers.push('hang');
  receiver.tell(notice('agent_lost', 'x'));
  await server.has(1);
  receiver.tell(notice('agent_lost', 'y'));
  receiver.close();
  receiver.tell(notice('agent_lost', 'z'));
  await until('the end of the request that hangs', () => server.open === 0);
  expect([server.received.length, counts]).toEqual([1, { sent: 0, failed: 0, dropped: 0 }]);
});
