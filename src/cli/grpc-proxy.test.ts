import net from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { fakeWorld } from '../../test/config/world.ts';
import { soon, until } from '../../test/kit/until.ts';
import { lacksIpv6 } from './grpc-proxy.ts';
import { run } from './run.ts';

const open = new Set<net.Server>();

afterEach(() => {
  vi.restoreAllMocks();
  for (const server of open) server.close();
  open.clear();
});

/** Takes connections, and closes them. */
async function listening(port = 0): Promise<number> {
  const server = net.createServer((socket) => socket.destroy());
  open.add(server);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return (server.address() as net.AddressInfo).port;
}

/** It listens no more. */
async function closed(): Promise<void> {
  await Promise.all([...open].map((server) => new Promise((resolve) => server.close(resolve))));
  open.clear();
}

function fileOf(...servers: readonly object[]): string {
  return JSON.stringify({ heartbeatInterval: 0.1, heartbeatTimeout: 1, servers });
}

function runs(argv: readonly string[], files: Record<string, string>, env: Record<string, string> = {}) {
  const world = fakeWorld({ PROXY_SERVER_PORT: '0', ...env }, files);
  const code = run(['grpc-proxy', ...argv], world);
  return {
    world,
    listens: () => until('it listens', () => /"address":"(\[::\]|0\.0\.0\.0):(\d+)"/.exec(world.err())?.[2]),
    said: (line: RegExp) => until(String(line), () => line.exec(world.out() + world.err())?.[0]),
    stop: async (): Promise<number> => {
      world.signal('SIGTERM');
      return soon('the end', code);
    },
  };
}

test('each server is printed after every heartbeat: one that dies is down, and up again by itself when it is back', async () => {
  const port = await listening();
  const proxy = runs(['-d', 'p.json'], { 'p.json': fileOf({ name: 'tts@one', address: '127.0.0.1', port, load: 0.5 }) });
  await proxy.said(
    new RegExp(`^\\S+Z heartbeat tts@one 127\\.0\\.0\\.1:${port}: up, priority 0, load 0\\.5, 0 calls, takes connections after \\d+ ms$`, 'm'),
  );
  await closed();
  await proxy.said(/heartbeat tts@one \S+: down, .*$/m);
  const before = proxy.world.out().length;
  await listening(port);
  await until('it is up again', () => /: up, /.test(proxy.world.out().slice(before)));
  expect(await proxy.stop()).toBe(0);
});

test('without -d nothing is printed; clients are served on addresses of both kinds', async () => {
  const port = await listening();
  const proxy = runs(['p.json'], { 'p.json': fileOf({ address: '127.0.0.1', port }) });
  const at = Number(await proxy.listens());
  for (const host of ['127.0.0.1', ...(proxy.world.err().includes('[::]') ? ['::1'] : [])]) {
    const socket = net.connect(at, host);
    await soon(`a connection to ${host}`, new Promise((resolve) => socket.once('connect', resolve)));
    socket.destroy();
  }
  expect(await proxy.stop()).toBe(0);
  expect(proxy.world.out()).toBe('');
});

test('SIGHUP reads the file anew: what is wrong changes nothing and is told, what is right serves', async () => {
  const port = await listening();
  const files = { 'p.json': fileOf({ name: 'first', address: '127.0.0.1', port }) };
  const proxy = runs(['p.json', '--debug'], files);
  await proxy.said(/heartbeat first /);
  files['p.json'] = '{ "servers": [] }';
  proxy.world.signal('SIGHUP');
  await proxy.said(/servers is empty; name at least one server/);
  await proxy.said(/the old one serves on/);
  files['p.json'] = fileOf({ name: 'second', address: '127.0.0.1', port });
  proxy.world.signal('SIGHUP');
  await proxy.said(/heartbeat second /);
  expect(await proxy.stop()).toBe(0);
});

