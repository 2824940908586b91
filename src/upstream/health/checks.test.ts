import { expect, test } from 'vitest';
import { MovedTime } from '../../../test/kit/moved-time.ts';
import { nullLog, type Log } from '../../observe/log.ts';
import { Registry } from '../../observe/metrics.ts';
import { parseHealthCheck } from '../../schema/health-check.ts';
import { HealthChecks, type HealthTarget } from './checks.ts';
import type { HealthTls, Probe, ProbeOptions, Verdict } from './probe.ts';

const VERIFY: HealthTls = { verify: true };
const CHECK = parseHealthCheck('http://app/ping?check_frequency=10s&failure=1');
const SIDE_BY_SIDE = parseHealthCheck('http://app/ping?check_frequency=10s&parallel');

/** Endpoints by `host:port` that fail. */
class World {
  readonly time = new MovedTime();
  readonly ill = new Set<string>();
  readonly looks: { endpoint: string; atMs: number }[] = [];
  readonly lines: string[] = [];
  readonly metrics = new Registry();
  readonly open = new Set<Probe>();
  readonly made: ProbeOptions[] = [];
  readonly checks: HealthChecks;

  constructor() {
    const say =
      (level: string) =>
      (fields: object, message: string): void => {
        this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
      };
    const log: Log = { ...nullLog, info: say('info'), warn: say('warn'), child: () => log };
    this.checks = new HealthChecks({
      log,
      metrics: this.metrics,
      clock: this.time.clock,
      alarm: this.time.alarm,
      random: () => 0.25,
      probeOf: (options) => this.#probe(options),
    });
  }

  #probe(options: ProbeOptions): Probe {
    const endpoint = `${options.address.host}:${options.address.port}`;
    this.made.push(options);
    const probe: Probe = {
      start: (done: (verdict: Verdict) => void) => {
        this.looks.push({ endpoint, atMs: this.time.clock.now() });
        const ok = !this.ill.has(endpoint);
        this.time.alarm(1, () => done({ ok, reason: ok ? 'answers 200' : 'answers 503' }));
      },
      close: () => void this.open.delete(probe),
    };
    this.open.add(probe);
    return probe;
  }

  looksAt(port: number): number[] {
    return this.looks.filter(({ endpoint }) => endpoint === `10.0.0.1:${port}`).map(({ atMs }) => Math.round(atMs));
  }
}

function target(port: number): HealthTarget & { heard: string[] } {
  const heard: string[] = [];
  return { address: { host: '10.0.0.1', port }, heard, healthy: (is, reason) => heard.push(`${is ? 'well' : 'ill'}: ${reason}`) };
}

test('the probes of an upstream are spread over the interval, and stay so when one more comes', () => {
  const world = new World();
  for (let port = 1; port <= 4; port++) world.checks.watch('app', CHECK, target(port), VERIFY);
  world.time.pass(20_000);
  world.checks.watch('app', CHECK, target(5), VERIFY);
  world.time.pass(20_000);
  const moments = [1, 2, 3, 4, 5].map((port) => world.looksAt(port).at(-1)! % 10_000).toSorted((a, b) => a - b);
  const gaps = moments.map((moment, i) => (moments[(i + 1) % 5]! - moment + 10_000) % 10_000);
  expect(Math.min(...gaps)).toBeGreaterThan(1000);
  for (let port = 1; port <= 5; port++) {
    const grid = world.looksAt(port).slice(1);
    expect(new Set(grid.map((moment) => moment % 10_000)).size).toBe(1);
  }
});

test('with parallel all addresses of an upstream are probed at the same moment', () => {
  const world = new World();
  for (let port = 1; port <= 3; port++) world.checks.watch('app', SIDE_BY_SIDE, target(port), VERIFY);
  world.time.pass(4000);
  world.checks.watch('app', SIDE_BY_SIDE, target(4), VERIFY);
  world.time.pass(20_000);
  expect(world.looksAt(1)).toEqual([500, 2500, 12_500, 22_500]);
  expect(world.looksAt(3)).toEqual(world.looksAt(1));
  expect(world.looksAt(4)).toEqual([4500, 12_500, 22_500]);
});

test('an endpoint that fails is told and logged once, and once again when it is well', () => {
  const world = new World();
  const [one, two] = [target(1), target(2)];
  world.checks.watch('app', CHECK, one, VERIFY);
  world.checks.watch('app', CHECK, two, VERIFY);
  world.time.pass(5000);
  world.ill.add('10.0.0.1:1');
  world.time.pass(100_000);
  world.ill.clear();
  world.time.pass(100_000);
  expect(one.heard).toEqual(['ill: answers 503', 'well: answers 200']);
  expect(two.heard).toEqual([]);
  expect(world.lines).toEqual([
    'warn an endpoint fails its health check: it gets no requests {"upstream":"app","endpoint":"10.0.0.1:1","reason":"answers 503","checks":1,"healthy":1,"of":2}',
    'info an endpoint is well again {"upstream":"app","endpoint":"10.0.0.1:1","reason":"answers 200","checks":1,"healthy":2,"of":2}',
  ]);
});

