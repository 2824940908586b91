import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ChunkedDecoder } from '../../src/http/chunked.ts';
import { ResponseHead } from '../../src/http/head.ts';
import { httpLimits } from '../../src/http/limits.ts';
import { INCOMPLETE, parseResponse, REFUSED } from '../../src/http/parse.ts';
import { type Answer, readAnswer } from '../kit/answer.ts';
import { kit, metricBecomes } from '../kit/kit.ts';
import { until } from '../kit/until.ts';
import { answers, chunks, cuts, pieces } from './messages.ts';
import { FUZZ_TIMEOUT_MS, runs } from './runs.ts';

const { startScript, startDirect, rawClient } = kit();

const anyBytes = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)), maxLength: 300 });

/** A head parsed where what stands around it would change everything, were it read. */
function parsed(text: string): { next: number; status: number; length: number; fields: string[] } {
  const head = new ResponseHead(httpLimits.fieldCount);
  const bytes = Buffer.from(`HTTP/1.1 ${text}\r\n\r\nHTTP/1.1 200 OK\r\n\r\n`, 'latin1');
  const next = parseResponse(head, bytes, 9, 9 + text.length, httpLimits);
  expect(next === INCOMPLETE || next === REFUSED || (next > 9 && next <= 9 + text.length)).toBe(true);
  if (next === REFUSED) expect(head.problem).toBe('bad_response');
  return next > 0 ? { next, status: head.status, length: head.length, fields: head.list() } : { next, status: 0, length: 0, fields: [] };
}

test('a head is parsed the same whatever stands around it, and never beyond its end', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(fc.oneof(answers, anyBytes), (text) => {
      const whole = parsed(text);
      if (whole.next <= 0) return;
      expect(parsed(text.slice(0, whole.next - 9))).toEqual(whole);
      // Not a byte less is enough.
      for (let end = 0; end < whole.next - 9; end++) expect(parsed(text.slice(0, end)).next).toBeLessThanOrEqual(0);
    }),
    runs(2_000),
  );
});

/** What a chunked body decodes to when it arrives in these pieces. */
function decoded(arriving: readonly string[]): { body: string; problem: boolean; done: boolean; used: number; trailers: readonly string[] } {
  const decoder = new ChunkedDecoder(httpLimits);
  let body = '';
  let used = 0;
  const sink = {
    writer: null,
    write: (chunk: Uint8Array) => {
      body += Buffer.from(chunk).toString('latin1');
      return true;
    },
    end: () => {},
    abort: () => {},
  };
  for (const piece of arriving) {
    const bytes = Buffer.from(`5\r\n${piece}\r\n0\r\n\r\n`, 'latin1');
    const next = decoder.feed(bytes, 3, 3 + piece.length, sink);
    expect(next).toBeGreaterThanOrEqual(3);
    expect(next).toBeLessThanOrEqual(3 + piece.length);
    used += next - 3;
    if (decoder.problem !== '' || decoder.done) break;
    expect(next).toBe(3 + piece.length);
  }
  expect(decoder.total).toBe(body.length);
  return { body, problem: decoder.problem !== '', done: decoder.done, used: decoder.done ? used : 0, trailers: decoder.trailers ?? [] };
}

test('a chunked body decodes the same however it is cut', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(
      fc.oneof(
        chunks,
        fc.tuple(chunks, anyBytes).map(([a, b]) => a + b),
        anyBytes,
      ),
      cuts,
      (text, at) => {
        const whole = decoded([text]);
        expect(decoded(pieces(text, at))).toEqual(whole);
        expect(decoded(text.split(''))).toEqual(whole);
      },
    ),
    runs(3_000),
  );
});

test('whatever an upstream says, its client gets exactly that, a 502, or a cut', { timeout: FUZZ_TIMEOUT_MS }, async () => {
  let says: readonly string[] = [];
  const origin = await startScript(async (connection) => {
    for (let n = 1; ; n++) {
      await connection.head(n);
      await connection.sendPieces(says);
      connection.end();
    }
  });
  const proxy = await startDirect({ to: origin, idleTimeoutMs: 2_000, firstByteTimeoutMs: 2_000 });
  const seen = { exact: 0, refused: 0, cut: 0 };
  await fc.assert(
    fc.asyncProperty(answers, cuts, async (text, at) => {
      says = pieces(text, at.slice(0, 2));
      const client = await rawClient(proxy);
      client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      const answer = await client.answer();
      client.socket.destroy();
      if (!answer.complete) seen.cut++;
      else if (answer.status === 502 && answer.body.includes('"code":"')) seen.refused++;
      else {
        // Complete to the client: then it must be the origin's, also by the rules of somebody else.
        const said = tolerant(text);
        expect(said, `the client took ${JSON.stringify(client.text)} for complete`).not.toBeNull();
        expect(said!.complete).toBe(true);
        expect({ status: answer.status, body: answer.body.toString('latin1') }).toEqual({
          status: said!.status,
          body: said!.body.toString('latin1'),
        });
        seen.exact++;
      }
    }),
    runs(600),
  );
  expect(seen.exact).toBeGreaterThan(20);
  expect(seen.refused).toBeGreaterThan(20);
  expect(origin.troubles).toEqual([]);
  await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
  await metricBecomes(proxy, 'windlass_buffered_bytes', (value) => value === 0);
  await until('all connections to the origin to be over', () => origin.endings.every((ending) => ending !== 'open'));
});

/** The origin's words by the kit's own reader, which knows neither extensions nor an absent reason. */
function tolerant(text: string): Answer | null {
  const named = text.replace(/(HTTP\/1\.[01] \d{3})\r\n/, '$1 \r\n');
  const plain = /\r\ntransfer-encoding:/i.test(text) ? named.replaceAll(/\r\n([0-9a-f]+);[^\r\n]*\r\n/gi, '\r\n$1\r\n') : named;
  try {
    return readAnswer(Buffer.from(plain, 'latin1'), 'GET', 'fin');
  } catch {
    return null;
  }
}
