import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exportJWK, exportSPKI, type JWTPayload, SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { AheadClock } from '../kit/ahead-clock.ts';
import { ask, fileWithPlugins } from '../kit/ask.ts';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { handshake, startSocketOrigin } from '../kit/handshake.ts';
import type { Answerer } from '../kit/http-origin.ts';
import { kit } from '../kit/kit.ts';

const made = kit();

const SECRET = 'a secret of thirty-two bytes canary';
const KEY = Buffer.from(SECRET);
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pairs: Record<string, { publicKey: KeyObject; privateKey: KeyObject }> = {
  RS256: rsa,
  PS256: rsa,
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  EdDSA: generateKeyPairSync('ed25519'),
};
const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }) as string;

function sign(claims: JWTPayload, alg = 'HS256', key: KeyObject | Uint8Array = KEY, header: object = {}): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg, ...header }).sign(key);
}

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const soon = () => Math.floor(Date.now() / 1000) + 60;

async function behind(settings: string, answer?: Answerer) {
  const origin = answer === undefined ? await startSocketOrigin(made) : await made.startOrigin(answer);
  const clock = new AheadClock();
  const file = fileWithPlugins(origin.port, `[plugins.jwt]\ncategory = "jwt"\n${settings}\n`);
  const gateway = await startGatewayOf(made, file, { clock });
  return { origin, gateway, clock, file, port: gateway.port() };
}

function saidBy(gateway: TestGateway): string {
  return JSON.stringify(gateway.log.lines, (_key, value: unknown) => (value instanceof Error ? value.stack : value));
}

test.each(Object.keys(pairs))('jwt takes a token that is signed with %s by the right key, and none of another', async (alg) => {
  const { publicKey, privateKey } = pairs[alg]!;
  const { port } = await behind(`public_key = """\n${pem(publicKey)}"""`);
  expect((await ask(port, { headers: bearer(await sign({ sub: 'ann' }, alg, privateKey)) })).status).toBe(200);
  const other =
    alg === 'EdDSA'
      ? generateKeyPairSync('ed25519')
      : alg.startsWith('ES')
        ? generateKeyPairSync('ec', { namedCurve: alg === 'ES256' ? 'P-256' : 'P-384' })
        : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const forged = await ask(port, { headers: bearer(await sign({ sub: 'ann' }, alg, other.privateKey)) });
  expect([forged.status, forged.text]).toEqual([401, 'Token has a wrong signature\n']);
});

test('jwt says what is wrong with a token, and never what stands in it', async () => {
  const { gateway, origin, port, clock } = await behind(
    `secret = "${SECRET}"\nissuer = "https://id.example"\naudience = ["app", "api"]\nleeway = "5s"`,
  );
  const now = Math.floor(clock.wall() / 1000);
  const good = { iss: 'https://id.example', aud: 'app', exp: now + 60 };
  const tries: [JWTPayload, string | null][] = [
    [good, null],
    [{ ...good, aud: ['other', 'api'] }, null],
    [{ ...good, exp: now - 3 }, null],
    [{ ...good, nbf: now + 3 }, null],
    [{ ...good, exp: now - 30 }, 'Token has expired'],
    [{ ...good, nbf: now + 30 }, 'Token is not valid yet'],
    [{ ...good, iss: 'https://evil.example' }, 'Token is of another issuer'],
    [{ exp: now + 60, aud: 'app' }, 'Token is of another issuer'],
    [{ ...good, aud: 'other' }, 'Token is for another audience'],
    [{ ...good, exp: 'canary' as never }, 'Token is malformed'],
  ];
  for (const [claims, said] of tries) {
    const answer = await ask(port, { headers: bearer(await sign(claims)) });
    expect([answer.status, answer.text]).toEqual(said === null ? [200, 'ok'] : [401, `${said}\n`]);
    if (said !== null) expect(answer.headers['www-authenticate']).toBe(`Bearer error="invalid_token", error_description="${said}"`);
  }
  const bare = await ask(port);
  expect([bare.status, bare.text, bare.headers['www-authenticate']]).toEqual([401, 'Token is missing\n', 'Bearer']);
  expect(origin.requests.length).toBe(4);
  expect(saidBy(gateway)).not.toContain('canary');
});