test.each<[string, readonly string[], Record<string, string>, string]>([
  ['behind the command', ['a.json'], { PROXY_SERVER_CONFIG: 'b.json' }, 'a.json'],
  ['in the environment', [], { PROXY_SERVER_CONFIG: 'b.json' }, 'b.json'],
  ['nowhere', [], {}, 'config/proxy_config.json'],
])('the file that is named %s is read', async (_, argv, env, file) => {
  const world = fakeWorld(env);
  expect(await run(['grpc-proxy', ...argv], world)).toBe(2);
  expect(world.err()).toBe(`windlass: ${file} does not exist; name the JSON file behind the command, or in PROXY_SERVER_CONFIG\n`);
});

test('all that is wrong with the file is told, one line each, and nothing starts', async () => {
  const world = fakeWorld({}, { 'p.json': '{"heartbeatInterval":10,"heartbeatTimout":5,"servers":[{"address":"a"}]}' });
  expect(await run(['grpc-proxy', 'p.json'], world)).toBe(2);
  expect(world.err().split('\n')).toEqual([
    'windlass: p.json needs heartbeatTimeout; write "heartbeatTimeout": 5 (seconds)',
    'windlass: p.json:1:25 heartbeatTimout is no setting; did you mean heartbeatTimeout? (a comment begins with _)',
    'windlass: p.json:1:56 servers[0] needs port; write "port": 50051',
    '',
  ]);
  expect(world.listening()).toBe(0);
});

test('a wrong port in the environment is one line with its name', async () => {
  const world = fakeWorld({ PROXY_SERVER_PORT: 'http' });
  expect(await run(['grpc-proxy'], world)).toBe(2);
  expect(world.err()).toBe('windlass: environment PROXY_SERVER_PORT "http" is no port; give a number from 1 to 65535 (0 = any free one)\n');
});

test('-d is for the commands that have it', async () => {
  const world = fakeWorld();
  expect(await run(['proxy', '-d'], world)).toBe(2);
  expect(world.err()).toBe('windlass: proxy: no flag -d; see windlass proxy --help\n');
});

test('a machine without IPv6 is listened on by IPv4', async () => {
  const listen: unknown = Reflect.get(net.Server.prototype, 'listen');
  vi.spyOn(net.Server.prototype, 'listen').mockImplementation(function (this: net.Server, ...args: unknown[]): net.Server {
    if (!JSON.stringify(args).includes('"::"')) return Reflect.apply(listen as (...given: unknown[]) => net.Server, this, args);
    process.nextTick(() => this.emit('error', Object.assign(new Error('no IPv6'), { code: 'EAFNOSUPPORT', syscall: 'listen', address: '::' })));
    return this;
  });
  const proxy = runs(['p.json'], { 'p.json': fileOf({ address: '127.0.0.1', port: await listening() }) });
  const at = Number(await proxy.listens());
  expect(proxy.world.err()).toContain(`"address":"0.0.0.0:${at}"`);
  const socket = net.connect(at, '127.0.0.1');
  await soon('a connection', new Promise((resolve) => socket.once('connect', resolve)));
  socket.destroy();
  expect(await proxy.stop()).toBe(0);
});

test('only a machine that has no IPv6 is listened on by IPv4 alone', () => {
  const failed = (code: string, address = '::', syscall = 'listen'): Error => Object.assign(new Error(code), { code, address, syscall });
  expect(lacksIpv6(failed('EAFNOSUPPORT'))).toBe(true);
  expect(lacksIpv6(failed('EADDRNOTAVAIL'))).toBe(true);
  expect(lacksIpv6(failed('EADDRINUSE'))).toBe(false);
  expect(lacksIpv6(failed('EADDRNOTAVAIL', '127.0.0.9'))).toBe(false);
  expect(lacksIpv6(new Error('other'))).toBe(false);
});

test('import pi prints the file as TOML, for the port of the environment', async () => {
  const world = fakeWorld({ PROXY_SERVER_PORT: '50060' }, { 'p.json': fileOf({ name: 'tts@one', address: 'one', port: 50_051, priority: 2 }) });
  expect(await run(['import', 'pi', 'p.json'], world)).toBe(0);
  expect(world.out()).toContain('addr = "[::]:50060"\n');
  expect(world.out()).toContain('  { addr = "one:50051", priority = 2, load = 0.0 }, # tts@one\n');
  expect(world.err()).toBe('');
});
