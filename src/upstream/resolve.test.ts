import { afterEach, expect, test } from 'vitest';
import { NameServer } from '../../test/kit/name-server.ts';
import { resolveLimits } from './limits.ts';
import { type Answer, Lookups, resolver } from './resolve.ts';

const close: (() => void)[] = [];
afterEach(() => {
  while (close.length > 0) close.pop()!();
});

async function nameServer(): Promise<NameServer> {
  const server = await NameServer.start();
  close.push(() => server.close());
  return server;
}

test('all addresses of a name are found, of both families, with the shortest time that they hold', async () => {
  const server = await nameServer();
  server.zone.set('api.example.com', { a: ['10.0.0.1', '10.0.0.2'], aaaa: ['fd00::1'], ttlS: 42 });
  const resolve = resolver({ servers: [server.address], search: [], ipv4Only: false });
  expect(await resolve('api.example.com')).toEqual({ ips: ['10.0.0.1', '10.0.0.2', 'fd00::1'], ttlMs: 42_000 });
});

test('ipv4_only asks for nothing else', async () => {
  const server = await nameServer();
  server.zone.set('api.example.com', { a: ['10.0.0.1'], aaaa: ['fd00::1'] });
  const resolve = resolver({ servers: [server.address], search: [], ipv4Only: true });
  expect((await resolve('api.example.com')).ips).toEqual(['10.0.0.1']);
  expect(server.asked).toEqual(['api.example.com A']);
});

test('a name with addresses of one family only is no failure', async () => {
  const server = await nameServer();
  server.zone.set('six.example.com', { aaaa: ['fd00::1'] });
  const resolve = resolver({ servers: [server.address], search: [], ipv4Only: false });
  expect((await resolve('six.example.com')).ips).toEqual(['fd00::1']);
});

test('names without a dot are looked for in the search domains, in order, and then as they are', async () => {
  const server = await nameServer();
  server.zone.set('db.two.internal', { a: ['10.0.0.2'] });
  const resolve = resolver({ servers: [server.address], search: ['one.internal', 'two.internal'], ipv4Only: true });
  expect((await resolve('db')).ips).toEqual(['10.0.0.2']);
  expect(server.asked).toEqual(['db.one.internal A', 'db.two.internal A']);
  server.zone.set('bare', { a: ['10.0.0.3'] });
  expect((await resolve('bare')).ips).toEqual(['10.0.0.3']);
});

test('with name servers of its own nothing else is asked: what they do not know is not found', async () => {
  const server = await nameServer();
  const resolve = resolver({ servers: [server.address], search: [], ipv4Only: true });
  await expect(resolve('localhost')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  server.zone.set('broken.example.com', 'servfail');
  await expect(resolve('broken.example.com')).rejects.toMatchObject({ code: 'ESERVFAIL' });
});

test('localhost is found without any name server', async () => {
  const { ips, ttlMs } = await resolver({ servers: [], search: [], ipv4Only: true })('localhost');
  expect(ips).toContain('127.0.0.1');
  expect(ttlMs).toBeNull();
});

test('no more lookups run at once than may, and all of them in the end', async () => {
  const answer: Answer = { ips: ['10.0.0.1'], ttlMs: null };
  let running = 0;
  let most = 0;
  const resolve = new Lookups().inTurn(async (name) => {
    most = Math.max(most, ++running);
    await new Promise((next) => setImmediate(next));
    running--;
    if (name === '7') throw new Error('no');
    return answer;
  });
  const results = await Promise.allSettled(Array.from({ length: 100 }, (_, i) => resolve(String(i))));
  expect(most).toBe(resolveLimits.atOnce);
  expect(results.filter(({ status }) => status === 'fulfilled').length).toBe(99);
  expect(running).toBe(0);
});
