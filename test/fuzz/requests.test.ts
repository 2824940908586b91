import http from 'node:http';
import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ChunkedDecoder } from '../../src/http/chunked.ts';
import type { BodySink } from '../../src/http/exchange.ts';
import { RequestHead, UNKNOWN_LENGTH } from '../../src/http/head.ts';
import { httpLimits } from '../../src/http/limits.ts';
import { INCOMPLETE, parseRequest, REFUSED } from '../../src/http/parse.ts';
import { cuts, pieces, requests } from './messages.ts';
import { FUZZ_TIMEOUT_MS, runs } from './runs.ts';

/** A request as a party understood it. */
interface Understood {
  method: string;
  target: string;
  /** Name and value, in order, as written. */
  fields: [string, string][];
  body: string;
  complete: boolean;
}

interface Reading {
  requests: Understood[];
  /** Why the rest was refused; null when it was not. */
  refusal: string | null;
  /** The last request ends the connection. */
  closed: boolean;
  /** Where complete requests end. */
  ends: number[];
}

class Body implements BodySink {
  writer = null;
  text = '';

  write(chunk: Uint8Array): boolean {
    this.text += Buffer.from(chunk).toString('latin1');
    return true;
  }

  end(): void {}
  abort(): void {}
}

/** Understands a stream that arrives in these pieces, as a connection of ours does. */
function ours(arriving: readonly string[]): Reading {
  const reading: Reading = { requests: [], refusal: null, closed: false, ends: [] };
  const head = new RequestHead(httpLimits.fieldCount);
  let bytes = Buffer.alloc(0);
  let passed = 0;
  let current: { understood: Understood; left: number; decoder: ChunkedDecoder | null; body: Body } | null = null;
  for (const piece of arriving) {
    // Surrounded by bytes that would change everything, were they read.
    const text = Buffer.concat([bytes, Buffer.from(piece, 'latin1')]);
    const all = Buffer.concat([Buffer.from('X\r\n\r\n'), text, Buffer.from('\r\n\r\n0\r\n\r\n')]);
    let i = 5;
    const end = 5 + text.length;
    while (i < end && reading.refusal === null && !reading.closed) {
      if (current === null) {
        const next = parseRequest(head, all, i, end, httpLimits);
        if (next === INCOMPLETE) break;
        if (next === REFUSED) {
          expect(head.problem).not.toBeNull();
          reading.refusal = head.problemDetail;
          break;
        }
        expect(next).toBeGreaterThan(i);
        expect(next).toBeLessThanOrEqual(end);
        const understood: Understood = {
          method: head.method,
          target: all.latin1Slice(head.targetStart, head.targetEnd),
          fields: [],
          body: '',
          complete: false,
        };
        for (let f = 0; f < head.count; f++) {
          const at = f * 5;
          understood.fields.push([
            all.latin1Slice(head.fields[at]!, head.fields[at + 1]!),
            all.latin1Slice(head.fields[at + 2]!, head.fields[at + 3]!),
          ]);
        }
        reading.requests.push(understood);
        current = {
          understood,
          left: Math.max(head.length, 0),
          decoder: head.length === UNKNOWN_LENGTH ? new ChunkedDecoder(httpLimits) : null,
          body: new Body(),
        };
        (current as { keepAlive?: boolean }).keepAlive = head.keepAlive;
        i = next;
      } else if (current.decoder !== null) {
        const next: number = current.decoder.feed(all, i, end, current.body);
        expect(next).toBeLessThanOrEqual(end);
        i = next;
        if (current.decoder.problem !== '') reading.refusal = current.decoder.problem;
        else if (!current.decoder.done) expect(i).toBe(end);
      } else {
        const n: number = Math.min(current.left, end - i);
        current.body.write(all.subarray(i, i + n));
        current.left -= n;
        i += n;
      }
      if (current !== null && reading.refusal === null && (current.decoder === null ? current.left === 0 : current.decoder.done)) {
        reading.ends.push(passed + i - 5);
        current.understood.complete = true;
        current.understood.body = current.body.text;
        if ((current as { keepAlive?: boolean }).keepAlive === false) reading.closed = true;
        current = null;
      }
    }
    passed += i - 5;
    bytes = Buffer.from(all.subarray(i, end));
    if (reading.refusal !== null || reading.closed) break;
  }
  return reading;
}

