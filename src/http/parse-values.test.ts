import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { RequestHead } from './head.ts';
import { httpLimits } from './limits.ts';
import { parseRequest, REFUSED } from './parse.ts';

/** A byte may stand in a value: HTAB, SP, visible, obs-text (RFC 9110 5.5). */
function isAllowed(c: number): boolean {
  return c === 9 || (c >= 0x20 && c !== 0x7f);
}

/** With the byte at `at` of a value of `length` bytes, in a buffer in which `before` bytes stand before it and nothing behind the head. */
function headWith(c: number, at: number, length: number, before: number): { bytes: Buffer; value: string } {
  const value = `${'v'.repeat(at)}${String.fromCharCode(c)}${'w'.repeat(length - at - 1)}`;
  return { bytes: Buffer.from(`${'-'.repeat(before)}GET / HTTP/1.1\r\nHost: a\r\nX: ${value}\r\n\r\n`, 'latin1'), value };
}

test('each byte of a value is looked at, wherever it stands', () => {
  const head = new RequestHead();
  for (let c = 0; c < 256; c++) {
    for (let length = 1; length <= 9; length++) {
      for (let at = 0; at < length; at++) {
        const before = (at + length) % 4;
        const { bytes, value } = headWith(c, at, length, before);
        const next = parseRequest(head, bytes, before, bytes.length, httpLimits);
        const where = `byte ${c} at ${at} of ${length}`;
        if (!isAllowed(c)) expect([where, next]).toEqual([where, REFUSED]);
        else expect([where, next, head.get('x')]).toEqual([where, bytes.length, value.replaceAll(/^[ \t]+|[ \t]+$/g, '')]);
      }
    }
  }
});

test('two odd bytes beside each other are both looked at', () => {
  const head = new RequestHead();
  for (const [a, b] of [
    [0x80, 0],
    [9, 0x7f],
    [0xff, 0x1f],
    [9, 10],
    [0xff, 0x7f],
    [0x80, 13],
  ]) {
    for (let at = 0; at < 8; at++) {
      const value = `${'v'.repeat(at)}${String.fromCharCode(a!, b!)}${'w'.repeat(8 - at)}`;
      const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\nX: ${value}\r\n\r\n`, 'latin1');
      expect([a, b, at, parseRequest(head, bytes, 0, bytes.length, httpLimits)]).toEqual([a, b, at, REFUSED]);
    }
  }
});

test('a head in other memory than the last one is read from its own', () => {
  const head = new RequestHead();
  const first = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nCookie: one=two\r\n\r\n', 'latin1');
  const second = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nX-Name: \x01\x01\x01\x01\r\n\r\n', 'latin1');
  expect(parseRequest(head, first, 0, first.length, httpLimits)).toBe(first.length);
  expect(parseRequest(head, second, 0, second.length, httpLimits)).toBe(REFUSED);
  expect(parseRequest(head, first, 0, first.length, httpLimits)).toBe(first.length);
});
