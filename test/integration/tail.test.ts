import { expect, test } from 'vitest';
import type { TrafficItem } from '../../src/admin/model.ts';
import { run } from '../../src/cli/run.ts';
import { tailLine } from '../../src/cli/tail.ts';
import { styleFor } from '../../src/cli/style.ts';
import { readText } from '../../src/config/read-text.ts';
import { type FakeWorld, fakeWorld } from '../config/world.ts';
import { ask } from '../kit/ask.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { Operator } from '../kit/operator.ts';
import { until } from '../kit/until.ts';

const on = kit();

async function start(inspector = 100, before: { readonly url: string; readonly stateDir: string } | null = null) {
  const origin = await on.startOrigin((request, response) => {
    if (request.url!.startsWith('/broken')) response.writeHead(500);
    response.end('hello');
  });
  const stateDir = before?.stateDir ?? on.folder();
  const gateway = await startGatewayOf(
    on,
    `[basic]
admin_addr = "127.0.0.1:${before === null ? 0 : new URL(before.url).port}"
auto_restart_check_interval = "0s"
inspector = ${inspector}
[servers.shop]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
`,
    { stateDir },
  );
  const url = `http://127.0.0.1:${gateway.adminAddress!.port}`;
  return { origin, gateway, stateDir, url, port: gateway.port(), operator: new Operator(gateway, stateDir) };
}

/** Runs in the background. Its token it finds by itself. */
function tail({ url, stateDir }: { readonly url: string; readonly stateDir: string }, words: readonly string[]) {
  const world: FakeWorld = fakeWorld({ WINDLASS_ADMIN_URL: url, WINDLASS_STATE_DIR: stateDir });
  const done = run(['tail', ...words], { ...world, readText });
  const lines = (count: number): Promise<string[]> =>
    until(`${count} lines`, () => {
      const all = world.out().split('\n').slice(0, -1);
      return all.length >= count ? all : null;
    });
  return { world, done, lines };
}

test('tail shows the last requests, then those that end, and finds its token by itself', async () => {
  const stage = await start();
  await ask(stage.port, { path: '/first?token=canary' });
  const { world, done, lines } = tail(stage, ['--count', '2']);
  expect(await lines(1)).toEqual([
    expect.stringMatching(/^[\d:.]{12} 200 GET +\S+ ms +5 B 127\.0\.0\.1:\d+\/first\?token=\*\*\* -> all one 127\.0\.0\.1:\d+$/),
  ]);
  // It may not listen yet.
  const sending = setInterval(() => void ask(stage.port, { path: '/second' }).catch(() => {}), 50);
  on.later(() => clearInterval(sending));
  expect(await done).toBe(0);
  clearInterval(sending);
  expect((await lines(2))[1]).toContain('/second');
  expect(world.err()).toBe('');
});

test('filters go to the gateway, and --json prints one object per line', async () => {
  const stage = await start();
  for (const path of ['/fine', '/broken/1', '/broken/2', '/other']) await ask(stage.port, { path });
  const { done, world } = tail(stage, ['--status', '>=500', '--path', '/broken', '--location', 'all', '--method', 'get', '--json', '--count', '2']);
  expect(await done).toBe(0);
  const items = world
    .out()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as TrafficItem);
  expect(items.map(({ target, status }) => [target, status])).toEqual([
    ['/broken/1', 500],
    ['/broken/2', 500],
  ]);
  const wrong = tail(stage, ['--status', 'soon']);
  expect(await wrong.done).toBe(2);
  expect(wrong.world.err()).toContain('--status "soon" is no status; write it as 404, 5xx');
});

test('where nothing is kept tail says what to do, and --on does it', async () => {
  const stage = await start(0);
  const off = tail(stage, []);
  expect(await off.done).toBe(1);
  expect(off.world.err()).toMatch(/^windlass: http:\S+ keeps no requests to look at; windlass tail --on .*\n$/);
  const { done, lines } = tail(stage, ['--on', '--count', '1']);
  await until('it is on', async () => (await stage.operator.get('/traffic/settings')).enabled);
  const sending = setInterval(() => void ask(stage.port, { path: '/now' }).catch(() => {}), 50);
  on.later(() => clearInterval(sending));
  expect(await done).toBe(0);
  clearInterval(sending);
  expect(await lines(1)).toHaveLength(1);
});

test('Ctrl-C ends it well, also while it waits for a gateway that has stopped', async () => {
  const stage = await start();
  await ask(stage.port, { path: '/a' });
  const one = tail(stage, []);
  await one.lines(1);
  one.world.signal('SIGINT');
  expect(await one.done).toBe(0);
  const other = tail(stage, []);
  await other.lines(1);
  await stage.gateway.close();
  await until('a word about it', () => other.world.err() !== '');
  expect(other.world.err()).toMatch(/^windlass: .*; trying again until Ctrl-C\n$/);
  other.world.signal('SIGINT');
  expect(await other.done).toBe(0);
  expect(other.world.err().split('\n')).toHaveLength(2);
});

test('a gateway that is started anew is followed further, with the token that it has then', async () => {
  const stage = await start();
  await ask(stage.port, { path: '/before' });
  const one = tail(stage, ['--count', '2']);
  await one.lines(1);
  await stage.gateway.close();
  await until('a word about it', () => one.world.err().includes('trying again'));
  const again = await start(100, stage);
  await until('another one', () => one.world.err().includes('answers again; what ended meanwhile is not shown'));
  await ask(again.port, { path: '/after' });
  expect(await one.done).toBe(0);
  expect((await one.lines(2))[1]).toContain('/after');
});

test('what was never there is not waited for', async () => {
  const one = tail({ url: 'http://127.0.0.1:1', stateDir: on.folder() }, []);
  expect(await one.done).toBe(1);
  expect(one.world.err()).toContain('nobody listens at http://127.0.0.1:1');
});

test('[threat 61] whatever a client sends, a terminal gets one line that it cannot obey', async () => {
  const stage = await start();
  const evil = await on.rawClient({ port: stage.port });
  evil.send('GET /\x9b2J/\u00e9?x=\x9b31m HTTP/1.1\r\nHost: a\r\nUser-Agent: \x9b31m\r\n\r\n');
  await evil.until((self) => self.text.includes('HTTP/1.1 '), 'an answer');
  await ask(stage.port, { path: '/fine' });
  for (const words of [[], ['--json']]) {
    const { done, world } = tail(stage, [...words, '--count', '2']);
    expect(await done).toBe(0);
    expect(world.out()).toMatch(/^(?:[^\p{Cc}\n]+\n){2}$/u);
  }
  const item = {
    ...(await stage.operator.get('/traffic')).items[0],
    host: 'a\u001b[2J',
    target: '/\n\u202e\u0007',
    failure: '\u001b',
    location: '\u009b',
  } as TrafficItem;
  expect(tailLine(item, styleFor({ stdout: { write() {} }, env: {} }))).toMatch(/^[^\p{C}]+$/u);
});

test('colours are for terminals', async () => {
  const stage = await start();
  await ask(stage.port, { path: '/broken' });
  const { done, world } = tail(stage, ['--count', '1']);
  await done;
  expect(world.out()).not.toContain('\u001b');
  const [item] = (await stage.operator.get('/traffic')).items;
  const style = styleFor({ stdout: { write() {}, isTTY: true }, env: {} });
  expect(tailLine(item, style)).toContain('\u001b[31m500\u001b[39m');
});
