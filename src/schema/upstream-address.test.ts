import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatUpstreamAddress, parseUpstreamAddress, upstreamAddresses } from './upstream-address.ts';

const kind = upstreamAddresses();
const plain = { weight: 1, priority: 0, backup: false, load: 0 };

test.each([
  ['10.0.0.1:8080', { host: '10.0.0.1', port: 8080, ...plain }],
  ['10.0.0.1:8080 5', { host: '10.0.0.1', port: 8080, ...plain, weight: 5 }],
  ['  api.Example.com  ', { host: 'api.example.com', port: 0, ...plain }],
  ['[::1]:81 2', { host: '::1', port: 81, ...plain, weight: 2 }],
  ['[fd00::1]', { host: 'fd00::1', port: 0, ...plain }],
  ['my_service:80', { host: 'my_service', port: 80, ...plain }],
  ['localhost:3000', { host: 'localhost', port: 3000, ...plain }],
])('%j is read', (text, address) => {
  expect(parseUpstreamAddress(text)).toEqual(address);
});

test.each([
  ['', 'host:port'],
  ['http://10.0.0.1:80', 'TLS is asked for with sni'],
  ['8080', '127.0.0.1:8080'],
  [':8080', 'host:port'],
  ['10.0.0.1:0', 'from 1 to 65535'],
  ['10.0.0.1:65536', 'from 1 to 65535'],
  ['10.0.0.1:', 'from 1 to 65535'],
  ['10.0.0.1:80 0', 'from 1 to 65535'],
  ['10.0.0.1:80 1.5', 'from 1 to 65535'],
  ['10.0.0.1:80 5 6', 'host:port weight'],
  ['::1:80', 'brackets'],
  ['[10.0.0.1]:80', '[::1]:8080'],
  ['10.0.0.300:80', 'host:port'],
  ['a b', 'from 1 to 65535'],
  ['-x.test:80', 'host:port'],
])('%j is refused with the fix', (text, fix) => {
  expect(() => parseUpstreamAddress(text)).toThrow(expect.objectContaining({ fix: expect.stringContaining(fix) as string }) as Error);
});

test.each([
  '0.0.0.0:80',
  '[::]:80',
  '255.255.255.255:80',
  '224.0.0.1:80',
  '[ff02::1]:80',
  '169.254.169.254:80',
  '169.254.0.1',
  '[fe80::1]:80',
  '[fd00:ec2::254]:80',
  '100.100.100.200:80',
  '[::ffff:169.254.169.254]:80',
  '[64:ff9b::a9fe:a9fe]:80',
  '[2002:a9fe:a9fe::]:80',
])('%s is nobody, or keeps the keys of a cloud machine: refused', (text) => {
  expect(() => parseUpstreamAddress(text)).toThrow(/address/);
});

test('in a file: texts, tables, both, or one text with commas', () => {
  expect(
    kind.fromToml(['10.0.0.1:80 2', { addr: '10.0.0.2:80', weight: 3, priority: 1, load: 0.25 }, { addr: '10.0.0.3', backup: true }], ''),
  ).toEqual([
    { host: '10.0.0.1', port: 80, ...plain, weight: 2 },
    { host: '10.0.0.2', port: 80, weight: 3, priority: 1, backup: false, load: 0.25 },
    { host: '10.0.0.3', port: 0, ...plain, backup: true },
  ]);
  expect(kind.fromToml('10.0.0.1:80, 10.0.0.2:81', '').map(({ port }) => port)).toEqual([80, 81]);
  expect(kind.fromToml({ addr: 'a:80' }, '')).toEqual([{ host: 'a', port: 80, ...plain }]);
});

test.each([
  [[{ addr: 'a:80', wieght: 1 }], 'did you mean weight?', 'wieght'],
  [[{ addr: 'a:80', color: 1 }], 'addr, weight, priority, backup and load', 'color'],
  [[{ weight: 1 }], 'addr = "host:port"', null],
  [[{ addr: 'a:80', weight: 0 }], 'from 1 to 65535', 'a:80'],
  [[{ addr: 'a:80', priority: -1 }], 'from 0 to 1000', 'a:80'],
  [[{ addr: 'a:80', backup: 'yes' }], 'backup = true', 'a:80'],
  [[{ addr: 'a:80', load: 1.01 }], 'from 0 to 1', 'a:80'],
  [[{ addr: 'a:80', load: -0.1 }], 'from 0 to 1', 'a:80'],
  [[{ addr: 'a:80', load: Number.NaN }], 'from 0 to 1', 'a:80'],
  [[{ addr: 'a:80', load: true }], 'from 0 to 1', 'a:80'],
  [['a:80', 'b:x'], 'from 1 to 65535', 'b:x'],
  [[5], 'text in quotes', null],
])('%j is refused, and the guilty one is named', (value, fix, part) => {
  const refused = (): unknown => kind.fromToml(value, '');
  expect(refused).toThrow(expect.objectContaining({ fix: expect.stringContaining(fix) as string }) as Error);
  if (part !== null) expect(refused).toThrow(expect.objectContaining({ part }) as Error);
});

test('every address that cannot be used is told of', () => {
  const others = [expect.objectContaining({ part: 'c d e' }) as Error, expect.objectContaining({ part: '0.0.0.0:80' }) as Error];
  expect(() => kind.fromToml(['a:80', 'b:x', 'c d e', { addr: '0.0.0.0:80' }], '')).toThrow(
    expect.objectContaining({ part: 'b:x', others }) as Error,
  );
});

test('what is written is read back', () => {
  const host = fc.oneof(
    fc.ipV4().filter((ip) => !/^(0|169\.254|2[2-5]\d)/.test(ip) && ip !== '100.100.100.200'),
    fc.constantFrom('a.test', 'fd00::1', '::1'),
  );
  fc.assert(
    fc.property(host, fc.integer({ min: 0, max: 65_535 }), fc.integer({ min: 1, max: 65_535 }), (name, port, weight) => {
      const address = { host: name, port, weight, priority: 0, backup: false, load: 0 };
      expect(parseUpstreamAddress(formatUpstreamAddress(address))).toEqual(address);
    }),
  );
});
