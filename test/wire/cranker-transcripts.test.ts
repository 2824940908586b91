import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { valuesOf } from '../kit/answer.ts';
import { connectors } from '../kit/cranker-connector.ts';
import { CrankerPeer, DATA, type Frame, HEADER, readFrame3, RST, WINUP } from '../kit/cranker-peer.ts';
import { routers } from '../kit/cranker-router-peer.ts';
import { kit } from '../kit/kit.ts';

/** A message as it was seen between a router and a connector of the family. */
interface Said {
  readonly by: 'router' | 'connector';
  /** Protocol 3.0: the whole binary message, in hex. */
  readonly frame?: string;
  readonly text?: string;
  readonly binary?: string;
  readonly close?: number;
}

interface Transcript {
  readonly protocol: '1.0' | '3.0';
  readonly request: { readonly method: string; readonly target: string; readonly fields: readonly string[]; readonly body: string };
  readonly messages: readonly Said[];
  /** `body` null: whatever a failure is told with. */
  readonly answer: { readonly status: number; readonly fields: readonly (readonly [string, string])[]; readonly body: string | null };
}

const folder = new URL('../fixtures/cranker/', import.meta.url);
const read = <T>(name: string): T => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as T;
const transcripts = readdirSync(folder)
  .filter((name) => /^\d\.\d-(?:get|post|reset|refused)\.json$/.test(name))
  .map((name) => [name.replace('.json', ''), read<Transcript>(name)] as const);
const MARKER = /_[123]$/;

const made = kit();
const dialled = connectors();

/** The lines of a head that say what the client said, names in lower case: `via` and `forwarded` are each router's own. */
function said(head: string): string[] {
  const [first, ...lines] = head.split('\n').filter((line) => line !== '');
  const fields = lines.map((line) => line.slice(0, line.indexOf(':')).toLowerCase() + line.slice(line.indexOf(':')));
  return [first!, ...fields.filter((field) => !/^(?:via|forwarded):/.test(field)).sort()];
}

test('there is a transcript of each exchange that the facts show', () => {
  expect(transcripts.map(([name]) => name)).toEqual(['1.0-get', '1.0-post', '1.0-refused', '3.0-get', '3.0-post', '3.0-reset']);
});

describe('the router says what a router said, and understands what a connector said:', () => {
  test.each(transcripts)('%s', async (_, { protocol, request, messages, answer }) => {
    const router = await made.startRouter();
    const peer = await CrankerPeer.register(router.registrationAddress.port, protocol === '3.0' ? { offers: 'cranker_3.0' } : {});
    const client = await made.rawClient(router);
    client.send(`${request.method} ${request.target} HTTP/1.1\r\n${request.fields.map((field) => `${field}\r\n`).join('')}\r\n${request.body}`);
    for (const { by, frame, text, binary, close } of messages) {
      if (by === 'connector') {
        if (frame !== undefined) peer.binary(Buffer.from(frame, 'hex'));
        else if (text !== undefined) peer.text(text);
        else if (binary !== undefined) peer.binary(binary);
        else peer.close(close);
        continue;
      }
      const got = await peer.next();
      if (frame !== undefined) {
        const wanted = readFrame3(Buffer.from(frame, 'hex'));
        if (wanted.type !== HEADER) expect(got.bytes.toString('hex')).toBe(frame);
        else {
          const head = readFrame3(got.bytes);
          expect([head.type, head.flags, head.id]).toEqual([HEADER, wanted.flags, 1]);
          expect(said(head.payload.toString())).toEqual(said(wanted.payload.toString()));
          expect(head.payload.toString().endsWith('\n\n')).toBe(true);
        }
      } else if (text !== undefined) {
        expect(got.kind).toBe('text');
        const head = got.bytes.toString();
        expect(MARKER.exec(head)?.[0]).toBe(text.slice(-2));
        expect(said(head.slice(0, -2))).toEqual(said(text.slice(0, -2)));
        if (text !== '_3') expect(head.slice(-4, -2)).toBe('\n\n');
      } else if (binary !== undefined) {
        expect([got.kind, got.bytes.toString()]).toEqual(['binary', binary]);
      } else expect([got.kind, got.code]).toEqual(['close', close]);
    }
    const told = await client.answer(request.method);
    expect(told.status).toBe(answer.status);
    for (const [name] of answer.fields)
      expect(valuesOf(told.fields, name)).toEqual(answer.fields.filter(([one]) => one === name).map(([, value]) => value));
    if (answer.body !== null) expect([told.body.toString(), told.complete]).toEqual([answer.body, true]);
  });

  test.each(Object.entries(read<Record<string, string>>('1.0-answers.json')))('an answer of %s', async (dialect, head) => {
    const router = await made.startRouter();
    const peer = await CrankerPeer.register(router.registrationAddress.port);
    const client = await made.rawClient(router);
    client.send('GET /my-service?b=x:y HTTP/1.1\r\nHost: h\r\n\r\n');
    expect((await peer.next()).kind).toBe('text');
    peer.text(head).binary('hel').binary('lo').close(1000);
    const told = await client.answer();
    expect([told.status, told.reason, told.body.toString(), told.complete]).toEqual([200, 'OK', 'hello', true]);
    expect(valuesOf(told.fields, 'x-one')).toEqual(['1']);
    // One of them joins repeated fields.
    expect(valuesOf(told.fields, 'set-cookie')).toEqual(dialect === 'npm-cranker-connector' ? ['a=1,b=2'] : ['a=1', 'b=2']);
  });
});

