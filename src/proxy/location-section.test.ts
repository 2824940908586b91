import { describe, expect, test } from 'vitest';
import { locationSettings } from '../../test/kit/location.ts';
import { Wrong } from '../schema/wrong.ts';
import { locationTable, upstreamName } from './location-section.ts';

describe('[locations.*]', () => {
  test.each<[string, unknown, RegExp, RegExp]>([
    ['upstream', 'a-$b', /mixes text and a capture/, /capture all of the name/],
    ['path', 'api', /does not begin with \//, /write \/api/],
    ['path', '=api', /does not begin with \//, /write =\/api/],
    ['path', '/a?b=1', /has a query/, /write \/a, and match_query/],
    ['path', '/café', /no path on the wire/, /caf%C3%A9/],
    ['path', '/a b', /no path on the wire/, /\/a%20b/],
    ['path', '/a/../b', /matched by no path/, /resolved/],
    ['path', '=/a/.', /matched by no path/, /resolved/],
    ['path', '=/a%zz', /matched by no path/, /resolved/],
    ['path', '~', /no pattern behind the ~/, /leave path out/],
    ['path', '~^/(a', /is no pattern: missing closing \) at position 3/, /./],
    ['path', 7, /is a number/, /text in quotes/],
    ['host', '*', /every host/, /leave host out/],
    ['host', 'a.*.com', /\* that is not its first label/, /regular expression/],
    ['host', 'example.com:8080', /has a port/, /write example\.com/],
    ['host', 'a..b', /is no host/, /name such as/],
    ['host', '[::1', /is no IPv6 address/, /\[2001:db8::1\]/],
    ['host', '~', /no pattern behind the ~/, /./],
    ['host', 'b.io,~^a{1,2}$', /is no host/, /comma in it needs a list/],
    ['host', 'a.io, https://b.io', /is no host|has a port/, /./],
    ['host', [], /is empty/, /leave it out/],
    ['methods', 'get', /is no method/, /upper case: GET/],
    ['match_headers', 'x y:1', /name that no header has/, /name:value/],
    ['match_headers', 'host:a', /asks for Host/, /key host/],
    ['match_headers', 'Connection:close', /about the connection/, /leave it out/],
    ['match_headers', 'x_a', /header with _/, /x-a/],
    ['match_headers', 'cookie', /all cookies/, /match_cookies/],
    ['match_query', ':v', /has no name/, /name:value/],
    ['match_cookies', 'a:~(', /is no pattern/, /./],
    ['weight', 65_536, /out of range/, /0 to 65535/],
    ['weight', -1, /out of range/, /0 to 65535/],
    ['proxy_set_headers', ['X-A'], /has no colon/, /name: value/],
    ['proxy_set_headers', ['X A: 1'], /name that no header has/, /name: value/],
    ['proxy_set_headers', ['X-A: a\nb: c'], /control characters/, /line break/],
    ['proxy_set_headers', ['Content-Length: 3'], /Content-Length, which may not be set/, /framed/],
    ['proxy_add_headers', ['transfer-encoding: chunked'], /may not be set/, /framed/],
    ['proxy_set_headers', ['Connection: close'], /may not be set/, /one connection/],
    ['proxy_set_headers', ['Upgrade: h2c'], /may not be set/, /key upgrades/],
    ['proxy_set_headers', ['Host: a b'], /no host/, /Host: name/],
    ['proxy_remove_headers', ['Host'], /Host, which every request has/, /proxy_set_headers/],
    ['proxy_remove_headers', ['Via'], /may not be removed/, /circles/],
    ['rewrite', 'a b c', /3 parts/, /PATTERN REPLACEMENT/],
    ['client_max_body_size', '1m', /unit/, /1MiB/],
    ['max_processing', 'many', /no whole number/, /./],
    ['max_retries', 256, /out of range/, /0 to 255/],
    ['max_retry_window', '5', /no unit/, /5s/],
    ['timeout', '1 hour', /no duration/, /1h2m3s/],
    ['upgrades', ['h2c'], /not of the right form/, /h2c is never passed/],
    ['grpc_web', 'perhaps', /neither true nor false/, /true or false/],
  ])('%s = %j is refused, with the fix', (key, value, message, fix) => {
    let error: unknown;
    try {
      locationSettings('x', { [key]: value });
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(Wrong);
    expect((error as Wrong).message).toMatch(message);
    expect((error as Wrong).fix).toMatch(fix);
  });

  test('what is written can be read back', () => {
    const toml = {
      upstream: '$t',
      host: ['a.io', '*.b.io', '~^(?P<t>\\w{1,9})\\.c\\.io$'],
      path: '~^/x',
      methods: ['GET', 'POST'],
      match_headers: ['a:1', 'b'],
      proxy_set_headers: ['X-A: $host, $t'],
      proxy_remove_headers: ['X-B', 'x-c'],
      rewrite: '^/x /y',
      plugins: ['one', 'two'],
      upgrades: [],
      client_max_body_size: '10MB',
    };
    const settings = locationSettings('x', toml);
    expect(settings.host!.patterns.map((host) => host.text)).toEqual(toml.host);
    expect(settings.clientMaxBodySize).toBe(10_000_000);
    const { path, rewrite, matchHeaders, proxySetHeaders, upgrades } = locationTable;
    expect(path.kind.format(settings.path!)).toBe('~^/x');
    expect(rewrite.kind.format(settings.rewrite!)).toBe('^/x /y');
    expect(matchHeaders.kind.format(settings.matchHeaders)).toBe('a:1,b');
    expect(proxySetHeaders.kind.format(settings.proxySetHeaders)).toBe('X-A: $host, $t');
    expect(upgrades.kind.format(settings.upgrades)).toBe('none');
  });

  test('by default it takes everything, sends nothing of its own and lets WebSockets pass', () => {
    const settings = locationSettings('x', {});
    expect(settings).toMatchObject({ host: null, path: null, methods: null, weight: null, rewrite: null, upgrades: ['websocket'], timeout: null });
  });

  test('an upstream is a name or a capture; a capture that is empty names none', () => {
    const captures = new Map([
      ['t', 'acme'],
      ['e', ''],
    ]);
    expect(upstreamName('plain', null)).toBe('plain');
    expect(upstreamName('$t', captures)).toBe('acme');
    expect(upstreamName('${t}', captures)).toBe('acme');
    expect(upstreamName('$e', captures)).toBe(null);
    expect(upstreamName('$t', null)).toBe(null);
  });
});
