import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { fakeWorld } from '../../test/config/world.ts';
import { AdminScript, type Scripted, type Seen, WHO } from '../../test/kit/admin-script.ts';
import { adminClientTable } from '../config/admin-client.ts';
import { VERSION } from '../observe/version.ts';
import { AdminClient, adminClientOf } from './admin-client.ts';
import { parseFlags } from './args.ts';
import type { Command } from './command.ts';

const ends: (() => void)[] = [];
let notes: string[] = [];
afterEach(() => {
  notes = [];
  for (const end of ends.splice(0)) end();
});

async function scripted(answers: Record<string, Scripted | ((seen: Seen) => Scripted)>): Promise<AdminScript> {
  const script = await AdminScript.start(answers);
  ends.push(() => script.close());
  return script;
}

function clientAt(url: string, token: string | null = 'wlt_canary-token', timeoutMs = 5000): AdminClient {
  const client = new AdminClient({ url, proof: () => ({ token, withoutToken: 'give it one' }), timeoutMs, note: (text) => void notes.push(text) });
  ends.push(() => client.close());
  return client;
}

const COMMAND = { words: ['status'], section: null, switches: {} } as unknown as Command;

async function clientOf(words: readonly string[], env: Record<string, string>, files: Record<string, string> = {}): Promise<AdminClient> {
  const args = parseFlags(words, adminClientTable, [], 'status');
  const { client } = await adminClientOf(adminClientTable, { command: COMMAND, args, world: fakeWorld(env, files) });
  ends.push(() => client.close());
  return client;
}

test('it asks with its token, sends JSON and gives back JSON', async () => {
  const script = await scripted({
    'GET /info': { json: { version: '1' } },
    'POST /agents': { json: { id: 'a' } },
    'DELETE /queue/1': { raw: '', status: 204 },
  });
  const client = clientAt(script.url);
  expect(await client.get('/info')).toEqual({ version: '1' });
  expect(await client.send('POST', '/agents', { name: 'gpu' })).toEqual({ id: 'a' });
  expect(await client.send('DELETE', '/queue/1')).toBeNull();
  expect(script.seen.map(({ method, path, authorization, body }) => [method, path, authorization, body])).toEqual([
    ['GET', '/info', 'Bearer wlt_canary-token', null],
    ['POST', '/agents', 'Bearer wlt_canary-token', { name: 'gpu' }],
    ['DELETE', '/queue/1', 'Bearer wlt_canary-token', null],
  ]);
});

test('the local token of a program of this machine is found, and shown to nobody else', async () => {
  const script = await scripted({ 'GET /info': { json: {} } });
  const file = `/state/windlass/admin-token-${script.port}`;
  const files = { [file]: 'wlt_local-token\n', '/token': 'wlt_own-token' };
  await (await clientOf(['--admin-url', script.url], { XDG_STATE_HOME: '/state' }, files)).get('/info');
  await (await clientOf([], { XDG_STATE_HOME: '/state', WINDLASS_ADMIN_ADDR: `:${script.port}` }, files)).get('/info');
  await (await clientOf(['--admin-url', script.url, '--state-dir', '/state/windlass'], {}, files)).get('/info');
  await (await clientOf(['--admin-url', script.url, '--admin-token-file', '/token'], { XDG_STATE_HOME: '/state' }, files)).get('/info');
  await (await clientOf([], { WINDLASS_ADMIN_URL: script.url, WINDLASS_ADMIN_TOKEN: 'wlt_of-environment' }, files)).get('/info');
  expect(script.seen.map(({ authorization }) => authorization)).toEqual([
    ...Array.from({ length: 3 }, () => 'Bearer wlt_local-token'),
    'Bearer wlt_own-token',
    'Bearer wlt_of-environment',
  ]);
  // The name is not loopback, though it leads there: nothing is sent to it that was found.
  const elsewhere = await clientOf(['--admin-url', `http://0.0.0.0:${script.port}`], { XDG_STATE_HOME: '/state' }, files);
  await elsewhere.get('/info');
  expect(script.seen.at(-1)?.authorization).toBeNull();
});