test('alg none and a public key used as a secret are refused, whatever the key is', async () => {
  const none = (header: object) =>
    `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${Buffer.from('{"sub":"ann"}').toString('base64url')}.`;
  const pemText = await exportSPKI(rsa.publicKey as never);
  const confused = (text: string, header = '{"alg":"HS256"}') => {
    const input = `${Buffer.from(header).toString('base64url')}.${Buffer.from('{"sub":"ann"}').toString('base64url')}`;
    return `${input}.${createHmac('sha256', text).update(input).digest('base64url')}`;
  };
  for (const settings of [`public_key = """\n${pem(rsa.publicKey)}"""`, `secret = "${SECRET}"`]) {
    const { origin, port } = await behind(settings);
    const forged = [
      none({ alg: 'none' }),
      none({ alg: 'None' }),
      none({ alg: 'NONE', typ: 'JWT' }),
      none({}),
      `${none({ alg: 'none' })}AAAA`,
      confused(pemText),
      confused(pem(rsa.publicKey)),
      confused(pem(rsa.publicKey).trim()),
      confused(SECRET, '{"alg":"HS256","crit":["x"],"x":1}'),
      await sign({ sub: 'ann' }, 'HS512', KEY),
      await sign({ sub: 'ann' }, 'ES256', pairs['ES256']!.privateKey, { jwk: await exportJWK(pairs['ES256']!.publicKey) }),
    ];
    for (const token of forged) expect((await ask(port, { headers: bearer(token) })).status).toBe(401);
    expect(origin.requests.length).toBe(0);
  }
});

test.each([
  '',
  'a',
  '..',
  'a.b.c',
  'a.b.c.d.e',
  '....',
  `${'A'.repeat(20_000)}.b.c`,
  'eyJhbGciOiJIUzI1NiJ9.e30',
  'eyJhbGciOiJIUzI1NiJ9.bnVsbA.AAAA',
  'eyJhbGciOiJIUzI1NiJ9.W10.AAAA',
  '%00.%00.%00',
  'ey\u00ff.\u00ff.\u00ff',
  `${Buffer.from(`{"alg":"HS256","__proto__":{"x":1}}`).toString('base64url')}.e30.x`,
  `${Buffer.from(`${'['.repeat(3_000)}`).toString('base64url')}.e30.x`,
])('a broken token is 401, and nothing more: %s', async (token) => {
  const { gateway, origin, port } = await behind(`secret = "${SECRET}"`);
  expect((await ask(port, { headers: bearer(token) })).status).toBe(401);
  expect(origin.requests.length).toBe(0);
  expect(gateway.log.at('error')).toEqual([]);
});

test('jwt finds the token in a header, a cookie or the query, and hides it where it is told to', async () => {
  const token = await sign({ sub: 'ann' });
  const cases: [string, object, string, string][] = [
    ['header = "X-Token"', { headers: { 'X-Token': token } }, '/', ''],
    ['header = "X-Token"', { headers: { 'X-Token': `bearer ${token}` } }, '/', ''],
    ['cookie = "jwt"', { headers: { Cookie: `a=1; jwt=${token}; b=2` } }, '/', 'a=1; b=2'],
    ['query = "token"', { path: `/?a=%7e&token=${token}&b=` }, '/?a=%7e&b=', ''],
  ];
  for (const [settings, question, url, cookie] of cases) {
    const { origin, port } = await behind(`secret = "${SECRET}"\nhide_credentials = true\n${settings}`);
    for (let i = 0; i < 2; i++) expect((await ask(port, question)).status).toBe(200);
    for (const seen of origin.requests) {
      expect(seen.url).toBe(url);
      expect(seen.headers.cookie ?? '').toBe(cookie);
      expect(JSON.stringify(seen.rawHeaders)).not.toContain(token);
    }
    expect((await ask(port, { headers: bearer(token) })).status).toBe(401);
  }
});

test('[threat 19] claims go on as headers, those that a client sends under their names never do, and none breaks out of its line', async () => {
  const { origin, port } = await behind(
    `secret = "${SECRET}"\nclaim_headers = ["sub: X-User", "groups: X-Groups", "https://example.com/plan: X-Plan", "age: X-Age", "toString: X-None"]`,
  );
  const fields = { 'X-User': 'root', 'x-groups': 'admin', 'X-Plan': 'gold', 'X-Age': '1', 'X-None': 'x', X_User: 'root' };
  const send = async (claims: JWTPayload) => (await ask(port, { headers: { ...fields, ...bearer(await sign(claims)) } })).status;
  expect(await send({ sub: 'jörg', groups: ['a', 'b'], 'https://example.com/plan': 'free', age: 7 })).toBe(200);
  const { headers } = origin.requests[0]!;
  expect(headers['x-user']).toBe(Buffer.from('jörg').toString('latin1'));
  expect([headers['x-groups'], headers['x-plan'], headers['x-age'], headers['x-none'], headers['x_user']]).toEqual([
    'a,b',
    'free',
    '7',
    undefined,
    undefined,
  ]);
  expect(await send({})).toBe(200);
  expect(['x-user', 'x-groups', 'x-plan', 'x-age'].map((name) => origin.requests[1]!.headers[name])).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  for (const sub of ['a\r\nX-Admin: 1', 'a\u0000', 'x'.repeat(5_000)]) expect(await send({ sub })).toBe(401);
  expect(await send({ groups: ['a', 'b,admin'] })).toBe(401);
  expect(await send({ sub: { name: 'ann' } as never })).toBe(401);
  expect(origin.requests.length).toBe(2);
});

