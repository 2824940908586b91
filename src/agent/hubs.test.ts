import { afterEach, expect, test } from 'vitest';
import { MemoryLog } from '../../test/kit/tunnel.ts';
import { until } from '../../test/kit/until.ts';
import { parseUpstreamUrl } from '../schema/upstream-url.ts';
import type { DialState, HubConnection } from '../tunnel/native/dial.ts';
import type { Sibling } from '../tunnel/native/hello.ts';
import { type DialHooks, Hubs, type Resolve } from './hubs.ts';
import { ADDRESSES, CONNECTIONS } from './limits.ts';

/** A connection whose fate the test decides. */
class FakeConnection implements HubConnection {
  state: DialState = 'connecting';
  hubId = '';
  readonly bufferedBytes = 0;
  readonly inFlight = 0;
  readonly roundTripMs = 0;
  readonly to: string;
  readonly #hooks: DialHooks;
  tries = 1;
  destroyed = false;

  constructor(to: string, hooks: DialHooks) {
    this.to = to;
    this.#hooks = hooks;
  }

  /** The hub of that id answers. */
  answers(hubId: string, siblings: readonly Sibling[] = []): void {
    if (this.#hooks.isTaken(hubId)) {
      this.state = 'parked';
      return;
    }
    this.hubId = hubId;
    this.state = 'joined';
    this.#hooks.onState('joined');
    this.#hooks.welcomed({ version: 1, hub: hubId, session: 's', siblings });
  }

  isLost(): void {
    this.hubId = '';
    this.state = 'waiting';
    this.#hooks.onState('waiting');
  }

  retryNow(): void {
    this.tries++;
    if (this.state === 'parked') this.state = 'connecting';
  }

  close(): Promise<void> {
    this.destroyed = true;
    return Promise.resolve();
  }

  destroy(): void {
    this.destroyed = true;
  }
}

const open: Hubs[] = [];
afterEach(() => {
  while (open.length > 0) open.pop()!.destroy();
});

function start(hubs: readonly string[], resolve: Resolve = () => Promise.reject(new Error('no such name')), leavesUnnamed = false) {
  const made: FakeConnection[] = [];
  const log = new MemoryLog();
  const all = new Hubs({
    hubs: hubs.map(parseUpstreamUrl),
    log,
    resolve,
    leavesUnnamed,
    dial: (hub, address, hooks) => {
      const connection = new FakeConnection(address === null ? hub.authority : `${hub.host}@${address}`, hooks);
      made.push(connection);
      return connection;
    },
  });
  open.push(all);
  return { all, made, log, to: () => made.map((one) => one.to).toSorted() };
}

