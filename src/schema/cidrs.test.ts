import { expect, test } from 'vitest';
import { Cidrs, parseCidr } from './cidrs.ts';

test.each([
  ['10.0.0.0/8', ['10.0.0.0', '10.255.255.255', '::ffff:10.1.2.3'], ['11.0.0.0', '9.255.255.255', '::a00:0', 'fd00::1']],
  ['10.1.2.3', ['10.1.2.3', '::ffff:10.1.2.3', '::ffff:a01:203'], ['10.1.2.4']],
  ['192.168.4.0/22', ['192.168.4.0', '192.168.7.255'], ['192.168.8.0', '192.168.3.255']],
  ['0.0.0.0/0', ['1.2.3.4'], ['::1']],
  ['fd00::/8', ['fd00::1', 'fdff::1'], ['fc00::1', '253.0.0.1']],
  ['::1', ['::1', '0:0::1'], ['::2', '127.0.0.1']],
  ['fe80::/10', ['fe80::1%eth0'], ['fec0::1']],
  ['loopback', ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'], ['128.0.0.1', '::2']],
  ['private', ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.0.1', 'fd12::1'], ['172.32.0.1', '192.169.0.1', '8.8.8.8']],
])('%s holds what it should and nothing else', (text, inside, outside) => {
  const cidrs = new Cidrs(parseCidr(text));
  for (const address of inside) expect(cidrs.has(address), address).toBe(true);
  for (const address of outside) expect(cidrs.has(address), address).toBe(false);
});

test.each([
  '',
  'x',
  '10.0.0.0/33',
  '10.0.0.0/',
  '10.0.0.0/-1',
  '10.0.0.0/8/8',
  '10.0.0.1/8',
  '::1/129',
  '127.1',
  '0x7f.0.0.1',
  '010.0.0.1',
  '10.0.0',
  'fd00::g/8',
])('%j is no block', (text) => {
  expect(() => parseCidr(text)).toThrow();
});

test('what is no address is nowhere', () => {
  const all = new Cidrs([...parseCidr('0.0.0.0/0'), ...parseCidr('::/0')]);
  for (const text of ['', 'x', 'unknown', '_hidden', '1.2.3', '1.2.3.4:80', '[::1]', undefined]) expect(all.has(text)).toBe(false);
  expect(new Cidrs().empty).toBe(true);
  expect(new Cidrs().has('127.0.0.1')).toBe(false);
});
