import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Notes } from '../http/exchange.ts';
import { tellForwarding } from '../http/forwarded.ts';
import { makePeer, type RequestHead } from '../http/head.ts';
import { Wrong } from '../schema/wrong.ts';
import { compileFieldEdits, type EditSettings, parseFieldText } from './field-edits.ts';
import { imagine } from './imagined.ts';
import { compileTemplate, type Names, type Scope } from './template.ts';

const NAMES: Names = { env: { REGION: 'eu-1', HOME: '/root' }, captures: new Set(['tenant', '1']) };

function scopeOf(head: RequestHead): Scope {
  head.peer = makePeer('10.1.2.3', 5678, 8443, 'https', false);
  const notes = new Notes(0);
  notes.endpoint = '10.9.9.9:3000';
  return { head, notes, captures: new Map([['tenant', 'acme']]), server: { hostname: 'gw-1', address: '0.0.0.0' } };
}

function head(headers: readonly string[] = [], path = '/p?x=1&y=a%20b'): RequestHead {
  return imagine({ host: 'Example.com:8443', method: 'GET', path, headers });
}

function rendered(text: string, headers: readonly string[] = []): string {
  return compileTemplate(text, NAMES).render(scopeOf(head(headers)));
}

/** What goes out after these edits, as lines. */
function edited(edits: Partial<EditSettings>, headers: readonly string[] = [], isTrusted = false): string[] {
  const one = head(headers);
  const scope = scopeOf(one);
  one.peer.trusted = isTrusted;
  tellForwarding(one, 'gw');
  const compiled = compileFieldEdits({ set: [], add: [], remove: [], reverseProxy: false, ...edits }, NAMES);
  compiled?.apply(one, scope);
  if (compiled?.hasLate === true) compiled.applyLate(one, scope);
  const lines: string[] = [];
  one.each((name, value) => lines.push(`${name}: ${value}`));
  return lines.filter((line) => !/^(?:x-forwarded-(?:for|proto|host)|forwarded|via):/.test(line)).toSorted();
}

const fields = (...lines: string[]) => lines.map((line) => parseFieldText(line));

describe('variables', () => {
  test.each([
    ['plain', 'plain'],
    ['$host', 'example.com'],
    ['a $host b', 'a example.com b'],
    ['$scheme://$host:$server_port', 'https://example.com:8443'],
    ['${host}x', 'example.comx'],
    ['$hostx', '$hostx'],
    ['$hostname', 'gw-1'],
    ['$remote_addr:$remote_port', '10.1.2.3:5678'],
    ['$server_addr', '0.0.0.0'],
    ['$http_x_a/$http_X_A', 'one/one'],
    ['[$http_nothing]', '[]'],
    ['$http_host', 'Example.com:8443'],
    ['$cookie_b', 'two'],
    ['$arg_x $arg_y', '1 a%20b'],
    ['$tenant', 'acme'],
    ['${tenant}-$1.', 'acme-.'],
    ['$REGION', 'eu-1'],
    ['x-${REGION}-y', 'x-eu-1-y'],
    ['$NOT_SET', '$NOT_SET'],
    ['${NOT_SET}', '${NOT_SET}'],
    ['costs $$5', 'costs $5'],
    ['$$host', '$host'],
    ['5$', '5$'],
    ['$upstream_addr', '10.9.9.9:3000'],
    ['$request_id', 'r-1'],
    ['$constructor $__proto__', '$constructor $__proto__'],
    ['grüße', 'grÃ¼Ã\u009fe'],
  ])('%s becomes %s', (text, value) => {
    expect(rendered(text, ['X-A: one', 'Cookie: a=1; b=two', 'X-Request-Id: r-1'])).toBe(value);
  });

  test('a text without variables of the request is a constant', () => {
    expect(compileTemplate('a $REGION $$ $NOT_SET', NAMES).constant).toBe('a eu-1 $ $NOT_SET');
    expect(compileTemplate('$host').constant).toBe(null);
  });

  test('a value from the environment with a line break in it is an error at load', () => {
    expect(() => compileTemplate('$BAD', { env: { BAD: 'a\r\nX: y' }, captures: new Set() })).toThrow(Wrong);
    expect(() => compileTemplate('a\nb')).toThrow(Wrong);
  });

  test('[threat 19] whatever a request holds, no value breaks out of its line', () => {
    const scope = scopeOf(head());
    const template = compileTemplate('$tenant|$hostname', NAMES);
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (tenant, hostname) => {
        const made = template.render({ ...scope, captures: new Map([['tenant', tenant]]), server: { hostname, address: '' } });
        expect(made).toMatch(/^[\t\x20-\x7e\x80-\xff]*$/);
      }),
    );
  });
});