test('a token that was right counts for a while, and never beyond its end', async () => {
  const { port, clock } = await behind(`secret = "${SECRET}"`);
  const token = await sign({ sub: 'ann', exp: soon() });
  const statuses: number[] = [];
  for (const aheadMs of [0, 1_000, 50_000, 62_000, 3_600_000]) {
    clock.aheadMs = aheadMs;
    statuses.push((await ask(port, { headers: bearer(token) })).status);
  }
  expect(statuses).toEqual([200, 200, 200, 401, 401]);
});

test('auth_path needs no token: the JSON of its answer becomes one, which is good everywhere else', async () => {
  const { origin, port } = await behind(`secret = "${SECRET}"\nauth_path = "/login"\nclaim_headers = "sub: X-User"`, (request, response) => {
    const { searchParams } = new URL(request.url!, 'http://a');
    response.writeHead(Number(searchParams.get('status') ?? 200), {
      'Content-Type': 'text/plain',
      ETag: '"1"',
      Vary: 'X',
      ...(searchParams.has('packed') ? { 'Content-Encoding': 'gzip' } : {}),
    });
    response.end(searchParams.get('body') ?? `{"sub":"ann","exp":${soon()}}`);
  });
  const login = await ask(port, { path: '/login', method: 'POST', body: 'x', headers: { 'Accept-Encoding': 'gzip', 'X-User': 'root' } });
  expect([login.status, login.headers['content-type'], login.headers['cache-control'], login.headers.etag]).toEqual([
    200,
    'application/json',
    'no-store',
    undefined,
  ]);
  expect([origin.requests[0]!.headers['accept-encoding'], origin.requests[0]!.headers['x-user']]).toEqual([undefined, undefined]);
  const { token } = JSON.parse(login.text) as { token: string };
  expect((await ask(port, { headers: bearer(token) })).status).toBe(200);
  expect(origin.requests[1]!.headers['x-user']).toBe('ann');
  const refused = await ask(port, { path: '/login?status=403&body=no' });
  expect([refused.status, refused.text, refused.headers.etag]).toEqual([403, 'no', '"1"']);
  expect((await ask(port, { path: '/login/' })).status).toBe(401);
  expect((await ask(port, { path: '/login', method: 'HEAD' })).status).toBe(200);
  expect((await ask(port, { path: '/login?status=204' })).status).toBe(204);
  // What cannot be signed is never passed on as it is.
  expect((await ask(port, { path: '/login?packed' })).status).toBe(500);
  for (const body of ['no json canary', '[1]', '"canary"', 'null', `{"a":"${'x'.repeat(5_000)}`]) {
    const broken = await ask(port, { path: `/login?body=${encodeURIComponent(body)}` });
    expect([broken.complete, broken.text]).toEqual([false, '']);
  }
});

test('a body at auth_path is made into a token up to a bound', async () => {
  const { port } = await behind(`secret = "${SECRET}"\nauth_path = "/login"`, (_request, response) => {
    response.write(`{"a":"${'x'.repeat(40_000)}`);
    response.end(`${'x'.repeat(40_000)}"}`);
  });
  expect((await ask(port, { path: '/login' })).complete).toBe(false);
});

/** A server of keys, and what it was asked. */
async function startKeys() {
  const state = { keys: [] as object[], status: 200, asked: 0, body: null as string | null };
  const server = await made.startOrigin((_request, response) => {
    state.asked++;
    response.writeHead(state.status, { 'Content-Type': 'application/json' });
    response.end(state.body ?? JSON.stringify({ keys: state.keys }));
  });
  return { state, url: `http://127.0.0.1:${server.port}/jwks.json` };
}

async function keyPair(kid: string) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' };
  return { jwk, token: (claims: JWTPayload = {}, header: object = { kid }) => sign({ sub: 'ann', ...claims }, 'ES256', privateKey, header) };
}

test('keys of jwks_url check tokens, and a reload that leaves them alone keeps them', async () => {
  const { state, url } = await startKeys();
  const [one, madeUp] = [await keyPair('one'), await keyPair('made-up')];
  state.keys = [one.jwk, { kty: 'oct', k: KEY.toString('base64url'), kid: 'secret' }];
  const { gateway, port, origin, file } = await behind(`jwks_url = "${url}"`);
  const tokens = await Promise.all(Array.from({ length: 20 }, (_none, i) => one.token({ i })));
  const answers = await Promise.all(tokens.map((token) => ask(port, { headers: bearer(token) })));
  expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
  // A secret among public keys is no key.
  expect((await ask(port, { headers: bearer(await sign({}, 'HS256', KEY, { kid: 'secret' })) })).status).toBe(401);
  const forged = await ask(port, { headers: bearer(await madeUp.token()) });
  expect([forged.status, forged.text]).toEqual([401, 'Token is signed with an unknown key\n']);
  state.status = 500;
  await gateway.change(`${file}\n# the same\n`);
  expect((await ask(port, { headers: bearer(await one.token({ after: 1 })) })).status).toBe(200);
  // One key needs no name in the token.
  expect((await ask(port, { headers: bearer(await one.token({}, {})) })).status).toBe(200);
  expect(state.asked).toBe(1);
  expect(origin.requests.length).toBe(22);
});

