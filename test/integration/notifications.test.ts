import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadGateway } from '../../src/config/gateway.ts';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { kit, metricBecomes, SECRET } from '../kit/kit.ts';
import { NoticeReceiver } from '../kit/notice-receiver.ts';
import { Program } from '../kit/program.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const program = new Program();
beforeAll(() => program.build(), 60_000);
afterAll(() => program.close());

async function receiver(): Promise<NoticeReceiver> {
  const one = await NoticeReceiver.start();
  tools.later(() => one.close());
  return one;
}

/** A section that tells this receiver at once. */
function section({ url }: NoticeReceiver, more = ''): string {
  return `[notifications.ops]\nurl = "${url}"\ninterval = "10ms"\n${more}`;
}

test('an endpoint that falls ill and its upstream are told of, signed, and told of again when they are well', { timeout: 30_000 }, async () => {
  const told = await receiver();
  let isIll = false;
  const origin = await tools.startOrigin((_, response) => void response.writeHead(isIll ? 500 : 200).end());
  const check = 'health_check = "http://one/health?check_frequency=100ms"\neject_failures = 0\n';
  const gateway = await startGatewayOf(tools, fileTo(origin.port, { more: `${check}${section(told, 'secret = "canary-secret"\n')}` }));
  isIll = true;
  await until('the bad news', () => told.notices.some(({ event }) => event === 'upstream_down'), 20_000);
  isIll = false;
  await until('the good news', () => told.notices.some(({ event }) => event === 'upstream_up'), 20_000);
  const endpoint = `127.0.0.1:${origin.port}`;
  expect(told.notices.filter(({ event }) => event.startsWith('endpoint')).map(({ event, level, subject }) => [event, level, subject])).toEqual([
    ['endpoint_unhealthy', 'warning', `one ${endpoint}`],
    ['endpoint_healthy', 'info', `one ${endpoint}`],
  ]);
  expect(told.notices.find(({ event }) => event === 'endpoint_unhealthy')!.message).toMatch(/gets no requests: its health check says: .*500/);
  expect(told.received.every(({ headers }) => /^sha256=[0-9a-f]{64}$/.test(String(headers['windlass-signature'])))).toBe(true);
  expect(JSON.stringify([told.received, gateway.log.lines])).not.toContain('canary-secret');
  await metricBecomes(gateway, 'windlass_notifications_total{notification="ops",result="sent"}', (value) => value >= 4);
});

test('an agent that joins is told of, and one that does not come back', { timeout: 40_000 }, async () => {
  const told = await receiver();
  const text = `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["all"]
[locations.all]
upstream = "gpu"
[upstreams.gpu]
agents = "*"
${section(told, 'events = ["agent_joined", "agent_lost", "upstream_down"]\n')}`;
  const gateway = await startGatewayOf(tools, text);
  const origin = await tools.startOrigin((_, response) => void response.end());
  const agent = await tools.startAgentFor({ port: gateway.port() }, origin);
  await until('the agent', () => told.notices.some(({ event }) => event === 'agent_joined'), 20_000);
  await agent.close();
  // Those that only restart are back before anybody hears of it.
  const both = (): boolean => ['agent_lost', 'upstream_down'].every((name) => told.notices.some(({ event }) => event === name));
  await until('the loss', both, 25_000);
  expect(told.notices.filter(({ event }) => event === 'agent_lost')).toHaveLength(1);
});

test('a reload that fails and one that succeeds are told of by the program, to whom the serving file names', { timeout: 60_000 }, async () => {
  const told = await receiver();
  const origin = await tools.startOrigin((_, response) => void response.end('served'));
  const file = join(tools.folder(), 'windlass.toml');
  const write = (text: string): void => {
    writeFileSync(`${file}.tmp`, `[basic]\nname = "edge"\nadmin_addr = "off"\n${text}`);
    renameSync(`${file}.tmp`, file);
  };
  write(fileTo(origin.port, { more: section(told) }));
  const running = program.run(['run', '-c', file, '--state-dir', join(file, '..', 'state')]);
  const port = await running.port('a server listens');
  write(fileTo(origin.port, { location: 'pluginz = ["x"]\n', more: section(told) }));
  await until('the bad news', () => told.notices.some(({ event }) => event === 'reload_failed'), 20_000);
  expect(told.notices[0]!.message).toContain('cannot be used, the old one serves on');
  expect(told.notices[0]!.message).toContain('locations.all.pluginz is no setting');
  expect(told.received[0]!.body).toMatchObject({ name: 'edge', version: 1 });
  write(fileTo(origin.port, { location: 'weight = 7\n', more: section(told) }));
  await until('the good news', () => told.notices.some(({ event }) => event === 'reload_succeeded'), 20_000);
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('served');
  expect(running.err).not.toContain('canary');
  running.child.kill('SIGTERM');
  await until('its end', () => !running.alive, 20_000);
});