describe('edits of headers', () => {
  test('set replaces all of a name, add appends, remove takes out', () => {
    const sent = edited({ set: fields('X-A: new', 'X-New: 1'), add: fields('X-B: more'), remove: ['X-C', 'cookie'] }, [
      'x-a: 1',
      'X-A: 2',
      'X-B: old',
      'x-c: 1',
      'X-c: 2',
      'Cookie: a=1',
    ]);
    expect(sent).toEqual(['x-a: new', 'x-b: more', 'x-b: old', 'x-new: 1']);
  });

  test('values are about the request as it came: a header can be renamed, and $host is the client’s although Host is set', () => {
    const one = head(['X-Old: 1', 'X-A: a']);
    const set = fields('Host: inner.io', 'X-New: $http_x_old', 'X-A: $http_x_a+', 'X-B: $http_x_a $host');
    compileFieldEdits({ set, add: [], remove: ['x-old'], reverseProxy: false })!.apply(one, scopeOf(one));
    expect([one.get('x-old'), one.get('x-new'), one.get('x-a'), one.get('x-b'), one.authority]).toEqual([
      undefined,
      '1',
      'a+',
      'a example.com',
      'inner.io',
    ]);
  });

  test('set after set counts, and add may stand beside set', () => {
    expect(edited({ set: fields('X-A: 1', 'x-a: 2'), add: fields('X-A: 3') })).toEqual(['x-a: 2', 'x-a: 3']);
  });

  test('a value that comes out empty is not sent', () => {
    expect(edited({ set: fields('X-A: $http_nothing', 'X-B:'), add: fields('X-C: $cookie_x') }, ['X-A: 1', 'X-B: 2'])).toEqual(['x-b: ']);
  });

  test('forwarding fields that are set replace ours', () => {
    const one = head();
    const scope = scopeOf(one);
    tellForwarding(one, 'gw');
    compileFieldEdits({ set: fields('X-Forwarded-For: $proxy_add_x_forwarded_for, 1.1.1.1'), add: [], remove: [], reverseProxy: false })!.apply(
      one,
      scope,
    );
    expect(one.get('x-forwarded-for')).toBe('10.1.2.3, 1.1.1.1');
  });

  test('a client’s own X-Forwarded-For does not get into a value, unless it is a trusted proxy', () => {
    const set = fields('X-Seen: $proxy_add_x_forwarded_for');
    expect(edited({ set }, ['X-Forwarded-For: 6.6.6.6'])).toEqual(['x-seen: 10.1.2.3']);
    expect(edited({ set }, ['X-Forwarded-For: 6.6.6.6'], true)).toEqual(['x-seen: 6.6.6.6, 10.1.2.3']);
  });

  test('enable_reverse_proxy_headers adds what is not sent anyhow', () => {
    expect(edited({ reverseProxy: true }, ['X-Real-IP: 6.6.6.6', 'X-Forwarded-Port: 1'])).toEqual(['x-forwarded-port: 8443', 'x-real-ip: 10.1.2.3']);
    expect(edited({ reverseProxy: true, set: fields('X-Real-IP: own') })).toEqual(['x-forwarded-port: 8443', 'x-real-ip: own']);
    expect(edited({ reverseProxy: true }, ['X-Forwarded-Port: 1'], true)).toEqual(['x-forwarded-port: 1', 'x-real-ip: 10.1.2.3']);
  });

  test('Host may be set, by a variable too; what is no host is not taken', () => {
    const set = (line: string, headers: readonly string[] = []): string => {
      const one = head(headers);
      compileFieldEdits({ set: fields(line), add: [], remove: [], reverseProxy: false }, NAMES)!.apply(one, scopeOf(one));
      return one.authority;
    };
    expect(set('Host: inner.example:81')).toBe('inner.example:81');
    expect(set('host: $tenant.inner')).toBe('acme.inner');
    expect(set('Host: $http_x_to', ['X-To: a/b'])).toBe('Example.com:8443');
    expect(set('Host: $http_x_to', ['X-To: b.io'])).toBe('b.io');
  });

  test('what names the endpoint is set anew for every attempt', () => {
    const edits = compileFieldEdits({ set: fields('X-To: $upstream_addr', 'X-A: 1'), add: [], remove: [], reverseProxy: false }, NAMES)!;
    const one = head();
    const scope = scopeOf(one);
    edits.apply(one, scope);
    expect(one.get('x-to')).toBe(undefined);
    expect(edits.hasLate).toBe(true);
    edits.applyLate(one, scope);
    scope.notes.endpoint = 'second';
    edits.applyLate(one, scope);
    expect(one.get('x-to')).toBe('second');
    expect(one.get('x-a')).toBe('1');
  });

  test('nothing to do is null', () => {
    expect(compileFieldEdits({ set: [], add: [], remove: [], reverseProxy: false })).toBe(null);
  });

  test.each(['Host: $NOT_SET', 'Host: $BAD'])('%s is refused when it turns out to be no host', (line) => {
    const names = { env: { BAD: 'a/b' }, captures: new Set<string>() };
    expect(() => compileFieldEdits({ set: fields(line), add: [], remove: [], reverseProxy: false }, names)).toThrow(/is no host/);
  });

  test.each([['Host: b.io'], ['X-To: $upstream_addr']])('adding %s is refused', (line) => {
    expect(() => compileFieldEdits({ set: [], add: fields(line), remove: [], reverseProxy: false })).toThrow(Wrong);
  });
});
