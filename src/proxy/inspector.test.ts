import { describe, expect, test } from 'vitest';
import { Notes } from '../http/exchange.ts';
import { makePeer, ResponseHead } from '../http/head.ts';
import { requestHead } from '../../test/kit/tunnel.ts';
import { type Inspected, InspectedServer, Inspector } from './inspector.ts';
import type { Journal } from './journal.ts';
import { INSPECTED_BYTES, INSPECTED_FIRST_BYTES, INSPECTED_HEADS_BYTES, INSPECTED_SPARE } from './limits.ts';

const PEER = makePeer('192.0.2.1', 1234, 80, 'http', false);

function begin(inspector: Inspector, target: string, more = ''): Inspected {
  return inspector.begin('main', requestHead(`GET ${target} HTTP/1.1\r\nHost: a\r\n${more}\r\n`), new Notes(0), PEER);
}

function targets(inspector: Inspector): string[] {
  return [...inspector.latest()].map(({ came }) => came.split(' ')[1]!);
}

function make(size: number): Inspector {
  const inspector = new Inspector(() => 0);
  inspector.resize(size);
  return inspector;
}

describe('what is kept', () => {
  test('the last ones, in order of their coming, whatever order they end in', () => {
    const inspector = make(3);
    const all = ['/a', '/b', '/c', '/d'].map((target) => begin(inspector, target));
    for (const exchange of all.toReversed()) exchange.finished(200, 1, '', '');
    expect(targets(inspector)).toEqual(['/d', '/c', '/b']);
    expect(inspector.find(all[3]!.number)).toBe(all[3]);
    expect(inspector.find(1)).toBeNull();
  });

  test('one that runs longer than it is kept writes into nobody else’s place', () => {
    const inspector = make(2);
    const slow = begin(inspector, '/slow');
    for (let i = 0; i < 10; i++) begin(inspector, `/${i}`).finished(200, 1, '', '');
    slow.answered(ResponseHead.make(500, ['X-Late', '1'], 0));
    slow.finished(500, 9, 'late', 'late');
    expect(targets(inspector)).toEqual(['/9', '/8']);
    expect([...inspector.latest()].map(({ status, reply }) => [status, reply])).toEqual([
      [200, ''],
      [200, ''],
    ]);
    // Its object is free for another one, once it is over and not before.
    begin(inspector, '/next');
    begin(inspector, '/more');
    expect(targets(inspector)).toEqual(['/more', '/next']);
  });

  test('heads as text: as it came, as the last attempt sent it, and the answer behind plugins', () => {
    const inspector = make(1);
    const exchange = begin(inspector, '/x', 'X-A: 1\r\n');
    for (const value of ['first', 'second']) {
      const sent = requestHead('GET /x HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n');
      sent.set('X-Added', value);
      exchange.sent(sent);
    }
    exchange.answered(ResponseHead.make(200, ['X-From', 'upstream'], 0));
    exchange.passed(ResponseHead.make(201, ['X-From', 'plugin'], 0));
    exchange.finished(201, 1, '', '');
    expect(exchange.came).toBe('GET /x HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n');
    expect(exchange.sentOn).toBe('GET /x HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-Added: second\r\n\r\n');
    expect(exchange.reply).toBe('HTTP/1.1 201 Created\r\nX-From: plugin\r\nContent-Length: 0\r\n\r\n');
  });

  test('more or fewer from now on: those that are there stay as far as they fit', () => {
    const inspector = make(4);
    for (const target of ['/a', '/b', '/c', '/d', '/e']) begin(inspector, target).finished(200, 1, '', '');
    inspector.resize(2);
    expect(targets(inspector)).toEqual(['/e', '/d']);
    inspector.resize(5);
    begin(inspector, '/f');
    expect(targets(inspector)).toEqual(['/f', '/e', '/d']);
    inspector.clear();
    expect(targets(inspector)).toEqual([]);
    begin(inspector, '/g');
    inspector.resize(0);
    expect([targets(inspector), inspector.isOn]).toEqual([[], false]);
  });
});

