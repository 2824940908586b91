import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { AheadClock } from '../kit/ahead-clock.ts';
import { ask, fileWithPlugins } from '../kit/ask.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { handshake, startSocketOrigin } from '../kit/handshake.ts';
import { kit } from '../kit/kit.ts';

const made = kit();

async function behind(section: string) {
  const origin = await startSocketOrigin(made);
  const clock = new AheadClock();
  const file = fileWithPlugins(origin.port, `[plugins.p]\n${section}\n`);
  const gateway = await startGatewayOf(made, file, { clock });
  return { origin, gateway, clock, file, port: gateway.port() };
}

const CSRF = 'category = "csrf"\ntoken_path = "/token"\nkey = "a key of a canary"';

async function tokenFrom(port: number, name = 'x-csrf-token'): Promise<string> {
  const { headers } = await ask(port, { path: '/token?x=1' });
  return headers[name] as string;
}

const both = (token: string, name = 'x-csrf-token') => ({ Cookie: `a=1; ${name}=${token}`, [name]: token });

test('csrf gives out a token that scripts of the same site can read, and no other site sends', async () => {
  const { origin, port } = await behind(`${CSRF}\nttl = "10m"`);
  const answer = await ask(port, { path: '/token' });
  const token = answer.headers['x-csrf-token'] as string;
  expect([answer.status, answer.headers['cache-control']]).toEqual([204, 'no-store']);
  expect(token).toMatch(/^[\da-z]+\.[\w-]{22}\.[\w-]{43}$/);
  expect(answer.headers['set-cookie']).toEqual([`x-csrf-token=${token}; Path=/; SameSite=Strict; Max-Age=600`]);
  expect(await tokenFrom(port)).not.toBe(token);
  expect(origin.requests.length).toBe(0);
});

test('csrf lets through what changes nothing, and the rest with a good token that came twice', async () => {
  const { origin, port, clock, gateway, file } = await behind(`${CSRF}\nttl = "10m"`);
  const token = await tokenFrom(port);
  for (const method of ['GET', 'HEAD', 'OPTIONS']) expect((await ask(port, { method })).status).toBe(200);
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
    expect([method, (await ask(port, { method })).status]).toEqual([method, 401]);
    expect([method, (await ask(port, { method, headers: both(token) })).status]).toEqual([method, 200]);
  }
  const other = await tokenFrom(port);
  const [time, random, signature] = token.split('.') as [string, string, string];
  const wrongs: Record<string, string>[] = [
    { Cookie: `x-csrf-token=${token}` },
    { 'x-csrf-token': token },
    { Cookie: `x-csrf-token=${token}`, 'x-csrf-token': other },
    { Cookie: `x-csrf-token=${token}`, 'x-csrf-token': '' },
    both(''),
    both('a.b.c'),
    both(`${time}.${random}.`),
    both(`${time}.${random}.${'A'.repeat(43)}`),
    both(`zzzzzz.${random}.${signature}`),
    both(`${time}.${random}.${createHmac('sha256', 'guess').update(`${time}.${random}`).digest('base64url')}`),
    both('x'.repeat(15_000)),
  ];
  const before = origin.requests.length;
  for (const headers of wrongs) expect((await ask(port, { method: 'POST', headers })).status).toBe(401);
  expect((await ask(port, { path: '/token', method: 'POST' })).status).toBe(401);
  expect(origin.requests.length).toBe(before);
  // Its name and its key stay over a reload; its time ends.
  await gateway.change(`${file}# more\n`);
  expect((await ask(port, { method: 'POST', headers: both(token) })).status).toBe(200);
  clock.aheadMs = 500_000;
  expect((await ask(port, { method: 'POST', headers: both(token) })).status).toBe(200);
  clock.aheadMs = 601_000;
  const old = await ask(port, { method: 'POST', headers: both(token) });
  expect([old.status, old.text]).toEqual([401, 'x-csrf-token is wrong or too old\n']);
  expect(JSON.stringify(gateway.log.lines)).not.toContain('canary');
});

test('csrf: a WebSocket needs the cookie, which other sites do not send, under the name that was chosen', async () => {
  const { port } = await behind(`${CSRF}\nname = "X-Guard"\nttl = 0`.replace('ttl = 0', 'ttl = "0"'));
  const token = await tokenFrom(port, 'x-guard');
  expect(await handshake(made, port)).toBe(401);
  expect(await handshake(made, port, { Cookie: 'X-Guard=made.up.token' })).toBe(401);
  expect(await handshake(made, port, { Cookie: `X-Guard=${token}` })).toBe(101);
  expect(await handshake(made, port, {}, '/token')).toBe(401);
});

const now = () => String(Math.floor(Date.now() / 1000));
const digest = (secret: string, ts: string) => createHash('sha256').update(`${secret}:${ts}`).digest('hex');
const APPS = `category = "combined_auth"
[[plugins.p.authorizations]]
app_id = "shop"
secret = "canary-1"
deviation = 60
[[plugins.p.authorizations]]
app_id = "inside"
secret = "*"
ip_list = ["127.0.0.0/8"]
[[plugins.p.authorizations]]
app_id = "elsewhere"
secret = "canary-2"
deviation = "5m"
ip_list = ["10.0.0.0/8"]`;

