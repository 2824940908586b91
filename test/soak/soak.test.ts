import { afterAll, beforeAll, expect, test } from 'vitest';
import { Program } from '../kit/program.ts';
import { Children } from './child.ts';
import { inFlightPicture, page, waitingPicture } from './report.ts';
import { runSoak, type SoakResult } from './soak.ts';

/** A short form of `npm run soak`, with everything that must be exact; how fast things are is for the long one. */
const REQUESTS = 8_000;

const program = new Program();
let children: Children;
let result: SoakResult;

beforeAll(async () => {
  program.build();
  children = new Children(program.main);
  result = await runSoak(
    {
      requests: REQUESTS,
      seed: 5,
      calmShare: 0.2,
      chaosEveryMs: 200,
      long: false,
      workMs: 45,
      departures: 40,
      crowd: 0,
      overEight: 0,
      say: () => {},
    },
    children,
  );
}, 240_000);

afterAll(() => {
  children.close();
  program.close();
});

test('in chaos no request is at a service beyond its slots, and no POST comes twice', () => {
  const { tally } = result;
  expect(tally.overSlots).toEqual([]);
  expect(tally.twice).toEqual([]);
  expect(tally.arrivals).toBeGreaterThan(REQUESTS * 0.9);
  expect([...result.events.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(3);
});

test('in chaos no answer is wrong or looks complete when it is not, and every request comes to an end', () => {
  const { tally } = result;
  expect(tally.wrong).toEqual([]);
  expect(tally.right + tally.left + tally.lost).toBe(REQUESTS);
  expect(tally.right).toBeGreaterThan(REQUESTS * 0.8);
});

test('in chaos no request is lost that may safely be sent again, and no hub that is well leaves one without an answer', () => {
  const { safe, unanswered } = result.tally.losses();
  expect(safe).toEqual([]);
  expect(unanswered).toEqual([]);
});

test('after the chaos every slot is free, can be used, and nothing is held anywhere', () => {
  expect(result.leaked).toEqual([]);
  expect(result.complaints).toEqual([]);
});

test('clients that leave are noticed by the service, every one of them', () => {
  expect(result.departures!.count).toBe(40);
});

test('the report tells all of it, with two pictures that are drawn for light and dark', () => {
  const text = page(result, { inFlight: 'a.svg', waiting: 'b.svg' });
  expect(text).toContain('requests at a service beyond its slots | 0 | 0 | met');
  expect(text).not.toContain('NaN');
  for (const picture of [inFlightPicture(result), waitingPicture(result)]) {
    expect(picture).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 820 \d+"/);
    expect(picture).toContain('prefers-color-scheme: dark');
    expect(picture).not.toMatch(/NaN|undefined|Infinity/);
  }
});