test('a new configuration that watches the same way takes over state and rhythm; the old one may end', () => {
  const world = new World();
  const old = target(1);
  const before = world.checks.watch('app', CHECK, old, VERIFY);
  world.ill.add('10.0.0.1:1');
  world.time.pass(15_000);
  const looks = world.looksAt(1).length;
  const next = target(1);
  const after = world.checks.watch('app', CHECK, next, VERIFY);
  expect(next.heard).toEqual(['ill: answers 503']);
  expect(after.state).toBe(before.state);
  before.end();
  world.ill.clear();
  world.time.pass(10_000);
  expect(world.looksAt(1).length).toBe(looks + 1);
  expect(next.heard).toEqual(['ill: answers 503', 'well: answers 200']);
  expect(old.heard).toEqual(['ill: answers 503']);
  expect(world.made.length).toBe(1);
});

test('another URL, another address and another upstream are watched apart, and begin as well', () => {
  const world = new World();
  world.ill.add('10.0.0.1:1');
  world.checks.watch('app', CHECK, target(1), VERIFY);
  world.time.pass(15_000);
  const others = [
    world.checks.watch('app', parseHealthCheck('http://app/other'), target(1), VERIFY),
    world.checks.watch('app', CHECK, target(2), VERIFY),
    world.checks.watch('other', CHECK, target(1), VERIFY),
    world.checks.watch('app', CHECK, target(1), { verify: false }),
  ];
  expect(others.map(({ state }) => state.healthy)).toEqual([true, true, true, true]);
  expect(world.made.length).toBe(5);
});

test('the same endpoint with other certificates is probed with those, and keeps its state', () => {
  const world = new World();
  const first = world.checks.watch('app', CHECK, target(1), VERIFY);
  world.ill.add('10.0.0.1:1');
  world.time.pass(15_000);
  const context = { context: {} };
  const second = world.checks.watch('app', CHECK, target(1), { verify: true, context });
  first.end();
  expect(second.state.healthy).toBe(false);
  expect([world.made.at(-1)!.tls.context, world.open.size]).toEqual([context, 1]);
});

test('nothing runs on when the last watch has ended', () => {
  const world = new World();
  const watches = [1, 1, 2].map((port) => world.checks.watch('app', CHECK, target(port), VERIFY));
  world.time.pass(5000);
  for (const watch of watches) watch.end();
  watches[0]!.end();
  expect([world.open.size, world.checks.describe().length]).toEqual([0, 0]);
  const looks = world.looks.length;
  world.time.pass(60_000);
  expect(world.looks.length).toBe(looks);
  expect(world.time.pending).toBe(0);
});

test('closed, it probes nothing any more, and ending a watch later does no harm', () => {
  const world = new World();
  const watch = world.checks.watch('app', CHECK, target(1), VERIFY);
  world.checks.watch('app', CHECK, target(2), VERIFY);
  world.checks.close();
  watch.end();
  world.time.pass(60_000);
  expect([world.looks.length, world.open.size]).toEqual([0, 0]);
});

test('what is known is there as plain data and as metrics', () => {
  const world = new World();
  world.checks.watch('app', CHECK, target(1), VERIFY);
  world.checks.watch('app', CHECK, target(2), VERIFY);
  world.ill.add('10.0.0.1:2');
  world.time.pass(999);
  const known = { upstream: 'app', check: CHECK.text, lastMs: 1, consecutive: 1 };
  expect(world.checks.describe()).toEqual([
    expect.objectContaining({ ...known, endpoint: '10.0.0.1:1', healthy: true, lastReason: 'answers 200', passed: 1, failed: 0 }),
    expect.objectContaining({ ...known, endpoint: '10.0.0.1:2', healthy: false, lastReason: 'answers 503', passed: 0, failed: 1 }),
  ]);
  expect(JSON.parse(JSON.stringify(world.checks.describe()))).toEqual(world.checks.describe());
  const page = world.metrics.render();
  expect(page).toContain('windlass_health_up{upstream="app",endpoint="10.0.0.1:1"} 1\n');
  expect(page).toContain('windlass_health_up{upstream="app",endpoint="10.0.0.1:2"} 0\n');
  expect(page).toContain('windlass_health_checks_total{result="pass"} 1\n');
  expect(page).toContain('windlass_health_checks_total{result="fail"} 1\n');
});

test('while two configurations watch an endpoint in two ways, the metric has the newer one', () => {
  const world = new World();
  world.ill.add('10.0.0.1:1');
  world.checks.watch('app', CHECK, target(1), VERIFY);
  world.time.pass(15_000);
  world.checks.watch('app', parseHealthCheck('http://app/other'), target(1), VERIFY);
  expect(world.metrics.render().match(/windlass_health_up\{.*/g)).toEqual(['windlass_health_up{upstream="app",endpoint="10.0.0.1:1"} 1']);
});