/** The same by a server of node:http, which hears the pieces one by one (it forgets the end of a body when an error follows in the same piece). */
async function nodes(arriving: readonly string[]): Promise<Reading> {
  const reading: Reading = { requests: [], refusal: null, closed: false, ends: [] };
  const server = http.createServer({ requireHostHeader: false, maxHeaderSize: 1024 * 1024, insecureHTTPParser: false });
  server.maxHeadersCount = 0;
  server.timeout = 0;
  const take = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    const understood: Understood = { method: request.method!, target: request.url!, fields: [], body: '', complete: false };
    for (let i = 0; i < request.rawHeaders.length; i += 2) understood.fields.push([request.rawHeaders[i]!, request.rawHeaders[i + 1]!]);
    reading.requests.push(understood);
    request.on('data', (chunk: Buffer) => {
      understood.body += chunk.toString('latin1');
    });
    request.on('end', () => {
      understood.complete = true;
      // Answering is what makes node go on to the next request of the connection.
      response.end();
    });
    request.on('error', () => {});
  };
  server.on('request', take);
  server.on('checkContinue', take);
  server.on('checkExpectation', take);
  server.on('clientError', (error: NodeJS.ErrnoException & { reason?: string }, socket) => {
    // Not a refusal: the stream ended in the middle.
    if (error.code !== 'ECONNRESET' && error.code !== 'HPE_INVALID_EOF_STATE') reading.refusal ??= `${error.code} ${error.reason}`;
    socket.destroy();
  });
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done(), autoDestroy: true });
  socket.on('error', () => {});
  server.emit('connection', socket);
  for (const piece of arriving) {
    if (socket.destroyed) break;
    socket.push(Buffer.from(piece, 'latin1'));
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
  }
  socket.push(null);
  for (let i = 0; i < 2; i++) await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
  return reading;
}

/** What we refuse and node does not, each with the reason. */
const STRICTER: readonly [RegExp, string][] = [
  [/without Host|Host is empty or not a host/, 'RFC 9112 3.2: 400. Node is told not to look, so that the rest can be compared'],
  [/Content-Length and Transfer-Encoding together/, 'Node lets an empty Transfer-Encoding stand beside a length'],
  [/the request line does not end with HTTP/, 'Node forgives several spaces before the version'],
  [/stands there twice/, 'Two Hosts or lengths are read differently by different parties, even when they are equal'],
  [/only HTTP\/1\.1 and HTTP\/1\.0/, 'Node takes HTTP/2.0 in an HTTP/1 request line'],
  [/Transfer-Encoding in HTTP\/1\.0/, 'RFC 9112 6.1: faulty framing'],
  [/a fragment in the request target/, 'RFC 9112 3.2: not part of a target; parties differ in where they cut it'],
  [/a backslash in the request target/, 'Some parties take it for a slash'],
  [/a character that may not stand in a request target/, 'Bytes beyond ASCII'],
  [/neither a path nor an http URL|\* is for OPTIONS|names no valid host/, 'Targets that cannot be forwarded'],
  [/bad escape, a %00, or climbs/, 'A path that means different things to different parties'],
  [/CONNECT|TRACE/, 'Not served here'],
  [/expectation known/, 'RFC 9110 10.1.1: 417'],
  [/the only transfer coding taken is chunked/, 'Node lets some lists of codings through that end in chunked'],
  [/Content-Length is not a number of at most 15 digits/, 'Node takes up to 2^64'],
  [/a control character/, 'Node takes some control characters in values of fields it does not know, or in extensions'],
  [/a chunk size of more than 8 digits|a chunk size that is not hexadecimal/, 'Node takes leading zeros without end, and spaces behind a size'],
  [
    /the request line does not begin with a method and one space|bare CR before the request line/,
    'Node skips any number of line breaks before a request',
  ],
  [/a trailer that is not a field/, 'Node is laxer about trailers than about fields'],
];

/** What node refuses and we do not, each with the reason. */
const LAXER: readonly [RegExp, string][] = [
  [/HPE_INVALID_METHOD/, 'Node knows a list of methods; any token is a method to us'],
  [
    /Invalid character in Content-Length/,
    'Node takes no tab behind a length; RFC 9110 5.5 lets white space be there, and to us the rest is digits only',
  ],
  [/Expected HTTP\/2 Connection Preface/, 'PRI with another version than HTTP/2.0 is a method like any other'],
  [/HPE_CLOSED_CONNECTION/, 'Bytes behind a request that ends the connection: we never read them'],
];

