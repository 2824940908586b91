import { readFileSync } from 'node:fs';
import net from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { Heard, MemoryLog, requestHead, until } from '../../test/kit/tunnel.ts';
import { HeldTime, upstreamSettings } from '../../test/kit/upstream.ts';
import { Registry } from '../observe/metrics.ts';
import { parseHealthCheck } from '../schema/health-check.ts';
import { Notes } from '../http/exchange.ts';
import { httpLimits } from '../http/limits.ts';
import { countUpstreams } from './count.ts';
import type { Direct } from './direct.ts';
import type { Group } from './group.ts';
import { HealthChecks } from './health/checks.ts';
import type { Answer, ResolveSettings } from './resolve.ts';
import type { UpstreamSettings } from './section.ts';
import { Upstreams, type UpstreamsOptions } from './upstreams.ts';

const HEAD = requestHead('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
const CA = readFileSync(new URL('../../test/fixtures/ca.pem', import.meta.url), 'latin1');

const close: (() => void)[] = [];
afterEach(() => {
  while (close.length > 0) close.pop()!();
});

/** Upstreams whose names lead where the test says. */
function upstreams(given: Partial<UpstreamsOptions> = {}) {
  const time = new HeldTime();
  const log = new MemoryLog();
  const zone = new Map<string, readonly string[]>();
  const asked: { name: string; settings: ResolveSettings }[] = [];
  const all = new Upstreams({
    loop: time.loop,
    log,
    limits: httpLimits,
    health: null,
    random: () => 0,
    resolver:
      (settings) =>
      async (name): Promise<Answer> => {
        asked.push({ name, settings });
        const ips = zone.get(name);
        if (ips === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
        return { ips, ttlMs: 60_000 };
      },
    ...given,
  });
  close.push(() => all.close());
  return { all, time, log, zone, asked };
}

async function configure(all: Upstreams, ...settings: readonly UpstreamSettings[]): Promise<readonly Group[]> {
  const plan = all.plan();
  const groups = settings.map((one) => plan.add(one));
  await plan.ready();
  plan.apply();
  return groups;
}

const idsOf = (group: Group) => [...group.members.keys()];
const turn = () => new Promise<void>((next) => setImmediate(next));

async function ask(group: Group): Promise<Heard> {
  const heard = new Heard();
  const sink = group.pick(HEAD)!.endpoint.open(HEAD, heard, new Notes(0));
  sink.end();
  await until(() => heard.settledCount === 1, 'an answer');
  return heard;
}

/** An origin that says on which connection a request came. */
async function origin(): Promise<{ port: number; connections: () => number }> {
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', () => socket.write('HTTP/1.1 204 No Content\r\n\r\n'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  close.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (server.address() as net.AddressInfo).port, connections: () => sockets.length };
}

describe('addresses', () => {
  test('get port 80, or 443 with TLS, unless they have one', async () => {
    const { all } = upstreams();
    const addrs = ['10.0.0.1', '10.0.0.2:8080', '[fd00::1]'];
    const [plain, secure] = await configure(all, upstreamSettings({ name: 'a', addrs }), upstreamSettings({ name: 'b', addrs, sni: 'x.test' }));
    expect(idsOf(plain!)).toEqual(['10.0.0.1:80', '10.0.0.2:8080', '[fd00::1]:80']);
    expect(idsOf(secure!)).toEqual(['10.0.0.1:443', '10.0.0.2:8080', '[fd00::1]:443']);
  });

  test('all addresses of a name are members, with what its entry says', async () => {
    const { all, zone } = upstreams();
    zone.set('api.test', ['10.0.0.2', '10.0.0.1']);
    const [group] = await configure(all, upstreamSettings({ addrs: ['api.test:8080 7', '10.0.0.9:80'] }));
    expect([...group!.members.values()].map(({ id, share, at }) => [id, share, at.host])).toEqual([
      ['10.0.0.1:8080', 7, 'api.test'],
      ['10.0.0.2:8080', 7, 'api.test'],
      ['10.0.0.9:80', 1, '10.0.0.9'],
    ]);
  });

  test('a name that leads elsewhere changes the members, and those that stay are the same', async () => {
    const { all, zone, time } = upstreams();
    zone.set('api.test', ['10.0.0.1', '10.0.0.2']);
    const [group] = await configure(all, upstreamSettings({ addrs: ['api.test'] }));
    const stays = group!.members.get('10.0.0.2:80');
    zone.set('api.test', ['10.0.0.2', '10.0.0.3']);
    time.pass(60_000);
    await turn();
    expect(idsOf(group!).toSorted()).toEqual(['10.0.0.2:80', '10.0.0.3:80']);
    expect(group!.members.get('10.0.0.2:80')).toBe(stays);
  });

  test('nobody starts slowly when a program starts, names or not', async () => {
    const { all, zone } = upstreams();
    zone.set('api.test', ['10.0.0.2', '10.0.0.3']);
    const [group] = await configure(all, upstreamSettings({ addrs: ['10.0.0.1', 'api.test'], slowStart: 60_000 }));
    expect([...group!.members.values()].map(({ share }) => share)).toEqual([1, 1, 1]);
  });

  test('a name that cannot be looked up leaves the others, and comes in when it can [fault 18]', async () => {
    const { all, zone, time, log } = upstreams();
    const [group, other] = await configure(
      all,
      upstreamSettings({ addrs: ['gone.test'] }),
      upstreamSettings({ name: 'other', addrs: ['gone.test', '10.0.0.1'] }),
    );
    expect(group!.pick(HEAD)).toBeNull();
    expect(group!.lacking()).toMatchObject({ code: 'name_not_found', status: 502 });
    expect(other!.pick(HEAD)!.endpoint.id).toBe('10.0.0.1:80');
    expect(log.lines[0]).toMatchObject({ level: 'warn', fields: { name: 'gone.test', code: 'ENOTFOUND' } });
    zone.set('gone.test', ['10.0.0.7']);
    time.pass(5_000);
    await turn();
    expect(group!.pick(HEAD)!.endpoint.id).toBe('10.0.0.7:80');
  });

  test('a name that leads to the metadata of a cloud, or to nobody, is not followed there', async () => {
    const { all, zone, log } = upstreams();
    zone.set('evil.test', ['169.254.169.254', '::ffff:169.254.169.254', '0.0.0.0', 'fe80::1', '224.0.0.1', '10.0.0.1']);
    const [group] = await configure(all, upstreamSettings({ addrs: ['evil.test'] }));
    expect(idsOf(group!)).toEqual(['10.0.0.1:80']);
    expect(log.lines.filter(({ message }) => message.includes('is not used')).length).toBe(5);
  });

  test('names are looked up as the upstream says', async () => {
    const { all, asked, zone, time } = upstreams();
    zone.set('db', ['10.0.0.1']);
    const given = { addrs: ['db'], dnsServer: ['10.9.9.9'], dnsDomain: 'a.internal', dnsSearch: ['b.internal'], ipv4Only: true };
    await configure(all, upstreamSettings({ ...given, discovery: 'static' }));
    expect(asked).toEqual([
      {
        name: 'db',
        settings: { servers: ['10.9.9.9'], search: ['a.internal', 'b.internal'], ipv4Only: true },
      },
    ]);
    time.pass(3_600_000);
    expect(asked.length).toBe(1);
  });

  test('a lookup that hangs holds up a configuration for a bounded time only', async () => {
    const { all } = upstreams({ resolver: () => () => new Promise(() => {}) });
    const plan = all.plan();
    const group = plan.add(upstreamSettings({ addrs: ['slow.test', '10.0.0.1'] }));
    await plan.ready(10);
    plan.apply();
    expect(group.pick(HEAD)!.endpoint.id).toBe('10.0.0.1:80');
  });
});

describe('a new configuration', () => {
  test('keeps groups, members, connections, breaker and numbers of what stays [fault 13]', async () => {
    const { all } = upstreams();
    const { port, connections } = await origin();
    const given = { addrs: [`127.0.0.1:${port}`], circuitBreakMaxConsecutiveFailures: 3 };
    const [before] = await configure(all, upstreamSettings(given));
    expect((await ask(before!)).status).toBe(204);
    const member = [...before!.members.values()][0]!;
    member.candidate.watch!.began();
    const [after] = await configure(all, upstreamSettings({ ...given, addrs: [`127.0.0.1:${port} 5`, '10.0.0.9:80 1'], algo: 'least_conn' }));
    expect(after).toBe(before);
    expect(after!.members.get(member.id)).toBe(member);
    expect([member.share, member.inFlight, member.requests]).toEqual([5, 1, 1]);
    member.candidate.watch!.ended(null);
    const heard = new Heard();
    const sink = member.endpoint.open(HEAD, heard, new Notes(0));
    sink.end();
    await until(() => heard.settledCount === 1, 'an answer');
    expect(connections()).toBe(1);
  });

  test('other time limits keep the connections, another way of TLS does not', async () => {
    const { all } = upstreams();
    const [group] = await configure(all, upstreamSettings({ addrs: ['10.0.0.1'], sni: 'a.test' }));
    const member = group!.members.get('10.0.0.1:443')!;
    const first = member.endpoint;
    await configure(all, upstreamSettings({ addrs: ['10.0.0.1'], sni: 'a.test', readTimeout: 1_000, keepalivePoolSize: 3 }));
    expect(member.endpoint).toBe(first);
    await configure(all, upstreamSettings({ addrs: ['10.0.0.1'], sni: 'a.test', tlsCa: { path: null, text: CA } }));
    const second = member.endpoint;
    expect(second).not.toBe(first);
    await configure(all, upstreamSettings({ addrs: ['10.0.0.1'], sni: 'a.test', tlsCa: { path: 'elsewhere', text: CA } }));
    expect(member.endpoint).toBe(second);
    await configure(all, upstreamSettings({ addrs: ['10.0.0.1'], sni: 'b.test', tlsCa: { path: null, text: CA } }));
    expect(member.endpoint).not.toBe(second);
    expect(group!.members.get('10.0.0.1:443')).toBe(member);
  });

  test('changes nothing before it is applied, and nothing at all when it is discarded [fault 14]', async () => {
    const { all, zone, asked, time } = upstreams();
    zone.set('api.test', ['10.0.0.1']);
    const [group] = await configure(all, upstreamSettings({ addrs: ['api.test'] }));
    const plan = all.plan();
    expect(plan.add(upstreamSettings({ addrs: ['10.0.0.5'] }))).toBe(group);
    const other = plan.add(upstreamSettings({ name: 'other', addrs: ['other.test'] }));
    await plan.ready();
    expect(idsOf(group!)).toEqual(['10.0.0.1:80']);
    plan.discard();
    expect(all.groups).toEqual([group]);
    expect(idsOf(other)).toEqual([]);
    asked.length = 0;
    time.pass(60_000);
    await turn();
    expect(asked.map(({ name }) => name)).toEqual(['api.test']);
  });

  test('closes what is in it no more, after the requests that run there', async () => {
    const { all, time, zone, asked } = upstreams();
    const { port } = await origin();
    zone.set('api.test', ['127.0.0.1']);
    const [group] = await configure(all, upstreamSettings({ addrs: [`api.test:${port}`] }));
    await ask(group!);
    const direct = [...group!.members.values()][0]!.endpoint as Direct;
    expect(direct.idleConnections).toBe(1);
    await configure(all);
    expect([direct.connections, all.groups.length]).toEqual([0, 0]);
    asked.length = 0;
    time.pass(600_000);
    expect(asked).toEqual([]);
    expect(time.loop.sweeper.size).toBe(0);
  });

  test('of hundreds of changed upstreams holds up the loop for moments only, and ends before the next one begins', async () => {
    const { all, time } = upstreams();
    const many = (readTimeout: number) =>
      Array.from({ length: 300 }, (_, i) => upstreamSettings({ name: `u${i}`, addrs: ['10.0.0.1'], readTimeout }));
    const groups = await configure(all, ...many(1_000));
    // Each look at the clock finds that a slice is over.
    time.clock.now = () => (time.clock.ms += 10);
    await configure(all, ...many(2_000));
    const changed = () => groups.filter(({ settings }) => settings.readTimeout === 2_000).length;
    expect(changed()).toBeLessThan(10);
    await turn();
    await turn();
    expect(changed()).toBeLessThan(20);
    const plan = all.plan();
    expect(changed()).toBe(300);
    plan.discard();
  });

  test('looks no name up again that it knows already', async () => {
    const { all, zone, asked } = upstreams();
    zone.set('api.test', ['10.0.0.1']);
    await configure(all, upstreamSettings({ addrs: ['api.test:80'] }));
    const [group] = await configure(all, upstreamSettings({ addrs: ['api.test:81'] }));
    expect(asked.length).toBe(1);
    expect(idsOf(group!)).toEqual(['10.0.0.1:81']);
  });

  test('says once that certificates are not verified', async () => {
    const { all, log } = upstreams();
    const settings = upstreamSettings({ addrs: ['10.0.0.1'], sni: 'a.test', verifyCert: false });
    await configure(all, settings);
    await configure(all, { ...settings, readTimeout: 1 });
    expect(log.lines.filter(({ message }) => message.includes('verify_cert')).length).toBe(1);
  });
});

describe('health checks', () => {
  const watched = () => {
    const begun: string[] = [];
    const ended: string[] = [];
    const verdicts = new Map<string, (ok: boolean) => void>();
    const log = new MemoryLog();
    const time = new HeldTime();
    const health = new HealthChecks({
      log,
      metrics: new Registry(),
      clock: time.clock,
      random: () => 0,
      alarm: (ms, run) => {
        const timer = setTimeout(run, Math.min(ms, 1));
        return () => clearTimeout(timer);
      },
      probeOf: ({ address, check, tls }) => {
        const id = `${address.host}:${address.port} ${check.scheme} ${tls.verify}`;
        begun.push(id);
        return {
          start: (done) => verdicts.set(id, (ok) => done({ ok, reason: 'the test says so' })),
          close: () => ended.push(id),
        };
      },
    });
    close.push(() => health.close());
    return { health, begun, ended, verdicts };
  };

  test('each member is probed, the ill ones get nothing, and who leaves is probed no more', async () => {
    const { health, begun, ended, verdicts } = watched();
    const { all } = upstreams({ health });
    const check = { healthCheck: parseHealthCheck('tcp://x?failure=1') };
    const [group] = await configure(all, upstreamSettings({ addrs: ['10.0.0.1', '10.0.0.2'], ...check }));
    expect(begun).toEqual(['10.0.0.1:80 tcp true', '10.0.0.2:80 tcp true']);
    await until(() => verdicts.has(begun[0]!), 'a probe');
    verdicts.get(begun[0]!)!(false);
    expect([...group!.members.values()].map(({ usable }) => usable)).toEqual([false, true]);
    await configure(all, upstreamSettings({ addrs: ['10.0.0.1'], ...check }));
    expect(ended).toEqual(['10.0.0.2:80 tcp true']);
    expect(group!.pick(HEAD)).toBeNull();
  });

  test('another check begins with the next configuration, and off ends it: who was ill is not', async () => {
    const { health, begun, ended, verdicts } = watched();
    const { all } = upstreams({ health });
    const settings = upstreamSettings({ addrs: ['10.0.0.1'], healthCheck: parseHealthCheck('tcp://x?failure=1') });
    const [group] = await configure(all, settings);
    await until(() => verdicts.has(begun[0]!), 'a probe');
    verdicts.get(begun[0]!)!(false);
    expect(group!.pick(HEAD)).toBeNull();
    await configure(all, { ...settings, healthCheck: parseHealthCheck('http://x/health') });
    expect(begun.at(-1)).toBe('10.0.0.1:80 http true');
    expect(ended).toEqual([begun[0]]);
    await configure(all, { ...settings, healthCheck: null });
    expect(ended.length).toBe(2);
    expect(group!.pick(HEAD)).not.toBeNull();
  });
});

test('the numbers of each endpoint stand in the metrics', async () => {
  const { all } = upstreams();
  const { port } = await origin();
  const registry = new Registry();
  countUpstreams(registry, all);
  const [group] = await configure(all, upstreamSettings({ name: 'api', addrs: [`127.0.0.1:${port}`], circuitBreakMaxConsecutiveFailures: 1 }));
  await ask(group!);
  await ask(group!);
  const { watch } = group!.pick(HEAD)!;
  watch!.began();
  watch!.answered(500);
  const labels = `{upstream="api",endpoint="127.0.0.1:${port}"}`;
  const text = registry.render();
  for (const line of [
    `windlass_upstream_endpoint_up${labels} 0`,
    `windlass_upstream_requests_total${labels} 1`,
    `windlass_upstream_failures_total${labels} 1`,
    `windlass_upstream_in_flight${labels} 1`,
    `windlass_upstream_breaker_state${labels} 2`,
    `windlass_upstream_breaker_opened_total${labels} 1`,
    `windlass_upstream_connects_total${labels} 1`,
    `windlass_upstream_reuses_total${labels} 1`,
  ])
    expect(text).toContain(`${line}\n`);
});
