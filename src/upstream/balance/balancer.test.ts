import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { requestHead } from '../../../test/kit/tunnel.ts';
import { parseBalance } from '../../schema/balance.ts';
import type { RequestHead } from '../../http/head.ts';
import { HASH_ALWAYS, HASH_OVERLOAD } from '../limits.ts';
import { type Balancer, balancer, type Choice } from './balancer.ts';
import { hashOf } from './hash-key.ts';

interface One extends Choice {
  usable: boolean;
  share: number;
  inFlight: number;
  load: number;
}

function choices(shares: readonly number[]): One[] {
  return shares.map((share, i) => ({
    endpoint: { id: `10.0.0.${i}:80` },
    usable: true,
    share,
    inFlight: 0,
    load: 0,
    current: 0,
    seed: hashOf(`10.0.0.${i}:80`),
  }));
}

/** Numbers that look random and are the same each time (mulberry32). */
function dice(seed = 1): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const GET = requestHead('GET /a/b?x=1 HTTP/1.1\r\nHost: a\r\n\r\n');

function asking(fields: string, target = '/'): RequestHead {
  return requestHead(`GET ${target} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
}

function from(client: string, target = '/'): RequestHead {
  const head = asking('', target);
  head.claimedClient = client;
  return head;
}

function keyed(key: string): RequestHead {
  return asking(`X-Key: ${key}\r\n`);
}

const ALGORITHMS = ['round_robin', 'least_conn', 'random_two', 'spare_capacity', 'hash:ip', 'hash:url', 'hash:header:x-key'];

function make(algo: string, random: () => number = dice()): Balancer {
  return balancer(parseBalance(algo), random);
}

const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 12 });

describe('round robin', () => {
  test('in every round everybody gets exactly his share, whatever the shares', () => {
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 3 }), (shares, rounds) => {
        const all = choices(shares);
        const round = make('round_robin');
        for (let r = 0; r < rounds; r++) {
          const got = new Map<Choice, number>();
          for (let i = shares.reduce((a, b) => a + b); i > 0; i--) {
            const one = round.pick(all, GET, undefined)!;
            got.set(one, (got.get(one) ?? 0) + 1);
          }
          expect(all.map((one) => got.get(one) ?? 0)).toEqual(shares);
        }
      }),
    );
  });

  test('at no moment is anybody more than one turn away from the share that is his by then, with two of them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 50 }), (a, b) => {
        const all = choices([a, b]);
        const round = make('round_robin');
        for (let i = 1, got = 0; i <= a + b; i++) {
          if (round.pick(all, GET, undefined) === all[0]) got++;
          expect(Math.abs(got - (i * a) / (a + b))).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  test('who is left out gets nothing, and the rest share as before', () => {
    const all = choices([3, 2, 1]);
    all[1]!.usable = false;
    const round = make('round_robin');
    const picked = Array.from({ length: 8 }, () => all.indexOf(round.pick(all, GET, undefined)!)).join('');
    expect(picked).toBe('00200020'.slice(0, 8));
  });
});

describe('least connections', () => {
  test('the one with the fewest requests for its share is chosen', () => {
    const all = choices([1, 4, 1]);
    [all[0]!.inFlight, all[1]!.inFlight, all[2]!.inFlight] = [2, 7, 3];
    expect(make('least_conn').pick(all, GET, undefined)).toBe(all[1]);
    all[1]!.inFlight = 9;
    expect(make('least_conn').pick(all, GET, undefined)).toBe(all[0]);
  });

  test('among those that are alike everybody has the chance of his share', () => {
    const all = choices([1, 2, 5]);
    const least = make('least_conn');
    const got = [0, 0, 0];
    for (let i = 0; i < 8_000; i++) got[all.indexOf(least.pick(all, GET, undefined)!)]!++;
    expect(got.map((n) => Math.round(n / 1_000))).toEqual([1, 2, 5]);
  });
});

describe('spare capacity', () => {
  test('the one that a request would take the smallest part of is chosen', () => {
    const all = choices([1, 1, 1]);
    [all[0]!.load, all[1]!.load, all[2]!.load] = [0.5, 0.3, 0.99];
    expect(make('spare_capacity').pick(all, GET, undefined)).toBe(all[1]);
    // (1 + 1) ÷ 0.7 is more than 1 ÷ 0.5.
    all[1]!.inFlight = 1;
    expect(make('spare_capacity').pick(all, GET, undefined)).toBe(all[0]);
    all[0]!.inFlight = 70;
    all[1]!.inFlight = 98;
    // 1 ÷ 0.01 is 100: less than 71 ÷ 0.5 and 99 ÷ 0.7.
    expect(make('spare_capacity').pick(all, GET, undefined)).toBe(all[2]);
  });

  test('requests that run at once are spread in proportion to what is spare', () => {
    const all = choices([1, 1, 1]);
    [all[0]!.load, all[1]!.load, all[2]!.load] = [0.5, 0.75, 0.9];
    const spare = make('spare_capacity');
    for (let i = 0; i < 85; i++) spare.pick(all, GET, undefined)!.inFlight++;
    // 0.5 to 0.25 to 0.1.
    expect(all.map((one) => one.inFlight)).toEqual([50, 25, 10]);
  });

  test('among those that are alike it is at random', () => {
    const all = choices([1, 1, 1]);
    all[2]!.load = 0.5;
    const spare = make('spare_capacity');
    const got = [0, 0, 0];
    for (let i = 0; i < 2_000; i++) got[all.indexOf(spare.pick(all, GET, undefined)!)]!++;
    expect(got.map((n) => Math.round(n / 200))).toEqual([5, 5, 0]);
  });
});

describe('two at random', () => {
  test('of two the less loaded one is chosen, always', () => {
    const all = choices([1, 1]);
    all[0]!.inFlight = 1;
    const two = make('random_two');
    for (let i = 0; i < 100; i++) expect(two.pick(all, GET, undefined)).toBe(all[1]);
  });

  test('the most loaded of many is never chosen, and idle ones are by share', () => {
    const all = choices([1, 1, 1, 1, 1]);
    all[2]!.inFlight = 10;
    const two = make('random_two');
    for (let i = 0; i < 200; i++) expect(two.pick(all, GET, undefined)).not.toBe(all[2]);
    const idle = choices([1, 3]);
    let heavy = 0;
    for (let i = 0; i < 4_000; i++) if (two.pick(idle, GET, undefined) === idle[1]) heavy++;
    expect(Math.round(heavy / 1_000)).toBe(3);
  });

  test('requests that stay spread evenly, by share', () => {
    const all = choices([1, 2, 3, 4]);
    const two = make('random_two');
    for (let i = 0; i < 10_000; i++) two.pick(all, GET, undefined)!.inFlight++;
    for (const { inFlight, share } of all) expect(Math.abs(inFlight / share - 1_000)).toBeLessThan(20);
  });
});

describe('consistent hash', () => {
  const keys = Array.from({ length: 4_000 }, (_, i) => keyed(`user-${i}`));
  const place = (all: readonly One[]) => keys.map((key) => make('hash:header:x-key').pick(all, key, undefined)!.endpoint.id);

  test('the same key goes to the same endpoint, whatever the order they stand in', () => {
    const all = choices([1, 1, 1, 1]);
    expect(place(all.toReversed())).toEqual(place(all));
  });

  test('when one leaves only its own keys move, and they are spread over all others', () => {
    const all = choices([1, 1, 1, 1, 1]);
    const before = place(all);
    all[2]!.usable = false;
    const after = place(all);
    const heirs = new Map<string, number>();
    before.forEach((id, i) => {
      if (id !== all[2]!.endpoint.id) expect(after[i]).toBe(id);
      else heirs.set(after[i]!, (heirs.get(after[i]!) ?? 0) + 1);
    });
    expect(heirs.size).toBe(4);
    for (const n of heirs.values()) expect(n).toBeGreaterThan(keys.length / 5 / 4 / 2);
  });

  test('when one comes it takes about its share, and no key moves between the others', () => {
    const five = choices([1, 1, 1, 1, 1]);
    const before = place(five.slice(0, 4));
    const after = place(five);
    const moved = after.filter((id, i) => id !== before[i]);
    expect(new Set(moved)).toEqual(new Set([five[4]!.endpoint.id]));
    expect(moved.length / keys.length).toBeGreaterThan(0.16);
    expect(moved.length / keys.length).toBeLessThan(0.24);
  });

  test('keys are spread by share', () => {
    const all = choices([1, 2, 5]);
    const got = new Map<string, number>();
    for (const id of place(all)) got.set(id, (got.get(id) ?? 0) + 1);
    expect(all.map(({ endpoint }) => Math.round((got.get(endpoint.id) ?? 0) / 500))).toEqual([1, 2, 5]);
  });

  test('one busy key costs no endpoint more than a quarter over its share of what is in flight', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 8 }), fc.integer({ min: 1, max: 400 }), (shares, requests) => {
        const all = choices(shares);
        const hash = make('hash:header:x-key');
        const key = keyed('the busy one');
        const sum = shares.reduce((a, b) => a + b);
        for (let i = 1; i <= requests; i++) {
          const one = hash.pick(all, key, undefined)!;
          one.inFlight++;
          expect(one.inFlight).toBeLessThanOrEqual(Math.max(HASH_ALWAYS, Math.ceil((i * HASH_OVERLOAD * one.share) / sum)));
        }
      }),
    );
  });

  test.each([
    ['hash:ip', from('192.0.2.7'), from('192.0.2.7', '/other')],
    ['hash:url', asking('', '/a?x=1'), asking('X-Key: 1\r\n', '/a?x=1')],
    ['hash:path', asking('', '/a?x=1'), asking('', '/a?x=2')],
    ['hash:header:x-key', asking('X-KEY: 7\r\n'), asking('x-key: 7\r\n', '/other')],
    ['hash:cookie:sid', asking('Cookie: a=b; sid=7\r\n'), asking('Cookie: sid=7; c=d\r\n')],
    ['hash:query:q', asking('', '/a?q=7&z=1'), asking('', '/b?z=2&q=7')],
  ])('%s sends requests that are alike in it to one place', (algo, a, b) => {
    for (let seed = 0; seed < 20; seed++) {
      const all = choices([1, 1, 1, 1, 1, 1, 1]).map((one, i) => ({ ...one, seed: hashOf(`${seed}/${i}`) }));
      expect(make(algo).pick(all, a, undefined)!.seed).toBe(make(algo).pick(all, b, undefined)!.seed);
    }
  });

  test.each([
    ['hash:ip', from('192.0.2.7'), from('192.0.2.8')],
    ['hash:url', asking('', '/a?x=1'), asking('', '/a?x=2')],
    ['hash:path', asking('', '/a'), asking('', '/b')],
    ['hash:header:x-key', asking('X-Key: 7\r\n'), asking('X-Key: 8\r\n')],
    ['hash:cookie:sid', asking('Cookie: sid=7; xsid=1\r\n'), asking('Cookie: xsid=1; sid=8\r\n')],
    ['hash:query:q', asking('', '/a?q=7'), asking('', '/a?q=8&q=7')],
  ])('%s tells requests apart that differ in it', (algo, a, b) => {
    let differ = 0;
    for (let seed = 0; seed < 20; seed++) {
      const all = choices([1, 1, 1, 1, 1, 1, 1]).map((one, i) => ({ ...one, seed: hashOf(`${seed}/${i}`) }));
      if (make(algo).pick(all, a, undefined)!.seed !== make(algo).pick(all, b, undefined)!.seed) differ++;
    }
    expect(differ).toBeGreaterThan(10);
  });

  test('requests that lack what is hashed are sent round, instead of all to one place', () => {
    for (const algo of ['hash:header:x-key', 'hash:cookie:sid', 'hash:query:q']) {
      const all = choices([1, 1, 1]);
      const hash = make(algo);
      expect(new Set(Array.from({ length: 3 }, () => hash.pick(all, asking('Cookie: other=1\r\n', '/?z'), undefined))).size).toBe(3);
    }
  });
});

test.each(ALGORITHMS)('%s: whoever is usable is found, however few they are and however loaded', (algo) => {
  const one = fc.record({ usable: fc.boolean(), share: fc.integer({ min: 1, max: 100 }), inFlight: fc.integer({ min: 0, max: 1_000 }) });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 40 }), fc.nat(40), fc.boolean(), fc.integer(), (states, notAt, excludes, seed) => {
      const all = choices(states.map(({ share }) => share));
      states.forEach((state, i) => Object.assign(all[i]!, state));
      const not = excludes ? all[notAt]?.endpoint.id : undefined;
      const may = all.filter(({ usable, endpoint }) => usable && endpoint.id !== not);
      const head = keyed(String(seed));
      const picks = make(algo, dice(seed));
      for (let i = 0; i < 5; i++) {
        const picked = picks.pick(all, head, not);
        if (may.length === 0) expect(picked).toBeNull();
        else expect(may).toContain(picked);
      }
    }),
    { numRuns: 300 },
  );
});
