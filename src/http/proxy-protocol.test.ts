import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type End, parseProxyHeader, PROXY_HEADER_BYTES, type ProxyHeader, writeProxyV1, writeProxyV2 } from './proxy-protocol.ts';

const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n';

function read(text: string | Buffer): ProxyHeader {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
  return parseProxyHeader(bytes, 0, bytes.length);
}

/** A version 2 header of these parts. `length` as it is, unless told. */
function v2(command: number, family: number, rest: readonly number[], length = rest.length): Buffer {
  return Buffer.from([...Buffer.from(SIGNATURE, 'latin1'), command, family, length >> 8, length & 255, ...rest]);
}

const FOUR = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0x01, 0xbb];
const SIX = [0x20, 0x01, 0x0d, 0xb8, ...Array<number>(11).fill(0), 7, ...Array<number>(15).fill(0), 1, 0x12, 0x67, 0x01, 0xbb];

describe('a header that is right', () => {
  test.each<[string, string | Buffer, End | null]>([
    ['version 1, IPv4', 'PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n', { address: '192.0.2.7', port: 4711 }],
    ['version 1, IPv6', 'PROXY TCP6 2001:DB8::7 ::1 4711 443\r\n', { address: '2001:db8::7', port: 4711 }],
    ['version 1, IPv4 in IPv6', 'PROXY TCP6 ::ffff:192.0.2.7 ::1 0 65535\r\n', { address: '192.0.2.7', port: 0 }],
    ['version 1, unknown', 'PROXY UNKNOWN\r\n', null],
    ['version 1, unknown with whatever', 'PROXY UNKNOWN ff:ff <anything> 1\r\n', null],
    ['version 2, IPv4', v2(0x21, 0x11, FOUR), { address: '192.0.2.7', port: 4711 }],
    ['version 2, IPv6', v2(0x21, 0x21, SIX), { address: '2001:db8::7', port: 4711 }],
    ['version 2, IPv4 in IPv6', v2(0x21, 0x21, [...Array<number>(10).fill(0), 255, 255, ...SIX.slice(12)]), { address: '0.0.0.7', port: 4711 }],
    ['version 2, with TLVs', v2(0x21, 0x11, [...FOUR, 0x04, 0, 3, 1, 2, 3]), { address: '192.0.2.7', port: 4711 }],
    ['version 2, LOCAL', v2(0x20, 0x00, []), null],
    ['version 2, LOCAL with addresses', v2(0x20, 0x11, FOUR), null],
    ['version 2, LOCAL of a family that is not known', v2(0x20, 0x77, [1, 2, 3]), null],
    ['version 2, unspecified', v2(0x21, 0x00, [1, 2]), null],
    ['version 2, unix sockets', v2(0x21, 0x31, Array<number>(216).fill(0x2f)), null],
  ])('%s', (_, header, source) => {
    const bytes = typeof header === 'string' ? Buffer.from(header, 'latin1') : header;
    expect(read(bytes)).toEqual({ state: 'done', bytes: bytes.length, source });
    // What follows belongs to HTTP, and what came before is somebody else's.
    const among = Buffer.concat([Buffer.from('junk'), bytes, Buffer.from('GET / HTTP/1.1\r\n')]);
    expect(parseProxyHeader(among, 4, among.length)).toEqual({ state: 'done', bytes: bytes.length, source });
  });
});

