import { expect, test } from 'vitest';
import { Heard, requestHead } from '../../test/kit/tunnel.ts';
import { Notes, type RequestSink } from '../http/exchange.ts';
import type { RequestHead } from '../http/head.ts';
import { parseAllowRule } from '../schema/allow.ts';
import { Gate } from './gate.ts';

const SINK: RequestSink = { writer: null, write: () => true, end: () => {}, abort: () => {}, settled: () => {} };

function gate(allow: readonly string[], upgrades: readonly string[] = ['websocket']): { gate: Gate; seen: string[][]; upgrades: string[] } {
  const seen: string[][] = [];
  const asked: string[] = [];
  const endpoint = {
    id: 'e',
    open: (head: RequestHead) => {
      seen.push(head.list());
      asked.push(head.upgrade);
      return SINK;
    },
  };
  return { gate: new Gate(endpoint, allow.map(parseAllowRule), upgrades), seen, upgrades: asked };
}

test('what is not allowed is refused with 403 before the endpoint hears of it, and is settled [threat 45]', () => {
  const { gate: guard, seen } = gate(['GET /v1/*']);
  const heard = new Heard();
  const sink = guard.open(requestHead('POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n'), heard, new Notes(0));
  expect(heard.failure).toMatchObject({ code: 'forbidden_target', status: 403 });
  expect(heard.settledCount).toBe(1);
  expect(seen).toEqual([]);
  expect(guard).toMatchObject({ requests: 1, forbidden: 1 });
  // Its body still comes, and goes nowhere.
  expect(sink.write(Buffer.from('hello'))).toBe(true);
  sink.writer = null;
  sink.end();
  sink.abort(heard.failure!);
  sink.settled();
});

test('fields of the tunnel and the app password stop here, even when a hub lets them through', () => {
  const { gate: guard, seen } = gate([]);
  const fields = 'Slime-App-Password: a\r\nSlime-Agent-Token: b\r\nSlime-Connection-Id: c\r\nWindlass-Token: d\r\nWindlass-Hub: e\r\nX: y\r\n';
  guard.open(requestHead(`GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`), new Heard(), new Notes(0));
  expect(seen[0]!.join(' ')).not.toMatch(/slime-|windlass-/i);
  expect(seen[0]).toContain('x');
});

test('an upgrade passes only to what is listed', () => {
  const { gate: guard, upgrades } = gate([]);
  for (const token of ['WebSocket', 'h2c', 'other'])
    guard.open(requestHead(`GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ${token}\r\n\r\n`), new Heard(), new Notes(0));
  expect(upgrades).toEqual(['WebSocket', '', '']);
});
