import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { requestHead } from '../../test/kit/tunnel.ts';
import { addressOf, claimClient, forOf, MAX_HOPS } from './client-address.ts';
import { tellForwarding } from './forwarded.ts';
import { makePeer, type RequestHead } from './head.ts';

/** 10.x.x.x and the loopback are proxies of ours. */
const trusts = (address: string): boolean => /^(?:10\.|127\.|fd00:)/.test(address);

function headOf(lines: readonly string[], peerAddress = '10.0.0.1'): RequestHead {
  const head = requestHead(`GET / HTTP/1.1\r\nHost: a.example\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`);
  head.peer = makePeer(peerAddress, 1, 80, 'https', trusts(peerAddress));
  return head;
}

function clientOf(...lines: string[]): string {
  const head = headOf(lines);
  claimClient(head, trusts);
  return head.client;
}

describe('who the client is behind trusted proxies [threat 22]', () => {
  test.each<[string, string[], string]>([
    ['nothing is said: the peer', [], '10.0.0.1'],
    ['one address', ['X-Forwarded-For: 203.0.113.9'], '203.0.113.9'],
    ['what the client wrote itself is left of what a proxy saw', ['X-Forwarded-For: 1.1.1.1, 203.0.113.9'], '203.0.113.9'],
    ['trusted proxies are walked over', ['X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.0.0.7, 10.0.0.8'], '203.0.113.9'],
    ['all are trusted: the first', ['X-Forwarded-For: 10.0.0.9, 10.0.0.8'], '10.0.0.9'],
    ['several lines are one list', ['X-Forwarded-For: 1.1.1.1', 'X-Forwarded-For: 203.0.113.9', 'X-Forwarded-For: 10.0.0.8'], '203.0.113.9'],
    ['ports', ['X-Forwarded-For: 203.0.113.9:4711'], '203.0.113.9'],
    ['IPv6', ['X-Forwarded-For: 2001:DB8:0::9'], '2001:db8::9'],
    ['IPv6 with a port', ['X-Forwarded-For: [2001:db8::9]:4711'], '2001:db8::9'],
    ['IPv4 in IPv6 is walked over as the IPv4 that it is', ['X-Forwarded-For: 203.0.113.9, ::ffff:10.0.0.8'], '203.0.113.9'],
    ['what is no address ends the walk', ['X-Forwarded-For: 203.0.113.9, unknown, 10.0.0.8'], '10.0.0.8'],
    ['nothing but what is no address: the peer', ['X-Forwarded-For: unknown'], '10.0.0.1'],
    ['empty elements are nothing', ['X-Forwarded-For: 203.0.113.9, , 10.0.0.8,'], '203.0.113.9'],
    ['octal and hex are no addresses', ['X-Forwarded-For: 010.0.0.1'], '10.0.0.1'],
    ['an address with a zone is none', ['X-Forwarded-For: fe80::1%eth0'], '10.0.0.1'],
    ['Forwarded', ['Forwarded: for=1.1.1.1, for=203.0.113.9;proto=https, for=10.0.0.8'], '203.0.113.9'],
    ['Forwarded with IPv6', ['Forwarded: proto=https;For="[2001:db8::9]:4711"'], '2001:db8::9'],
    ['Forwarded with an obfuscated name', ['Forwarded: for=203.0.113.9, for=_hidden, for=10.0.0.8'], '10.0.0.8'],
    ['Forwarded that says nothing of it', ['Forwarded: proto=https'], '10.0.0.1'],
    ['a quote that the client left open swallows nothing', ['Forwarded: for="1.1.1.1', 'Forwarded: for=203.0.113.9'], '203.0.113.9'],
    ['the same in one line', ['Forwarded: for="1.1.1.1, for=203.0.113.9'], '203.0.113.9'],
    ['an element smuggled into quoted text is none', ['Forwarded: for=203.0.113.9;host="x,for=1.1.1.1;y="'], '10.0.0.1'],
    ['for= twice in one element is nobody', ['Forwarded: for=1.1.1.1;for=203.0.113.9'], '10.0.0.1'],
    ['both: X-Forwarded-For', ['Forwarded: for=1.1.1.1', 'X-Forwarded-For: 203.0.113.9'], '203.0.113.9'],
    ['both, and the one that counts is of no use', ['Forwarded: for=1.1.1.1', 'X-Forwarded-For: unknown'], '10.0.0.1'],
    ['X-Real-IP alone', ['X-Real-IP: 203.0.113.9'], '203.0.113.9'],
    ['X-Real-IP counts least', ['X-Real-IP: 1.1.1.1', 'X-Forwarded-For: 203.0.113.9'], '203.0.113.9'],
    ['X-Real-IP that is none', ['X-Real-IP: 1.1.1.1, 2.2.2.2'], '10.0.0.1'],
  ])('%s', (_, lines, client) => {
    expect(clientOf(...lines)).toBe(client);
  });

  test('a chain longer than anybody has is believed only so far', () => {
    const chain = Array.from({ length: 3_000 }, () => '10.0.0.2').join(',');
    let asked = 0;
    const head = headOf([`X-Forwarded-For: 203.0.113.9,${chain}`]);
    claimClient(head, () => {
      asked++;
      return true;
    });
    expect(head.client).toBe('10.0.0.2');
    expect(asked).toBe(MAX_HOPS);
  });

  test('whatever a client writes, it is never taken for somebody else by a proxy that appends', () => {
    const junk = fc.string({ unit: fc.constantFrom(...'0123456789.:,;="[]\\ fFor\t%_abc'.split('')), maxLength: 60 });
    fc.assert(
      fc.property(junk, fc.boolean(), (said, sameLine) => {
        const text = said.trim();
        const join = (name: string, seen: string): string[] =>
          text === '' ? [`${name}: ${seen}`] : sameLine ? [`${name}: ${text}, ${seen}`] : [`${name}: ${text}`, `${name}: ${seen}`];
        expect(clientOf(...join('X-Forwarded-For', '203.0.113.9'))).toBe('203.0.113.9');
        expect(clientOf(...join('Forwarded', 'for=203.0.113.9;proto=https'))).toBe('203.0.113.9');
      }),
      { numRuns: 500 },
    );
  });

  test('an IP address is told from all else, and written as everybody does', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat({ max: 65_535 }), (address, port) => {
        const plain = addressOf(address);
        expect(plain).not.toBeNull();
        const bracketed = address.includes(':') ? `[${address}]` : address;
        expect(addressOf(`${bracketed}:${port}`)).toBe(plain);
        expect(forOf(`for="${bracketed}"`)).toBe(bracketed);
      }),
    );
    for (const none of [
      '',
      'localhost',
      '1.2.3',
      '1.2.3.4.5',
      '[1.2.3.4]',
      '[::1',
      '::1]',
      '[::1]x',
      '1.2.3.4:',
      '1.2.3.4:x',
      '[]',
      ':',
      '1.2.3.4:123456',
    ])
      expect(addressOf(none)).toBeNull();
  });
});

