import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { fakeWorld, type FakeWorld } from '../../test/config/world.ts';
import type { CommonSettings } from '../config/settings.ts';
import { logFor, runUntilSignal, startProblem, type Running } from './start.ts';

const settings: CommonSettings = { logLevel: 'info', logFormat: 'json', adminAddr: { host: '127.0.0.1', port: 9080 }, drainTimeoutMs: 1000 };

/** Something that runs; close() ends when told. */
function fakeRunning(): Running & { events: string[]; closed: () => void; closing: Promise<void> } {
  const events: string[] = [];
  let closed = (): void => {};
  let begun = (): void => {};
  const closing = new Promise<void>((resolve) => (begun = resolve));
  return {
    events,
    closing,
    closed: () => closed(),
    close: () => {
      events.push('close');
      begun();
      return new Promise((resolve) => (closed = resolve));
    },
    destroy: () => void events.push('destroy'),
  };
}

function running(world: FakeWorld, start: () => Promise<Running>): Promise<number> {
  return runUntilSignal(start, settings, logFor(settings, world), world);
}

test.each(['SIGTERM', 'SIGINT'] as const)('the first %s finishes what runs, then the exit code is 0', async (signal) => {
  const world = fakeWorld();
  const hub = fakeRunning();
  const code = running(world, async () => hub);
  world.signal(signal);
  await hub.closing;
  expect(hub.events).toEqual(['close']);
  hub.closed();
  expect(await code).toBe(0);
  expect(world.exits).toEqual([]);
  expect(world.listening()).toBe(0);
});

test('a second signal ends it now with exit code 1', async () => {
  const world = fakeWorld();
  const hub = fakeRunning();
  const code = running(world, async () => hub);
  world.signal('SIGTERM');
  await hub.closing;
  world.signal('SIGTERM');
  expect(hub.events).toEqual(['close', 'destroy']);
  expect(world.exits).toEqual([1]);
  hub.closed();
  await code;
});

test('a signal that comes during the start is obeyed after it', async () => {
  const world = fakeWorld();
  const hub = fakeRunning();
  let started = (): void => {};
  const code = running(world, () => new Promise((resolve) => (started = () => resolve(hub))));
  world.signal('SIGTERM');
  started();
  await hub.closing;
  hub.closed();
  expect(await code).toBe(0);
});

test('a port in use is one line with the fix and exit code 1', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as { port: number };
  const world = fakeWorld();
  const code = await running(
    world,
    () =>
      new Promise((_, reject) => {
        createServer().once('error', reject).listen(port, '127.0.0.1');
      }),
  );
  taken.close();
  expect(code).toBe(1);
  expect(world.err().trimEnd().split('\n')).toHaveLength(1);
  expect(world.err()).toContain(
    `127.0.0.1:${port} is in use by another program; stop it (ss -ltnp 'sport = :${port}' names it) or choose another port`,
  );
  expect(world.listening()).toBe(0);
});

test.each([
  [
    { code: 'EACCES', syscall: 'listen', address: '0.0.0.0', port: 80 },
    /^0\.0\.0\.0:80 needs a privilege; choose a port from 1024 on, or give it once: sudo setcap /,
  ],
  [
    { code: 'EADDRINUSE', syscall: 'listen', address: '127.0.0.1', port: 9080 },
    /choose another with --admin-addr or, in a file, admin_addr; off is none$/,
  ],
  [{ code: 'EADDRNOTAVAIL', syscall: 'listen', address: '10.9.9.9', port: 1 }, /^10\.9\.9\.9:1 is no address of this machine; listen on 0\.0\.0\.0/],
  [{ code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: 'nowhere.invalid' }, /^the name nowhere\.invalid is not known/],
  [
    { code: 'ENOENT', syscall: 'open', path: '/ca.pem' },
    /^\/ca\.pem cannot be opened: it or its folder does not exist; make it, or correct the path$/,
  ],
  [{ code: 'EACCES', syscall: 'open', path: '/log' }, /^\/log may not be opened by this user/],
  [{ code: 'EISDIR', syscall: 'open', path: '/log' }, /^\/log cannot be used \(EISDIR at open\)$/],
])('what the machine has against a start is said with the fix: %j', (error, line) => {
  expect(startProblem(Object.assign(new Error('x'), error), settings.adminAddr)).toMatch(line);
});

test('a defect of ours is not passed off as a problem of the machine', async () => {
  const world = fakeWorld();
  await expect(running(world, () => Promise.reject(new TypeError('undefined is not a function')))).rejects.toThrow(TypeError);
  expect(world.listening()).toBe(0);
});

test('SIGHUP reloads what runs and never ends it', async () => {
  const world = fakeWorld();
  const hub = fakeRunning();
  const code = running(world, async () => ({ ...hub, reload: () => void hub.events.push('reload') }));
  await Promise.resolve();
  world.signal('SIGHUP');
  await new Promise((resolve) => setImmediate(resolve));
  world.signal('SIGHUP');
  expect(hub.events).toContain('reload');
  world.signal('SIGTERM');
  await hub.closing;
  hub.closed();
  expect(await code).toBe(0);
});

test('[threat 80] an error that nobody caught is logged and leaves the process up', async () => {
  const world = fakeWorld();
  const hub = fakeRunning();
  const code = running(world, async () => hub);
  world.crash(new Error('a defect'));
  expect(world.err()).toContain('a defect');
  expect(hub.events).toEqual([]);
  world.signal('SIGTERM');
  await hub.closing;
  hub.closed();
  expect(await code).toBe(0);
});

test('[threat 80] ten such errors within a minute drain the process and end it with exit code 1', async () => {
  const world = fakeWorld();
  const hub = fakeRunning();
  const code = running(world, async () => hub);
  for (let i = 0; i < 10; i++) world.crash(new Error(`defect ${i}`));
  await hub.closing;
  hub.closed();
  expect(await code).toBe(1);
});