describe('a header that is not', () => {
  test.each<[string, string | Buffer]>([
    ['no header at all', 'GET / HTTP/1.1\r\n'],
    ['a TLS hello', Buffer.from([0x16, 3, 1, 2, 0])],
    ['nearly', 'PROXI'],
    ['lower case', 'proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n'],
    ['another protocol', 'PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n'],
    ['IPv6 in TCP4', 'PROXY TCP4 ::1 ::1 1 2\r\n'],
    ['IPv4 in TCP6', 'PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n'],
    ['two spaces', 'PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n'],
    ['a tab', 'PROXY TCP4\t192.0.2.7 198.51.100.1 1 2\r\n'],
    ['a space behind', 'PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n'],
    ['a port too large', 'PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n'],
    ['a port with a zero before it', 'PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n'],
    ['a negative port', 'PROXY TCP4 192.0.2.7 198.51.100.1 -1 2\r\n'],
    ['a port too few', 'PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n'],
    ['an octal address', 'PROXY TCP4 010.0.2.7 198.51.100.1 1 2\r\n'],
    ['an address with a zone', 'PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n'],
    ['no line end within 107 bytes', `PROXY UNKNOWN ${'x'.repeat(120)}`],
    ['a line end that comes too late', `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`],
    ['UNKNOWNs', 'PROXY UNKNOWNS\r\n'],
    ['version 2 of version 3', v2(0x31, 0x11, FOUR)],
    ['version 2, another command', v2(0x22, 0x11, FOUR)],
    ['version 2, too short for its addresses', v2(0x21, 0x11, FOUR.slice(1))],
    ['version 2, too short for IPv6', v2(0x21, 0x21, FOUR)],
    ['version 2 of UDP', v2(0x21, 0x12, FOUR)],
    ['version 2, another family', v2(0x21, 0x41, FOUR)],
    ['version 2, longer than anybody needs', v2(0x21, 0x11, FOUR, PROXY_HEADER_BYTES)],
  ])('%s', (_, header) => {
    expect(read(header)).toMatchObject({ state: 'bad' });
  });
});

const address4 = fc.ipV4();
const address6 = fc.ipV6().filter((text) => !text.includes('.'));
const port = fc.nat({ max: 65_535 });
const end = (address: fc.Arbitrary<string>): fc.Arbitrary<End> => fc.record({ address, port });
const pair = fc.oneof(fc.tuple(end(address4), end(address4)), fc.tuple(end(address6), end(address6)), fc.tuple(end(address4), end(address6)));
const header = fc.tuple(pair, fc.boolean()).map(([[source, destination], second]) => ({
  source,
  bytes: second ? writeProxyV2(source, destination) : writeProxyV1(source, destination),
}));

/** What an address says, however it is written. */
function meaning(address: string): string {
  const host = new URL(`http://${address.includes(':') ? `[${address}]` : address}/`).hostname;
  const [, high, low] = /^\[::ffff:([\da-f]+):([\da-f]+)\]$/.exec(host) ?? [];
  if (high === undefined) return host;
  const number = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low!, 16);
  return [24, 16, 8, 0].map((bits) => (number >>> bits) & 255).join('.');
}

test('what is written is read again, in both versions', () => {
  fc.assert(
    fc.property(header, ({ source, bytes }) => {
      const found = read(bytes);
      expect(found).toMatchObject({ state: 'done', bytes: bytes.length, source: { port: source.port } });
      if (found.state === 'done') expect(meaning(found.source!.address)).toBe(meaning(source.address));
    }),
  );
});

test('every beginning of a header is incomplete, never wrong and never enough', () => {
  fc.assert(
    fc.property(header, ({ bytes }) => {
      for (let n = 0; n < bytes.length; n++) expect(read(bytes.subarray(0, n))).toEqual({ state: 'incomplete' });
    }),
  );
});

test('who is no address becomes unknown', () => {
  const us = { address: '192.0.2.1', port: 80 };
  expect(writeProxyV1({ address: '', port: 0 }, us).toString()).toBe('PROXY UNKNOWN\r\n');
  expect(read(writeProxyV2({ address: 'fe80::1%eth0', port: 1 }, us))).toMatchObject({ state: 'done', source: null });
});

test('whatever comes, the parser neither throws nor takes more than there is, and is of the same mind however the bytes are cut', () => {
  const noise = fc.uint8Array({ maxLength: 400 });
  const spoiled = fc.tuple(header, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 3 })).map(([{ bytes }, slips]) => {
    const copy = Buffer.from(bytes);
    for (const [at, value] of slips) copy[at % copy.length] = value;
    return copy;
  });
  const likely = noise.map((tail) => Buffer.concat([Buffer.from(SIGNATURE, 'latin1'), tail]));
  fc.assert(
    fc.property(fc.oneof(noise, spoiled, likely), (raw) => {
      const bytes = Buffer.from(raw);
      const whole = read(bytes);
      if (whole.state === 'done') expect(whole.bytes).toBeLessThanOrEqual(bytes.length);
      let first: ProxyHeader = { state: 'incomplete' };
      for (let n = 0; n <= bytes.length && first.state === 'incomplete'; n++) first = read(bytes.subarray(0, n));
      expect(first.state).toBe(whole.state);
      if (first.state === 'done') expect(first).toEqual(whole);
    }),
    { numRuns: 1_000 },
  );
});
