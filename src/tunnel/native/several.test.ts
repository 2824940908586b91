import { afterEach, describe, expect, test } from 'vitest';
import {
  dial,
  frame,
  helloPayload,
  Heard,
  pair,
  requestHead,
  GET,
  type Scripted,
  ScriptedHub,
  scriptedAgent,
  Serving,
  TestHub,
  until,
} from '../../../test/kit/tunnel.ts';
import { Notes } from '../../http/exchange.ts';
import { F_RELEASED, F_SHARED, HEAD, HELLO, OPEN, readU32, REFUSED, SLOTS, WAITING, WELCOME, writeU32 } from './frames.ts';
import { writeWelcome } from './hello.ts';
import { writeOpen, openFlags, openRoom } from './open.ts';
import { SlotLedger } from './slots.ts';

const open: { close(): void }[] = [];
afterEach(() => {
  while (open.length > 0) open.pop()!.close();
});

function numbers(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  let at = 0;
  for (const value of values) at = writeU32(bytes, at, value);
  return bytes;
}

describe('an agent with several hubs', () => {
  async function joined(ledger: SlotLedger, id: string): Promise<{ peer: Scripted; serving: Serving; close(): void }> {
    const hub = await new ScriptedHub().listen();
    const serving = new Serving();
    const agent = dial(hub.port, serving, ledger);
    open.push(hub, { close: () => agent.destroy() });
    await until(() => hub.peers.length === 1, 'the agent dials');
    const peer = hub.peers[0]!;
    await peer.next(HELLO);
    const welcome = writeWelcome({ version: 1, hub: id, session: 's', siblings: [] });
    peer.send(frame(WELCOME, 0, 0, welcome));
    await until(() => agent.state === 'joined', 'it joins');
    return { peer, serving, close: () => agent.destroy() };
  }

  function opens(peer: Scripted, id: number): void {
    const head = requestHead(GET);
    const bytes = Buffer.alloc(openRoom(head));
    const end = writeOpen(head, openFlags(head), id, 0, null, false, bytes, 0);
    peer.send(bytes.subarray(0, end));
  }

  test('says so with its slots while it has them, and not when one is left', async () => {
    const ledger = new SlotLedger(2);
    const a = await joined(ledger, 'a');
    expect(a.peer.of(SLOTS)).toEqual([]);
    const b = await joined(ledger, 'b');
    expect((await a.peer.next(SLOTS)).flags & F_SHARED).toBe(F_SHARED);
    expect((await b.peer.next(SLOTS)).flags & F_SHARED).toBe(F_SHARED);
    b.close();
    expect((await a.peer.next(SLOTS, 2)).flags & F_SHARED).toBe(0);
  });

  test('tells the others of each slot that one of them takes, and grants it to who waits', async () => {
    const ledger = new SlotLedger(1);
    const a = await joined(ledger, 'a');
    const b = await joined(ledger, 'b');
    const c = await joined(ledger, 'c');
    await b.peer.next(SLOTS);
    opens(a.peer, 1);
    await until(() => a.serving.all.length === 1, 'the request comes');
    await until(() => [b, c].every(({ peer }) => free(peer) === 0), 'the others hear of it');
    b.peer.send(frame(WAITING, 0, 0, numbers(1, 50)));
    c.peer.send(frame(WAITING, 0, 0, numbers(1, 90)));
    await until(() => ledger.shares === 3 && !ledger.calm, 'both are heard');
    const before = b.peer.of(SLOTS).length;
    a.serving.all[0]!.answer(200, [], 'ok');
    await until(() => free(c.peer) === 1, 'the one who has waited longer gets it');
    expect(b.peer.of(SLOTS).length).toBe(before);
    // Nor may the hub that had it reckon with it.
    expect((await a.peer.next(HEAD)).flags & F_RELEASED).toBe(0);
  });

  test('says its slots after each refusal, even when the hub could reckon them', async () => {
    const ledger = new SlotLedger(1);
    const { peer } = await joined(ledger, 'a');
    ledger.take(null);
    opens(peer, 1);
    await peer.next(REFUSED);
    await until(() => peer.of(SLOTS).length > 0, 'SLOTS');
    const last = peer.of(SLOTS).at(-1)!;
    expect([readU32(last.payload, 4), readU32(last.payload, 8)]).toEqual([0, 1]);
    expect(peer.frames.findIndex(({ type }) => type === REFUSED)).toBeLessThan(peer.frames.lastIndexOf(last));
  });

  function free(peer: Scripted): number {
    const last = peer.of(SLOTS).at(-1);
    return last === undefined ? -1 : readU32(last.payload, 4);
  }
});

