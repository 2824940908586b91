import { expect, test } from 'vitest';
import { KEPT_LINES, KEPT_LINES_BYTES } from './limits.ts';
import { createLog } from './log.ts';
import { LogRing } from './log-ring.ts';

function make(): { ring: LogRing; log: ReturnType<LogRing['beside']>; written: string[] } {
  const ring = new LogRing(() => 7);
  const written: string[] = [];
  return { ring, written, log: ring.beside(createLog({ format: 'json', stream: { write: (text) => written.push(text) } })) };
}

test('lines are kept as they are written: with what children add, without secrets, and only those that are wanted', () => {
  const { ring, log, written } = make();
  log.child({ agent: 'gpu', token: 'canary' }).warn({ url: 'http://u:canary@h/' }, 'a');
  log.debug({}, 'b');
  log.level = 'debug';
  log.debug({}, 'c');
  log.level = 'error';
  log.info({}, 'd');
  expect([...ring.latest()]).toEqual([
    { atMs: 7, level: 'debug', message: 'c', fields: {} },
    { atMs: 7, level: 'warn', message: 'a', fields: { agent: 'gpu', token: '***', url: 'http://***@h/' } },
  ]);
  expect(written).toHaveLength(2);
});

test('the oldest go when there are too many, or too many bytes of them', () => {
  const { ring, log } = make();
  for (let i = 0; i < KEPT_LINES + 5; i++) log.info({}, `line ${i}`);
  expect(ring.size).toBe(KEPT_LINES);
  expect(ring.latest().next().value).toMatchObject({ message: `line ${KEPT_LINES + 4}` });
  const long = 'x'.repeat(4_000);
  for (let i = 0; i < 300; i++) log.info({}, long);
  expect(ring.size).toBeLessThanOrEqual(KEPT_LINES_BYTES / (2 * long.length));
  expect(ring.size).toBeGreaterThan(10);
});

test('who listens hears of every line until it ends that', () => {
  const { ring, log } = make();
  const heard: string[] = [];
  const end = ring.listen(({ message }) => heard.push(message));
  log.info({}, 'one');
  end();
  log.info({}, 'two');
  expect(heard).toEqual(['one']);
});