const PROBLEM = { type: 'about:blank', title: '', status: 0, code: 'some', detail: 'because \u001b[31m it is so' };

test.each<[string, Scripted, string]>([
  ['a token that is refused', { json: PROBLEM, status: 401 }, 'does not take this token; it was revoked'],
  ['a role that is too low', { json: PROBLEM, status: 403 }, 'does not let this token do that: because ?[31m it is so; use one with a higher role'],
  ['too many questions', { json: PROBLEM, status: 429 }, 'is asked too often'],
  ['any other refusal', { json: PROBLEM, status: 409 }, 'answers 409: because ?[31m it is so'],
  [
    'an older program',
    { json: { ...PROBLEM, code: 'not_found', detail: 'There is /healthz and /metrics.' }, status: 404 },
    'has no admin API: it is an older Windlass, or runs with console = false',
  ],
  ['a thing that is not there', { json: PROBLEM, status: 404 }, 'because ?[31m it is so ('],
  [
    'a part that is not there',
    { json: { ...PROBLEM, code: 'not_found', detail: 'There is nothing of this name; GET …' }, status: 404 },
    'has no /info: it is of another version, or has no such part',
  ],
  ['another program that says JSON', { raw: '{"status":"ok"}', status: 200, type: 'application/json' }, 'is answered by another program (status 200'],
  ['another program', { raw: '<html>404</html>', status: 404 }, 'is answered by another program (status 404'],
  ['another program that says yes', { raw: '<html>', status: 200 }, 'is answered by another program (status 200'],
  ['a redirect', { raw: '', status: 302, fields: { Location: '/login' } }, 'answers with a redirect; give --admin-url'],
])('%s: the message is one line and says what to do', async (_what, answer, said) => {
  const script = await scripted({ 'GET /info': answer });
  const error: unknown = await clientAt(script.url)
    .get('/info')
    .catch((problem: unknown) => problem);
  expect(error).toMatchObject({ name: 'Cannot' });
  const { message } = error as Error;
  expect(message).toContain(said);
  expect(message).toContain(script.url);
  expect(message).toMatch(/^[\x20-\x7e]+$/);
  expect(message).not.toContain('canary');
});

test('without a token it says where one would have been', async () => {
  const script = await scripted({ 'GET /info': { json: PROBLEM, status: 401 } });
  const client = await clientOf(['--admin-url', script.url], { XDG_STATE_HOME: '/state' });
  await expect(client.get('/info')).rejects.toThrow(
    `/state/windlass/admin-token-${script.port}, where its local token would be, does not exist: ask as its user`,
  );
});

test('nobody there, a name that is not known, silence and what is no HTTP are told apart', async () => {
  const closed = net.createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port } = closed.address() as AddressInfo;
  closed.close();
  await once(closed, 'close');
  await expect(clientAt(`http://127.0.0.1:${port}`).get('/info')).rejects.toThrow('nobody listens at');
  await expect(clientAt('http://windlass-nobody.invalid:1').get('/info')).rejects.toThrow(/is not known|cannot be asked/);
  const sockets: net.Socket[] = [];
  const silent = net.createServer((socket) => void sockets.push(socket)).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  ends.push(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const silentUrl = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
  await expect(clientAt(`http://${silentUrl}`, null, 50).get('/info')).rejects.toThrow('does not answer within 50 ms');
  const script = await scripted({});
  await expect(clientAt(script.url.replace('http', 'https')).get('/info')).rejects.toThrow('speaks no TLS');
});

