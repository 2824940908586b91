import { expect, test } from 'vitest';
import type { ReplySink } from '../http/exchange.ts';
import type { ResponseHead } from '../http/head.ts';
import { createLoop } from '../std/loop.ts';
import { Broadcast } from './broadcast.ts';
import { EventStream } from './events.ts';
import { adminLimits } from './limits.ts';
import type { Tick } from './model.ts';
import type { EventOut } from './route.ts';

/** A page that reads, or does not. */
class Page implements ReplySink {
  writer: ReplySink['writer'] = null;
  text = '';
  status = 0;
  isReading = true;
  ends = 0;
  settlements = 0;
  head(head: ResponseHead): void {
    this.status = head.status;
  }
  write(chunk: Uint8Array): boolean {
    this.text += Buffer.from(chunk).toString('utf8');
    return this.isReading;
  }
  end(): void {
    this.ends++;
  }
  settled(): void {
    this.settlements++;
  }
  abort(): void {}
  informational(): void {}
  read(): void {
    this.isReading = true;
    this.writer!.drained();
  }
  get events(): readonly string[] {
    return [...this.text.matchAll(/^event: (.*)\ndata: (.*)$/gm)].map(([, name, data]) => `${name} ${data}`);
  }
}

function stream(may = (): boolean => true): { page: Page; out: EventStream; move: (ms: number) => void } {
  let ms = 1_000;
  const loop = createLoop({ now: () => ms, wall: () => ms });
  const page = new Page();
  const out = new EventStream(page, loop, may);
  return {
    page,
    out,
    move: (by) => {
      ms += by;
      loop.sweeper.sweep();
    },
  };
}

test('a page that does not read misses events, is told how many when it reads again, and costs nothing meanwhile', () => {
  const { page, out } = stream();
  out.send('tick', { n: 1 });
  page.isReading = false;
  // The chunk that fills it is taken.
  out.send('tick', { n: 2 });
  const before = page.text.length;
  for (let n = 3; n < 10_003; n++) out.send('tick', { n });
  expect(page.text.length).toBe(before);
  page.read();
  out.send('tick', { n: 10_003 });
  expect(page.events).toEqual(['tick {"n":1}', 'tick {"n":2}', 'missed {"count":10000}', 'tick {"n":10003}']);
});

test('an event is what it says it is, whatever stands in it [threat 68]', () => {
  const { page, out } = stream();
  out.send('tick', { name: 'a\n\nevent: forged\ndata: {}\r\n<script>' });
  expect(page.events).toEqual(['tick {"name":"a\\n\\nevent: forged\\ndata: {}\\r\\n<script>"}']);
});

test('a silent stream shows that it lives, and one whose reader may no longer see it ends', () => {
  let may = true;
  const { page, move, out } = stream(() => may);
  let stops = 0;
  out.begin(() => () => void stops++);
  move(adminLimits.eventPingMs - 1);
  expect(page.text).not.toContain(': ping');
  move(adminLimits.eventCheckMs);
  expect(page.text.match(/: ping\n\n/g)).toHaveLength(1);
  may = false;
  move(adminLimits.eventCheckMs);
  expect([page.ends, page.settlements, stops]).toEqual([1, 1, 1]);
  out.send('tick', {});
  out.end();
  out.close();
  expect([page.ends, page.settlements, stops, page.events]).toEqual([1, 1, 1, []]);
});

test('a page that has left ends its stream once', () => {
  const { page, out } = stream();
  let stops = 0;
  out.begin(() => () => void stops++);
  out.close();
  out.close();
  expect([page.ends, page.settlements, stops]).toEqual([0, 1, 1]);
});

test('numbers are made once for all pages and only while one is open; many changes are one', async () => {
  const heard: ((tick: Tick) => void)[] = [];
  let ended = 0;
  const broadcast = new Broadcast({
    follow: (hear) => {
      heard.push(hear);
      return () => void ended++;
    },
  });
  const told: string[][] = [[], []];
  const outs = told.map((to): EventOut => ({ send: (event, data) => void to.push(`${event} ${JSON.stringify(data)}`), end: () => {} }));
  broadcast.changed('config');
  const leave = outs.map((out) => broadcast.join(out));
  expect(heard).toHaveLength(1);
  heard[0]!({ atMs: 1 } as Tick);
  for (let i = 0; i < 10_000; i++) broadcast.changed('agents');
  broadcast.changed('queue');
  await expect.poll(() => told[0]!.length, { timeout: 10_000 }).toBe(3);
  expect(told[0]).toEqual(['tick {"atMs":1}', 'change {"what":"agents"}', 'change {"what":"queue"}']);
  expect(told[1]).toEqual(told[0]);
  leave[0]!();
  expect(ended).toBe(0);
  leave[1]!();
  expect(ended).toBe(1);
  broadcast.close();
});