test('combined_auth lets applications in that sign the time, from their addresses', async () => {
  const { gateway, origin, port } = await behind(APPS);
  const ts = now();
  const tries: [string, string | null][] = [
    [`app_id=shop&ts=${ts}&digest=${digest('canary-1', ts)}`, null],
    [`app_id=shop&ts=${ts}&digest=${digest('canary-1', ts).toUpperCase()}`, null],
    [`x=%7e&app_id=s%68op&ts=${Number(ts) - 50}&digest=${digest('canary-1', String(Number(ts) - 50))}`, null],
    ['app_id=inside', null],
    ['', 'app_id is missing'],
    ['app_id=', 'app_id is missing'],
    ['?app_id=inside', 'app_id is missing'],
    ['app_id=nobody', 'app_id is wrong'],
    ['app_id=__proto__', 'app_id is wrong'],
    [`app_id=elsewhere&ts=${ts}&digest=${digest('canary-2', ts)}`, 'address is not allowed'],
    ['app_id=shop', 'ts is missing or too far from now'],
    [`app_id=shop&ts=${Number(ts) - 90}&digest=${digest('canary-1', String(Number(ts) - 90))}`, 'ts is missing or too far from now'],
    [`app_id=shop&ts=${Number(ts) + 90}&digest=${digest('canary-1', String(Number(ts) + 90))}`, 'ts is missing or too far from now'],
    [`app_id=shop&ts=${ts}.0&digest=${digest('canary-1', `${ts}.0`)}`, 'ts is missing or too far from now'],
    [`app_id=shop&ts=NaN&digest=${digest('canary-1', 'NaN')}`, 'ts is missing or too far from now'],
    [`app_id=shop&ts=${ts}`, 'digest is missing or wrong'],
    [`app_id=shop&ts=${ts}&digest=${digest('canary-2', ts)}`, 'digest is missing or wrong'],
    [`app_id=shop&ts=${ts}&digest=${'%c3%a9'.repeat(64)}`, 'digest is missing or wrong'],
    [`app_id=shop&ts=${ts}&digest=${'x'.repeat(5_000)}`, 'digest is missing or wrong'],
    [`app_id=nobody&app_id=inside`, 'app_id is wrong'],
  ];
  for (const [query, said] of tries) {
    const { status, text, headers } = await ask(port, { path: `/?${query}` });
    expect([query, status, text]).toEqual([query, ...(said === null ? [200, 'ok'] : [401, `${said}\n`])]);
    if (said !== null) expect(headers['cache-control']).toBe('no-store');
  }
  expect(origin.requests.map(({ url }) => url)).toEqual(tries.filter(([, said]) => said === null).map(([query]) => `/?${query}`));
  expect(await handshake(made, port)).toBe(401);
  expect(await handshake(made, port, {}, `/?app_id=shop&ts=${ts}&digest=${digest('canary-1', ts)}`)).toBe(101);
  expect(JSON.stringify(gateway.log.lines)).not.toContain('canary');
});

test.each([
  ['category = "csrf"\ntoken_path = "/t"', 'needs key'],
  ['category = "csrf"\ntoken_path = "/t"\nkey = "canary"', 'less than 8 characters'],
  ['category = "csrf"\ntoken_path = "t"\nkey = "canary-canary"', 'is not of the right form'],
  ['category = "combined_auth"', 'needs authorizations'],
  ['category = "combined_auth"\nauthorizations = []', 'names nothing'],
  ['category = "combined_auth"\nauthorizations = ["canary"]', 'something that is no table'],
  ['category = "combined_auth"\nauthorizations = [{ app_id = "a" }]', 'has no secret for a'],
  ['category = "combined_auth"\nauthorizations = [{ secret = "canary" }]', 'without app_id'],
  ['category = "combined_auth"\nauthorizations = [{ app_id = "a", secret = "canary", ip_lsit = "x" }]', 'is not known: "ip_lsit"'],
  ['category = "combined_auth"\nauthorizations = [{ app_id = "a", secret = "canary", deviation = -1 }]', 'is no number of seconds'],
  ['category = "combined_auth"\nauthorizations = [{ app_id = "a", secret = "canary", ip_list = ["10.0.0.0/40"] }]', 'bad prefix length'],
  ['category = "combined_auth"\nauthorizations = [{ app_id = "a", secret = "canary" }, { app_id = "a", secret = "b" }]', 'app_id twice'],
])('%s is refused: %s', async (section, said) => {
  const error = await behind(section).catch((wrong: unknown) => wrong);
  expect((error as { lines: string[] }).lines.join('\n')).toContain(said);
  expect((error as { lines: string[] }).lines.join('\n')).not.toContain('canary');
});

test.each(['csrf', 'combined-auth'])('the example on the page of %s runs', async (name) => {
  const page = readFileSync(new URL(`../../docs/plugins/${name}.md`, import.meta.url), 'utf8');
  const gateway = await startGatewayOf(made, /^```toml\n([^]*?)^```$/m.exec(page)![1]!.replace('0.0.0.0:8080', '127.0.0.1:0'));
  expect(gateway.warnings).toEqual([]);
  expect((await ask(gateway.port(), { method: 'POST' })).status).toBe(401);
});