test('events come one by one until the other side ends or nobody wants them any more', async () => {
  const script = await scripted({
    'GET /events': {
      events: [
        ['tick', { n: 1 }],
        ['change', { what: 'agents' }],
      ],
    },
    'GET /logs/events': { events: [['line', { n: 1 }]], stays: true },
  });
  const client = clientAt(script.url);
  const events: unknown[] = [];
  for await (const event of client.events('/events', new AbortController().signal)) events.push(event);
  expect(events).toEqual([
    { event: 'tick', data: { n: 1 } },
    { event: 'change', data: { what: 'agents' } },
  ]);
  const enough = new AbortController();
  let count = 0;
  for await (const { data } of client.events('/logs/events', enough.signal)) {
    expect(data).toEqual({ n: ++count });
    if (count === 1) script.tell('line', { n: 2 });
    else enough.abort();
  }
  expect(count).toBe(2);
  await expect(client.events('/traffic/events', new AbortController().signal).next()).rejects.toThrow('nothing of that name (');
});

test('a program that was started anew is asked with the token that it has left since', async () => {
  let token = 'wlt_of-yesterday';
  const script = await scripted({
    'GET /info': ({ authorization }) => (authorization === `Bearer ${token}` ? { json: { version: '1' } } : { json: PROBLEM, status: 401 }),
    'GET /events': ({ authorization }) => (authorization === `Bearer ${token}` ? { events: [['tick', 1]] } : { json: PROBLEM, status: 401 }),
  });
  const client = new AdminClient({ url: script.url, proof: () => ({ token, withoutToken: '' }), timeoutMs: 5000, note: () => {} });
  ends.push(() => client.close());
  await client.get('/info');
  token = 'wlt_of-today';
  expect(await client.get('/info')).toEqual({ version: '1' });
  token = 'wlt_of-tomorrow';
  expect(await client.events('/events', new AbortController().signal).next()).toMatchObject({ value: { event: 'tick', data: 1 } });
  // The same token is not tried twice.
  script.answers.set('GET /info', { json: PROBLEM, status: 401 });
  const before = script.seen.length;
  await expect(client.get('/info')).rejects.toThrow('does not take this token');
  expect(script.seen.length - before).toBe(1);
});

test('another version is told of once, and one that only mends something is none', async () => {
  const [major = '', minor = '', patch = ''] = VERSION.split('.');
  const script = await scripted({});
  const says = (version: string) =>
    script.answers.set('GET /info', { raw: '{}', status: 200, type: 'application/json', fields: { 'Windlass-Version': version } });
  const client = clientAt(script.url);
  says(`${major}.${minor}.${Number(patch) + 7}`);
  await client.get('/info');
  expect(notes).toEqual([]);
  says(`${Number(major) + 1}.0.0`);
  await client.get('/info');
  await client.get('/info');
  expect(notes).toHaveLength(1);
  expect(notes[0]).toContain(`runs Windlass ${Number(major) + 1}.0.0, and this is ${VERSION}`);
});

test('an authority of one is believed when it is given', async () => {
  const server = https.createServer({ cert: fixture('one.pem'), key: fixture('one.key') }, (_request, response) =>
    response.writeHead(200, WHO).end('{}'),
  );
  ends.push(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `https://localhost:${(server.address() as AddressInfo).port}`;
  await expect((await clientOf(['--admin-url', url], {})).get('/info')).rejects.toThrow('--ca-file names the file of your own authority');
  const file = fileURLToPath(new URL('../../test/fixtures/ca.pem', import.meta.url));
  const client = await clientOf(['--admin-url', url, '--ca-file', file], {});
  expect(await client.get('/info').catch((error: unknown) => String(error))).toEqual({});
});

function fixture(name: string): string {
  return readFileSync(new URL(`../../test/fixtures/${name}`, import.meta.url), 'utf8');
}

test('a stream that breaks off is an error, not its end', async () => {
  const script = await scripted({ 'GET /events': { events: [['tick', {}]], stays: true } });
  const stream = clientAt(script.url).events('/events', new AbortController().signal);
  expect((await stream.next()).value).toEqual({ event: 'tick', data: {} });
  const { url } = script;
  script.close();
  await expect(stream.next()).rejects.toThrow(`the connection to ${url} broke`);
});
