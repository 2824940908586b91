import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { valuesOf } from '../kit/answer.ts';
import { kit } from '../kit/kit.ts';
import type { OriginConnection } from '../kit/scripted-origin.ts';
import { chunk, slimeToken } from '../kit/slime-peer.ts';

/** One message between an agent of slime and its hub. */
interface Said {
  readonly by: 'agent' | 'hub';
  readonly head: readonly string[];
  readonly body?: string;
  /** Of a body that comes in chunks. */
  readonly chunks?: readonly string[];
}

const transcript = JSON.parse(readFileSync(new URL('../fixtures/slime/one-request.json', import.meta.url), 'utf8')) as Said[];
const of = (by: Said['by']): Said[] => transcript.filter((one) => one.by === by);
const token = slimeToken('old secret');

const tools = kit();
const { startHubWith, startScript, startOrigin, startAgentFor, rawClient } = tools;

function bytesOf({ head, body, chunks }: Said, fill: Readonly<Record<string, string>>): string {
  const lines = head.map((line) => line.replaceAll(/\{(\w+)\}/g, (_, name: string) => fill[name]!));
  return `${lines.join('\r\n')}\r\n\r\n${chunks === undefined ? body! : `${chunks.map((one) => chunk(one)).join('')}0\r\n\r\n`}`;
}

/** What a message carries when it is put together. */
const carried = ({ body, chunks }: Said): string => body ?? chunks!.join('');

test('the hub answers each of the three requests of an agent of slime as its own did, and the application gets the answer', async () => {
  const hub = await startHubWith({ accepts: ['slime'], slimeSecrets: ['old secret'], blockTimeoutMs: 20_000 });
  const agent = await rawClient(hub);
  const work = carried(of('hub')[1]!);
  const [line, ...fields] = work.slice(0, work.indexOf('\r\n\r\n')).split('\r\n');
  const path = line!.split(' ')[1]!;
  let client: Awaited<ReturnType<typeof rawClient>> | null = null;
  let connection = '';
  for (const [i, said] of of('agent').entries()) {
    if (i === 1) {
      client = await rawClient(hub);
      client.send(`${work.slice(0, work.indexOf('\r\n') + 2)}Slime-Block: 1\r\n${work.slice(work.indexOf('\r\n') + 2)}`);
    }
    agent.send(bytesOf(said, { token, connection, hub: 'hub' }));
    const answer = await agent.answer('POST');
    expect(answer.status).toBe(200);
    connection = valuesOf(answer.fields, 'slime-connection-id')[0] ?? '';
    if (i !== 1) {
      expect([answer.body.length, connection]).toEqual([0, '']);
      continue;
    }
    expect(connection).toMatch(/^\d+$/);
    const given = answer.body.toString();
    expect(given.startsWith(`POST ${path} HTTP/1.1\r\n`)).toBe(true);
    for (const field of fields) expect(given).toContain(`\r\n${field}\r\n`);
    expect(given.slice(given.indexOf('\r\n\r\n'))).toBe('\r\n\r\nhello');
  }
  const told = await client!.answer('POST');
  expect([told.status, told.body.toString(), told.complete]).toEqual([200, 'world', true]);
  expect(valuesOf(told.fields, 'x-theirs')).toEqual(['1']);
  expect(valuesOf(told.fields, 'slime-agent-id')).toEqual(['1000']);
});

test('the agent makes each of the three requests as one of slime did, and takes what its hub answered', async () => {
  /** Requests as they came: head lines, and the body put together. */
  const seen: { lines: string[]; body: string }[] = [];
  const nextOf = async (connection: OriginConnection, from: number): Promise<number> => {
    await connection.until(({ text }) => text.indexOf('\r\n\r\n', from) >= 0, 'a head');
    const end = connection.text.indexOf('\r\n\r\n', from) + 4;
    const lines = connection.text.slice(from, end - 4).split('\r\n');
    const length = /^content-length: *(\d+)/im.exec(lines.join('\n'))?.[1];
    if (length !== undefined) {
      await connection.until(({ text }) => text.length >= end + Number(length), 'a body');
      seen.push({ lines, body: connection.text.slice(end, end + Number(length)) });
      return end + Number(length);
    }
    await connection.until(({ text }) => text.indexOf('\r\n0\r\n\r\n', end) >= 0, 'the last chunk');
    const over = connection.text.indexOf('\r\n0\r\n\r\n', end) + 7;
    let body = '';
    for (let at = end; ;) {
      const lineEnd = connection.text.indexOf('\r\n', at);
      const size = Number.parseInt(connection.text.slice(at, lineEnd), 16);
      if (size === 0) break;
      body += connection.text.slice(lineEnd + 2, lineEnd + 2 + size);
      at = lineEnd + 2 + size + 2;
    }
    seen.push({ lines, body });
    return over;
  };
  let polls = 0;
  let submitted = (): void => {};
  const done = new Promise<void>((resolve) => (submitted = resolve));
  const answers = of('hub');
  const { port } = await startScript(async (connection) => {
    for (let at = 0; ;) {
      at = await nextOf(connection, at);
      const step = ['join', 'accept', 'submit'].findIndex((name) => seen.at(-1)!.lines[0]!.includes(name));
      // There is work for one poll.
      if (step === 1 && ++polls > 1) return;
      connection.send(bytesOf(answers[step]!, { connection: '7' }));
      if (step === 2) submitted();
    }
  });
  const theirs = carried(of('agent')[2]!);
  const origin = await startOrigin((_, response) => {
    response.writeHead(200, ['Content-Length', '5', 'Content-Type', 'text/plain', 'X-Theirs', '1']);
    response.end('world');
  });
  await startAgentFor({ port }, origin, { wire: 'slime', token, agentId: '1000', reportHardware: true });
  await done;
  for (const [i, name] of ['join', 'accept', 'submit'].entries()) {
    const { lines, body } = seen.find((one) => one.lines[0]!.includes(name))!;
    const wanted = of('agent')[i]!;
    expect(lines[0]).toBe(wanted.head[0]);
    const lower = lines.map((one) => one.toLowerCase());
    for (const field of wanted.head.filter((one) => /^(?:slime-|transfer-)/i.test(one)))
      expect(lower).toContain(field.replace('{token}', token).replace('{connection}', '7').toLowerCase());
    if (name === 'join')
      expect(Object.keys(JSON.parse(body) as object).toSorted()).toEqual(Object.keys(JSON.parse(wanted.body!) as object).toSorted());
    if (name === 'accept') expect(body).toBe('');
    if (name !== 'submit') continue;
    expect(body.startsWith('HTTP/1.1 200 OK\r\n')).toBe(true);
    for (const field of theirs.slice(0, theirs.indexOf('\r\n\r\n')).split('\r\n').slice(1)) expect(body).toContain(`\r\n${field}\r\n`);
    expect(body.slice(body.indexOf('\r\n\r\n') + 4)).toBe('world');
  }
  expect(origin.requests[0]).toMatchObject({ method: 'POST', url: '/v1/chat?stream=1', body: 'hello', headers: { 'user-agent': 'curl/8' } });
});
