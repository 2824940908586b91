import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { closeReason } from './close-codes.ts';
import { negotiate, offerOf, versionGranted, type CrankerVersion } from './negotiate.ts';
import { domainOf, routeOf } from './route.ts';

const BOTH: ReadonlySet<CrankerVersion> = new Set(['1.0', '3.0']);

describe('the protocol of a registration', () => {
  test.each([
    ['header 1.0 only', '', '1.0', '1.0', null, true],
    ['subprotocols 3.0 and 1.0', 'cranker_3.0, cranker_1.0', '1.0', '3.0', 'cranker_3.0', false],
    ['subprotocols 1.0 and 3.0', 'cranker_1.0,cranker_3.0', '1.0', '1.0', 'cranker_1.0', true],
    ['subprotocol 3.0 without a header', 'cranker_3.0', '', '3.0', 'cranker_3.0', false],
    ['header 3.0 without subprotocols', '', '3.0', '3.0', null, false],
    ['an unknown subprotocol with header 1.0', 'cranker_9.9', '1.0', '1.0', null, true],
    ['an unknown subprotocol before a known one', 'chat, CRANKER_3.0', '1.0', '3.0', 'CRANKER_3.0', false],
  ] as const)('%s', (_, offered, said, version, subprotocol, saysVersion) => {
    expect(negotiate(offered, said, BOTH)).toEqual({ version, subprotocol, saysVersion });
  });

  test.each([
    ['header 2.0', '', '2.0'],
    ['nothing at all', '', ''],
    ['only unknown subprotocols', 'a, b', ''],
  ])('%s is none', (_, offered, said) => {
    expect(negotiate(offered, said, BOTH)).toBeNull();
  });

  test('is never one that this router does not speak', () => {
    expect(negotiate('cranker_3.0', '1.0', new Set(['1.0']))).toEqual({ version: '1.0', subprotocol: null, saysVersion: true });
    expect(negotiate('cranker_3.0, cranker_1.0', '1.0', new Set(['1.0']))).toEqual({ version: '1.0', subprotocol: 'cranker_1.0', saysVersion: true });
    expect(negotiate('', '1.0', new Set(['3.0']))).toBeNull();
  });

  test('never answers a subprotocol that was not offered', () => {
    const token = fc.constantFrom('cranker_3.0', 'cranker_1.0', 'Cranker_1.0', 'x', '', ' ', 'cranker_2.0');
    fc.assert(
      fc.property(fc.array(token, { maxLength: 5 }), fc.constantFrom('', '1.0', '2.0', '3.0'), (tokens, said) => {
        const granted = negotiate(tokens.join(','), said, BOTH);
        if (granted !== null && granted.subprotocol !== null) expect(tokens).toContain(granted.subprotocol);
      }),
    );
  });

  test('is for a connector what the router returned, and 1.0 when it returned nothing', () => {
    expect(offerOf(['3.0', '1.0'])).toBe('cranker_3.0, cranker_1.0');
    expect(versionGranted('cranker_3.0', ['3.0', '1.0'])).toBe('3.0');
    expect(versionGranted('', ['3.0', '1.0'])).toBe('1.0');
    expect(versionGranted('cranker_3.0', ['1.0'])).toBeNull();
    expect(versionGranted('chat', ['3.0', '1.0'])).toBeNull();
  });
});

describe('a route', () => {
  test('is letters, digits, / _ . and -, without slashes around it', () => {
    for (const [given, route] of [
      ['my-service', 'my-service'],
      ['/a/b_c/', 'a/b_c'],
      ['.well-known', '.well-known'],
      ['', '*'],
      ['*', '*'],
      ['/', '*'],
    ] as const)
      expect(routeOf(given)).toBe(route);
  });

  test('is refused with anything else, and with segments that end in dots or climb', () => {
    for (const given of ['a b', 'a,b', 'a..b', 'a/../b', 'a.', 'a./b', 'ä', 'a//b', '<b>', 'a\nb', 'x'.repeat(201), 'a*'])
      expect(routeOf(given)).toBeNull();
  });

  test('may belong to a domain', () => {
    expect(domainOf('')).toBe('*');
    expect(domainOf('Api.Example.COM')).toBe('api.example.com');
    expect(domainOf('*.example.com')).toBe('*.example.com');
    for (const given of ['a b', 'a..b', 'http://a', '.a', 'x'.repeat(254), 'a,b', '*a']) expect(domainOf(given)).toBeNull();
  });
});

test('the reason of a close always fits its frame', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      const reason = closeReason(text);
      expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(123);
      // What was cut is a whole number of characters.
      expect(Buffer.from(text).toString()).toContain(reason);
    }),
  );
  expect(closeReason('Going away')).toBe('Going away');
});