describe('the connector says what a connector said, and understands what a router said:', () => {
  test.each(transcripts)('%s', async (_, { protocol, request, messages, answer }) => {
    const isFailure = answer.body === null;
    const { socket, origin } = await dialled.one(protocol === '3.0' ? routers.mu : routers.mu1, (_request, response) => {
      if (isFailure) {
        response.destroy();
        return;
      }
      const fields = answer.fields.flatMap(([name, value]) => [name, value]);
      response.writeHead(answer.status, fields.includes('content-length') ? fields : [...fields, 'content-length', String(answer.body.length)]);
      response.end(answer.body);
    });
    for (const { by, frame, text, binary } of messages) {
      if (by !== 'router') continue;
      if (frame !== undefined) {
        const { type } = readFrame3(Buffer.from(frame, 'hex'));
        // Acknowledgements follow the answer; answer3() sends them.
        if (type !== WINUP) socket.binary(Buffer.from(frame, 'hex'));
      } else if (text !== undefined) socket.text(text);
      else if (binary !== undefined) socket.binary(binary);
    }
    const frames = messages.filter(({ frame }) => frame !== undefined).map(({ by, frame }) => ({ by, ...readFrame3(Buffer.from(frame!, 'hex')) }));
    const told = protocol === '3.0' ? await socket.answer3(1) : await socket.answer1();
    if (isFailure) expect(told.code).toBe(1011);
    else {
      expect(told.code).toBe(protocol === '3.0' ? 0 : 1000);
      expect(told.head.startsWith(`HTTP/1.1 ${answer.status} OK\n`)).toBe(true);
      for (const [name, value] of answer.fields) expect(told.head).toContain(`\n${name}:${value}\n`);
      expect(told.body.toString()).toBe(answer.body);
    }
    if (protocol === '3.0') {
      const sent = (by: string, types: readonly number[]): number =>
        frames
          .filter((one: Frame & { by: string }) => one.by === by && types.includes(one.type))
          .reduce((sum, { payload }) => sum + payload.length, 0);
      expect((told as { acked?: number }).acked).toBe(sent('router', [HEADER, DATA]));
      expect(frames.filter((one) => one.by === 'connector' && one.type === WINUP).reduce((sum, { payload }) => sum + payload.readInt32BE(0), 0)).toBe(
        sent('router', [HEADER, DATA]),
      );
      expect(frames.some(({ type }) => type === RST)).toBe(isFailure);
    }
    // A service that breaks off may be asked again.
    expect(origin.requests.at(0)).toMatchObject({ method: request.method, url: request.target, body: request.body });
  });

  test.each(Object.entries(read<Record<string, string>>('1.0-requests.json')))('a request of %s', async (_, text) => {
    const { socket, origin } = await dialled.one(routers.c4g, (_request, response) => void response.end('ok'));
    socket.text(text).binary('hel').binary('lo').text('_3');
    const { head, body, code } = await socket.answer1();
    expect([head.split('\n')[0], body.toString(), code]).toEqual(['HTTP/1.1 200 OK', 'ok', 1000]);
    expect(origin.requests[0]).toMatchObject({ method: 'POST', url: '/my-service/p?q=1', body: 'hello', headers: { 'content-type': 'text/plain' } });
  });
});
