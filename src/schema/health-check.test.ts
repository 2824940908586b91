import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type HealthCheck, healthCheck, parseHealthCheck } from './health-check.ts';
import { Wrong } from './wrong.ts';

const USUAL: Omit<HealthCheck, 'text'> = {
  scheme: 'http',
  name: 'app',
  authority: 'app',
  target: '/',
  method: 'GET',
  statuses: [[200, 200]],
  tls: false,
  verifyCert: null,
  service: '',
  connectTimeoutMs: 3000,
  readTimeoutMs: 3000,
  everyMs: 10_000,
  success: 1,
  failure: 2,
  reuse: false,
  parallel: false,
};

test.each<[string, Partial<HealthCheck>]>([
  ['http://app', {}],
  ['http://app/', {}],
  ['http://App/Ping', { target: '/Ping' }],
  ['HTTP://app', {}],
  ['https://app/ping', { scheme: 'https', tls: true, target: '/ping' }],
  ['tcp://app', { scheme: 'tcp', target: '' }],
  ['tcp://app/?reuse&read_timeout=1s', { scheme: 'tcp', target: '', reuse: true, readTimeoutMs: 1000 }],
  ['grpc://app', { scheme: 'grpc', target: '' }],
  ['grpc://app?service=my.Service&tls', { scheme: 'grpc', target: '', service: 'my.Service', tls: true }],
  ['grpc://app?service=a%2Fb&tls=false&verify_cert=false', { scheme: 'grpc', target: '', service: 'a/b', verifyCert: false }],
  ['http://app:8080/x', { authority: 'app:8080', target: '/x' }],
  ['http://[::1]:8080/x', { name: '::1', authority: '[::1]:8080', target: '/x' }],
  ['http://127.0.0.1/x', { name: '127.0.0.1', authority: '127.0.0.1', target: '/x' }],
  [
    'http://app/ping?connection_timeout=500ms&read_timeout=1m&check_frequency=1.5s&success=3&failure=4&reuse&parallel=true',
    { target: '/ping', connectTimeoutMs: 500, readTimeoutMs: 60_000, everyMs: 1500, success: 3, failure: 4, reuse: true, parallel: true },
  ],
  ['http://app?status=200,204,300-399', { statuses: [[200, 200], [204, 204], [300, 399]] }], // oxfmt-ignore
  ['http://app?status=2xx,418', { statuses: [[200, 299], [418, 418]] }], // oxfmt-ignore
  ['http://app?status=200%2C503', { statuses: [[200, 200], [503, 503]] }], // oxfmt-ignore
  ['http://app?method=HEAD&verify_cert', { method: 'HEAD', verifyCert: true }],
  ['http://app?verify_cert=0&reuse=0', { verifyCert: false }],
])('%s', (text, is) => {
  expect(parseHealthCheck(text)).toEqual({ ...USUAL, ...is, text });
});

test.each([
  ['http://app/x?a=1&failure=3&b', '/x?a=1&b'],
  ['http://app/x?failure=3', '/x'],
  ['http://app?q=%26&reuse&q=2&=', '/?q=%26&q=2&='],
  ['http://app/x?service=db&tls', '/x?service=db&tls'],
  ['http://app/x?%73tatus=ok&Failure=1', '/x?%73tatus=ok&Failure=1'],
])('what is no parameter of the check stays in the path as it is: %s', (text, target) => {
  expect(parseHealthCheck(text).target).toBe(target);
});

