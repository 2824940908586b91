import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { groupOf, HeldTime, NoEndpoint, placesOf, upstreamSettings } from '../../test/kit/upstream.ts';
import { MemoryLog, requestHead } from '../../test/kit/tunnel.ts';
import { Failure } from '../http/failure.ts';
import { Group } from './group.ts';
import type { Member } from './member.ts';
import type { Candidate } from './upstream.ts';

const HEAD = requestHead('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
const REFUSED = new Failure('connect_refused', 'refused');
const STALE = new Failure('client_gone', 'gone');

/** Ids of the next picks, the last figure of each address. */
function picks(group: Group, n: number, not?: string): string {
  return Array.from({ length: n }, () => group.pick(HEAD, not)?.endpoint.id.replace(/^.*\.(\d+):80$/, '$1') ?? '-').join('');
}

function sorted(text: string): string {
  return text.split('').toSorted().join('');
}

function attempt({ watch }: Candidate, result: number | Failure | null): void {
  watch!.began();
  if (typeof result === 'number') watch!.answered(result);
  watch!.ended(typeof result === 'number' ? null : result);
}

function fails(member: Member, times: number, why: Failure = REFUSED): void {
  for (let i = 0; i < times; i++) attempt(member.candidate, why);
}

describe('tiers', () => {
  const addr = (n: number, priority: number, backup = false) => ({ host: `10.0.0.${n}`, port: 80, weight: 1, priority, backup, load: 0 });

  test('a later tier is asked only while nobody of the earlier ones is usable, and no longer', () => {
    const { group, all } = groupOf({ addrs: [addr(1, 10), addr(2, 10), addr(3, 20), addr(4, 0, true)] });
    expect(picks(group, 4)).toBe('1212');
    all[0]!.healthy('active', false);
    expect(picks(group, 3)).toBe('222');
    all[1]!.healthy('active', false);
    expect(picks(group, 2)).toBe('33');
    all[2]!.healthy('active', false);
    expect(picks(group, 2)).toBe('44');
    all[2]!.healthy('active', true);
    expect(picks(group, 2)).toBe('33');
    all[1]!.healthy('active', true);
    expect(picks(group, 2)).toBe('22');
  });

  test('a backup is last whatever its priority', () => {
    const { group } = groupOf({ addrs: [addr(1, 0, true), addr(2, 1_000)] });
    expect(picks(group, 2)).toBe('22');
  });

  test('who has just failed is passed over, into a later tier when there is nobody else', () => {
    const { group } = groupOf({ addrs: [addr(1, 0), addr(2, 1)] });
    expect(picks(group, 2, '10.0.0.1:80')).toBe('22');
    const { group: alone } = groupOf({ addrs: [addr(1, 0)] });
    expect(alone.pick(HEAD, '10.0.0.1:80')).toBeNull();
  });
});

test('a health check that sees an address come back ends its ejection', () => {
  const { group, all } = groupOf({ addrs: ['10.0.0.1:80', '10.0.0.2:80'], ejectFailures: 1, ejectTime: 60_000 });
  fails(all[0]!, 1);
  expect(picks(group, 2)).toBe('22');
  all[0]!.healthy('active', true);
  expect(picks(group, 2)).toBe('22');
  all[0]!.healthy('active', false);
  all[0]!.healthy('active', true);
  expect(sorted(picks(group, 2))).toBe('12');
});

describe('when nobody is usable', () => {
  test('the answer is 503 with the reason and when to come again [fault 37]', () => {
    const { group, all } = groupOf({ addrs: ['10.0.0.1:80', '10.0.0.2:80'], circuitBreakMaxConsecutiveFailures: 1, circuitBreakOpenDuration: 7_000 });
    all[0]!.healthy('active', false);
    expect(group.pick(HEAD)).not.toBeNull();
    fails(all[1]!, 1);
    expect(group.pick(HEAD)).toBeNull();
    expect(group.lacking()).toMatchObject({ code: 'no_healthy_endpoint', status: 503, retryAfterS: 7 });
    expect(group.lacking().detail).toBe("none of the upstream's 2 addresses is usable: health checks fail for 1, the circuit breaker of 1 is open");
    expect(group.wait()).toMatchObject({ code: 'no_healthy_endpoint' });
  });

  test('a name that leads nowhere is 502, and says so [fault 18]', () => {
    const { group } = groupOf({});
    group.unresolved = 'api.example.com';
    expect(group.lacking()).toMatchObject({ code: 'name_not_found', status: 502 });
    expect(group.lacking().detail).not.toContain('api.example.com');
  });
});

describe('passive health', () => {
  test('an endpoint that fails several times in a row is left out for a while, then tried again', () => {
    const { group, all, time } = groupOf({ addrs: ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'] });
    fails(all[1]!, 4);
    expect(picks(group, 3)).toBe('123');
    fails(all[1]!, 1);
    expect(picks(group, 4)).toBe('1313');
    time.pass(9_999);
    expect(picks(group, 2)).toBe('13');
    time.pass(1);
    expect(sorted(picks(group, 3))).toBe('123');
  });

  test('statuses eject nobody, nor do clients that leave', () => {
    const { group, all } = groupOf({ addrs: ['10.0.0.1:80', '10.0.0.2:80'] });
    for (let i = 0; i < 100; i++) attempt(all[0]!, 503);
    fails(all[0]!, 100, STALE);
    expect(picks(group, 2)).toBe('12');
  });

  test('when more than half are out by it, all are used [fault 37]', () => {
    const { group, all, time } = groupOf({ addrs: ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80', '10.0.0.4:80'] });
    fails(all[0]!, 5);
    fails(all[1]!, 5);
    expect(sorted(picks(group, 4))).toBe('3344');
    fails(all[2]!, 5);
    expect(sorted(picks(group, 4))).toBe('1234');
    time.pass(10_000);
    expect(all.every(({ usable }) => usable)).toBe(true);
  });

  test('a single address is never left out by it', () => {
    const { group, all } = groupOf({ addrs: ['10.0.0.1:80'] });
    fails(all[0]!, 50);
    expect(picks(group, 1)).toBe('1');
  });

  test('a whole tier that is out by it gives way to the next one, and comes back when that is out too', () => {
    const { group, all } = groupOf({
      addrs: ['10.0.0.1:80', '10.0.0.2:80', { host: '10.0.0.3', port: 80, weight: 1, priority: 0, backup: true, load: 0 }],
    });
    fails(all[0]!, 5);
    fails(all[1]!, 5);
    expect(picks(group, 2)).toBe('33');
    fails(all[2]!, 5);
    expect(sorted(picks(group, 2))).toBe('12');
  });

  test('the panic rule does not call back whom the health checks speak against', () => {
    const { group, all } = groupOf({ addrs: ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'] });
    all[0]!.healthy('active', false);
    fails(all[1]!, 5);
    fails(all[2]!, 5);
    expect(sorted(picks(group, 4))).toBe('2233');
  });
});

describe('the circuit breaker of an endpoint', () => {
  const given = {
    addrs: ['10.0.0.1:80', '10.0.0.2:80'],
    circuitBreakMaxConsecutiveFailures: 3,
    circuitBreakHalfOpenConsecutiveSuccessThreshold: 2,
    ejectFailures: 0,
  };

  test('opens by statuses and by failures alike, and only for that endpoint', () => {
    const { group, all } = groupOf(given);
    attempt(all[0]!, 500);
    attempt(all[0]!, REFUSED);
    expect(picks(group, 2)).toBe('12');
    attempt(all[0]!, 503);
    expect(picks(group, 3)).toBe('222');
  });

  test('after its time a few are tried, and their answers decide', () => {
    const { group, all, time } = groupOf(given);
    fails(all[0]!, 3);
    time.pass(10_000);
    expect(all[0]!.breaker.state).toBe('half_open');
    const trials = [group.pick(HEAD)!, group.pick(HEAD)!].filter(({ endpoint }) => endpoint.id === '10.0.0.1:80');
    expect(trials.length).toBe(1);
    trials[0]!.watch!.began();
    all[0]!.candidate.watch!.began();
    // Two are under way, as many as must succeed: no third one.
    expect(picks(group, 3)).toBe('222');
    trials[0]!.watch!.answered(200);
    trials[0]!.watch!.ended(null);
    all[0]!.candidate.watch!.answered(200);
    expect(all[0]!.breaker.state).toBe('closed');
    expect(sorted(picks(group, 2))).toBe('12');
  });

  test('a trial that fails opens it again, a request from before does not', () => {
    const { group, all, time } = groupOf(given);
    const old = all[0]!.candidate;
    old.watch!.began();
    fails(all[0]!, 3);
    time.pass(10_000);
    old.watch!.ended(REFUSED);
    expect(all[0]!.breaker.state).toBe('half_open');
    attempt(all[0]!.candidate, 500);
    expect(all[0]!.breaker.state).toBe('open');
    expect(picks(group, 2)).toBe('22');
    expect(all[0]!.inFlight).toBe(0);
  });

  test('an answer that breaks off counts as a failure although its status was fine', () => {
    const { all } = groupOf({ ...given, circuitBreakMaxConsecutiveFailures: 1 });
    const { watch } = all[0]!.candidate;
    watch!.began();
    watch!.answered(200);
    watch!.ended(new Failure('upstream_reset', 'cut'));
    expect(all[0]!.breaker.state).toBe('open');
  });

  test('which statuses are failures can be chosen', () => {
    const { all } = groupOf({ ...given, backendFailureStatusCode: [{ from: 429, to: 429 }], circuitBreakMaxConsecutiveFailures: 1 });
    attempt(all[0]!, 500);
    expect(all[0]!.breaker.state).toBe('closed');
    attempt(all[0]!, 429);
    expect(all[0]!.breaker.state).toBe('open');
  });
});

describe('slow start', () => {
  test('an endpoint that came back gets a tenth of its share at first, and all of it at the end', () => {
    const { all, time } = groupOf({ addrs: ['10.0.0.1:80 10', '10.0.0.2:80 10'], slowStart: 10_000 });
    expect(all[0]!.share).toBe(10);
    all[0]!.healthy('active', false);
    time.pass(60_000);
    all[0]!.healthy('active', true);
    expect(all[0]!.share).toBeCloseTo(1);
    const shares: number[] = [];
    for (let i = 0; i < 10; i++) {
      time.pass(1_000);
      shares.push(Math.round(all[0]!.share * 10) / 10);
    }
    expect(shares).toEqual([1.9, 2.8, 3.7, 4.6, 5.5, 6.4, 7.3, 8.2, 9.1, 10]);
    expect(time.loop.sweeper.size).toBe(0);
  });

  test('so does one that comes to others, but not those of the beginning', () => {
    const time = new HeldTime();
    const { group } = groupOf({ addrs: ['10.0.0.1:80'], slowStart: 10_000 }, time);
    group.place(placesOf(upstreamSettings({ addrs: ['10.0.0.1:80', '10.0.0.2:80'] })));
    expect([...group.members.values()].map(({ share }) => share)).toEqual([1, 0.1]);
    const picked = picks(group, 22);
    expect(picked.split('2').length - 1).toBe(2);
  });

  test('and one whose ejection or breaker is over', () => {
    const { all, time } = groupOf({
      addrs: ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'],
      slowStart: 10_000,
      circuitBreakMaxConsecutiveFailures: 5,
      circuitBreakHalfOpenConsecutiveSuccessThreshold: 1,
    });
    fails(all[0]!, 5);
    time.pass(10_000);
    attempt(all[0]!.candidate, 200);
    expect(all[0]!.usable).toBe(true);
    expect(all[0]!.share).toBeCloseTo(0.1);
  });
});

describe('a group that changes', () => {
  const THREE = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'];

  test('members that stay keep their endpoint, health, breaker and numbers, whatever their weight becomes', () => {
    const given = { addrs: ['10.0.0.1:80', '10.0.0.2:80'], circuitBreakMaxConsecutiveFailures: 1 };
    const { group, all } = groupOf(given);
    fails(all[0]!, 1);
    all[1]!.healthy('active', false);
    const next = upstreamSettings({ ...given, addrs: ['10.0.0.2:80 5', '10.0.0.1:80', '10.0.0.3:80'] });
    group.update(next);
    group.place(placesOf(next));
    const members = group.members;
    expect(members.get('10.0.0.1:80')).toBe(all[0]);
    expect(members.get('10.0.0.2:80')).toBe(all[1]);
    expect([all[0]!.breaker.state, all[0]!.failures, all[1]!.active, all[1]!.share]).toEqual(['open', 1, false, 5]);
    expect(picks(group, 2)).toBe('33');
  });

  test('what operators have taken out gets nothing, and is back when they put it back, whatever becomes of its weight', () => {
    const { group } = groupOf({ addrs: THREE });
    expect(group.takeOut('10.0.0.1:80', true)).toBe(true);
    expect(group.takeOut('10.0.0.9:80', true)).toBe(false);
    expect(sorted(picks(group, 4))).toBe('2233');
    group.update(upstreamSettings({ addrs: THREE.map((addr) => `${addr} 2`) }));
    group.place(placesOf(group.settings));
    expect(sorted(picks(group, 4))).toBe('2233');
    // A name that leads elsewhere for a while does not put it back either.
    group.place(placesOf(group.settings).slice(1));
    group.place(placesOf(group.settings));
    expect(sorted(picks(group, 4))).toBe('2233');
    expect(group.takeOut('10.0.0.1:80', false)).toBe(true);
    expect(sorted(picks(group, 6))).toBe('112233');
  });

  test('what has left the settings is out no more when it comes back to them', () => {
    const { group } = groupOf({ addrs: THREE });
    group.takeOut('10.0.0.1:80', true);
    for (const addrs of [THREE.slice(1), THREE]) {
      group.update(upstreamSettings({ addrs }));
      group.place(placesOf(group.settings));
    }
    expect(sorted(picks(group, 6))).toBe('112233');
  });

  test('when operators have taken out all of them the answer says so, and when they have taken out some it says that, too', () => {
    const { group, all } = groupOf({ addrs: THREE });
    group.takeOut('10.0.0.1:80', true);
    group.takeOut('10.0.0.2:80', true);
    expect(sorted(picks(group, 2))).toBe('33');
    all[2]!.healthy('active', false);
    expect(group.lacking()).toMatchObject({ code: 'no_healthy_endpoint' });
    expect(group.lacking().detail).toContain('operators have taken out 2, health checks fail for 1');
    group.takeOut('10.0.0.3:80', true);
    expect(group.lacking()).toMatchObject({ code: 'taken_out', status: 503, retryAfterS: 5 });
  });

  test('who leaves is closed and gets nothing more, and listeners hear of it', () => {
    const { group, all } = groupOf({ addrs: ['10.0.0.1:80', '10.0.0.2:80'] });
    const heard: string[] = [];
    const end = group.follow({ joined: ({ id }) => heard.push(`+${id}`), left: ({ id }) => heard.push(`-${id}`) });
    group.place(placesOf(upstreamSettings({ addrs: ['10.0.0.2:80', '10.0.0.3:80'] })));
    expect(heard).toEqual(['+10.0.0.1:80', '+10.0.0.2:80', '-10.0.0.1:80', '+10.0.0.3:80']);
    expect((all[0]!.endpoint as NoEndpoint).closed).toBe(true);
    expect(picks(group, 2)).toBe('23');
    end();
    group.close();
    expect(heard.length).toBe(4);
    expect(group.pick(HEAD)).toBeNull();
  });

  test('an address that two names lead to is one member', () => {
    const { group } = groupOf({});
    const place = { id: '10.0.0.1:80', ip: '10.0.0.1', port: 80, weight: 1, priority: 0, backup: false, load: 0 };
    group.place([
      { ...place, host: 'a', weight: 3 },
      { ...place, host: 'b' },
    ]);
    expect([...group.members.values()].map(({ at }) => [at.host, at.weight])).toEqual([['a', 3]]);
  });

  test('with a load, it counts where the spare capacity decides, and until the address says something else', () => {
    const addrs = [1, 2].map((n) => ({ host: `10.0.0.${n}`, port: 80, weight: 1, priority: 0, backup: false, load: n === 1 ? 0.75 : 0.25 }));
    const { group, all } = groupOf({ addrs, algo: 'spare_capacity' });
    expect(picks(group, 2)).toBe('22');
    group.place(placesOf(upstreamSettings({ addrs: addrs.map((addr) => ({ ...addr, load: 1 - addr.load })) })));
    expect(picks(group, 2)).toBe('11');
    all[0]!.loads!.trailers(['endpoint-load-metrics', 'TEXT cpu_utilization=0.9']);
    expect(picks(group, 2)).toBe('22');
    group.update(upstreamSettings({ addrs, algo: 'round_robin' }));
    expect(all[0]!.candidate.loads).toBeNull();
    expect(sorted(picks(group, 2))).toBe('12');
  });

  test('switching the algorithm, the breaker and the ejection takes effect at once', () => {
    const { group, all } = groupOf({ addrs: ['10.0.0.1:80', '10.0.0.2:80'], circuitBreakMaxConsecutiveFailures: 1 });
    fails(all[0]!, 1);
    expect(picks(group, 2)).toBe('22');
    group.update(upstreamSettings({ addrs: ['10.0.0.1:80', '10.0.0.2:80'], algo: 'least_conn' }));
    all[1]!.candidate.watch!.began();
    expect(picks(group, 3)).toBe('111');
  });

  test('heads are kept for another attempt only while there is somebody else', () => {
    const { group } = groupOf({ addrs: ['10.0.0.1:80'] });
    expect(group.keepsHeads).toBe(false);
    group.place(placesOf(upstreamSettings({ addrs: ['10.0.0.1:80', '10.0.0.2:80'] })));
    expect(group.keepsHeads).toBe(true);
  });

  test('the log says once who is left out, and once that he is back', () => {
    const time = new HeldTime();
    const log = new MemoryLog();
    const settings = upstreamSettings({ addrs: ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'] });
    const group = new Group(settings, { loop: time.loop, random: Math.random, log, connect: ({ id }) => new NoEndpoint(id) });
    group.place(placesOf(settings));
    fails([...group.members.values()][0]!, 8);
    time.pass(10_000);
    expect(log.lines.map(({ level, fields }) => [level, (fields as { is: string }).is])).toEqual([
      ['warn', 'ejected'],
      ['info', 'well'],
    ]);
  });
});

test('whatever happens to its members, a group with a usable one always finds one, and its numbers stay true', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('attempt' as const), at: fc.nat(5), result: fc.constantFrom(200, 500, null, REFUSED, STALE) }),
    fc.record({ do: fc.constant('begin' as const), at: fc.nat(5), result: fc.constant(0) }),
    fc.record({ do: fc.constant('end' as const), at: fc.nat(5), result: fc.constantFrom(200, 500, null, REFUSED) }),
    fc.record({ do: fc.constant('probe' as const), at: fc.nat(5), result: fc.constantFrom(0, 1) }),
    fc.record({ do: fc.constant('pass' as const), at: fc.nat(5), result: fc.constantFrom(100, 5_000, 60_000) }),
  );
  const algorithms = fc.constantFrom('round_robin', 'least_conn', 'random_two', 'spare_capacity', 'hash:url');
  fc.assert(
    fc.property(
      algorithms,
      fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.boolean()), { minLength: 1, maxLength: 6 }),
      fc.array(step, { maxLength: 60 }),
      (algo, tiers, steps) => {
        const { group, all, time } = groupOf({
          algo,
          addrs: tiers.map(([priority, backup], i) => ({ host: `10.0.0.${i}`, port: 80, weight: 1 + (i % 3), priority, backup, load: 0 })),
          circuitBreakMaxConsecutiveFailures: 3,
          circuitBreakHalfOpenConsecutiveSuccessThreshold: 2,
          ejectFailures: 2,
          slowStart: 1_000,
        });
        const open: { member: Member; candidate: Candidate }[] = [];
        for (const { do: what, at, result } of steps) {
          const member = all[at % all.length]!;
          if (what === 'attempt') attempt(member.candidate, result as number | Failure | null);
          else if (what === 'begin') {
            const candidate = group.pick(HEAD);
            if (candidate !== null) {
              candidate.watch!.began();
              open.push({ member: group.members.get(candidate.endpoint.id)!, candidate });
            }
          } else if (what === 'end') {
            const ended = open.shift();
            if (ended !== undefined) {
              if (typeof result === 'number') ended.candidate.watch!.answered(result);
              ended.candidate.watch!.ended(typeof result === 'number' ? null : (result as Failure | null));
            }
          } else if (what === 'probe') member.healthy('active', result === 1);
          else time.pass(result as number);
          const picked = group.pick(HEAD);
          const usable = all.filter((one) => one.usable);
          if (usable.length === 0) {
            expect(picked).toBeNull();
            expect(group.lacking().status).toBe(503);
          } else expect(usable).toContain(group.members.get(picked!.endpoint.id));
          // Nobody who is well is ever left out, and nobody whom a health check or an open breaker speaks against is ever in.
          for (const one of all) {
            if (one.active && one.condition === 'well') expect(one.usable).toBe(true);
            if (!one.active || one.condition === 'broken') expect(one.usable).toBe(false);
            expect(one.inFlight).toBe(open.filter(({ member: whose }) => whose === one).length);
            expect(one.share).toBeGreaterThan(0);
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});
