import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hubSettings, hubTable } from '../../src/config/hub.ts';
import { resolveSettings } from '../../src/config/resolve.ts';
import type { AuditEntry, Page, SessionInfo, TokenInfo } from '../../src/admin/model.ts';
import { ask } from '../kit/ask.ts';
import { fileTo, startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { Operator } from '../kit/operator.ts';
import { cheapHash } from '../kit/password.ts';
import { until } from '../kit/until.ts';
import { Visitor } from '../kit/visitor.ts';

const tools = kit();
const { folder } = tools;

const PASSWORD = 'höchst geheim, canary-2f81';
const HASH = cheapHash(PASSWORD);
const PEOPLE = `[admins.alice]
role = "admin"
password = "${HASH}"
[admins.rita]
role = "read"
password = "${HASH}"
`;
const FILE = fileTo(9, { more: PEOPLE });

async function start(text = FILE): Promise<{ gateway: TestGateway; port: number; stateDir: string; operator: Operator }> {
  const stateDir = folder();
  const gateway = await startGatewayOf(tools, text, { stateDir });
  return { gateway, port: gateway.adminAddress!.port, stateDir, operator: new Operator(gateway, stateDir) };
}

const alice = { user: 'alice', password: PASSWORD };

test('a login gives a session: a new id each time, in a cookie that no script and no other site has, which ends at logout on this side [threat 66]', async () => {
  const { port } = await start();
  const page = new Visitor(port);
  page.cookies.set('windlass_session', { value: 'planted', path: '/', flags: '' });
  expect(await page.enter('/session', alice)).toBe(200);
  const first = page.cookies.get('windlass_session')!;
  expect(first.value).toMatch(/^[\w-]{43}$/);
  expect(first.flags).toBe('Path=/; HttpOnly; SameSite=Strict');
  const info = JSON.parse((await page.ask('GET', '/api/v1/session')).text) as SessionInfo;
  expect(info).toEqual({ user: 'alice', role: 'admin', by: 'session', csrf: page.csrf, expiresAtMs: expect.any(Number) });
  expect(info.expiresAtMs - Date.now()).toBeLessThanOrEqual(30 * 60_000);

  // Logged in again, the id before counts no more.
  expect(await page.enter('/session', alice)).toBe(200);
  const second = page.cookies.get('windlass_session')!;
  expect(second.value).not.toBe(first.value);
  expect((await ask(port, { path: '/api/v1/session', headers: { Cookie: `windlass_session=${first.value}` } })).status).toBe(401);

  expect((await page.ask('DELETE', '/api/v1/session')).status).toBe(204);
  expect(page.cookies.size).toBe(0);
  expect((await ask(port, { path: '/api/v1/session', headers: { Cookie: `windlass_session=${second.value}` } })).status).toBe(401);
});

test('five wrong passwords, and who guesses waits; an unknown name is told nothing else; others come in meanwhile [threat 65] [threat 64]', async () => {
  const { port, gateway } = await start();
  const page = new Visitor(port);
  const wrong = await page.ask('POST', '/api/v1/session', { user: 'alice', password: 'wrong 0' });
  const unknown = await new Visitor(port).ask('POST', '/api/v1/session', { user: 'nobody', password: 'wrong' });
  expect([wrong.status, unknown.status, unknown.text]).toEqual([401, 401, wrong.text]);
  expect(JSON.parse(wrong.text)).toMatchObject({ code: 'wrong_password', detail: 'User or password is wrong.' });
  for (let i = 1; i < 4; i++) await page.enter('/session', { user: 'alice', password: `wrong ${i}` });
  // The right one comes too late: nothing is looked at.
  const held = await page.ask('POST', '/api/v1/session', alice);
  expect(held.status).toBe(429);
  expect(Number(held.headers['retry-after'])).toBeGreaterThan(0);
  expect(JSON.parse(held.text)).toMatchObject({ code: 'too_many_tries' });
  expect(JSON.stringify(gateway.log.lines)).not.toContain('canary');
});

test('what changes something needs the header that only our pages can send; GET changes nothing [threat 67]', async () => {
  const { port } = await start();
  const page = new Visitor(port);
  await page.enter('/session', alice);
  const without = await page.ask('POST', '/api/v1/tokens', { name: 'x', role: 'read' }, { 'Windlass-CSRF': '' });
  expect([without.status, JSON.parse(without.text).code]).toEqual([403, 'csrf']);
  const other = new Visitor(port);
  await other.enter('/session', alice);
  expect((await page.ask('POST', '/api/v1/tokens', { name: 'x', role: 'read' }, { 'Windlass-CSRF': other.csrf })).status).toBe(403);
  expect((await page.ask('POST', '/api/v1/tokens', { name: 'x', role: 'read' })).status).toBe(201);

  // What a form of another site can send is of none of the types that are taken, not even by a browser that names no origin.
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])
    expect(
      (await ask(port, { method: 'POST', path: '/api/v1/session', headers: { 'Content-Type': type }, body: JSON.stringify(alice) })).status,
    ).toBe(415);
  const crossing = { 'Content-Type': 'application/json', 'Sec-Fetch-Site': 'cross-site' };
  expect((await ask(port, { method: 'POST', path: '/api/v1/session', headers: crossing, body: JSON.stringify(alice) })).status).toBe(403);
  for (const Origin of ['http://evil.example', `http://127.0.0.1:${port + 1}`, 'null', 'http://127.0.0.1', `http://127.0.0.1:${port}.evil.example`]) {
    const foreign = await page.ask('POST', '/api/v1/tokens', { name: 'x', role: 'read' }, { Origin });
    expect([Origin, foreign.status, JSON.parse(foreign.text).code]).toEqual([Origin, 403, 'foreign_origin']);
    expect((await page.ask('GET', '/api/v1/tokens', undefined, { Origin })).status).toBe(403);
  }
});