/** The same for what follows a head. */
const LAXER_BODIES: readonly [RegExp, string][] = [
  [/Invalid character in chunk extensions/, 'Extensions are dropped, never passed on: their grammar decides nothing, only CR, LF and controls do'],
  [/HPE_INVALID_CONTENT_LENGTH|HPE_INVALID_TRANSFER_ENCODING|HPE_UNEXPECTED_CONTENT_LENGTH/, 'Framing in trailers is dropped'],
];

test(
  'wherever node:http and we both accept a request, we understand the same; what it refuses we refuse, too',
  { timeout: FUZZ_TIMEOUT_MS },
  async () => {
    const seen = { agreed: 0, refusedByBoth: 0, stricter: 0, laxer: 0 };
    await fc.assert(
      fc.asyncProperty(requests, async (text) => {
        const we = ours([text]);
        const node = await nodes([0, ...we.ends].map((from, i) => text.slice(from, we.ends[i] ?? text.length)).filter((piece) => piece !== ''));
        for (let n = 0; n < Math.max(we.requests.length, node.requests.length); n++) {
          const mine = we.requests[n];
          const theirs = node.requests[n];
          if (mine === undefined) {
            // They went on where we stopped: we must have a reason.
            if (we.closed || we.refusal === null) {
              if (!we.closed) throw new Error(`node understood a request that we did not refuse: ${JSON.stringify(theirs)}`);
            } else if (!STRICTER.some(([why]) => why.test(we.refusal!))) throw new Error(`we refuse without a listed reason: ${we.refusal}`);
            seen.stricter++;
            return;
          }
          if (theirs === undefined) {
            if (node.refusal !== null && !LAXER.some(([why]) => why.test(node.refusal!)))
              throw new Error(`node refuses what we take: ${node.refusal}: ${JSON.stringify(mine)}`);
            if (node.refusal === null && !/^(CONNECT)$/.test(mine.method) && mine.complete)
              throw new Error(`node says nothing about ${JSON.stringify(mine)}`);
            seen.laxer++;
            return;
          }
          expect({ method: mine.method, target: mine.target, fields: mine.fields }).toEqual({
            method: theirs.method,
            target: theirs.target,
            fields: theirs.fields,
          });
          if (mine.complete && theirs.complete) {
            expect(mine.body).toBe(theirs.body);
            seen.agreed++;
          } else if (mine.complete && LAXER_BODIES.some(([why]) => why.test(node.refusal ?? ''))) return;
          else if (mine.complete) throw new Error(`complete to us, not to node (${node.refusal}): ${JSON.stringify(mine)}`);
          else if (theirs.complete) {
            if (we.refusal === null || !STRICTER.some(([why]) => why.test(we.refusal!)))
              throw new Error(`complete to node, not to us (${we.refusal}): ${JSON.stringify(theirs)}`);
            seen.stricter++;
            return;
          }
        }
        if (we.refusal !== null && node.refusal !== null) seen.refusedByBoth++;
        if (we.refusal === null && node.refusal !== null && !we.closed && ![...LAXER, ...LAXER_BODIES].some(([why]) => why.test(node.refusal!))) {
          // Perhaps the rest is only incomplete to us: then nothing of it was taken.
          const taken = we.requests.length > 0 && !we.requests.at(-1)!.complete;
          if (taken) throw new Error(`node refuses a body that we still wait for: ${node.refusal}`);
        }
      }),
      runs(15_000),
    );
    // The generator must not drift into making nothing but noise.
    expect(seen.agreed).toBeGreaterThan(seen.stricter / 4);
    expect(seen.refusedByBoth).toBeGreaterThan(0);
  },
);

test('however a stream is cut into pieces, it is understood the same', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(requests, cuts, (text, at) => {
      const whole = ours([text]);
      const cut = ours(pieces(text, at));
      expect(cut.requests).toEqual(whole.requests);
      expect(cut.refusal === null).toBe(whole.refusal === null);
      expect(cut.closed).toBe(whole.closed);
    }),
    runs(10_000),
  );
});

test('requests cut at every single byte are understood the same', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(requests, (text) => {
      const whole = ours([text]);
      expect(ours(text.split('')).requests).toEqual(whole.requests);
    }),
    runs(1_000),
  );
});

test('any bytes at all are understood or refused, without harm', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)), maxLength: 300 }), (text) => {
      ours([text]);
      ours([`GET / HTTP/1.1\r\nHost: a\r\n${text}`]);
      ours([`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${text}`]);
    }),
    runs(10_000),
  );
});
