import { describe, expect, test } from 'vitest';
import { HeldClock } from '../../test/kit/upstream.ts';
import { Breaker, type BreakerSettings, type BreakerState } from './breaker.ts';

const OFF: BreakerSettings = { consecutiveFailures: 0, failurePercent: 0, minRequests: 10, windowMs: 60_000, openMs: 10_000, halfOpenSuccesses: 2 };
const IN_A_ROW: BreakerSettings = { ...OFF, consecutiveFailures: 3 };
const SHARE: BreakerSettings = { ...OFF, failurePercent: 50 };

function breaker(settings: BreakerSettings) {
  const clock = new HeldClock();
  return { clock, breaker: new Breaker(settings, clock) };
}

/** Each letter is an event: s(uccess), f(ailure), b(egin a trial), S and F(its result and its end), e(nd of a trial without a result), w(ait until the time is over). */
function run(settings: BreakerSettings, events: string): BreakerState {
  const { clock, breaker: one } = breaker(settings);
  const does: Record<string, () => void> = {
    s: () => one.succeeded(),
    f: () => one.failed(),
    b: () => one.trialBegan(),
    S: () => {
      one.trialSucceeded();
      one.trialEnded();
    },
    F: () => {
      one.trialFailed();
      one.trialEnded();
    },
    e: () => one.trialEnded(),
    w: () => {
      clock.ms += settings.openMs;
      one.tick(clock.ms);
    },
  };
  for (const event of events) does[event]!();
  return one.state;
}

describe('the states of a breaker', () => {
  test.each<[string, BreakerSettings, string, BreakerState]>([
    ['it begins closed', IN_A_ROW, '', 'closed'],
    ['fewer failures than the limit leave it closed', IN_A_ROW, 'ff', 'closed'],
    ['a success between failures begins the count anew', IN_A_ROW, 'ffsff', 'closed'],
    ['enough failures in a row open it', IN_A_ROW, 'sfff', 'open'],
    ['what still comes back while it is open changes nothing', IN_A_ROW, 'fffsss', 'open'],
    ['after its time requests are tried', IN_A_ROW, 'fffw', 'half_open'],
    ['one success of two leaves it half open', IN_A_ROW, 'fffwbS', 'half_open'],
    ['enough successes close it', IN_A_ROW, 'fffwbSbS', 'closed'],
    ['one failure opens it again', IN_A_ROW, 'fffwbSbF', 'open'],
    ['and after its time it is tried again', IN_A_ROW, 'fffwbFw', 'half_open'],
    ['successes of an earlier trial time do not count', IN_A_ROW, 'fffwbSbFwbS', 'half_open'],
    ['answers to requests from before it opened are no trials', IN_A_ROW, 'fffwss', 'half_open'],
    ['failures of such requests are none either', IN_A_ROW, 'fffwfff', 'half_open'],
    ['a trial whose client left decides nothing', IN_A_ROW, 'fffwbebSbS', 'closed'],
    ['closed again, the count begins at nothing', IN_A_ROW, 'fffwbSbSff', 'closed'],
    ['a breaker without limits never opens', OFF, 'ffffffffffffffffffffffff', 'closed'],
    ['too few requests make no share', SHARE, 'fffffffff', 'closed'],
    ['half of ten failed is half', SHARE, 'sssssfffff', 'open'],
    ['less than half is not', SHARE, 'ssssssfffff', 'closed'],
    ['only the share counts when only the share is set', SHARE, 'sssssssssssssssfffffff', 'closed'],
  ])('%s', (_, settings, events, state) => {
    expect(run(settings, events)).toBe(state);
  });

  test('it is open for exactly its time, and says until when', () => {
    const { clock, breaker: one } = breaker(IN_A_ROW);
    for (let i = 0; i < 3; i++) one.failed();
    expect(one.reopenMs).toBe(clock.ms + 10_000);
    expect(one.tick(clock.ms + 9_999)).toBe(false);
    expect(one.lets).toBe(false);
    expect(one.tick(clock.ms + 10_000)).toBe(true);
    expect(one.reopenMs).toBe(Number.POSITIVE_INFINITY);
  });

  test('half open, no more are tried at once than must succeed', () => {
    const { clock, breaker: one } = breaker(IN_A_ROW);
    for (let i = 0; i < 3; i++) one.failed();
    one.tick((clock.ms += 10_000));
    expect(one.lets).toBe(true);
    one.trialBegan();
    expect(one.lets).toBe(true);
    one.trialBegan();
    expect(one.lets).toBe(false);
    one.trialEnded();
    expect(one.lets).toBe(true);
  });

  test('the share is that of the last window: what is older is forgotten, piece by piece', () => {
    const { clock, breaker: one } = breaker(SHARE);
    for (let i = 0; i < 9; i++) one.failed();
    clock.ms += 59_000;
    for (let i = 0; i < 10; i++) one.succeeded();
    expect(one.state).toBe('closed');
    // The nine failures are out of the window now: of eleven requests one has failed.
    clock.ms += 2_000;
    one.failed();
    expect(one.state).toBe('closed');
    clock.ms += 600_000;
    for (let i = 0; i < 5; i++) one.succeeded();
    for (let i = 0; i < 5; i++) one.failed();
    expect(one.state).toBe('open');
  });

  test('other limits take effect at once, and switched off it closes', () => {
    const { breaker: one } = breaker(IN_A_ROW);
    one.failed();
    one.configure({ ...IN_A_ROW, consecutiveFailures: 2 });
    one.failed();
    expect(one.state).toBe('open');
    one.configure(OFF);
    expect([one.state, one.lets]).toEqual(['closed', true]);
  });
});
