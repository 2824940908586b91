import { afterEach, describe, expect, test } from 'vitest';
import { type Heard, pair, type Pair, type Served, until } from '../../../test/kit/tunnel.ts';
import type { BodySink, ReplySink } from '../../http/exchange.ts';
import { ResponseHead } from '../../http/head.ts';

let p: Pair;
afterEach(() => p.close());

const CHUNK = Buffer.alloc(64 * 1024);
for (let i = 0; i < CHUNK.length; i++) CHUNK[i] = i % 251;

/** Writes `total` bytes as fast as the sink takes them, then ends. */
function pour(sink: BodySink, total: number, done: () => void = () => {}): void {
  let left = total;
  const go = (): void => {
    while (left > 0) {
      const n = Math.min(left, CHUNK.length);
      left -= n;
      if (!sink.write(CHUNK.subarray(0, n)) && left > 0) return;
    }
    if (left === 0) {
      left = -1;
      sink.end();
      done();
    }
  };
  sink.writer = { drained: go };
  go();
}

function answerWith(served: Served, total: number): void {
  const { reply } = served;
  setImmediate(() => {
    reply.head(ResponseHead.make(200, [], total));
    pour(reply as ReplySink, total, () => reply.settled());
  });
}

/** Makes a reader stop after `bytes`. */
function stopAfter(heard: Heard, bytes: number): void {
  heard.keepBytes = false;
  const write = heard.write.bind(heard);
  heard.write = (chunk) => {
    write(chunk);
    heard.open = heard.bytes < bytes;
    return heard.open;
  };
}

/** Lets it read on, for ever. */
function goOn(heard: Heard): void {
  heard.write = (chunk) => {
    heard.bytes += chunk.length;
    return true;
  };
  heard.writer!.drained();
}

function held(): number {
  return p.session.bufferedBytes + p.agent.bufferedBytes;
}

/** Waits until nothing moves any more. */
async function standstill(heard: Heard[]): Promise<void> {
  let last = -1;
  let quiet = 0;
  await until(() => {
    const now = heard.reduce((sum, { bytes }) => sum + bytes, 0);
    quiet = now === last ? quiet + 1 : 0;
    last = now;
    return quiet > 20;
  }, 'a standstill');
}

