import fc from 'fast-check';

/** Bytes, one per UTF-16 unit. */
export type Latin1 = string;

const NASTY = [
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  '\n\n',
  '\0',
  ' ',
  '\t',
  ':',
  ';',
  ',',
  '\x0b',
  '\x1b',
  '\x7f',
  '\x80',
  '\xff',
  '0',
  '1',
  'a',
  '_',
  '%',
  '/',
  '.',
  '#',
  '\\',
  '"',
  '-',
  '+',
  '{',
  'x',
];

const nasty = fc.constantFrom(...NASTY);

/** Small changes to a text: at a place, take out so many bytes, put these in. */
const someEdits = fc.array(
  fc.record({
    at: fc.nat(),
    out: fc.integer({ min: 0, max: 3 }),
    in: fc.oneof({ weight: 3, arbitrary: nasty }, { weight: 1, arbitrary: fc.constant('') }),
  }),
  { maxLength: 3 },
);

const edits = fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 3, arbitrary: someEdits });

function edited(text: Latin1, changes: readonly { at: number; out: number; in: string }[]): Latin1 {
  let out = text;
  for (const { at, out: gone, in: put } of changes) {
    const place = out.length === 0 ? 0 : at % out.length;
    out = out.slice(0, place) + put + out.slice(place + gone);
  }
  return out;
}

const method = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'DELETE', 'PATCH') },
  { weight: 1, arbitrary: fc.constantFrom('get', 'FOO', 'PURGE', 'M-SEARCH', 'TRACE', 'CONNECT', 'GE T', '', 'G@T', 'PRI') },
);

const target = fc.oneof(
  { weight: 15, arbitrary: fc.constantFrom('/', '/a', '/a/b?c=d', '/a%20b', '/?', '/a//b', '/;x') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '*',
      'http://b/c',
      'http://b',
      'HTTP://b:81/?q',
      'a:80',
      'x',
      '',
      '/..',
      '/a/../b',
      '/%2e%2e',
      '/a/%2E/b',
      '/%00',
      '/%zz',
      '/#f',
      '/a\\b',
      '/a\x80',
      '/a b',
      'http://u@b/',
      '?q',
    ),
  },
);

const version = fc.oneof(
  { weight: 40, arbitrary: fc.constant('HTTP/1.1') },
  { weight: 2, arbitrary: fc.constant('HTTP/1.0') },
  { weight: 1, arbitrary: fc.constantFrom('HTTP/2.0', 'HTTP/0.9', 'HTTP/1.2', 'http/1.1', 'HTTP/1.1 ', '', 'HTTP/11', 'HTTP/1.') },
);

const name = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom('X-A', 'x-b', 'Accept', 'User-Agent', 'Cookie') },
  { weight: 4, arbitrary: fc.constantFrom('Host', 'Content-Length', 'Transfer-Encoding', 'Connection', 'Expect', 'Upgrade', 'TE', 'Keep-Alive') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'content_length',
      '__proto__',
      'constructor',
      'Content-Length ',
      ' X',
      'X\t',
      '',
      'X Y',
      'X\0',
      'X\x80',
      'Transfer-Encodin',
      'Transfer-Encodingg',
    ),
  },
);

const value = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('x', 'a b', '', 'a', 'a:80', 'close', 'keep-alive', 'chunked', '0', '5', '100-continue') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '5, 5',
      '+5',
      '-1',
      '0x5',
      '5 ',
      ' 5',
      '005',
      '1e1',
      '18446744073709551621',
      'Chunked',
      'gzip, chunked',
      'chunked, chunked',
      'identity',
      'xchunked',
      '\x0bchunked',
      'chunked;a',
      'a, b',
      '[::1]',
      'a@b',
      'a/b',
      'X-A',
      'upgrade, close',
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)), maxLength: 8 }) },
);

const space = fc.oneof({ weight: 8, arbitrary: fc.constant(' ') }, { weight: 1, arbitrary: fc.constantFrom('', '  ', '\t', '\r\n ') });