describe('what the next hop is told', () => {
  /** The fields that go on, but for Host. */
  const onward = (lines: string[], peer?: string): Record<string, string> => {
    const head = headOf(lines, peer);
    if (head.peer.trusted) claimClient(head, trusts);
    expect(tellForwarding(head, 'us')).toBe(true);
    const fields: Record<string, string> = {};
    head.each((name, value) => (fields[name] = name in fields ? `${fields[name]} | ${value}` : value));
    delete fields['host'];
    return fields;
  };
  const ours = 'for=10.0.0.1;host="a.example";proto=https';

  test('both lists, alike, whichever of them came', () => {
    const fromChain = onward(['X-Forwarded-For: 203.0.113.9, 2001:db8::7:1, junk']);
    expect(fromChain).toMatchObject({
      'x-forwarded-for': '203.0.113.9, 2001:db8::7:1, junk, 10.0.0.1',
      forwarded: `for=203.0.113.9, for="[2001:db8::7:1]", for=unknown, ${ours}`,
    });
    expect(onward(['Forwarded: for=203.0.113.9;by=_x, for="[2001:db8::7]:1", for=_hidden'])).toMatchObject({
      'x-forwarded-for': '203.0.113.9, 2001:db8::7, unknown, 10.0.0.1',
      forwarded: `for=203.0.113.9;by=_x, for="[2001:db8::7]:1", for=_hidden, ${ours}`,
    });
    expect(onward(['X-Forwarded-For: 203.0.113.9', 'Forwarded: for=198.51.100.1'])).toMatchObject({
      'x-forwarded-for': '203.0.113.9, 10.0.0.1',
      forwarded: `for=198.51.100.1, ${ours}`,
    });
  });

  test('X-Real-IP is who the client is, not what it said', () => {
    expect(onward(['X-Real-IP: 1.1.1.1', 'X-Forwarded-For: 203.0.113.9'])).toMatchObject({ 'x-real-ip': '203.0.113.9' });
  });

  test('a client that is no proxy cannot say who it is, nor which certificate it showed [threat 22] [threat 75]', () => {
    const claims = [
      'Forwarded', 'X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Forwarded-Port', 'X-Forwarded-Server', 'X-Forwarded-Scheme',
      'X-Forwarded-Ssl', 'X-Forwarded-Prefix', 'X-Real-IP', 'X-Client-IP', 'X-Cluster-Client-IP', 'True-Client-IP', 'CF-Connecting-IP', 'Client-Cert',
      'Client-Cert-Chain', 'X-Client-Cert', 'X-Client-Verify', 'X-Client-DN', 'SSL-Client-Cert', 'SSL-Client-Verify', 'SSL-Client-Subject-DN',
      'SSL-Client-Issuer-DN', 'X-SSL-Cert', 'X-SSL-Client-Cert', 'X-SSL-Client-Verify', 'X-SSL-Client-S-DN', 'X-SSL-Client-I-DN',
      'X-Forwarded-Client-Cert', 'X-Forwarded-Tls-Client-Cert', 'X-Forwarded-Tls-Client-Cert-Info', 'X-Amzn-Mtls-Clientcert',
      'X-Amzn-Mtls-Clientcert-Leaf', 'X-Amzn-Mtls-Clientcert-Subject', 'X-Amzn-Mtls-Clientcert-Issuer', 'X-Amzn-Mtls-Clientcert-Serial-Number',
      'X-Amzn-Mtls-Clientcert-Validity', 'X-ARR-ClientCert',
    ]; // prettier-ignore
    const fields = onward([...claims.map((name) => `${name}: spoofed`), 'X-Other: stays'], '203.0.113.9');
    expect(JSON.stringify(fields)).not.toContain('spoofed');
    expect(fields).toMatchObject({ 'x-forwarded-for': '203.0.113.9', 'x-other': 'stays' });
    expect(onward(['Client-Cert: :abc:'], '203.0.113.9')).not.toHaveProperty('client-cert');
  });

  test('a trusted proxy may, since it has looked at the certificate', () => {
    expect(onward(['Client-Cert: :abc:', 'True-Client-IP: 203.0.113.9'])).toMatchObject({ 'client-cert': ':abc:', 'x-forwarded-for': '10.0.0.1' });
  });
});