test("Pingap's webhook keys name a receiver, who gets Pingap's JSON", { timeout: 30_000 }, async () => {
  const told = await receiver();
  const origin = await tools.startOrigin((_, response) => void response.writeHead(500).end());
  const basic = `[basic]
name = "pingap-user"
admin_addr = "off"
webhook = "${told.url}"
webhook_type = "normal"
webhook_notifications = ["backend_status", "tls_validity"]
`;
  const check = 'health_check = "http://one/health?check_frequency=100ms"\neject_failures = 0\n';
  const gateway = await startGatewayOf(tools, `${basic}${fileTo(origin.port, { more: check })}`);
  expect(gateway.warnings.filter((line) => line.includes('webhook'))).toEqual([]);
  const [{ body }] = (await told.has(1)) as [(typeof told.received)[0]];
  expect(body).toEqual({
    name: 'pingap-user',
    level: 'warn',
    hostname: expect.any(String) as string,
    ip: expect.any(String) as string,
    category: 'backend_status',
    message: expect.stringContaining(`endpoint 127.0.0.1:${origin.port} of upstream one gets no requests`) as string,
  });
});

test('a receiver that hangs holds up neither requests nor reloads nor the end', { timeout: 30_000 }, async () => {
  const told = await receiver();
  told.answers.push(...Array.from({ length: 100 }, () => 'hang' as const));
  const origin = await tools.startOrigin((_, response) => void response.end('served'));
  const gateway = await startGatewayOf(tools, fileTo(origin.port, { more: section(told) }));
  gateway.tell({ event: 'reload_failed', subject: 'configuration', message: 'on purpose' });
  await told.has(1);
  expect(await (await fetch(`http://127.0.0.1:${gateway.port()}/`)).text()).toBe('served');
  // Another file names nobody: the message is given up.
  await gateway.change(fileTo(origin.port));
  await until('the end of the message', () => told.open === 0);
  await gateway.change(fileTo(origin.port, { more: section(told) }));
  gateway.tell({ event: 'reload_failed', subject: 'configuration', message: 'again' });
  await told.has(2);
  await gateway.close();
  await until('the end of the message', () => told.open === 0);
});

test.each([
  [
    'url = "https://x/?key=canary"\nevents = ["agent_lots"]',
    'notifications.ops.events "agent_lots" is not one of the choices; did you mean agent_lost?',
  ],
  ['url = "canary"', 'notifications.ops.url is no address; write it as https://alerts.example.com/windlass'],
  ['format = "json"', 'notifications.ops needs url; such as url = "https://alerts.example.com/windlass"'],
  ['url = "https://x/?key=canary"\nformat = "wecom"\nsecret = "canary"', 'notifications.ops.secret is of no use with format = "wecom"'],
  ['url = "https://x/?key=canary"\nqueue_treshold = 7', 'notifications.ops.queue_treshold is no setting; did you mean queue_threshold?'],
])('what is wrong with a receiver is told with its place, and without its secrets: %j', async (text, said) => {
  const file = join(tools.folder(), 'windlass.toml');
  writeFileSync(file, fileTo(1, { more: `[notifications.ops]\n${text}\n` }));
  const error: unknown = await loadGateway(file, {}).catch((problem: unknown) => problem);
  expect((error as Error).message).toContain(said);
  expect((error as Error).message).toMatch(/windlass\.toml:\d+:\d+ /);
  expect((error as Error).message).not.toContain('canary');
});