test('a name that somebody had lead to this machine is not answered; addresses, localhost and names that are listed are [threat 67]', async () => {
  const { port, gateway, operator } = await start(`[basic]\nadmin_addr = "127.0.0.1:0"\nconsole_hosts = ["Gate.example.com"]\n${FILE}`);
  for (const host of ['evil.example', `evil.example:${port}`, 'localhost.evil.example', '127.0.0.1.evil.example', 'x']) {
    const page = new Visitor(port, '', host);
    const refused = await page.ask('GET', '/api/v1/session');
    expect([host, refused.status, JSON.parse(refused.text).code]).toEqual([host, 421, 'unknown_host']);
    expect((await page.ask('GET', '/')).status).toBe(421);
    expect(await page.enter('/session', alice)).toBe(421);
  }
  for (const host of ['localhost', `localhost:${port}`, '127.0.0.1', '[::1]:1', `gate.example.com:${port}`, 'x.localhost'])
    expect([host, await new Visitor(port, '', host).enter('/session', alice)]).toEqual([host, 200]);
  // The open pages tell no more than before, to whoever asks.
  expect((await ask(port, { path: '/readyz', headers: { Host: 'probe.example' } })).status).toBe(200);
  expect((await operator.ask('GET', '/info')).status).toBe(200);
  gateway.destroy();
});

test('a link lets one browser in, once, as whoever made it, and never two', async () => {
  const { port, operator } = await start();
  const { status, json } = await operator.ask('POST', '/session/tickets');
  expect(status).toBe(201);
  expect(json.url).toBe(`http://127.0.0.1:${port}/#ticket=${json.ticket}`);
  const page = new Visitor(port);
  expect(await page.enter('/session/ticket', { ticket: json.ticket })).toBe(200);
  expect(JSON.parse((await page.ask('GET', '/api/v1/session')).text)).toMatchObject({ user: 'local', role: 'admin', by: 'session' });
  expect(await new Visitor(port).enter('/session/ticket', { ticket: json.ticket })).toBe(401);
  // A session makes one as well, and who makes it is who comes in.
  const mine = new Visitor(port);
  await mine.enter('/session', alice);
  const made = JSON.parse((await mine.ask('POST', '/api/v1/session/tickets')).text) as { ticket: string };
  const guest = new Visitor(port);
  expect(await guest.enter('/session/ticket', { ticket: made.ticket })).toBe(200);
  expect(JSON.parse((await guest.ask('GET', '/api/v1/session')).text)).toMatchObject({ user: 'alice' });
});