describe('a hub', () => {
  async function withAgent(): Promise<{ hub: TestHub; peer: Scripted }> {
    const hub = await new TestHub().listen();
    open.push(hub);
    const peer = await scriptedAgent(hub.port);
    open.push({ close: () => peer.socket.destroy() });
    peer.send(frame(HELLO, 0, 0, helloPayload()));
    await until(() => hub.sessions.length === 1, 'the session');
    return { hub, peer };
  }

  test('names itself before HELLO, so that an agent that is there already need not come in', async () => {
    const { peer } = await withAgent();
    expect(peer.head).toMatch(/\r\nWindlass-Hub: hub-1\r\n/i);
  });

  test('sends nothing more to an agent that refused before its next SLOTS, whatever it offered before', async () => {
    const { hub, peer } = await withAgent();
    const session = hub.sessions[0]!;
    const { heard } = hub.open();
    await peer.next(OPEN);
    expect(session.free).toBe(3);
    peer.send(frame(REFUSED, 0, 1));
    await until(() => heard.failure !== null, 'the refusal');
    expect(heard.failure!.code).toBe('refused');
    expect(session.free).toBe(0);
    peer.send(frame(SLOTS, 0, 0, numbers(4, 2, 1)));
    await until(() => session.free === 2, 'the new word');
  });

  test('says who waits only to an agent that has other hubs, and only what it could not reckon itself', async () => {
    const { hub, peer } = await withAgent();
    const session = hub.sessions[0]!;
    const now = hub.loop.clock.now();
    session.tellWaiting!(3, now - 100);
    peer.send(frame(SLOTS, F_SHARED, 0, numbers(4, 4, 0)));
    await until(() => session.shared === true, 'the flag');
    session.tellWaiting!(3, now - 100);
    const first = await peer.next(WAITING);
    expect(readU32(first.payload, 0)).toBe(3);
    expect(readU32(first.payload, 4)).toBeGreaterThanOrEqual(100);
    session.tellWaiting!(3, now - 100);
    session.open(requestHead(GET), new Heard(), new Notes(0));
    session.tellWaiting!(2, now - 66);
    session.tellWaiting!(5, now - 66);
    const second = await peer.next(WAITING, 2);
    expect(readU32(second.payload, 0)).toBe(5);
    peer.send(frame(SLOTS, 0, 0, numbers(4, 3, 1)));
    await until(() => session.shared === false, 'no flag');
    session.tellWaiting!(9, now);
    hub.open();
    await peer.next(OPEN, 2);
    expect(peer.of(WAITING).length).toBe(2);
  });
});

test('with one hub and one agent of ours no SLOTS and no WAITING are sent, however many requests there are', async () => {
  const made = await pair(2);
  open.push(made);
  made.serving.onOpen = (served) => served.answer(200, [], 'ok');
  const { changes } = made.hub;
  for (let i = 0; i < 50; i++) {
    const { heard } = made.hub.open();
    await until(() => heard.ended === 1, 'an answer');
  }
  expect(made.session.free).toBe(2);
  expect(made.session.shared).toBe(false);
  // Each answer freed its slot by its own flag: one change per answer, none from SLOTS.
  expect(made.hub.changes - changes).toBe(50);
});
