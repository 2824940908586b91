import { expect, test } from 'vitest';
import { createLoop } from '../../std/loop.ts';
import { type Handler, Notes, type ReplySink, type RequestSink } from '../../http/exchange.ts';
import type { Failure } from '../../http/failure.ts';
import { makePeer, type Peer, RequestHead, type ResponseHead } from '../../http/head.ts';
import { httpLimits } from '../../http/limits.ts';
import { parseRequest } from '../../http/parse.ts';
import { turns } from '../../../test/kit/until.ts';
import { MemoryLog } from '../../../test/kit/tunnel.ts';
import type { Session } from '../session.ts';
import { SlimeDesk } from './desk.ts';
import { slimeLimits } from './limits.ts';
import type { SlimeWork } from './work.ts';

/** Whoever hears an answer. */
class Heard implements ReplySink {
  writer = null;
  status = 0;
  fields = new Map<string, string>();
  text = '';
  ended = false;
  failure: Failure | null = null;
  isSettled = false;
  informational(): void {}
  head(head: ResponseHead): void {
    this.status = head.status;
    head.each((name, value) => this.fields.set(name, value));
  }
  write(chunk: Uint8Array): boolean {
    this.text += Buffer.from(chunk).toString('latin1');
    return true;
  }
  end(): void {
    this.ended = true;
  }
  abort(failure: Failure): void {
    this.failure = failure;
  }
  settled(): void {
    this.isSettled = true;
  }
}