test('who is taken out of the file, or gets another password or role there, has it at once, on sessions that are open', async () => {
  const { port, gateway } = await start();
  const [a, r] = [new Visitor(port), new Visitor(port)];
  await a.enter('/session', alice);
  await r.enter('/session', { ...alice, user: 'rita' });
  expect((await r.ask('GET', '/api/v1/tokens')).status).toBe(403);
  await gateway.change(fileTo(9, { more: PEOPLE.replace('role = "read"', 'role = "admin"').replace(/\[admins\.alice\][^[]*/, '') }));
  expect((await r.ask('GET', '/api/v1/tokens')).status).toBe(200);
  expect((await a.ask('GET', '/api/v1/session')).status).toBe(401);
  await gateway.change(fileTo(9, { more: PEOPLE.replaceAll(HASH, cheapHash('another')) }));
  expect((await r.ask('GET', '/api/v1/session')).status).toBe(401);
});

test('tokens for scripts: shown once, kept as digests for their owner alone, good after a restart, worth nothing once revoked or too old [threat 63]', async () => {
  const stateDir = folder();
  const first = await startGatewayOf(tools, FILE, { stateDir });
  const operator = new Operator(first, stateDir);
  const { status, json } = await operator.ask('POST', '/tokens', { name: 'ci', role: 'operate', ttlMs: 0 });
  expect(status).toBe(201);
  expect(json.token).toMatch(/^wlt_[\w-]{43}$/);
  const short = (await operator.ask('POST', '/tokens', { name: 'short', role: 'read', ttlMs: 1 })).json;
  const asToken = (gateway: TestGateway, token: string) =>
    ask(gateway.adminAddress!.port, { path: '/api/v1/session', headers: { Authorization: `Bearer ${token}` } });
  expect(JSON.parse((await asToken(first, json.token)).text)).toEqual({ user: 'ci', role: 'operate', by: 'token', csrf: '', expiresAtMs: 0 });
  await until('the short one to be too old', async () => (await asToken(first, short.token)).status === 401);
  const listed = await operator.get<Page<TokenInfo>>('/tokens');
  expect(listed.items.find(({ id }) => id === json.id)).toMatchObject({ name: 'ci', role: 'operate', lastUsedAtMs: expect.any(Number) });
  await first.close();

  const file = join(stateDir, 'admin-tokens.json');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  for (const { parentPath, name } of readdirSync(stateDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()))
    expect(readFileSync(join(parentPath, name), 'utf8')).not.toContain(json.token);
  expect(JSON.stringify([first.log.lines, listed])).not.toContain(json.token);

  const second = await startGatewayOf(tools, FILE, { stateDir });
  expect((await asToken(second, json.token)).status).toBe(200);
  const again = new Operator(second, stateDir);
  expect((await again.ask('DELETE', `/tokens/${json.id}`)).status).toBe(204);
  expect((await asToken(second, json.token)).status).toBe(401);
  expect((await again.ask('DELETE', `/tokens/${json.id}`)).status).toBe(404);
});

test('the local token lies in the state folder for its owner alone, is another one each time, and goes with the process', async () => {
  const { gateway, port, stateDir } = await start();
  const path = join(stateDir, `admin-token-${port}`);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const token = readFileSync(path, 'utf8').trim();
  expect(token).toMatch(/^wll_[\w-]{43}$/);
  await gateway.close();
  expect(existsSync(path)).toBe(false);
  expect(JSON.stringify(gateway.log.lines)).not.toContain(token);
});

test('what operators do is in the audit log, also what was refused, and over restarts; never a secret', async () => {
  const { port, stateDir, operator, gateway } = await start();
  const page = new Visitor(port);
  await page.enter('/session', { user: 'alice', password: 'wrong-canary' });
  await page.enter('/session', { ...alice, user: 'rita' });
  await page.ask('POST', '/api/v1/tokens', { name: 'x', role: 'admin' });
  const { json } = await operator.ask('POST', '/tokens', { name: 'ci', role: 'read' });
  await operator.ask('DELETE', `/tokens/${json.id}`);
  await operator.ask('DELETE', '/tokens/none');
  // Trying out is no deed: it is asked anew with every letter that is typed.
  expect((await operator.ask('POST', '/routing/test', { host: 'a.example', path: '/' })).status).toBe(200);
  const told = (items: readonly AuditEntry[]): string[] =>
    items.map(({ who, role, action, subject, status, detail }) => [who, role, action, subject, status, detail].join('|'));
  const wanted = [
    `local|admin|DELETE /tokens/{id}|none|404|(not_found)`,
    `local|admin|DELETE /tokens/{id}|${json.id}|204|`,
    `local|admin|POST /tokens||201|ci as read`,
    `rita|read|POST /tokens||403|(forbidden)`,
    `||POST /session||200|as rita`,
    `||POST /session||401|as alice (wrong_password)`,
  ];
  const all = await operator.get<Page<AuditEntry>>('/audit');
  expect(told(all.items)).toEqual(wanted);
  expect(all.items.every(({ address }) => address === '127.0.0.1')).toBe(true);
  const older = await operator.get<Page<AuditEntry>>(`/audit?limit=2&before=${all.items[1]!.atMs}`);
  expect(told(older.items)).toEqual(wanted.slice(2, 4));
  await gateway.close();
  expect(readFileSync(join(stateDir, 'admin-audit.jsonl'), 'utf8')).not.toContain('canary');
  const next = await startGatewayOf(tools, FILE, { stateDir });
  expect(told((await new Operator(next, stateDir).get<Page<AuditEntry>>('/audit')).items)).toEqual(wanted);
});

test('the local token follows the address of operators, and is gone where there is none', async () => {
  const on = `[basic]\nadmin_addr = "127.0.0.1:0"\n${FILE}`;
  const { gateway, stateDir } = await start(on);
  const tokens = () => readdirSync(stateDir).filter((name) => name.startsWith('admin-token-'));
  expect(tokens()).toHaveLength(1);
  await gateway.change(on.replace('127.0.0.1:0', 'off'));
  expect(tokens()).toEqual([]);
  await gateway.change(on);
  expect(tokens()).toEqual([`admin-token-${gateway.adminAddress!.port}`]);
});

test('people of a hub log in as well, with what its flags say of them', async () => {
  const flags = new Map([
    ['secret', ['a secret that only tests know']],
    ['adminUser', [`alice:operate:${HASH}`]],
  ]);
  const { values } = await resolveSettings(hubTable, { command: 'test', flags, env: {}, sectionName: null, section: null, readText: () => '' });
  const { admins } = hubSettings(values, () => 'hub');
  const hub = await tools.startHubWith({ admins });
  const page = new Visitor(hub.adminAddress!.port);
  expect(await page.enter('/session', alice)).toBe(200);
  expect(JSON.parse((await page.ask('GET', '/api/v1/session')).text)).toMatchObject({ user: 'alice', role: 'operate' });
  expect(JSON.parse((await page.ask('GET', '/api/v1/info')).text)).toMatchObject({ kind: 'hub', source: null, listening: [{ server: 'hub' }] });
  const off = await tools.startHubWith({ admins, console: false });
  expect((await ask(off.adminAddress!.port, { path: '/api/v1/openapi.json' })).status).toBe(404);
});

test.each([
  [['0.0.0.0:9080'], {}, true],
  [['[::]:9080'], {}, true],
  [['127.0.0.1:9080'], {}, false],
  [['off'], {}, false],
  [['0.0.0.0:9080'], { console: ['false'] }, false],
  [['0.0.0.0:9080'], { adminUser: [`alice:admin:${HASH}`] }, false],
])('a hub whose console others could reach and nobody has a password for does not start: %s %j: %s', async (adminAddr, more, isRefused) => {
  const flags = new Map(Object.entries({ secret: ['a secret that only tests know'], adminAddr, ...more }));
  const { values } = await resolveSettings(hubTable, { command: 'test', flags, env: {}, sectionName: null, section: null, readText: () => '' });
  const made = (): unknown => hubSettings(values, () => 'hub');
  if (isRefused) expect(made).toThrow(expect.objectContaining({ lines: [expect.stringContaining('--console=false')] }));
  else expect(made).not.toThrow();
});

test('with console = false there are the open pages and nothing else, from the next file on and back', async () => {
  const on = `[basic]\nadmin_addr = "127.0.0.1:0"\n${FILE}`;
  const { port, gateway, stateDir } = await start(on);
  await gateway.change(on.replace('\n', '\nconsole = false\n'));
  for (const path of ['/', '/api/v1/session', '/api/v1/openapi.json']) expect([path, (await ask(port, { path })).status]).toEqual([path, 404]);
  expect(existsSync(join(stateDir, `admin-token-${port}`))).toBe(false);
  expect((await ask(port, { path: '/readyz' })).status).toBe(200);
  await gateway.change(on);
  expect((await ask(port, { path: '/api/v1/openapi.json' })).status).toBe(200);
  expect(existsSync(join(stateDir, `admin-token-${port}`))).toBe(true);
});