/** Lets promises that are ready go on. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test('every hub of the list is dialled', async () => {
  const { to } = start(['127.0.0.1:1', 'localhost:2', 'https://a.example']);
  await until('three', () => to().length === 3);
  expect(to()).toEqual(['127.0.0.1:1', 'a.example', 'localhost:2']);
});

test('a name with one address is dialled by its name, one with several at each of them', async () => {
  const { to } = start(['one.example:1', 'two.example:1'], (host) =>
    Promise.resolve(host === 'one.example' ? ['10.0.0.1'] : ['10.0.0.3', '10.0.0.2', '10.0.0.3']),
  );
  await until('three', () => to().length === 3);
  expect(to()).toEqual(['one.example:1', 'two.example@10.0.0.2', 'two.example@10.0.0.3']);
});

test('where routers come and go, an address that has left its name is left in order, and one address is dialled as such', async () => {
  let addresses = ['10.0.0.1'];
  const { all, made, to } = start(['two.example:1'], () => Promise.resolve(addresses), true);
  await until('one', () => made.length === 1);
  made[0]!.answers('h1');
  addresses = ['10.0.0.2'];
  all.retryNow();
  await until('the new one', () => made.length === 2);
  expect(to()).toEqual(['two.example@10.0.0.1', 'two.example@10.0.0.2']);
  await until('the old one is left', () => made[0]!.destroyed);
  addresses = ['10.0.0.1', '10.0.0.2'];
  await until('and dialled again when it is back', () => {
    all.retryNow();
    return made.length === 3;
  });
});

test('an address that has left its name is kept while it works, and given up once it does not', async () => {
  let addresses = ['10.0.0.1', '10.0.0.2'];
  const { all, made, to } = start(['two.example:1'], () => Promise.resolve(addresses));
  await until('two', () => made.length === 2);
  made[0]!.answers('h1');
  made[1]!.answers('h2');
  addresses = ['10.0.0.2', '10.0.0.3'];
  all.retryNow();
  await until('the new one', () => made.length === 3);
  expect(to()).toEqual(['two.example@10.0.0.1', 'two.example@10.0.0.2', 'two.example@10.0.0.3']);
  expect(made[0]!.destroyed).toBe(false);
  made[0]!.isLost();
  all.retryNow();
  await until('the old one is given up', () => made[0]!.destroyed);
  expect(made[1]!.destroyed).toBe(false);
});

test('a name server that is down takes no hub away', async () => {
  let up = true;
  const { all, made } = start(['two.example:1'], () => (up ? Promise.resolve(['10.0.0.1', '10.0.0.2']) : Promise.reject(new Error('down'))));
  await until('two', () => made.length === 2);
  up = false;
  for (const one of made) one.isLost();
  all.retryNow();
  await settled();
  await settled();
  expect(made.map(({ destroyed }) => destroyed)).toEqual([false, false]);
});

test('a second way to one hub is parked while the first works, and tried when that is lost', async () => {
  const { all, made } = start(['127.0.0.1:1', '127.0.0.2:1']);
  made[0]!.answers('same');
  made[1]!.answers('same');
  expect(made.map(({ state }) => state)).toEqual(['joined', 'parked']);
  expect(all.joined).toBe(1);
  made[0]!.isLost();
  expect(made[1]!.state).toBe('connecting');
  made[1]!.answers('same');
  made[0]!.answers('same');
  expect(made.map(({ state }) => state)).toEqual(['parked', 'joined']);
});

test('siblings that a hub names are dialled once, and forgotten when it names them no more and they do not work', async () => {
  const { all, made, to } = start(['127.0.0.1:1', '127.0.0.1:2']);
  const siblings = [
    { id: 'c', address: '127.0.0.1:3' },
    { id: 'b', address: 'http://127.0.0.1:2' },
    { id: 'a', address: '127.0.0.1:9' },
  ];
  made[0]!.answers('a', siblings);
  made[1]!.answers('b', siblings);
  await until('the sibling', () => made.length === 4);
  // 127.0.0.1:9 is another address of `a` by its own word to `b`.
  expect(to()).toEqual(['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3', '127.0.0.1:9']);
  made[0]!.isLost();
  made[0]!.answers('a');
  all.retryNow();
  await settled();
  expect(made.some(({ destroyed }) => destroyed)).toBe(false);
  made[1]!.isLost();
  made[1]!.answers('b');
  await until('the siblings are forgotten', () => made[2]!.destroyed && made[3]!.destroyed);
});

test('[threat 47] a hub with TLS cannot have the token sent in plain text to a sibling', async () => {
  const { made, log } = start(['https://a.example']);
  await until('the hub', () => made.length === 1);
  made[0]!.answers('a', [
    { id: 'b', address: 'http://b.example' },
    { id: 'c', address: 'https://c.example' },
    { id: 'd', address: 'no address' },
  ]);
  await until('the one with TLS', () => made.length === 2);
  expect(made[1]!.to).toBe('c.example');
  expect(log.at('warn').length).toBe(2);
});

test('[threat 45] a hub elsewhere cannot have the agent dial its own machine or what is link-local; one on this machine may', async () => {
  const addresses = ['127.0.0.1:22', 'localhost:6379', '[::1]:80', '169.254.169.254', '[fe80::1]:80', '0.0.0.0:80', '10.0.0.7:8080'];
  const siblings = addresses.map((address, i) => ({ id: `s${i}`, address }));
  const { made, log, to } = start(['192.0.2.1:80']);
  made[0]!.answers('a', siblings);
  await until('the good one', () => made.length === 2);
  await settled();
  expect(to()).toEqual(['10.0.0.7:8080', '192.0.2.1']);
  expect(log.at('warn').length).toBe(6);
  const near = start(['127.0.0.1:80']);
  near.made[0]!.answers('a', siblings);
  await until('those that may be', () => near.made.length === 5);
  await settled();
  expect(near.made.length).toBe(5);
});

test('[threat 46] a hub that names siblings without end, and a name with addresses without end, are bounded', async () => {
  const { made } = start(['127.0.0.1:1', 'many.example:1'], () => Promise.resolve(Array.from({ length: 99 }, (_, i) => `10.0.0.${i}`)));
  await until('many', () => made.length > 1);
  await settled();
  expect(made.length).toBe(1 + ADDRESSES);
  made[0]!.answers(
    'a',
    Array.from({ length: 60 }, (_, i) => ({ id: `s${i}`, address: `127.0.1.1:${i + 1}` })),
  );
  await until('as many as may be', () => made.length >= CONNECTIONS);
  await settled();
  expect(made.length).toBe(CONNECTIONS);
});
