import { expect, test } from 'vitest';
import type { CertificateInfo } from '../../../../src/admin/model.ts';
import { byUrgency, daysLeft, lifeOver, problemBesideDates, standingOf } from './validity.ts';

const DAY = 86_400_000;

function certificate(from: number, to: number, problem = ''): CertificateInfo {
  return {
    name: `${from}-${to}`,
    source: 'file',
    subject: '',
    issuer: '',
    names: [],
    notBeforeMs: from * DAY,
    notAfterMs: to * DAY,
    fingerprint: '',
    usedBy: [],
    problem,
  };
}

test('a certificate stands as its dates and its problems say', () => {
  const now = 100 * DAY;
  expect(standingOf(certificate(0, 300), now)).toBe('good');
  expect(standingOf(certificate(0, 110), now)).toBe('soon');
  expect(standingOf(certificate(0, 100), now)).toBe('expired');
  expect(standingOf(certificate(101, 300), now)).toBe('early');
  expect(standingOf(certificate(0, 300, 'its key is another'), now)).toBe('wrong');
});

test('days and the part of a life are whole and bounded', () => {
  expect(daysLeft(101.9 * DAY, 100 * DAY)).toBe(1);
  expect(daysLeft(99.5 * DAY, 100 * DAY)).toBe(-1);
  expect(lifeOver(certificate(0, 200), 100 * DAY)).toBe(0.5);
  expect(lifeOver(certificate(0, 50), 100 * DAY)).toBe(1);
  expect(lifeOver(certificate(200, 300), 100 * DAY)).toBe(0);
  expect(lifeOver(certificate(5, 5), 0)).toBe(1);
});

test('what needs a look comes first', () => {
  const [now, good, soon, expired] = [100 * DAY, certificate(0, 300), certificate(0, 105), certificate(0, 90)];
  expect([good, soon, expired].toSorted(byUrgency(now))).toEqual([expired, soon, good]);
});

test('what the dates say already is not said a second time, in other words and other numbers', () => {
  const of = (problem: string): string => problemBesideDates(certificate(0, 100, problem));
  expect(['it has expired', 'it is not valid yet', 'it expires in 5 days', 'it expires in 1 days'].map(of)).toEqual(['', '', '', '']);
  expect(of('it has expired: the authority does not answer')).toBe('it has expired: the authority does not answer');
  expect(of('the new one cannot be used: its key is another')).toBe('the new one cannot be used: its key is another');
});