function stage() {
  const time = { nowMs: 1_000_000 };
  const loop = createLoop({ now: () => time.nowMs, wall: () => Date.now() });
  const sessions: Session[] = [];
  const lost: string[] = [];
  const desk = new SlimeDesk({
    loop,
    log: new MemoryLog(),
    requiresCertificate: () => false,
    authenticate: (token) => ({ tokenId: token, name: token, scopes: [], scopePaths: [], expiresMs: 0, labels: new Map() }),
    joined: (session) => {
      session.owner = { changed: () => {}, lost: (_session, reason) => void lost.push(reason) };
      sessions.push(session);
      return null;
    },
  });
  const ask = (to: Handler, text: string, peer: Peer): { heard: Heard; sink: RequestSink } => {
    const head = new RequestHead();
    const bytes = Buffer.from(text, 'latin1');
    if (parseRequest(head, bytes, 0, bytes.length, httpLimits) < 0) throw new Error(head.problemDetail);
    head.peer = peer;
    const heard = new Heard();
    const sink = to.open(head, heard, new Notes(time.nowMs));
    sink.writer = null;
    if (head.bodiless) sink.end();
    return { heard, sink };
  };
  const connection = (address = '10.0.0.1'): Peer => makePeer(address, 1, 2, 'http', false);
  const agent = { a: connection() };
  return {
    desk,
    sessions,
    lost,
    agent,
    connection,
    pass: (ms: number): void => {
      time.nowMs += ms;
      loop.sweeper.sweep();
    },
    post: (path: string, peer: Peer = agent.a, more = '', id = '5') =>
      ask(desk, `POST /v1/agent/${path} HTTP/1.1\r\nHost: h\r\nSlime-Agent-Token: t\r\nSlime-Agent-Id: ${id}\r\n${more}\r\n`, peer),
    /** A request of an application, given to the worker that came first. */
    request: (text = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n') => ask(sessions[0]!, text, connection()),
  };
}

test('[rule R1] a request whose poll is lost in the same turn never left: it is given back whole, whatever its method', async () => {
  const { post, request, sessions } = stage();
  const poll = post('accept');
  expect(sessions[0]!.free).toBe(1);
  const { heard, sink } = request('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n');
  expect(sessions[0]!.free).toBe(0);
  sink.write(Buffer.from('body'));
  sink.end();
  poll.sink.abort({} as Failure);
  await turns();
  expect(heard.failure?.code).toBe('tunnel_lost_unsent');
  expect(poll.heard.status).toBe(0);
  const kept = (sink as SlimeWork).reclaim()!;
  expect([kept.head.method, Buffer.concat(kept.body).toString(), kept.complete]).toEqual(['POST', 'body', true]);
});

test('a client that leaves in the same turn gives the poll back: nothing was sent, and another request gets it', async () => {
  const { post, request, sessions } = stage();
  const poll = post('accept');
  request().sink.abort({} as Failure);
  expect(sessions[0]!.free).toBe(1);
  await turns();
  expect(poll.heard.status).toBe(0);
  request('GET /second HTTP/1.1\r\nHost: a\r\n\r\n');
  await turns();
  expect(poll.heard.text).toMatch(/^GET \/second /);
  expect(Number(poll.heard.fields.get('slime-connection-id'))).toBeGreaterThan(0);
});

test('who has sent a request that may have left does not hear that it never did', async () => {
  const { post, request } = stage();
  const poll = post('accept');
  const { heard } = request();
  await turns();
  poll.sink.abort({} as Failure);
  expect(heard.failure?.code).toBe('tunnel_lost');
});

test('a worker that asks again: on the same connection it has given up, from its address it has a minute, from elsewhere it is another', async () => {
  for (const [from, code, after] of [
    ['same', 'upstream_closed', 0],
    ['address', 'first_byte_timeout', slimeLimits.doubtMs],
    ['elsewhere', null, slimeLimits.doubtMs],
  ] as const) {
    const { post, request, agent, connection, pass } = stage();
    post('accept');
    const { heard } = request();
    await turns();
    post('accept', from === 'same' ? agent.a : connection(from === 'address' ? undefined : '10.0.0.2'));
    if (after > 0) expect(heard.failure).toBeNull();
    pass(after + slimeLimits.sweepMs);
    expect(heard.failure?.code ?? null).toBe(code);
  }
});

test('an agent whose last connection is closed soon after it got a request has died; later it may have let go of an idle one', async () => {
  for (const [after, how, code] of [
    [1_000, 'theirs', 'tunnel_lost'],
    [1_000, 'lost', 'tunnel_lost'],
    [slimeLimits.idleMs, 'lost', 'tunnel_lost'],
    [slimeLimits.idleMs, 'theirs', null],
    [1_000, 'ours', null],
  ] as const) {
    const { post, request, agent, pass } = stage();
    post('accept');
    const { heard } = request();
    await turns();
    pass(after);
    agent.a.over!(how);
    expect(heard.failure?.code ?? null).toBe(code);
    pass(slimeLimits.quietMs + slimeLimits.sweepMs);
    expect(heard.failure?.code).toBe(code ?? 'first_byte_timeout');
  }
});

test('while another connection of the agent is open it lives', async () => {
  const { post, request, agent, connection } = stage();
  post('accept');
  const other = connection();
  post('accept', other, '', '6');
  const { heard } = request();
  await turns();
  agent.a.over!('theirs');
  expect(heard.failure).toBeNull();
  other.over!('theirs');
  expect(heard.failure?.code).toBe('tunnel_lost');
});

test('an agent that says nothing for half an hour is not waited for, and what it says then reaches nobody', async () => {
  const { post, request, pass } = stage();
  const poll = post('accept');
  const { heard } = request();
  await turns();
  pass(slimeLimits.answerMs - 1_000);
  expect(heard.failure).toBeNull();
  pass(2_000);
  expect(heard.failure?.code).toBe('first_byte_timeout');
  const late = post('submit', undefined, `Slime-Connection-Id: ${poll.heard.fields.get('slime-connection-id')}\r\n`);
  expect(late.heard.status).toBe(404);
});

test('a worker that neither asks nor works is gone after a while, and its slot with it', () => {
  const { post, lost, pass, desk } = stage();
  const poll = post('accept');
  pass(60_000);
  expect(desk.size).toBe(1);
  poll.sink.abort({} as Failure);
  pass(slimeLimits.absentMs - 1_000);
  expect(desk.size).toBe(1);
  pass(2_000);
  expect([desk.size, lost.length]).toEqual([0, 1]);
});

test('[threat 41] a worker that takes requests and answers none is given no more than some', async () => {
  const { post, request, connection } = stage();
  for (let i = 0; i < slimeLimits.worksPerWorker; i++) {
    post('accept', connection(`10.0.1.${i}`));
    request();
    await turns();
  }
  expect(post('accept', connection('10.0.2.1')).heard.status).toBe(503);
});
