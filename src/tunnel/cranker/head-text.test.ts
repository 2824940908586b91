import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NO_BODY, RequestHead, ResponseHead, UNKNOWN_LENGTH } from '../../http/head.ts';
import { httpLimits } from '../../http/limits.ts';
import { parseRequest } from '../../http/parse.ts';
import { HeadReader, requestTextRoom, responseTextRoom, writeRequestText, writeResponseText } from './head-text.ts';
import { BODY_ENDED, BODY_FOLLOWS, NO_BODY_FOLLOWS, readMarker } from './markers.ts';

const limits = { ...httpLimits, headBytes: 64 * 1024 };

function answer(text: string | Buffer): { ok: boolean; head: ResponseHead } {
  const bytes = Buffer.from(text);
  const head = new ResponseHead();
  return { ok: new HeadReader().response(head, bytes, 0, bytes.length, limits), head };
}

function request(text: string, hasBody = false): { ok: boolean; head: RequestHead } {
  const bytes = Buffer.from(text);
  const head = new RequestHead();
  return { ok: new HeadReader().request(head, bytes, 0, bytes.length, hasBody, limits), head };
}

describe('an answer of', () => {
  const dialects: [string, string][] = [
    ['jc', 'HTTP/1.1 200 TO-DO\ncontent-length:5\nset-cookie:a=1\nset-cookie:b=2\n'],
    ['mu, with the blank line', 'HTTP/1.1 200 OK\ncontent-length:5\nset-cookie:a=1\nset-cookie:b=2\n\n'],
    ['tsn and asgi, without the last LF', 'HTTP/1.1 200 OK\ncontent-length:5\nset-cookie:a=1\nset-cookie:b=2'],
    ['go2, with CRLF', 'HTTP/1.1 200 OK\r\ncontent-length:5\r\nset-cookie:a=1\r\nset-cookie:b=2\r\n\r\n'],
    [
      'crank4go, with a line of its own and a space behind the reason',
      'HTTP/1.1 200 OK \nGET /x?b=x:y\ncontent-length:5\nset-cookie:a=1\nset-cookie:b=2\n',
    ],
    ['py1, with a line that looks like nothing', 'HTTP/1.1 200 OK\nPOST http://127.0.0.1:80/a\ncontent-length:5\nset-cookie:a=1\nset-cookie:b=2\n'],
    ['somebody without a reason', 'HTTP/1.1 200\ncontent-length:5\nset-cookie:a=1\nset-cookie:b=2\n'],
    ['somebody who passes fields of HTTP/2 on', 'HTTP/1.1 200 OK\n:status:200\ncontent-length: 5\nset-cookie:a=1\nset-cookie:  b=2\n'],
  ];
  test.each(dialects)('%s is read', (_, text) => {
    const { ok, head } = answer(text);
    expect(head.problemDetail).toBe('');
    expect(ok).toBe(true);
    expect([head.status, head.reason, head.length]).toEqual([200, 'OK', 5]);
    expect(head.list()).toEqual(['content-length', '5', 'set-cookie', 'a=1', 'set-cookie', 'b=2']);
  });

  test('a target that speaks of its connection loses those fields, and what they name', () => {
    const { ok, head } = answer(
      'HTTP/1.1 200 OK\nConnection: close, x-hop\nx-hop: 1\nKeep-Alive: timeout=5\ntransfer-encoding:chunked\nupgrade:h2c\nx:1\n',
    );
    expect(ok).toBe(true);
    expect(head.list()).toEqual(['x', '1']);
    expect(head.length).toBe(UNKNOWN_LENGTH);
  });

  test.each([
    ['nothing', ''],
    ['garbage', 'not a status line\n'],
    ['another protocol', 'HTTP/2.0 200 OK\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\n'],
    ['status 000', 'HTTP/1.1 000 OK\n'],
    ['a CR in the middle of a line', 'HTTP/1.1 200 OK\nx:a\rset-cookie:b\n'],
    ['a NUL', 'HTTP/1.1 200 OK\nx:a\0b\n'],
    ['two lengths', 'HTTP/1.1 200 OK\ncontent-length:5\ncontent-length:6\n'],
    ['a length and chunks', 'HTTP/1.1 200 OK\ncontent-length:5\ntransfer-encoding:chunked\n'],
    ['a negative length', 'HTTP/1.1 200 OK\ncontent-length:-5\n'],
    ['a second head', 'HTTP/1.1 200 OK\nx:1\n\nHTTP/1.1 500 X\ny:1\n'],
    ['too many fields', `HTTP/1.1 200 OK\n${'x:1\n'.repeat(200)}`],
    ['too long a head', `HTTP/1.1 200 OK\nx:${'y'.repeat(70_000)}\n`],
  ])('%s is refused', (_, text) => {
    const { ok, head } = answer(text);
    expect(ok).toBe(false);
    expect(head.problem).toMatch(/bad_response|head_too_large/);
    expect(head.problemDetail).not.toBe('');
  });

  test('anybody never makes the reader throw, and what it takes has fields that may be written', () => {
    const reader = new HeadReader();
    const head = new ResponseHead();
    const line = fc.oneof(
      fc.constantFrom(
        'HTTP/1.1 200 OK',
        'HTTP/1.1 404',
        'x:1',
        'GET /a:b',
        ' folded',
        'content-length:3',
        '',
        'transfer-encoding:chunked',
        'a:\r',
        '\r',
        'é:ü',
      ),
      fc.string({ maxLength: 30 }),
      fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), fc.constantFrom('\n', '\r\n'), (lines, end) => {
        const bytes = Buffer.from(lines.join(end), 'latin1');
        if (!reader.response(head, bytes, 0, bytes.length, limits)) {
          expect(head.problem).not.toBeNull();
          return;
        }
        head.each((name, value) => {
          expect(name).toMatch(/^[!#$%&'*+\-.^_`|~0-9a-z]+$/);
          // eslint-disable-next-line no-control-regex
          expect(value).not.toMatch(/[\0\r\n]/);
        });
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a request', () => {
  test('is read with LF, CRLF, and without its blank line', () => {
    for (const text of ['GET /a?b HTTP/1.1\nHost:h\nx:1\n\n', 'GET /a?b HTTP/1.1\r\nHost:h\r\nx: 1\r\n\r\n', 'GET /a?b HTTP/1.1\nHost:h\nx:1']) {
      const { ok, head } = request(text);
      expect(ok).toBe(true);
      expect([head.method, head.target, head.authority, head.length]).toEqual(['GET', '/a?b', 'h', NO_BODY]);
      expect(head.list()).toEqual(['x', '1']);
    }
  });

  test('has the body that its marker says', () => {
    expect(request('POST / HTTP/1.1\nhost:h\n\n', true).head.length).toBe(UNKNOWN_LENGTH);
    expect(request('POST / HTTP/1.1\nhost:h\ncontent-length:3\n\n', true).head.length).toBe(3);
    expect(request('POST / HTTP/1.1\nhost:h\ntransfer-encoding:chunked\n\n', false).head.length).toBe(NO_BODY);
    expect(request('POST / HTTP/1.1\nhost:h\ncontent-length:0\n\n', false).head.length).toBe(0);
    expect(request('POST / HTTP/1.1\nhost:h\ncontent-length:3\n\n', false).ok).toBe(false);
  });

  test('is read without a host, since some routers do not tell it', () => {
    const { ok, head } = request('GET /a HTTP/1.1\nx:1\n\n');
    expect(ok).toBe(true);
    expect(head.target).toBe('/a');
    expect(head.list()).toEqual(['x', '1']);
  });

  test('is refused when its line, its host or its fields are not what HTTP allows', () => {
    for (const text of [
      '',
      'GET\n',
      'GET / HTTP/1.1\nhost:\n\n',
      'GET / HTTP/1.1\nx:\0\n\n',
      'GET / HTTP/1.1\nhost:a b\n\n',
      'TRACE / HTTP/1.1\nhost:h\n\n',
      'GET / HTTP/1.1\nhost:h\nx:\0\n\n',
      'GET / HTTP/1.1\nhost:h\n\nx:1',
    ])
      expect(request(text).ok).toBe(false);
  });

  test('is written as mu-cranker-router writes it', () => {
    const given = Buffer.from(
      'POST /a%20b?c HTTP/1.1\r\nHost: h:80\r\nX-One:  1 \r\nConnection: close, x-hop\r\nX-Hop: 1\r\nExpect: 100-continue\r\nContent-Length: 3\r\nTE: trailers\r\n\r\n',
    );
    const head = new RequestHead();
    expect(parseRequest(head, given, 0, given.length, limits)).toBe(given.length);
    head.add('via', 'HTTP/1.1 muc');
    const out = Buffer.alloc(requestTextRoom(head));
    const text = out.toString('utf8', 0, writeRequestText(head, out, 0, true, true));
    expect(text).toBe('POST /a%20b?c HTTP/1.1\nhost:h:80\nX-One:1\nContent-Length:3\nvia:HTTP/1.1 muc\n\n');
  });

  test('is written as UTF-8, whatever its bytes are', () => {
    for (const encoding of ['latin1', 'utf8'] as const) {
      const given = Buffer.from('GET / HTTP/1.1\r\nHost: h\r\nX: ü\r\n\r\n', encoding);
      const head = new RequestHead();
      parseRequest(head, given, 0, given.length, limits);
      const out = Buffer.alloc(requestTextRoom(head));
      expect(out.toString('utf8', 0, writeRequestText(head, out, 0, true, true))).toBe('GET / HTTP/1.1\nhost:h\nX:ü\n\n');
    }
  });

  test('that is written can be read again, and means the same', () => {
    const name = fc.stringMatching(/^x-[a-z]{1,8}$/);
    const value = fc.stringMatching(/^[!-~]{1,30}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 10 }), fc.webPath(), fc.option(fc.nat(1000)), (fields, path, length) => {
        const lines = fields.map(([one, two]) => `${one}: ${two}\r\n`).join('');
        const given = Buffer.from(`PUT /${path} HTTP/1.1\r\nHost: h\r\n${lines}${length === null ? '' : `Content-Length: ${length}\r\n`}\r\n`);
        const head = new RequestHead();
        if (parseRequest(head, given, 0, given.length, limits) !== given.length) return;
        const out = Buffer.alloc(requestTextRoom(head));
        const again = request(out.toString('utf8', 0, writeRequestText(head, out, 0, true, true)), length !== null);
        expect(again.ok).toBe(true);
        expect([again.head.method, again.head.target, again.head.authority]).toEqual([head.method, head.target, head.authority]);
        expect(again.head.list()).toEqual(head.list());
        expect(again.head.length).toBe(head.length);
      }),
    );
  });
});

test('an answer that is written can be read again', () => {
  const head = ResponseHead.make(206, ['X-One', '1', 'Set-Cookie', 'a=1'], 7);
  const out = Buffer.alloc(responseTextRoom(head));
  const text = out.toString('utf8', 0, writeResponseText(head, out, 0));
  expect(text).toBe('HTTP/1.1 206 Partial Content\nX-One:1\nSet-Cookie:a=1\ncontent-length:7\n\n');
  const again = answer(text);
  expect([again.ok, again.head.status, again.head.length]).toEqual([true, 206, 7]);
});

describe('a marker', () => {
  const read = (text: string): string | null => readMarker(Buffer.from(text), 0, text.length);

  test('is the last two characters, on a line of their own', () => {
    expect(read('GET / HTTP/1.1\nhost:h\n\n_1')).toBe(BODY_FOLLOWS);
    expect(read('GET / HTTP/1.1\r\nhost:h\r\n\r\n_2')).toBe(NO_BODY_FOLLOWS);
    expect(read('_3')).toBe(BODY_ENDED);
  });

  test('is not there when the text only ends like one, or is too short', () => {
    for (const text of ['', '_', '3', 'x_1', 'GET / HTTP/1.1\nhost:h\n\n', '_4', '\n_']) expect(read(text)).toBeNull();
  });
});
