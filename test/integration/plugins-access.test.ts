import { scryptSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadGateway } from '../../src/config/gateway.ts';
import { ask, type Asked, fileWithPlugins } from '../kit/ask.ts';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { handshake, startSocketOrigin } from '../kit/handshake.ts';
import { kit } from '../kit/kit.ts';

const made = kit();

/** A cheap hash, for tests alone. */
function hashed(user: string, password: string): string {
  const salt = Buffer.from(`salt of ${user}`);
  const plain = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');
  return `${user}:$scrypt$ln=10,r=8,p=1$${plain(salt)}$${plain(scryptSync(Buffer.from(password), salt, 32, { N: 1024 }))}`;
}

function basic(user: string, password: string): { Authorization: string } {
  return { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

async function behind(sections: string): Promise<{ gateway: TestGateway; origin: Awaited<ReturnType<typeof startSocketOrigin>>; port: number }> {
  const origin = await startSocketOrigin(made);
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, sections));
  return { gateway, origin, port: gateway.port() };
}

function saidBy(gateway: TestGateway): string {
  return JSON.stringify(gateway.log.lines, (_key, value: unknown) => (value instanceof Error ? value.stack : value));
}

const USERS = `users = ["${hashed('ann', 'right-canary')}", "${hashed('bob', 'rïght: too')}"]`;
const PLAIN = `authorizations = ["${Buffer.from('carl:plain-canary').toString('base64')}"]`;

test('basic_auth lets in who knows a password, hashed or not, and asks the others', async () => {
  const { origin, port } = await behind(`[plugins.auth]\ncategory = "basic_auth"\nrealm = "the back office"\n${USERS}\n${PLAIN}\n`);
  const stranger = await ask(port);
  expect([stranger.status, stranger.text]).toEqual([401, 'Authorization is missing\n']);
  expect(stranger.headers['www-authenticate']).toBe('Basic realm="the back office", charset="UTF-8"');
  expect(stranger.headers['cache-control']).toBe('no-store');
  for (const headers of [basic('ann', 'right-canary'), basic('bob', 'rïght: too'), basic('carl', 'plain-canary'), basic('ann', 'right-canary')])
    expect((await ask(port, { headers })).status).toBe(200);
  const { Authorization } = basic('ann', 'right-canary');
  expect((await ask(port, { headers: { Authorization: Authorization.replace('Basic', 'bAsIc ') } })).status).toBe(200);
  expect(origin.requests[0]!.headers.authorization).toBe(Authorization);
  const before = origin.requests.length;
  for (const headers of [basic('ann', 'wrong'), basic('nobody', 'right-canary'), basic('carl', 'right-canary'), basic('ann', '')]) {
    const { status, text } = await ask(port, { headers });
    expect([status, text]).toEqual([401, 'User or password is wrong\n']);
  }
  expect(origin.requests.length).toBe(before);
});

test('basic_auth keeps credentials from the upstream where it is told to', async () => {
  const { origin, port } = await behind(`[plugins.auth]\ncategory = "basic_auth"\nhide_credentials = true\ndelay = "5ms"\n${USERS}\n${PLAIN}\n`);
  for (const headers of [basic('ann', 'right-canary'), basic('ann', 'right-canary'), basic('carl', 'plain-canary')]) await ask(port, { headers });
  expect(origin.requests.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined, undefined]);
  expect((await ask(port, { headers: basic('ann', 'x') })).status).toBe(401);
});

test.each([
  'Basic',
  'Basic ',
  'Basic !!!!',
  'Basic YW5u',
  'Basic YW5uOnJpZ2h0LWNhbmFyeQ==, Basic YW5uOnJpZ2h0LWNhbmFyeQ==',
  'Bearer YW5uOnJpZ2h0LWNhbmFyeQ==',
  `Basic ${'A'.repeat(16_000)}`,
  'Basicx YW5uOnJpZ2h0LWNhbmFyeQ==',
])('basic_auth refuses what is no credential: %s', async (Authorization) => {
  const { origin, port } = await behind(`[plugins.auth]\ncategory = "basic_auth"\n${USERS}\n`);
  expect((await ask(port, { headers: { Authorization } })).status).toBe(401);
  expect(origin.requests.length).toBe(0);
});

/** Guesses until it is told to wait. @returns how many times it was only wrong, and the last answer */
async function guessUntilHeld(port: number, user: string): Promise<{ wrong: number; last: Asked }> {
  for (let wrong = 0; wrong < 50; wrong++) {
    const last = await ask(port, { headers: basic(user, `guess-canary-${wrong}`) });
    if (last.status !== 401) return { wrong, last };
  }
  throw new Error('fifty guesses were free');
}

