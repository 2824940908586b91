import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { upstreamSettings } from '../../test/kit/upstream.ts';
import { parseHealthCheck } from '../schema/health-check.ts';
import { tomlName } from '../schema/setting.ts';
import { upstreamFindings, upstreamTable } from './section.ts';

const pem = (file: string) => ({ path: null, text: readFileSync(new URL(`../../test/fixtures/${file}`, import.meta.url), 'latin1') });

function read(key: keyof typeof upstreamTable, value: unknown): unknown {
  return upstreamTable[key].kind.fromToml(value, '/');
}

/** Keys of what is found, in camelCase, warnings with a question mark. */
function found(given: Parameters<typeof upstreamSettings>[0]): string[] {
  const settings = upstreamSettings({ addrs: ['10.0.0.1:80'], ...given });
  return upstreamFindings(settings, new Set(Object.keys(given ?? {}))).map(({ key, severity }) => `${key}${severity === 'warning' ? '?' : ''}`);
}

test("every key of Pingap's upstreams is there", () => {
  const ours = new Set(Object.keys(upstreamTable).map(tomlName));
  const theirs =
    'addrs discovery dns_server dns_domain dns_search update_frequency algo sni verify_cert health_check ipv4_only alpn max_h2_streams connection_timeout total_connection_timeout read_timeout write_timeout idle_timeout tcp_idle tcp_interval tcp_probe_count tcp_user_timeout tcp_recv_buf tcp_fast_open enable_tracer enable_backend_stats backend_failure_status_code backend_stats_interval circuit_break_max_consecutive_failures circuit_break_max_failure_percent circuit_break_min_requests_threshold circuit_break_half_open_consecutive_success_threshold circuit_break_open_duration';
  expect(theirs.split(' ').filter((key) => !ours.has(key))).toEqual([]);
});

test.each([
  ['discovery', 'docker', /addrs = \["NAME:port"\]/],
  ['discovery', 'transparent', /name the addresses/],
  ['discovery', 'consul', /static or dns/],
  ['sni', '$host', /write the name/],
  ['sni', '10.0.0.1', /write the name/],
  ['alpn', 'h3', /H1, H2 or H2H1/],
  ['dnsServer', ['ns.example.com'], /10\.0\.0\.2/],
  ['dnsServer', ['10.0.0.2:99999'], /65535/],
  ['dnsSearch', ['a b'], /example\.internal/],
  ['tcpProbeCount', 17, /1 to 16/],
  ['maxH2Streams', 0, /from 1/],
  ['circuitBreakMaxFailurePercent', 101, /0 to 100/],
  ['connectionTimeout', 5, /5s for seconds/],
  ['algo', 'least_con', /did you mean least_conn/],
  ['proxyProtocol', 'v3', /v1 or v2/],
  ['healthCheck', 'ftp://x', /tcp:\/\//],
  ['backendFailureStatusCode', '5000', /from 100 to 599/],
] as const)('%s = %j is refused with the fix', (key, value, fix) => {
  expect(() => read(key, value)).toThrow(expect.objectContaining({ fix: expect.stringMatching(fix) as string }) as Error);
});

test.each([
  ['alpn', 'h2h1', 'H2H1'],
  ['sni', 'API.example.com.', 'api.example.com'],
  ['dnsServer', '10.0.0.2,[fd00::2]:5353,fd00::3', ['10.0.0.2', '[fd00::2]:5353', 'fd00::3']],
  ['proxyProtocol', 'off', null],
  ['healthCheck', 'off', null],
  ['idleTimeout', '0s', 0],
  [
    'backendFailureStatusCode',
    '500,502',
    [
      { from: 500, to: 500 },
      { from: 502, to: 502 },
    ],
  ],
] as const)('%s = %j is read', (key, value, wanted) => {
  expect(read(key, value)).toEqual(wanted);
});

describe('what no single key shows', () => {
  test.each<[string, Parameters<typeof upstreamSettings>[0], string[]]>([
    ['nothing is wrong', {}, []],
    ['no address', { addrs: [] }, ['addrs']],
    ['the same address twice, once with its port', { addrs: ['10.0.0.1', '10.0.0.1:80'] }, ['addrs']],
    ['nothing but backups', { addrs: [{ host: 'a', port: 80, weight: 1, priority: 0, backup: true, load: 0 }] }, ['addrs?']],
    ['a load that nobody asks for', { addrs: [{ host: 'a', port: 80, weight: 1, priority: 0, backup: false, load: 0.5 }] }, ['addrs?']],
    ['dns without a name', { discovery: 'dns' }, ['discovery?']],
    ['a certificate without its key', { sni: 'a.test', tlsCert: pem('one.pem') }, ['tlsCert']],
    ['a key without its certificate', { sni: 'a.test', tlsKey: pem('one.key') }, ['tlsKey']],
    ['a key of another certificate', { sni: 'a.test', tlsCert: pem('one.pem'), tlsKey: pem('two.key') }, ['tlsKey']],
    ['a pair', { sni: 'a.test', tlsCert: pem('one.pem'), tlsKey: pem('one.key') }, []],
    ['TLS settings without TLS', { verifyCert: true, tlsCa: pem('ca.pem') }, ['verifyCert?', 'tlsCa?']],
    ['certificates that are not verified', { sni: 'a.test', verifyCert: false }, ['verifyCert?']],
    ['HTTP/2', { sni: 'a.test', alpn: 'H2H1', maxH2Streams: 10 }, []],
    ['HTTP/2 without TLS', { alpn: 'H2' }, []],
    ['HTTP/2 that is asked after its health in HTTP/1.1', { alpn: 'H2', healthCheck: parseHealthCheck('http://a/ok') }, ['healthCheck?']],
    ['a choice of TLS without TLS', { alpn: 'H2H1' }, ['alpn?']],
    ['streams without HTTP/2', { maxH2Streams: 10 }, ['maxH2Streams?']],
    ['HTTP/2 beside the PROXY protocol', { sni: 'a.test', alpn: 'H2', proxyProtocol: 'v1' }, ['alpn?']],
    ['sockets that cannot be tuned', { tcpFastOpen: true, tcpUserTimeout: 5, tcpIdle: 5_000 }, ['tcpUserTimeout?', 'tcpFastOpen?']],
    ['lookups all the time', { updateFrequency: 100 }, ['updateFrequency']],
    ['a pool beside the PROXY protocol', { proxyProtocol: 'v1', idleTimeout: 60_000 }, ['idleTimeout?']],
  ])('%s', (_, given, keys) => {
    expect(found(given)).toEqual(keys);
  });
});