test('without keys nobody comes in, and it is said that it is not the fault of the token', async () => {
  const { state, url } = await startKeys();
  const one = await keyPair('one');
  state.status = 503;
  const { origin, port } = await behind(`jwks_url = "${url}"`);
  const { status, headers, text } = await ask(port, { headers: bearer(await one.token()) });
  expect([status, headers['retry-after'], text]).toEqual([503, '1', 'Tokens cannot be checked now\n']);
  expect(await handshake(made, port, bearer(await one.token()))).toBe(503);
  expect(origin.requests.length).toBe(0);
});

test.each([
  ['', 'has no key to check tokens with'],
  [`secret = "${SECRET}"\njwks_url = "https://id.example/jwks"`, 'more than one of secret, public_key and jwks_url'],
  [`secret = "${SECRET}"\nalgorithm = "RS256"`, 'which needs a key'],
  [`secret = "${SECRET}"\nalgorithm = "none"`, 'is no algorithm that can be used'],
  [`secret = '-----BEGIN PUBLIC KEY----- canary'`, 'whoever knows the public key could sign'],
  [`public_key = """\n${pem(rsa.publicKey)}"""\nalgorithm = "HS256"`, 'a secret that everybody knows'],
  [`public_key = """\n${pem(rsa.publicKey)}"""\nalgorithm = "ES256"`, 'does not fit algorithm ES256'],
  [`public_key = """\n${rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string}"""`, 'holds a private key'],
  [`public_key = """\n${pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey)}"""`, 'less than 2048 bits'],
  ['public_key = "nowhere.pem"', 'does not exist'],
  ['jwks_url = "ftp://a"', 'is no address'],
  ['jwks_url = "https://u:canary@id.example/"', 'leave the user out'],
  ['jwks_url = "https://id.example/jwks"\nauth_path = "/login"', 'no secret to sign with'],
  [`secret = "${SECRET}"\nclaim_headers = "sub: Host"`, 'a meaning of its own'],
  [`secret = "${SECRET}"\nclaim_headers = "sub"`, 'has no colon'],
])('jwt with %s is refused: %s', async (settings, said) => {
  const error = await behind(settings).catch((wrong: unknown) => wrong);
  expect((error as { lines: string[] }).lines.join('\n')).toContain(said);
  expect((error as { lines: string[] }).lines.join('\n')).not.toContain('canary');
});

test('a WebSocket without a token is 401, also at auth_path, and with one it opens; a reload keeps what is open out of the matter', async () => {
  const { gateway, port, file } = await behind(`secret = "${SECRET}"\nauth_path = "/login"`);
  const token = await sign({ sub: 'ann', exp: soon() });
  expect(await handshake(made, port)).toBe(401);
  expect(await handshake(made, port, {}, '/login')).toBe(401);
  expect(await handshake(made, port, bearer(token))).toBe(101);
  await gateway.change(file.replace(SECRET, 'another secret of thirty-two bytes'));
  expect(await handshake(made, port, bearer(token))).toBe(401);
  expect((await ask(port, { headers: bearer(token) })).status).toBe(401);
});

test('a public key is read from a file, and a new key in the file counts after a reload', async () => {
  const path = join(made.folder(), 'key.pem');
  writeFileSync(path, pem(pairs['ES256']!.publicKey));
  const { gateway, port, file } = await behind(`public_key = "${path}"`);
  const token = await sign({ sub: 'ann' }, 'ES256', pairs['ES256']!.privateKey);
  expect((await ask(port, { headers: bearer(token) })).status).toBe(200);
  writeFileSync(path, pem(pairs['EdDSA']!.publicKey));
  await gateway.change(file);
  expect((await ask(port, { headers: bearer(token) })).status).toBe(401);
});

test('the example on the page of jwt runs', async () => {
  const page = readFileSync(new URL('../../docs/plugins/jwt.md', import.meta.url), 'utf8');
  const gateway = await startGatewayOf(made, /^```toml\n([^]*?)^```$/m.exec(page)![1]!.replace('0.0.0.0:8080', '127.0.0.1:0'));
  expect(gateway.warnings).toEqual([]);
  expect((await ask(gateway.port())).status).toBe(401);
});