const field = fc.tuple(name, space, value).map(([n, s, v]) => `${n}:${s}${v}\r\n`);

const hex = fc.oneof(
  { weight: 6, arbitrary: fc.constant(null) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '',
      '0x3',
      '+3',
      '3 ',
      ' 3',
      '03',
      '00000003',
      '000000003',
      'FFFFFFFFF',
      '3_',
      'g',
      '3;x',
      '3;x=y',
      '3;"a"',
      '3 ;x',
      '3;\t',
    ),
  },
);

const trailers = fc.oneof(
  { weight: 6, arbitrary: fc.constant('') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'X: y\r\n',
      'Content-Length: 5\r\n',
      'Host: b\r\n',
      'X : y\r\n',
      'X\r\n',
      'X: y\n',
      ' fold\r\n',
      'X: y\r\nZ: \x80\r\n',
    ),
  },
);

const data = fc.constantFrom('abc', 'GET / HTTP/1.1\r\nHost: s\r\n\r\n', '0\r\n\r\n', '\r\n', '');

/** A chunked body, mostly right. */
export const chunks: fc.Arbitrary<Latin1> = fc.tuple(fc.array(fc.tuple(data, hex), { maxLength: 3 }), trailers).map(
  ([parts, end]) =>
    `${parts
      .filter(([d]) => d !== '')
      .map(([d, size]) => `${size ?? d.length.toString(16)}\r\n${d}\r\n`)
      .join('')}0\r\n${end}\r\n`,
);

const body = fc.oneof(
  fc.constant({ fields: '', text: '' }),
  data.map((text) => ({ fields: `Content-Length: ${text.length}\r\n`, text })),
  chunks.map((text) => ({ fields: 'Transfer-Encoding: chunked\r\n', text })),
  fc.tuple(data, chunks).map(([text, more]) => ({ fields: `Content-Length: ${text.length}\r\n`, text: text + more })),
);

/** One request, mostly right. */
const request: fc.Arbitrary<Latin1> = fc
  .tuple(fc.boolean(), method, target, version, fc.array(field, { maxLength: 4 }), body, fc.nat(9))
  .map(([blank, m, t, v, fields, b, host]) => {
    const all = [...(host > 0 ? ['Host: a\r\n'] : []), ...fields, b.fields];
    return `${blank && host > 7 ? '\r\n' : ''}${m} ${t} ${v}\r\n${all.join('')}\r\n${b.text}`;
  });

/** One to three requests in a row, with up to three small edits. */
export const requests: fc.Arbitrary<Latin1> = fc
  .tuple(fc.array(request, { minLength: 1, maxLength: 3 }), edits)
  .map(([all, changes]) => edited(all.join(''), changes));

const status = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('200 OK', '404 Not Found', '204 No Content', '304 Not Modified', '200 ', '200') },
  { weight: 1, arbitrary: fc.constantFrom('99 x', '1000 x', '000 x', '', 'OK', '103 Early', '100 Continue', '101 Switching') },
);

/** One answer, mostly right, with up to three small edits. */
export const answers: fc.Arbitrary<Latin1> = fc
  .tuple(
    fc.constantFrom('', '', '', 'HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n', 'HTTP/1.1 100 Continue\r\n\r\n'),
    version,
    status,
    fc.array(field, { maxLength: 3 }),
    body,
    edits,
  )
  .map(([interim, v, s, fields, b, changes]) => edited(`${interim}${v} ${s}\r\n${fields.join('')}${b.fields}\r\n${b.text}`, changes));

/** Where to cut a text, as fractions of its length. */
export const cuts: fc.Arbitrary<number[]> = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 });

/** The pieces of a text that is cut so. */
export function pieces(text: Latin1, at: readonly number[]): Latin1[] {
  const places = [...new Set([0, ...at.map((part) => Math.floor(part * text.length)), text.length])].sort((a, b) => a - b);
  return places.slice(1).map((to, i) => text.slice(places[i], to));
}