test('[threat 65] basic_auth: who guesses is told to wait; the same wrong password again is no guess', async () => {
  const { gateway, origin, port } = await behind(`[plugins.auth]\ncategory = "basic_auth"\n${USERS}\n`);
  for (let i = 0; i < 10; i++) expect((await ask(port, { headers: basic('ann', 'old-canary') })).status).toBe(401);
  const { wrong, last } = await guessUntilHeld(port, 'ann');
  expect(wrong).toBeGreaterThanOrEqual(4);
  expect([last.status, last.text]).toEqual([429, 'Too many wrong passwords\n']);
  expect(Number(last.headers['retry-after'])).toBeGreaterThanOrEqual(1);
  expect(origin.requests.length).toBe(0);
  expect(saidBy(gateway)).not.toContain('canary');
});

test('basic_auth: many requests with one right password are one check, and count as no guesses', async () => {
  const { port } = await behind(`[plugins.auth]\ncategory = "basic_auth"\n${USERS}\n`);
  const answers = await Promise.all(Array.from({ length: 40 }, () => ask(port, { headers: basic('ann', 'right-canary') })));
  expect(answers.map(({ status }) => status)).toEqual(Array(40).fill(200));
});

test.each([
  ['', 'lets nobody in'],
  ['users = ["ann"]', 'has no name'],
  ['users = ["ann:secret-canary"]', 'has no password hash'],
  ['authorizations = ["not base64 canary"]', 'is no user:password in base64'],
  ['authorizations = ["Y2FuYXJ5"]', 'is no user:password in base64'],
  [`users = ["${hashed('ann', 'a')}", "${hashed('ann', 'b')}"]`, 'names a user twice'],
  [`${USERS}\nrealm = 'a"b'`, 'is not of the right form'],
])('basic_auth with %s is refused', async (settings, said) => {
  const error = await startGatewayOf(made, fileWithPlugins(1, `[plugins.auth]\ncategory = "basic_auth"\n${settings}\n`)).catch(
    (wrong: unknown) => wrong,
  );
  expect((error as { lines: string[] }).lines.join('\n')).toContain(said);
  expect((error as { lines: string[] }).lines.join('\n')).not.toContain('canary');
});

test.each([
  ['header = "X-Key"', '/', { 'X-Key': 'k-canary-1' }, '/', undefined],
  ['header = "X-Key"\nhide_credentials = true', '/?x=%7e', { 'X-Key': 'k-canäry-2' }, '/?x=%7e', undefined],
  ['query = "key"', '/?key=k-canary-1', {}, '/?key=k-canary-1', undefined],
  ['query = "key"\nhide_credentials = true', '/?a=%7e&key=k-can%C3%A4ry-2&&b=+', {}, '/?a=%7e&&b=+', undefined],
  ['cookie = "key"\nhide_credentials = true', '/', { Cookie: 'a=1;  key=k-canary-1; b="2"' }, '/', 'a=1;  b="2"'],
  ['cookie = "key"\nhide_credentials = true', '/', { Cookie: 'key=k-canary-1' }, '/', undefined],
])('key_auth with %j lets %s %j in', async (settings, path, headers, seen, cookies) => {
  const { gateway, origin, port } = await behind(`[plugins.auth]\ncategory = "key_auth"\n${settings}\nkeys = ["k-canary-1", "k-canäry-2"]\n`);
  const sent = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Buffer.from(value as string).toString('latin1')]));
  expect((await ask(port, { path, headers: sent })).status).toBe(200);
  expect(origin.only.url).toBe(seen);
  if (settings.includes('hide')) {
    expect(JSON.stringify(origin.only.rawHeaders)).not.toContain('k-can');
    expect(origin.only.headers.cookie).toBe(cookies);
  }
  for (const [name, value] of [
    [undefined, 'Key missing'],
    ['wrong', 'Key auth fail'],
    ['k-canary-1k', 'Key auth fail'],
    ['', 'Key missing'],
  ] as const) {
    const wrong =
      name === undefined
        ? {}
        : settings.includes('header')
          ? { headers: { 'X-Key': name } }
          : settings.includes('query')
            ? { path: `/?key=${name}` }
            : { headers: { Cookie: `key=${name}` } };
    const answer = await ask(port, wrong);
    expect([answer.status, answer.text]).toEqual([401, `${value}\n`]);
  }
  expect(origin.requests.length).toBe(1);
  expect(saidBy(gateway)).not.toContain('canary');
});

test('key_auth: giant cookies and broken escapes are no keys, and harm nobody', async () => {
  const giant = `${'a=b; '.repeat(3_000)}key=x`;
  const { port } = await behind('[plugins.auth]\ncategory = "key_auth"\ncookie = "key"\nkeys = ["k"]\ndelay = "1ms"\n');
  expect((await ask(port, { headers: { Cookie: giant } })).status).toBe(401);
  const query = await behind('[plugins.auth]\ncategory = "key_auth"\nquery = "key"\nkeys = ["k"]\n');
  expect((await ask(query.port, { path: '/?key=%ff%fe%00&key=k&%' })).status).toBe(401);
  // The second question mark is of the name: what is not taken out must not be read either.
  expect((await ask(query.port, { path: '/??key=k' })).status).toBe(401);
  const nowhere = startGatewayOf(made, fileWithPlugins(1, '[plugins.auth]\ncategory = "key_auth"\nkeys = ["k"]\n'));
  await expect(nowhere).rejects.toThrow('looks nowhere for the key');
});