test('a look at what is kept visits that and no more, however many have come before', () => {
  let looks = 0;
  class Counting extends Inspector {
    override find(number: number): Inspected | null {
      looks++;
      return super.find(number);
    }
  }
  const inspector = new Counting(() => 0);
  inspector.resize(5);
  for (let i = 0; i < 10_000; i++) begin(inspector, `/${i}`).finished(200, 1, '', '');
  expect(targets(inspector)).toEqual(['/9999', '/9998', '/9997', '/9996', '/9995']);
  expect(looks).toBe(5);
});

describe('memory', () => {
  test('an object is used again, so that the text of a full ring does not grow', () => {
    const inspector = make(10);
    for (let i = 0; i < 10; i++) begin(inspector, '/x').finished(200, 1, '', '');
    const { bytes } = inspector;
    const objects = new Set(inspector.latest());
    for (let i = 0; i < 100; i++) begin(inspector, '/x').finished(200, 1, '', '');
    expect(inspector.bytes).toBe(bytes);
    expect(new Set(inspector.latest())).toEqual(objects);
  });

  test('of those that end when nobody can look at them any more so many are kept for others to come, and the text of the rest is given back', () => {
    const inspector = make(1);
    const all = Array.from({ length: INSPECTED_SPARE + 10 }, (_, i) => begin(inspector, `/${i}`));
    expect(inspector.bytes).toBe(all.length * INSPECTED_FIRST_BYTES);
    for (const exchange of all) exchange.finished(200, 1, '', '');
    // The last one is kept to be looked at.
    expect(inspector.bytes).toBe((INSPECTED_SPARE + 1) * INSPECTED_FIRST_BYTES);
    inspector.resize(0);
    expect(inspector.bytes).toBe(0);
  });

  test('large heads push out the oldest before they fill the memory, and all is given back', () => {
    const inspector = make(100_000);
    const large = `X-Large: ${'x'.repeat(7_000)}\r\n`;
    for (let i = 0; i < 10_000; i++) begin(inspector, `/${i}`, large).finished(200, 1, '', '');
    expect(inspector.bytes).toBeLessThanOrEqual(INSPECTED_BYTES);
    const kept = targets(inspector);
    expect(kept[0]).toBe('/9999');
    expect(kept.length).toBeLessThan(10_000);
    inspector.resize(0);
    expect(inspector.bytes).toBe(0);
  });

  test('a head that is larger than an exchange may keep is left out, and the exchange is listed all the same', () => {
    const inspector = make(2);
    const exchange = begin(inspector, '/small');
    exchange.answered(ResponseHead.make(200, ['X-Huge', 'x'.repeat(INSPECTED_HEADS_BYTES)], 0));
    exchange.finished(200, 1, '', '');
    expect([exchange.came.length > 0, exchange.reply]).toEqual([true, '']);
  });
});

describe('beside another journal', () => {
  test('both hear of everything while it is on, and the other one alone while it is off', () => {
    const heard: string[] = [];
    const base: Journal = {
      begin: () => ({
        changed: () => void heard.push('changed'),
        sent: () => void heard.push('sent'),
        answered: () => void heard.push('answered'),
        passed: () => void heard.push('passed'),
        trailed: () => void heard.push('trailed'),
        finished: () => void heard.push('finished'),
      }),
    };
    const inspector = new Inspector(() => 0);
    const server = new InspectedServer(inspector, base, 'main');
    expect(server.journal).toBe(base);
    expect(new InspectedServer(inspector, null, 'main').journal).toBeNull();
    inspector.resize(1);
    const head = requestHead('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const entry = server.journal!.begin(head, new Notes(0), PEER);
    entry.changed(head);
    entry.sent(head);
    entry.answered(ResponseHead.make(200, [], 0));
    entry.passed(ResponseHead.make(200, [], 0));
    entry.trailed([]);
    entry.finished(200, 1, 'l', 'u');
    expect(heard).toEqual(['changed', 'sent', 'answered', 'passed', 'trailed', 'finished']);
    expect(inspector.find(1)).toMatchObject({ server: 'main', status: 200, location: 'l', upstream: 'u' });
  });
});
