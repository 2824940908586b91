import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { dial, frame, MemoryLog, pair, ScriptedHub, Serving, TestHub, until } from '../../../test/kit/tunnel.ts';
import { Failure } from '../../http/failure.ts';
import { parseUpstreamUrl } from '../../schema/upstream-url.ts';
import { tunnelLimits } from '../limits.ts';
import type { HubConnection } from './dial.ts';
import { BYE, HELLO, WELCOME } from './frames.ts';
import { SlotLedger } from './slots.ts';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

function dialled(connection: HubConnection): HubConnection {
  open.push({ close: () => connection.destroy() });
  return connection;
}

async function answering(answer: string): Promise<ScriptedHub> {
  const hub = await new ScriptedHub(answer).listen();
  open.push(hub);
  return hub;
}

test('[threat 33] a refused token is one clear line, is read anew, and is not tried again for half a minute', async () => {
  const hub = await new TestHub().listen();
  open.push(hub);
  const log = new MemoryLog();
  let reloads = 0;
  const agent = dialled(
    dial(hub.port, new Serving(), new SlotLedger(1), {
      log,
      token: () => 'bad',
      reloadToken: () => {
        reloads++;
        return false;
      },
    }),
  );
  await until(() => agent.state === 'waiting', 'it waits');
  expect(reloads).toBe(1);
  expect(log.lines).toHaveLength(1);
  expect(log.lines[0]).toMatchObject({ level: 'warn', message: "the hub refused this agent's token: the agent token is not a token (status 401)" });
  expect((log.lines[0]!.fields as { retryInMs: number }).retryInMs).toBeGreaterThanOrEqual(tunnelLimits.refusedRetryMs);
});

test('a token that was renewed is tried soon', async () => {
  const hub = await new TestHub().listen();
  open.push(hub);
  let token = 'bad';
  const agent = dialled(
    dial(hub.port, new Serving(), new SlotLedger(1), {
      token: () => token,
      reloadToken: () => {
        token = 'good';
        return true;
      },
    }),
  );
  await until(() => agent.state === 'joined', 'joined');
});

test('retryNow() ends a wait', async () => {
  const hub = await new TestHub().listen();
  open.push(hub);
  let token = 'bad';
  const agent = dialled(dial(hub.port, new Serving(), new SlotLedger(1), { token: () => token }));
  await until(() => agent.state === 'waiting', 'it waits');
  token = 'good';
  agent.retryNow();
  await until(() => agent.state === 'joined', 'joined');
});

test.each([
  ['Retry-After is obeyed', 'HTTP/1.1 503 x\r\nRetry-After: 20\r\nContent-Length: 0\r\n\r\n', 20_000, 30_000],
  ['Retry-After has a bound', 'HTTP/1.1 429 x\r\nRetry-After: 999999\r\nContent-Length: 0\r\n\r\n', 60_000, 90_000],
  ['a refusal is patient', 'HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n', 30_000, 45_000],
  ['anything else is a backoff', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 0, 250],
  ['junk is a backoff', 'SSH-2.0-OpenSSH\r\n', 0, 250],
  ['another protocol is a backoff', 'HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n', 0, 250],
])('%s', async (_what, answer, from, to) => {
  const hub = await answering(answer);
  const log = new MemoryLog();
  dialled(dial(hub.port, new Serving(), new SlotLedger(1), { log }));
  await until(() => log.at('warn').length === 1, 'a line');
  const { retryInMs } = log.lines[0]!.fields as { retryInMs: number };
  expect(retryInMs).toBeGreaterThanOrEqual(from);
  expect(retryInMs).toBeLessThanOrEqual(to);
});

test('the same complaint is not repeated at every try, and the hub’s return is found', async () => {
  const log = new MemoryLog();
  const reserved = net.createServer();
  await new Promise<void>((resolve) => reserved.listen(0, '127.0.0.1', resolve));
  const { port } = reserved.address() as net.AddressInfo;
  await new Promise((resolve) => reserved.close(resolve));
  const agent = dialled(dial(port, new Serving(), new SlotLedger(1), { log, random: () => 0.01 }));
  await until(() => log.at('debug').length >= 3, 'several tries');
  expect(log.at('warn')).toHaveLength(1);
  expect(log.at('warn')[0]).toContain('ECONNREFUSED');
  expect(agent.state).not.toBe('joined');
});

test('[threat 46] a hub that takes agents only to drop them is asked more and more rarely', async () => {
  const hub = await new ScriptedHub().listen();
  const log = new MemoryLog();
  open.push(hub);
  const agent = dialled(dial(hub.port, new Serving(), new SlotLedger(1), { log, random: () => 1, limits: { ...tunnelLimits, backoffBaseMs: 10 } }));
  const waits = () => log.lines.flatMap(({ fields }) => ('retryInMs' in fields ? [fields.retryInMs] : []));
  for (let i = 0; i < 5; i++) {
    await until(() => hub.peers.length > i, 'it dials');
    const peer = hub.peers[i]!;
    await peer.next(HELLO);
    peer.send(frame(WELCOME, 0, 0, '{"version":1,"hub":"h","session":"s"}'));
    await until(() => agent.state === 'joined', 'joined');
    peer.socket.destroy();
    await until(() => waits().length > i, 'it waits');
  }
  expect(waits()).toEqual([10, 20, 40, 80, 160]);
});

