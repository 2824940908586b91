import { describe, expect, it, test } from 'vitest';
import { fieldLine, RequestHead, ResponseHead } from './head.ts';
import { httpLimits } from './limits.ts';
import { USER_AGENT, X_FORWARDED_FOR } from './names.ts';
import { parseRequest } from './parse.ts';
import { requestRoom, trailerLines, writeRequest } from './write.ts';

const BREAKS = ['a\r\nSet-Cookie: b', 'a\rb', 'a\nb', 'a\0b', 'a\x1bb', 'a\x7fb', 'a\u0100b', '\r\n'];

test('whatever could break out of a field is refused by the one place that writes fields [threat 19]', () => {
  for (const value of BREAKS) {
    expect(() => fieldLine('X-A', value)).toThrow(RangeError);
    expect(() => new RequestHead().add('Location', value)).toThrow(RangeError);
    expect(() => new RequestHead().set('Location', value)).toThrow(RangeError);
    expect(() => ResponseHead.make(302, ['Location', value], 0)).toThrow(RangeError);
    expect(() => trailerLines(['X-A', value])).toThrow(RangeError);
  }
  for (const name of ['', 'a b', 'a:', 'a\r\nb', 'a\0', ' a', 'a\u00e4', '"a"']) expect(() => fieldLine(name, 'x')).toThrow(RangeError);
  expect(fieldLine('X-A', 'b\tc \xe4')).toBe('X-A: b\tc \xe4\r\n');
});

function parse(text: string): RequestHead {
  const head = new RequestHead();
  const bytes = Buffer.from(text, 'latin1');
  expect(parseRequest(head, bytes, 0, bytes.length, httpLimits)).toBe(bytes.length);
  return head;
}

function written(head: RequestHead): string {
  const out = Buffer.alloc(requestRoom(head, 'b'));
  return out.toString('latin1', 0, writeRequest(head, 'b', true, out, 0));
}

test('fields are removed and set by name, also those that were added, whatever their case', () => {
  const head = parse('GET /x HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nUser-Agent: u\r\nx-one: 2\r\nX-Two: 3\r\nX-Forwarded-For: f\r\n\r\n');
  head.add('X-One', '4');
  head.removeName('x-one');
  head.remove(USER_AGENT);
  head.set('x-two', '5');
  head.set('X-Forwarded-For', 'g');
  expect(head.has(USER_AGENT)).toBe(false);
  expect(head.value(USER_AGENT)).toBe('');
  expect(head.list()).toEqual(['x-two', '5', 'x-forwarded-for', 'g']);
  expect(head.get('x-two')).toBe('5');
  expect(written(head)).toBe('GET /x HTTP/1.1\r\nHost: b\r\nx-two: 5\r\nX-Forwarded-For: g\r\n\r\n');
});

test('a value is found by name in any case, among fields that came and those that were added, joined when there are several', () => {
  const head = ResponseHead.make(200, ['X-One', 'a', 'Range', 'r', 'x-ONE', 'b', 'X-One-More', 'c'], 0);
  expect([head.get('x-one'), head.get('range'), head.get('x-on'), head.get('x-one-more'), head.get('x-one-more-than')]).toEqual([
    'a, b',
    'r',
    undefined,
    'c',
    undefined,
  ]);
  head.removeName('x-one');
  expect(head.get('x-one')).toBeUndefined();
});

test('a kept head stays what it was when its bytes and the scratch are used again', () => {
  const bytes = Buffer.from(
    'junkPOST /x HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nX-Forwarded-For: f\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n',
    'latin1',
  );
  const head = new RequestHead();
  expect(parseRequest(head, bytes, 4, bytes.length, httpLimits)).toBe(bytes.length);
  head.add('X-Two', '2');
  const before = written(head);
  const kept = head.keep();
  bytes.fill(0);
  parseRequest(head, Buffer.from('GET / HTTP/1.1\r\nHost: z\r\n\r\n'), 0, 26, httpLimits);
  expect(written(kept)).toBe(before);
  expect(kept).toMatchObject({ method: 'POST', target: '/x', authority: 'a', length: 3, expectContinue: true });
  expect(kept.value(X_FORWARDED_FOR)).toBe('f');
  kept.removeName('x-one');
  expect(kept.keep().list()).toEqual(['x-forwarded-for', 'f', 'content-length', '3', 'x-two', '2']);
});

describe('a copy of a head', () => {
  const parsed = (text: string): RequestHead => {
    const bytes = Buffer.from(`pad${text}`, 'latin1');
    const head = new RequestHead();
    expect(parseRequest(head, bytes, 3, bytes.length, httpLimits)).toBe(bytes.length);
    return head;
  };

  it('says the same when what it was made from is gone', () => {
    const head = parsed('POST /a?b=c HTTP/1.1\r\nHost: example.org:8080\r\nAccept: x\r\nContent-Length: 5\r\n\r\n');
    head.add('X-Added', 'yes');
    const copy = head.keep();
    const said = [copy.method, copy.target, copy.authority, copy.length, copy.list()];
    head.bytes.fill(0);
    expect([copy.method, copy.target, copy.authority, copy.length, copy.list()]).toEqual(said);
    expect(said).toEqual(['POST', '/a?b=c', 'example.org:8080', 5, ['accept', 'x', 'content-length', '5', 'x-added', 'yes']]);
  });

  it('can be made again in the memory of an older one, whatever their sizes', () => {
    let copy = parsed('GET /short HTTP/1.1\r\nHost: a\r\n\r\n').keep();
    for (const length of [10, 5000, 3, 20_000, 100]) {
      const fields = Array.from({ length: 1 + (length % 37) }, (_, i) => `F${i}: ${'v'.repeat(length / 20)}\r\n`).join('');
      const head = parsed(`PUT /${'p'.repeat(length % 1000)} HTTP/1.1\r\nHost: h${length}\r\n${fields}\r\n`);
      const wanted = [head.method, head.target, head.authority, head.length, head.upgrade, head.list()];
      copy = head.keep(copy);
      head.bytes.fill(0);
      expect([copy.method, copy.target, copy.authority, copy.length, copy.upgrade, copy.list()]).toEqual(wanted);
      expect(copy.isCopy).toBe(true);
    }
  });
});