describe('flow control', () => {
  test('[threat 50] a reader that stops costs less than 2 MiB over both ends, and reads on where it was', async () => {
    p = await pair(1);
    p.serving.onOpen = (served) => answerWith(served, 30_000_000);
    const { heard } = p.hub.open();
    stopAfter(heard, 8_000_000);
    await until(() => heard.bytes >= 8_000_000, 'the first part');
    await standstill([heard]);
    expect(heard.bytes).toBeLessThan(8_000_000 + 1024 * 1024 + 65_536);
    expect(held()).toBeGreaterThan(0);
    expect(held()).toBeLessThanOrEqual(2 * 1024 * 1024);
    goOn(heard);
    await until(() => heard.settledCount === 1, 'the rest');
    expect(heard).toMatchObject({ bytes: 30_000_000, ended: 1, aborts: 0 });
    expect(held()).toBe(0);
  });

  test('the same for a request that the agent’s upstream stops reading', async () => {
    p = await pair(1);
    let stop = true;
    p.serving.onOpen = (served) => {
      served.keepBytes = false;
      const write = served.write.bind(served);
      served.write = (chunk) => write(chunk) && !(stop && served.bytes > 4_000_000);
    };
    const { heard, sink } = p.hub.open('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n');
    pour(sink, 20_000_000);
    await until(() => (p.serving.all[0]?.bytes ?? 0) > 4_000_000, 'the first part');
    await standstill([p.serving.all[0] as unknown as Heard]);
    expect(held()).toBeLessThanOrEqual(2 * 1024 * 1024);
    stop = false;
    p.serving.all[0]!.writer!.drained();
    await until(() => p.serving.all[0]!.ended === 1, 'the rest');
    expect(p.serving.all[0]!.bytes).toBe(20_000_000);
    p.serving.all[0]!.answer(200, [], 'ok');
    await until(() => heard.settledCount === 1, 'the answer');
    expect(held()).toBe(0);
  });

  test('[threat 50] fifty readers that stop cost at most 50 MiB, and another stream is served whole', async () => {
    p = await pair(51);
    p.serving.onOpen = (served) => answerWith(served, 64 * 1024 * 1024);
    const stalled = Array.from({ length: 50 }, () => p.hub.open().heard);
    for (const heard of stalled) stopAfter(heard, 500_000);
    await until(() => stalled.every(({ bytes }) => bytes >= 500_000), 'all fifty read a little');
    await standstill(stalled);
    // Windows grow by at most 4 MiB together, each began with 64 KiB, and each sender holds one chunk.
    expect(held()).toBeLessThanOrEqual(16 * 1024 * 1024);
    p.serving.onOpen = (served) => answerWith(served, 10_000_000);
    const free = p.hub.open().heard;
    free.keepBytes = false;
    await until(() => free.settledCount === 1, 'the one that reads');
    expect(free).toMatchObject({ bytes: 10_000_000, ended: 1 });
    for (const heard of stalled) expect(heard.settledCount).toBe(0);
  });

  test('[threat 50] windows that readers have grown and left standing are given to those that read', async () => {
    p = await pair(21, { limits: { tickMs: 20, growthBytes: 2 * 1024 * 1024 } });
    const growth = () => (p.session as unknown as { grownBytes: number }).grownBytes;
    const stalledBytes = 4 * 1024 * 1024;
    let bytes = stalledBytes;
    p.serving.onOpen = (served) => answerWith(served, bytes);
    const stalled = Array.from({ length: 20 }, () => p.hub.open().heard);
    for (const heard of stalled) stopAfter(heard, 2_000_000);
    await until(() => stalled.every(({ bytes }) => bytes >= 2_000_000), 'all read for a while, and then stop');
    await until(() => growth() === 0, 'their growth is given back');
    bytes = 32 * 1024 * 1024;
    const free = p.hub.open().heard;
    free.keepBytes = false;
    let most = 0;
    const write = free.write.bind(free);
    free.write = (chunk) => {
      most = Math.max(most, growth());
      return write(chunk);
    };
    await until(() => free.bytes > 30_000_000, 'the one that reads');
    expect(most).toBeGreaterThanOrEqual(900 * 1024);
    for (const heard of stalled) goOn(heard);
    await until(() => stalled.every(({ settledCount }) => settledCount === 1), 'the others read on');
    for (const heard of stalled) expect(heard).toMatchObject({ bytes: stalledBytes, ended: 1 });
  });

  test('a session over its bytes grants stalled streams little, and none of them starves', async () => {
    const sessionBytes = 1024 * 1024;
    p = await pair(40, { limits: { sessionBytes, growthBytes: sessionBytes / 2 } });
    p.serving.onOpen = (served) => answerWith(served, 1_000_000);
    const all = Array.from({ length: 40 }, () => p.hub.open().heard);
    for (const heard of all) stopAfter(heard, 1);
    await standstill(all);
    expect(p.session.bufferedBytes).toBeGreaterThan(sessionBytes);
    // Each reads one bite at a time: never more than its first window outstanding.
    for (let round = 0; all.some(({ ended }) => ended === 0); round++) {
      if (round > 500) throw new Error('starved');
      for (const heard of all) {
        heard.writer!.drained();
        heard.open = true;
      }
      await standstill(all);
      // All first windows, and what windows may grow by.
      expect(p.session.bufferedBytes).toBeLessThanOrEqual(40 * 64 * 1024 + sessionBytes / 2);
    }
    for (const heard of all) expect(heard.bytes).toBe(1_000_000);
  });

  test('small streams are not held up by large ones: answers come while bodies flow', async () => {
    p = await pair(3);
    p.serving.onOpen = (served) => {
      if (served.target === '/small') served.answer(200, [], 'small');
      else answerWith(served, 50_000_000);
    };
    const large = [p.hub.open().heard, p.hub.open().heard];
    for (const heard of large) heard.keepBytes = false;
    await until(() => large.every(({ bytes }) => bytes > 1_000_000), 'bodies flow');
    let served = 0;
    while (large.some(({ ended }) => ended === 0) && served < 20) {
      const { heard } = p.hub.open('GET /small HTTP/1.1\r\nHost: a\r\n\r\n');
      await until(() => heard.settledCount === 1, 'the small answer');
      served++;
    }
    expect(served).toBeGreaterThan(3);
    await until(() => large.every(({ settledCount }) => settledCount === 1), 'the large ones');
  });
});