test('user info becomes Basic authorization, and the path a prefix', async () => {
  const hub = await answering('HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n');
  dialled(dial(hub.port, new Serving(), new SlotLedger(1), { hub: parseUpstreamUrl(`http://us%20er:p%C3%A4ss@127.0.0.1:${hub.port}/gate/way/`) }));
  await until(() => hub.peers[0] !== undefined && hub.peers[0].head !== '', 'the request');
  expect(hub.peers[0]!.head).toContain('GET /gate/way/windlass/agent HTTP/1.1\r\n');
  expect(hub.peers[0]!.head).toContain(`Authorization: Basic ${Buffer.from('us er:päss').toString('base64')}\r\n`);
  expect(hub.peers[0]!.head).toContain(`Host: 127.0.0.1:${hub.port}\r\n`);
});

test('a token with a line break never leaves', async () => {
  const hub = await answering('HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n');
  const log = new MemoryLog();
  dialled(dial(hub.port, new Serving(), new SlotLedger(1), { log, token: () => 'a\r\nX-Evil: 1' }));
  await until(() => log.at('warn').length === 1, 'a line');
  expect(log.at('warn')[0]).not.toContain('Evil');
  expect(hub.peers.every((peer) => peer.head === '')).toBe(true);
});

test('BYE forbidden is a patient wait', async () => {
  const hub = await answering('HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: windlass/1\r\n\r\n');
  const log = new MemoryLog();
  const agent = dialled(dial(hub.port, new Serving(), new SlotLedger(1), { log }));
  await until(() => hub.peers.length === 1, 'a connection');
  await hub.peers[0]!.next(HELLO);
  hub.peers[0]!.send(
    frame(WELCOME, 0, 0, '{"version":1,"hub":"h","session":"s"}'),
    frame(BYE, 0, 0, '{"code":"forbidden","reason":"label model","retryAfterMs":0}'),
  );
  await until(() => agent.state === 'waiting', 'it waits');
  const line = log.lines.at(-1)!;
  expect(line.message).toBe('the hub turned this agent away: label model');
  expect((line.fields as { retryInMs: number }).retryInMs).toBeGreaterThanOrEqual(30_000);
});

test('WELCOME of a version that was not offered ends the session', async () => {
  const hub = await answering('HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: windlass/1\r\n\r\n');
  dialled(dial(hub.port, new Serving(), new SlotLedger(1)));
  await until(() => hub.peers.length === 1, 'a connection');
  await hub.peers[0]!.next(HELLO);
  hub.peers[0]!.send(frame(WELCOME, 0, 0, '{"version":2,"hub":"h","session":"s"}'));
  await hub.peers[0]!.next(BYE);
});

test('plain text to a hub that is not on this machine is one warning', () => {
  const log = new MemoryLog();
  dialled(dial(1, new Serving(), new SlotLedger(1), { log, hub: parseUpstreamUrl('http://192.0.2.1:1') }));
  expect(log.at('warn')).toHaveLength(1);
  expect(log.at('warn')[0]).toContain('not encrypted');
});

test('[threat 36] a session that replaces another gives the slots of the old one back', async () => {
  const p = await pair(1);
  open.push(p);
  const { heard } = p.hub.open();
  await until(() => p.serving.all.length === 1, 'the request');
  p.session.close(new Failure('tunnel_lost', 'the same agent has connected anew'));
  await until(() => p.serving.all[0]!.aborts === 1, 'the abort');
  p.serving.all[0]!.reply.settled();
  await until(() => p.hub.sessions.length === 2, 'dialled again');
  expect(heard.failure!.code).toBe('tunnel_lost');
  expect(p.hub.sessions[1]!.free).toBe(1);
});

/** A self-signed certificate for `name`, or null where there is no openssl. */
function certificate(name: string): { cert: string; key: string } | null {
  const folder = mkdtempSync(join(tmpdir(), 'windlass-cert-'));
  try {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-keyout', key, '-out', cert, ...subject],
      {
        stdio: 'ignore',
      },
    );
    return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
  } catch {
    return null;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const pem = certificate('localhost');

test.skipIf(pem === null)('[threat 47] an https hub is reached with its own authority, and refused without it or under another name', async () => {
  const hub = await new TestHub().listen();
  open.push(hub);
  const front = tls.createServer(pem!, (socket) => {
    const inner = net.connect(hub.port, '127.0.0.1');
    socket.pipe(inner).pipe(socket);
    socket.on('error', () => {});
    inner.on('error', () => {});
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  open.push(front);
  const { port } = front.address() as net.AddressInfo;
  const serving = new Serving();
  const good = dialled(
    dial(port, serving, new SlotLedger(1), { hub: parseUpstreamUrl(`https://localhost:${port}`), trust: tls.createSecureContext({ ca: pem!.cert }) }),
  );
  await until(() => good.state === 'joined', 'joined over TLS');
  const { heard } = hub.open();
  await until(() => serving.all.length === 1, 'a request over TLS');
  serving.all[0]!.answer(200, [], Buffer.alloc(300_000, 'x'));
  await until(() => heard.settledCount === 1, 'its answer');
  expect(heard.bytes).toBe(300_000);
  for (const more of [
    { hub: parseUpstreamUrl(`https://localhost:${port}`) },
    { hub: parseUpstreamUrl(`https://127.0.0.1:${port}`), trust: tls.createSecureContext({ ca: pem!.cert }) },
  ]) {
    const log = new MemoryLog();
    dialled(dial(port, new Serving(), new SlotLedger(1), { log, ...more }));
    await until(() => log.at('warn').length === 1, 'a refusal');
    expect(log.at('warn')[0]).toMatch(/certificate|altnames/);
  }
  expect(hub.sessions).toHaveLength(1);
});