test.each([
  ['', 'is no URL of a health check', 'tcp://name'],
  ['app', 'is no URL of a health check', 'http://name/path'],
  ['/ping', 'is no URL of a health check', 'http://name/path'],
  ['http:/app', 'is no URL of a health check', 'http://name/path'],
  ['http://app/x#y', 'is no URL of a health check', 'http://name/path'],
  ['ftp://app', 'the scheme ftp', 'use tcp://, http://, https://, grpc://'],
  ['HTTP2://app', 'the scheme HTTP2', 'grpc://'],
  ['http://', 'has no name', 'http://name/path'],
  ['http://:80/x', 'has no name', 'http://name/path'],
  ['http://me:pw@app/', 'has user info', 'leave it out'],
  ['http://a_b..c/', 'has a_b..c where a name belongs', 'http://name/path'],
  ['http://app:0/', 'has app:0', 'http://name/path'],
  ['http://app:70000/', 'has app:70000', 'http://name/path'],
  ['http://[app]/', 'has [app]', 'http://name/path'],
  ['http://app/ü', 'characters that a URL may not have', 'percent-encode'],
  ['http://app/a b', 'characters that a URL may not have', 'percent-encode'],
  ['tcp://app/ping', 'has the path /ping, which a tcp check never asks for', 'http://'],
  ['grpc://app/my.Service', 'has the path /my.Service', 'take the path away'],
  ['tcp://app?faliure=2', 'has faliure=2, which a tcp check does not know', 'did you mean failure?'],
  ['tcp://app?tls', 'has tls, which a tcp check does not know', 'connection_timeout'],
  ['grpc://app?status=200', 'has status=200, which a grpc check does not know', 'service'],
  ['http://app?failure=2&failure=3', 'has failure twice', 'give it once'],
  ['http://app?failure=0', 'has failure=0', 'from 1 to 1000'],
  ['http://app?success=-1', 'has success=-1', 'from 1 to 1000, such as success=1'],
  ['http://app?success', 'has success=, which', 'from 1 to 1000'],
  ['http://app?failure=1001', 'has failure=1001', 'from 1 to 1000'],
  ['http://app?read_timeout=3', 'has read_timeout=3, which has no unit', 'write 3s for seconds'],
  ['http://app?read_timeout=0', 'has read_timeout=0, which is too short', 'the shortest is 1ms'],
  ['http://app?connection_timeout=soon', 'has connection_timeout=soon, which is no duration', '500ms'],
  ['http://app?check_frequency=99ms', 'has check_frequency=99ms, which is too short', '100ms'],
  ['http://app?check_frequency=25h', 'has check_frequency=25h, which is too long', '1d'],
  ['http://app?reuse=maybe', 'has reuse=maybe, which is neither true nor false', 'write reuse for true'],
  ['http://app?status=ok', 'has status "ok", which is no status', '%73tatus'],
  ['http://app?status=', 'has status "", which is no status', 'status=200,204,300-399'],
  ['http://app?status=399-300', 'has status "399-300"', 'status=200'],
  ['http://app?status=2xx-399', 'has status "2xx-399"', 'status=200'],
  ['http://app?status=1xx', 'has status "1xx"', 'status=200'],
  ['http://app?status=200,101', 'has status "101"', 'status=200'],
  ['http://app?method=get', 'has method=get', 'method=GET'],
  ['http://app?method=CONNECT', 'has method=CONNECT', 'method=GET'],
  ['grpc://app?service=%zz', 'has a bad escape in service', 'percent-encode %'],
])('%j is refused with what is wrong and what to write instead', (text, message, fix) => {
  const error = wrongOf(text);
  expect(error.message).toContain(message);
  expect(error.fix).toContain(fix);
});

test('whatever is given, it is read or refused in our own words', () => {
  const pieces = fc.constantFrom(
    'http',
    'tcp',
    'grpc',
    '://',
    'app',
    '/',
    '?',
    '&',
    '=',
    ':',
    '%',
    'failure',
    'status',
    '200',
    '-',
    '[',
    ']',
    '@',
    '#',
    ' ',
    'ü',
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 14 }), (parts) => {
      try {
        const check = parseHealthCheck(parts.join(''));
        expect(parseHealthCheck(check.text)).toEqual(check);
      } catch (error) {
        expect(error).toBeInstanceOf(Wrong);
      }
    }),
    { numRuns: 2000 },
  );
});

test('a setting of this kind is shown without the password that it may not have', () => {
  const kind = healthCheck();
  expect(kind.format(kind.fromToml('http://app/x?failure=3', '/'))).toBe('http://app/x?failure=3');
  expect(kind.redact('http://me:p@w@app/x')).toBe('http://***@app/x');
  expect(() => kind.fromToml(5, '/')).toThrow('is a number');
});

function wrongOf(text: string): Wrong {
  try {
    parseHealthCheck(text);
  } catch (error) {
    if (error instanceof Wrong) return error;
  }
  throw new Error(`${text} was not refused`);
}
