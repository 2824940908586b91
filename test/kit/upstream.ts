import { createLoop, type Loop } from '../../src/std/loop.ts';
import type { Balance } from '../../src/schema/balance.ts';
import { parseUpstreamAddress, type UpstreamAddress } from '../../src/schema/upstream-address.ts';
import type { RequestSink } from '../../src/http/exchange.ts';
import { Group } from '../../src/upstream/group.ts';
import type { Member, MemberEndpoint, Place } from '../../src/upstream/member.ts';
import { type UpstreamSettings, upstreamTable } from '../../src/upstream/section.ts';
import { parseBalance } from '../../src/schema/balance.ts';

/** Time that stands still until it is moved. */
export class HeldClock {
  ms = 1_000_000;

  now(): number {
    return this.ms;
  }

  wall(): number {
    return this.ms;
  }
}

/** A loop whose time a test moves. */
export class HeldTime {
  readonly clock = new HeldClock();
  readonly loop: Loop = createLoop(this.clock);

  /** Lets time pass and runs what is due. */
  pass(ms: number): void {
    this.clock.ms += ms;
    this.loop.sweeper.sweep();
  }
}

/** An endpoint that nothing can be sent to. */
export class NoEndpoint implements MemberEndpoint {
  readonly id: string;
  closed = false;

  constructor(id: string) {
    this.id = id;
  }

  open(): RequestSink {
    throw new Error('no test sends anything here');
  }

  close(): void {
    this.closed = true;
  }
}

type Given = Partial<Omit<UpstreamSettings, 'addrs' | 'algo'>> & { readonly addrs?: readonly (string | UpstreamAddress)[]; readonly algo?: string };

/** Settings of an upstream: what is given, and the defaults. */
export function upstreamSettings(given: Given = {}): UpstreamSettings {
  const defaults = Object.fromEntries(Object.entries(upstreamTable).map(([key, { fallback }]) => [key, fallback]));
  const { addrs = [], algo, ...rest } = given;
  const balance: { algo?: Balance } = algo === undefined ? {} : { algo: parseBalance(algo) };
  return {
    ...defaults,
    ...rest,
    ...balance,
    name: given.name ?? 'up',
    addrs: addrs.map((one) => (typeof one === 'string' ? parseUpstreamAddress(one) : one)),
  } as UpstreamSettings;
}

/** The places that addresses without names lead to. */
export function placesOf({ addrs }: UpstreamSettings): Place[] {
  return addrs.map(({ host, port, ...standing }) => ({ id: `${host}:${port}`, ip: host, port, host, ...standing }));
}

/** A group whose endpoints are NoEndpoints; `ms` and `random` are the test's. */
export function groupOf(
  given: Given,
  time: HeldTime = new HeldTime(),
  random: () => number = Math.random,
): { group: Group; time: HeldTime; all: Member[] } {
  const settings = upstreamSettings(given);
  const group = new Group(settings, { loop: time.loop, random, connect: ({ id }, before) => before ?? new NoEndpoint(id) });
  group.place(placesOf(settings));
  return { group, time, all: [...group.members.values()] };
}
