import { describe, expect, test } from 'vitest';
import { isTracestate, parseTraceparent, traceparentOf, TraceSource } from './trace.ts';

const ID = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

describe('a traceparent', () => {
  test.each([
    [`00-${ID}-${SPAN}-01`, 1],
    [`00-${ID}-${SPAN}-00`, 0],
    [`00-${ID}-${SPAN}-03`, 3],
    // Flags that are not known are not passed on.
    [`00-${ID}-${SPAN}-ff`, 3],
    [`cc-${ID}-${SPAN}-01`, 1],
    [`cc-${ID}-${SPAN}-03-what-the-future-brings`, 1],
  ])('%s is read', (text, flags) => {
    expect(parseTraceparent(text)).toStrictEqual({ traceId: ID, parentId: SPAN, flags });
  });

  test.each([
    '',
    `00-${ID}-${SPAN}`,
    `00-${ID}-${SPAN}-1`,
    `00-${ID}-${SPAN}-01-`,
    `00-${ID}-${SPAN}-01-more`,
    `cc-${ID}-${SPAN}-01.more`,
    `ff-${ID}-${SPAN}-01`,
    `00-${ID.toUpperCase()}-${SPAN}-01`,
    `00-${ID}-${SPAN.toUpperCase()}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${ID}-${'0'.repeat(16)}-01`,
    `00_${ID}-${SPAN}-01`,
    `0x-${ID}-${SPAN}-01`,
    ` 00-${ID}-${SPAN}-01`,
    `00-${ID}-${SPAN}-01, 00-${ID}-${SPAN}-01`,
    `00-${ID.slice(1)}-${SPAN}-01`,
    `00-${ID}-${SPAN}-0g`,
  ])('%j is none', (text) => {
    expect(parseTraceparent(text)).toBeNull();
  });
});

describe('a tracestate', () => {
  test.each(['congo=t61rcWkgMzE', 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE', 'a=1 , b=2', '0tenant@sys=x', 'a=1,,b=2', `a=${'x'.repeat(256)}`])(
    '%j may be shown',
    (text) => {
      expect(isTracestate(text)).toBe(true);
    },
  );

  test.each([
    '',
    ',',
    'a',
    '=1',
    'A=1',
    'a=',
    'a=1,a=2',
    'a=1=2',
    'a=\u00e4',
    `a=${'x'.repeat(257)}`,
    Array.from({ length: 33 }, (_, i) => `k${i}=1`).join(','),
    `a=${'x'.repeat(250)},b=${'x'.repeat(250)},c=${'x'.repeat(20)}`,
  ])('%j is none', (text) => {
    expect(isTracestate(text)).toBe(false);
  });
});

describe('which requests are recorded', () => {
  test('the flag of a trace that is there decides, whatever the share', () => {
    for (const ratio of [0, 1]) {
      const source = new TraceSource(ratio);
      expect(source.begin(`00-${ID}-${SPAN}-01`, '')).toMatchObject({ traceId: ID, parentId: SPAN, flags: 1 });
      expect(source.begin(`00-${ID}-${SPAN}-00`, '')).toBeNull();
    }
  });

  test('the share decides for requests without a trace, and for those whose trace cannot be read', () => {
    let dice = 0;
    const source = new TraceSource(0.25, () => dice);
    for (const parent of ['', 'rubbish']) {
      dice = 0.249;
      const trace = source.begin(parent, 'a=1')!;
      expect(trace).toMatchObject({ parentId: '', state: '', flags: 3 });
      expect(parseTraceparent(traceparentOf(trace))).toStrictEqual({ traceId: trace.traceId, parentId: trace.sentId, flags: 3 });
      dice = 0.25;
      expect(source.begin(parent, 'a=1')).toBeNull();
    }
    dice = 0;
    expect(new TraceSource(0, () => dice).begin('', '')).toBeNull();
  });

  test('ids are of the right form and never the same', () => {
    const source = new TraceSource(1);
    const seen = new Set<string>();
    for (let i = 0; i < 1_000; i++) {
      const { traceId, spanId, sentId } = source.begin('', '')!;
      expect(traceId).toMatch(/^[\da-f]{32}$/);
      expect(spanId).toMatch(/^[\da-f]{16}$/);
      for (const id of [traceId, spanId, sentId]) seen.add(id);
    }
    expect(seen.size).toBe(3_000);
  });

  test('the state goes with a trace that goes on, and is shown only when it is one', () => {
    const source = new TraceSource(0);
    expect(source.begin(`00-${ID}-${SPAN}-01`, 'congo=t61')!.state).toBe('congo=t61');
    expect(source.begin(`00-${ID}-${SPAN}-01`, 'not a state')!.state).toBe('');
  });
});