test.each([
  ['basic_auth', `[plugins.p]\ncategory = "basic_auth"\n${USERS}\n`, basic('ann', 'right-canary')],
  ['key_auth', '[plugins.p]\ncategory = "key_auth"\nheader = "X-Key"\nkeys = ["k"]\n', { 'X-Key': 'k' }],
])('a WebSocket without credentials is 401 at %s, and with them it opens', async (_name, sections, headers) => {
  const { port } = await behind(sections);
  expect(await handshake(made, port)).toBe(401);
  expect(await handshake(made, port, headers)).toBe(101);
});

test('basic_auth remembers across reloads who guesses, and a changed file counts at once', async () => {
  const { gateway, origin, port } = await behind(`[plugins.auth]\ncategory = "basic_auth"\n${USERS}\n`);
  await guessUntilHeld(port, 'bob');
  await gateway.change(fileWithPlugins(origin.port, `[plugins.auth]\ncategory = "basic_auth"\n${USERS}\n`, 'timeout = "9s"'));
  // One that had forgotten would let five be wrong.
  expect((await guessUntilHeld(port, 'ann')).wrong).toBeLessThan(4);
  await gateway.change(fileWithPlugins(origin.port, `[plugins.auth]\ncategory = "basic_auth"\n${PLAIN}\n`));
  expect((await ask(port, { headers: basic('ann', 'right-canary') })).status).toBe(401);
  expect((await ask(port, { headers: basic('carl', 'plain-canary') })).status).toBe(200);
  expect(await handshake(made, port)).toBe(401);
});

test('a key that is taken out of its file lets nobody in after a reload, and the file is watched', async () => {
  const path = join(made.folder(), 'keys.txt');
  writeFileSync(path, 'one\ntwo\n');
  const sections = `[plugins.auth]\ncategory = "key_auth"\nheader = "X-Key"\nkeys_file = "${path}"\n`;
  const { gateway, origin, port } = await behind(sections);
  expect((await ask(port, { headers: { 'X-Key': 'one' } })).status).toBe(200);
  writeFileSync(path, 'two\nthree\n');
  await gateway.change(fileWithPlugins(origin.port, sections));
  const statuses = await Promise.all(['one', 'two', 'three'].map(async (key) => (await ask(port, { headers: { 'X-Key': key } })).status));
  expect(statuses).toEqual([401, 200, 200]);
  const { settings } = await loadGateway(gateway.file, {});
  expect(settings.watched).toContain(path);
});

test('app_password asks for what hub run asks for, in the same words, and no upstream sees it', async () => {
  const sections = '[plugins.p]\ncategory = "app_password"\npassword = "pass-cänary"\n';
  const { gateway, origin, port } = await behind(sections);
  const hub = await made.startHubWith({ appPassword: 'pass-cänary' });
  for (const headers of [
    {},
    { 'Slime-App-Password': 'wrong' },
    { 'Slime-App-Password': '' },
    { 'Slime-App-Password': 'x'.repeat(10_000), Accept: 'text/html' },
  ]) {
    const [ours, theirs] = [await ask(port, { headers }), await ask(hub.address.port, { headers })];
    expect([ours.status, ours.text, ours.headers['www-authenticate'], ours.headers['content-type']]).toEqual([
      401,
      theirs.text,
      'Slime-App-Password',
      theirs.headers['content-type'],
    ]);
  }
  const right = { 'slime-app-password': Buffer.from('pass-cänary').toString('latin1') };
  expect((await ask(port, { headers: right })).status).toBe(200);
  expect(await handshake(made, port)).toBe(401);
  expect(await handshake(made, port, right)).toBe(101);
  expect(JSON.stringify(origin.only.rawHeaders).toLowerCase()).not.toContain('slime');
  expect(saidBy(gateway)).not.toContain('pass-c');
  // Also where nobody asks for it.
  await gateway.change(fileWithPlugins(origin.port, ''));
  await ask(port, { headers: right });
  expect(JSON.stringify(origin.requests[1]!.rawHeaders).toLowerCase()).not.toContain('slime');
});

test.each(['basic-auth', 'key-auth', 'app-password', 'cors'])('the example on the page of %s runs', async (name) => {
  const page = readFileSync(new URL(`../../docs/plugins/${name}.md`, import.meta.url), 'utf8');
  const example = /^```toml\n([^]*?)^```$/m.exec(page)![1]!;
  const gateway = await startGatewayOf(made, example.replace('0.0.0.0:8080', '127.0.0.1:0'));
  expect(gateway.warnings).toEqual([]);
  expect((await ask(gateway.port())).status).toBe(401);
});
