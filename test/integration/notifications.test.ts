import { generateKeyPairSync } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeCertificate } from '../../src/certs/certificate.ts';
import { loadGateway } from '../../src/config/gateway.ts';
import type { NotificationSettings } from '../../src/config/sections/notification.ts';
import { parseHubUrl } from '../../src/schema/upstream-url.ts';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { kit, metricBecomes, portOf, SECRET } from '../kit/kit.ts';
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

test('hub run tells of its agents and of its certificate, signed, with address and secret from files', { timeout: 60_000 }, async () => {
  const told = await receiver();
  const folder = tools.folder();
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const dated = (days: number): string =>
    makeCertificate({
      names: ['127.0.0.1'],
      isAuthority: false,
      key,
      notBeforeMs: Date.now() - 60_000,
      notAfterMs: Date.now() + days * 86_400_000,
      issuer: null,
    });
  const cert = file('cert.pem', dated(5));
  // prettier-ignore
  const running = program.run(['hub', 'run', '--secret-file', file('secret', SECRET), '--hub-id', 'hub-7', '--host', '127.0.0.1', '--port', '0', '--admin-addr', '127.0.0.1:0',
    '--tls-cert', cert, '--tls-key', file('key.pem', key.export({ type: 'pkcs8', format: 'pem' }) as string), '--state-dir', join(folder, 'state'),
    '--notify-file', file('address', `${told.url}\n`), '--notify-secret-file', file('notify', 'canary-secret\n'), '--log-format', 'json']);
  const port = await until('its port', () => /https:\/\/127\.0\.0\.1:(\d+)/.exec(running.err)?.[1]);
  const has = (event: string): boolean => told.notices.some((notice) => notice.event === event);
  await until('word of the certificate', () => has('certificate_expiring'), 20_000);
  expect(told.notices).toMatchObject([
    { level: 'warning', subject: '--tls-cert', message: expect.stringMatching(/^certificate --tls-cert expires on .*, in [45] days$/) },
  ]);

  const origin = await tools.startOrigin((_, response) => void response.end());
  const agent = await tools.startAgentFor({ port: Number(port) }, origin, {
    hubs: [parseHubUrl(`https://127.0.0.1:${port}`)],
    agentId: 'gpu-1',
    caFile: cert,
  });
  await until('the agent', () => has('agent_joined') && has('upstream_up'), 20_000);
  writeFileSync(cert, dated(90));
  await agent.close();
  await until('the new certificate, and the loss', () => ['certificate_renewed', 'agent_lost', 'upstream_down'].every(has), 30_000);
  expect(told.notices.filter(({ event }) => event === 'agent_lost')).toMatchObject([{ level: 'warning', subject: 'gpu-1' }]);
  expect(told.received.every(({ headers }) => /^sha256=[0-9a-f]{64}$/.test(String(headers['windlass-signature'])))).toBe(true);
  expect(told.received[0]!.body).toMatchObject({ name: 'hub-7', version: 1 });
  const admin = await running.port('/metrics');
  expect(await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text()).toMatch(
    /^windlass_notifications_total\{notification="notify",result="sent"\} [3-9]$/m,
  );
  running.child.kill('SIGTERM');
  await until('its end', () => !running.alive, 20_000);
  expect(running.err).not.toContain('canary');
});

test('a queue of hub run that is long is told of, and nothing that was not asked for', { timeout: 40_000 }, async () => {
  const told = await receiver();
  const notification: NotificationSettings = {
    name: 'notify',
    url: new URL(told.url),
    format: 'json',
    secret: null,
    events: new Set(['queue_long']),
    queueThreshold: 2,
    intervalMs: 10,
  };
  const hub = await tools.startHubWith({ notification, blockTimeoutMs: 60_000 });
  const waiting = new AbortController();
  tools.later(() => waiting.abort());
  for (let i = 0; i < 2; i++) fetch(`http://127.0.0.1:${portOf(hub)}/`, { headers: { 'Slime-Block': '1' }, signal: waiting.signal }).catch(() => {});
  await until('the news', () => told.notices.length > 0, 20_000);
  expect(told.notices).toMatchObject([{ event: 'queue_long', subject: 'queue', message: '2 requests wait for a slot: 2 or more for some seconds' }]);
});

test.each([
  [['--notify', 'canary'], '--notify is no address; write it as https://alerts.example.com/windlass'],
  [['--notify', 'https://u:canary@x/'], '--notify has a user in it; leave the user out'],
  [['--notify-secret', 'canary'], '--notify-secret is of no use without --notify: give --notify-file with the address of who is to be told'],
  [['--notify-queue-threshold', '5'], '--notify-queue-threshold is of no use without --notify'],
  [
    ['--notify', 'https://x/?key=canary', '--notify-format', 'wecom', '--notify-secret', 'canary'],
    '--notify-secret is of no use with --notify-format wecom',
  ],
  [['--notify', 'https://x/?key=canary', '--notify-events', 'agent_lots'], 'did you mean agent_lost?'],
  [['--notify', 'https://x/?key=canary', '--notify-events', 'reload_failed'], '"reload_failed" is not one of the choices'],
])('hub run refuses %j with one line and code 2, and shows no secret', async (flags, said) => {
  const running = program.run(['hub', 'run', '--secret', SECRET, '--port', '0', '--admin-addr', 'off', ...flags]);
  await until('its end', () => !running.alive, 20_000);
  expect([running.child.exitCode, running.err.trim().split('\n').length]).toEqual([2, 1]);
  expect(running.err).toContain(said);
  expect(running.err).not.toContain('canary');
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
