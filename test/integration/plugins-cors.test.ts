import { expect, test } from 'vitest';
import { ask, type Asked, fileWithPlugins } from '../kit/ask.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';

const made = kit();

const APP = 'https://app.example.com';

async function behind(settings: string, more = '') {
  const origin = await made.startOrigin((request, response) => {
    response.setHeader('Access-Control-Allow-Origin', 'https://of.upstream.example');
    response.setHeader('Vary', request.url === '/varies' ? 'Accept, origin' : 'Accept');
    response.end('ok');
  });
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, `[plugins.cors]\ncategory = "cors"\n${settings}\n${more}`));
  return { origin, gateway, port: gateway.port() };
}

function grants({ headers }: Asked): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('access-control-')));
}

test.each([
  ['', APP, { 'access-control-allow-origin': '*' }, 'Accept'],
  ['', null, { 'access-control-allow-origin': '*' }, 'Accept'],
  [`allow_origin = "${APP}"`, APP, { 'access-control-allow-origin': APP }, 'Accept, Origin'],
  [`allow_origin = "${APP}"`, 'https://evil.example', {}, 'Accept, Origin'],
  [`allow_origin = "${APP}"`, `${APP}.evil.example`, {}, 'Accept, Origin'],
  [`allow_origin = "${APP}"`, 'null', {}, 'Accept, Origin'],
  [`allow_origin = "${APP}"`, null, {}, 'Accept, Origin'],
  ['allow_origin = "$http_origin"', 'https://any.example', { 'access-control-allow-origin': 'https://any.example' }, 'Accept, Origin'],
  ['allow_origin = "$http_origin"', 'https://<script>', {}, 'Accept, Origin'],
  ['allow_origin = "$http_origin"\nallow_credentials = true', 'null', {}, 'Accept, Origin'],
  [
    `allow_origin = ['~https://pr-\\d+\\.example\\.com']\nallow_credentials = true\nexpose_headers = "X-A, X-B"`,
    'https://pr-12.example.com',
    {
      'access-control-allow-origin': 'https://pr-12.example.com',
      'access-control-allow-credentials': 'true',
      'access-control-expose-headers': 'X-A, X-B',
    },
    'Accept, Origin',
  ],
  [`allow_origin = ['~https://pr-\\d+\\.example\\.com']`, 'https://pr-12.example.com.evil.example', {}, 'Accept, Origin'],
  [
    `allow_origin = ['~https://a.example|https://b.example']`,
    'https://b.example',
    { 'access-control-allow-origin': 'https://b.example' },
    'Accept, Origin',
  ],
  [`allow_origin = ['~https://a.example|https://b.example']`, 'https://evil/https://b.example', {}, 'Accept, Origin'],
])('cors with %j and origin %s grants %j', async (settings, from, granted, vary) => {
  const { port } = await behind(settings);
  const answer = await ask(port, { headers: from === null ? {} : { Origin: from } });
  expect([answer.status, answer.text]).toEqual([200, 'ok']);
  expect(grants(answer)).toEqual(granted);
  expect(answer.headers.vary).toBe(vary);
});

test('only a preflight is answered as one, and the upstream does not hear of it', async () => {
  const { origin, port } = await behind(
    `allow_origin = "${APP}"\nallow_headers = ["X-Key", "Content-Type"]\nallow_credentials = true\nmax_age = "10m"`,
  );
  const preflight = { Origin: APP, 'Access-Control-Request-Method': 'PUT', 'Access-Control-Request-Headers': 'x-key' };
  const answer = await ask(port, { method: 'OPTIONS', headers: preflight });
  expect([answer.status, answer.text, answer.headers.vary]).toEqual([204, '', 'Origin']);
  expect(grants(answer)).toEqual({
    'access-control-allow-origin': APP,
    'access-control-allow-credentials': 'true',
    'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE, OPTIONS',
    'access-control-allow-headers': 'X-Key, Content-Type',
    'access-control-max-age': '600',
  });
  const other = await ask(port, { method: 'OPTIONS', headers: { ...preflight, Origin: 'https://evil.example' } });
  expect([other.status, grants(other), other.headers.vary]).toEqual([204, {}, 'Origin']);
  expect(origin.requests.length).toBe(0);
  for (const headers of [{}, { Origin: APP }, { 'Access-Control-Request-Method': 'PUT' }]) await ask(port, { method: 'OPTIONS', headers });
  await ask(port, { headers: preflight });
  expect(origin.requests.map(({ method }) => method)).toEqual(['OPTIONS', 'OPTIONS', 'OPTIONS', 'GET']);
});

test('cors keeps to its paths, names nothing twice in Vary, and speaks for those who answer behind it', async () => {
  const { port } = await behind(
    `path = "^/(api|varies)"\nallow_origin = "${APP}"`,
    '[plugins.auth]\ncategory = "key_auth"\nheader = "X-Key"\nkeys = ["k"]\n',
  );
  const headers = { Origin: APP, 'X-Key': 'k' };
  expect(grants(await ask(port, { path: '/other', headers }))).toEqual({ 'access-control-allow-origin': 'https://of.upstream.example' });
  expect((await ask(port, { path: '/varies', headers })).headers.vary).toBe('Accept, origin');
  const refused = await ask(port, { path: '/api', headers: { Origin: APP } });
  expect([refused.status, refused.headers['access-control-allow-origin'], refused.headers.vary]).toEqual([401, APP, 'Origin']);
  const preflight = await ask(port, { method: 'OPTIONS', path: '/api', headers: { Origin: APP, 'Access-Control-Request-Method': 'PUT' } });
  expect(preflight.status).toBe(204);
});

test.each([
  ['allow_credentials = true', 'allow_credentials, and allow_origin = "*"'],
  [`allow_origin = ["*", "${APP}"]`, 'keep * or the others'],
  [`allow_origin = "${APP}"\nallow_credentials = true\nallow_headers = "*"`, 'name the methods and headers'],
  [`allow_origin = "${APP}/"`, 'is no origin'],
  ['allow_origin = "app.example.com"', 'is no origin'],
  ['allow_origin = "https://app.example.com:443"', 'write https://app.example.com'],
  ["allow_origin = '~('", 'is no pattern'],
  ['path = "(?=a)"', 'look-around'],
  ['allow_headers = "X Key"', 'is not of the right form'],
])('cors with %j is refused', async (settings, said) => {
  const error = await startGatewayOf(made, fileWithPlugins(1, `[plugins.cors]\ncategory = "cors"\n${settings}\n`)).catch((wrong: unknown) => wrong);
  expect((error as { lines: string[] }).lines.join('\n')).toContain(said);
});

test('[threat 19] an origin that is none is never given back', async () => {
  const { port, gateway } = await behind('allow_origin = "$http_origin"\nallow_credentials = true');
  expect(gateway.log.at('warn').join()).toContain('lets every site use cookies and passwords');
  for (const from of ['https://a.example, https://b.example', 'https://a.example\tx', 'javascript:alert(1)', `https://${'a'.repeat(5_000)}`, '*', ''])
    expect(grants(await ask(port, { headers: { Origin: from } }))).toEqual({});
});
