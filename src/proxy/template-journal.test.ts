import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { requestHead } from '../../test/kit/tunnel.ts';
import { Notes } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import { makePeer, type RequestHead, ResponseHead } from '../http/head.ts';
import type { LineSink } from '../observe/lines.ts';
import { LOG_TAGS, parseLogTemplate } from '../schema/log-template.ts';
import type { Entry } from './journal.ts';
import { TemplateJournal } from './template-journal.ts';

const WALL_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 7);

interface Told {
  readonly request?: string | null;
  readonly client?: string;
  readonly notes?: Partial<Notes>;
  readonly peer?: object;
  readonly middle?: (entry: Entry, head: RequestHead, notes: Notes) => void;
  readonly status?: number;
}

class Kept implements LineSink {
  readonly lines: string[] = [];
  dropped = 0;
  write(line: string): void {
    this.lines.push(line);
  }
  reopen(): void {}
  async close(): Promise<void> {}
}

/** The line of one request that began at 1000 and ended at 1012.345. */
function lineOf(template: string, told: Told = {}): string {
  const sink = new Kept();
  const journal = new TemplateJournal(parseLogTemplate(template, {}, 'box'), sink, () => WALL_MS);
  const peer = Object.assign(makePeer('192.0.2.7', 4711, 443, 'https', false), { connection: 17, openedMs: 500, requests: 1 }, told.peer);
  const head =
    told.request === null
      ? null
      : requestHead(told.request ?? 'GET /v1/models?a=1&token=abc HTTP/1.1\r\nHost: example.org:8443\r\nUser-Agent: curl/8\r\n\r\n');
  const notes = new Notes(1000);
  if (head !== null) {
    head.peer = peer;
    head.claimedClient = told.client ?? '';
  }
  const entry = journal.begin(head, notes, peer);
  Object.assign(notes, told.notes);
  if (told.middle !== undefined) told.middle(entry, head!, notes);
  // Heads are scratch: nothing may be read from them any more.
  head?.bytes.fill(0x21);
  entry.finished(told.status ?? 200, 1012.345, 'api', 'gpus');
  expect(sink.lines).toHaveLength(1);
  expect(sink.lines[0]).toMatch(/^[ -~]*\n$/);
  return sink.lines[0]!.slice(0, -1);
}

describe('the named formats', () => {
  const notes = { replyBytes: 1234 };
  test.each([
    ['tiny', 'GET /v1/models?a=1&token=*** 200 1.2KB - 12.3ms'],
    ['short', '192.0.2.7 GET /v1/models?a=1&token=*** HTTP/1.1 200 1.2KB - 12.3ms'],
    ['common', '192.0.2.7 "GET /v1/models?a=1&token=*** HTTP/1.1" 200 1.2KB'],
    ['combined', '192.0.2.7 "GET /v1/models?a=1&token=*** HTTP/1.1" 200 1.2KB "-" "curl/8"'],
  ])('%s', (name, expected) => {
    expect(lineOf(name, { notes })).toBe(expected);
  });

  test('json is one object of what is known', () => {
    expect(JSON.parse(lineOf('json', { notes: { ...notes, dispatchedMs: 1001, firstByteMs: 1005, endpoint: 'gpu', reused: true } }))).toEqual({
      time: '2026-01-02T03:04:05.007Z',
      client_ip: '192.0.2.7',
      remote: '192.0.2.7',
      method: 'GET',
      scheme: 'https',
      host: 'example.org',
      uri: '/v1/models?a=1&token=***',
      original_uri: '/v1/models?a=1&token=***',
      proto: 'HTTP/1.1',
      status: 200,
      size: 1234,
      payload_size: 0,
      latency: 12.3,
      wait: 0,
      location: 'api',
      upstream: 'gpus',
      endpoint: 'gpu',
      agent: null,
      attempts: 0,
      tries: null,
      failure: null,
      upstream_status: null,
      upstream_connect_time: null,
      upstream_processing_time: 4,
      connection_id: 17,
      connection_reused: false,
      tls_version: null,
      referer: null,
      user_agent: 'curl/8',
      request_id: null,
      trace: null,
    });
  });
});

describe('tags', () => {
  const noted = new Map<string, string | number>([
    ['compression_ratio', 3.25],
    ['compression_time', 0.4],
    ['cache_lock_time', 12],
    ['cache_lookup_time', 'no number'],
  ]);
  const upstream = { dispatchedMs: 1002, connectMs: 2, connectTlsMs: 0.5, firstByteMs: 1008, connectionMs: 712.345, connections: 3 };
  test.each<[string, string, Told]>([
    ['{method} {scheme} {proto} {host}', 'GET https HTTP/1.1 example.org', {}],
    ['{host}', '[::1]', { request: 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n' }],
    ['{host}', '[::1]', { request: 'GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n' }],
    ['{proto} {host}', 'HTTP/1.0 -', { request: 'GET / HTTP/1.0\r\n\r\n' }],
    ['{path} {query}', '/v1/models a=1&token=***', {}],
    ['{path} {query}', '/p -', { request: 'GET /p HTTP/1.1\r\nHost: a\r\n\r\n' }],
    ['{remote} {remote_port} {server_port} {client_ip}', '192.0.2.7 4711 443 203.0.113.9', { client: '203.0.113.9' }],
    ['{referer}', 'https://a/?key=***', { request: 'GET / HTTP/1.1\r\nHost: a\r\nReferer: https://a/?key=1\r\n\r\n' }],
    ['{request_id} {trace}', 'r1 4bf9', { request: 'GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: r1\r\nTraceparent: 00-4bf9-00f0-01\r\n\r\n' }],
    ['{payload_size} {payload_size_human} {size} {size_human}', '1500 1.5KB 999 999B', { notes: { requestBytes: 1500, replyBytes: 999 } }],
    ['{status} {failure}', '499 client_gone', { status: 499, notes: { failure: new Failure('client_gone', 'left') } }],
    ['{when_utc_iso} {when_unix}', `2026-01-02T03:04:05.007Z ${WALL_MS}`, {}],
    ['{latency} {latency_human} {service_time} {wait}', '12.3 12.3ms 12.3 1.2', { notes: { waitedMs: 1.24 } }],
    ['{location} {upstream} {endpoint} {agent}', 'api gpus gpu 7f', { notes: { endpoint: 'gpu', agent: '7f' } }],
    ['{attempts} {tries}', '2 a:refused', { notes: { attempts: 2, tries: 'a:refused' } }],
    ['{processing}', '1', {}],
    ['{connection_id} {connection_time} {connection_reused}', '17 512.3 false', {}],
    ['{connection_reused}', 'true', { peer: { requests: 2 } }],
    ['{tls_version} {tls_cipher} {tls_handshake_time}', 'TLSv1.3 X 3.5', { peer: { tlsVersion: 'TLSv1.3', tlsCipher: 'X', handshakeMs: 3.5 } }],
    ['{tls_version} {tls_cipher} {tls_handshake_time}', '- - -', {}],
    ['{upstream_addr} {upstream_connected} {upstream_connection_time}', '10.0.0.1:80 3 300', { notes: { ...upstream, address: '10.0.0.1:80' } }],
    ['{upstream_connect_time} {upstream_tcp_connect_time} {upstream_tls_handshake_time}', '2 1.5 0.5', { notes: upstream }],
    ['{upstream_processing_time} {upstream_response_time} {upstream_reused}', '4 4.3 false', { notes: upstream }],
    ['{upstream_processing_time_human}', '4ms', { notes: upstream }],
    ['{upstream_connect_time} {upstream_processing_time} {upstream_reused} {upstream_status}', '- - - -', {}],
    ['{~b} {~B} {~c} {~d}', '2=3 4 5 -', { request: 'GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2=3\r\nCookie: B=4;c=5\r\n\r\n' }],
    ['{>X-B3} {>user-agent} {>absent}', '1,\\x202 u -', { request: 'GET / HTTP/1.1\r\nHost: a\r\nX-B3: 1\r\nUser-Agent: u\r\nx-b3: 2\r\n\r\n' }],
    [
      '{>authorization} {>cookie} {>X-Api-Key}',
      '*** *** -',
      { request: 'GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic x\r\nCookie: a=b\r\n\r\n' },
    ],
    ['{compression_ratio} {cache_lookup_time_human}', '- -', {}],
    ['{compression_ratio} {compression_time} {cache_lock_time_human} {cache_lookup_time}', '3.25 0.4 12ms -', { notes: { noted } }],
  ])('%s', (template, expected, told) => {
    expect(lineOf(template, told)).toBe(expected);
  });

  test('{when} is local time with its offset', () => {
    const text = lineOf('{when}');
    expect(text).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.007[+-]\d\d:\d\d$/);
    expect(new Date(text).getTime()).toBe(WALL_MS);
  });

  test('each has a value or a dash, even for a request that could not be read', () => {
    for (const tag of Object.keys(LOG_TAGS)) expect(lineOf(`{${tag}}`, { request: null })).toMatch(/^\S+$/);
    expect(lineOf('{method} {uri} {client_ip} {host}', { request: null })).toBe('- - 192.0.2.7 -');
  });

  test('the target is logged as it went to the upstream, and as it came', () => {
    const middle: Told['middle'] = (entry, head) => {
      head.newTarget = '/rewritten?x=1';
      head.set('X-Request-Id', 'made');
      entry.changed(head);
    };
    expect(lineOf('{uri} {path} {query} {original_uri} {original_path} {original_query} {request_id}', { middle })).toBe(
      '/rewritten?x=1 /rewritten x=1 /v1/models?a=1&token=*** /v1/models a=1&token=*** made',
    );
  });

  test("fields of the answer are the client's, those that were added included", () => {
    const middle: Told['middle'] = (entry) => {
      const head = ResponseHead.make(201, ['Content-Type', 'text/plain', 'X-One', '1'], 0);
      head.add('x-one', '2');
      head.add('Set-Cookie', 'secret=1');
      entry.answered(head);
    };
    expect(lineOf('{<content-type} {<X-One} {<absent} {<set-cookie} {upstream_status}', { middle })).toBe('text/plain 1,\\x202 - *** 201');
  });

  test('an answer of ours is not that of the upstream', () => {
    const middle: Told['middle'] = (entry, _head, notes) => {
      notes.failure = new Failure('no_agent', 'none');
      entry.answered(ResponseHead.make(503, ['Retry-After', '1'], 0));
    };
    expect(lineOf('{status} {upstream_status} {<retry-after}', { middle, status: 503 })).toBe('503 - 1');
  });

  test('says what a trailer said where the head did not, and no secret of either', () => {
    const middle = (entry: Entry): void => {
      entry.answered(ResponseHead.make(200, ['x-one', 'head'], -2));
      entry.trailed(['Grpc-Status', '14', 'x-one', 'trailer', 'set-cookie', 'a=b']);
    };
    expect(lineOf('{<grpc-status} {<x-one} {<set-cookie} {<grpc-message}', { middle })).toBe('14 head *** -');
  });

  test('requests that run are counted', () => {
    const sink = new Kept();
    const journal = new TemplateJournal(parseLogTemplate('{processing}', {}, ''), sink, () => 0);
    const peer = makePeer('', 0, 0, 'http', false);
    const [a, b] = [journal.begin(null, new Notes(0), peer), journal.begin(null, new Notes(0), peer)];
    b.finished(200, 0, '', '');
    a.finished(200, 0, '', '');
    journal.begin(null, new Notes(0), peer).finished(200, 0, '', '');
    expect(sink.lines).toEqual(['2\n', '1\n', '1\n']);
  });
});

describe('whatever a client sends [threat 61]', () => {
  const latin1 = fc.string({ unit: fc.integer({ min: 1, max: 255 }).map((c) => String.fromCharCode(c)), maxLength: 40 });
  /** As the parser would let through: no control characters but tabs. */
  const value = latin1.map((text) => text.replaceAll(/[^\t\u0020-\u007e\u0080-\u00ff]/g, '').trim());
  const request = (agent: string): string => `GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: ${agent}\r\n\r\n`;
  const unescaped = (text: string): string => text.replaceAll(/\\x([\da-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

  test('is one field of the line, and can be read back', () => {
    fc.assert(
      fc.property(value, (agent) => {
        const [first, , last] = lineOf('{user_agent} {status} {user_agent}', { request: request(agent) }).split(' ');
        expect(unescaped(first!)).toBe(agent === '' ? '-' : agent);
        expect(last).toBe(first);
        const [, between] = /^"([^"]*)"$/.exec(lineOf('"{user_agent}"', { request: request(agent) })) ?? [];
        expect(unescaped(between!)).toBe(agent === '' ? '-' : agent);
      }),
    );
  });

  test('is right JSON, between quotes of the template and with quotes of its own', () => {
    fc.assert(
      fc.property(value, (agent) => {
        const line = lineOf('{"a":"<{user_agent}>","b":{user_agent},"c":{status},"d":{wait_human},"e":{connection_reused}}', {
          request: request(agent),
        });
        expect(JSON.parse(line)).toEqual({ a: `<${agent === '' ? '-' : agent}>`, b: agent === '' ? null : agent, c: 200, d: '0ms', e: false });
      }),
    );
  });

  test('cannot pass for true, false or null in JSON', () => {
    for (const agent of ['true', 'false', 'null', '0'])
      expect(JSON.parse(lineOf('{"a":{user_agent}}', { request: request(agent) }))).toEqual({ a: agent });
  });

  test('is cut when it is too long, and stays JSON', () => {
    const told = { request: request('"'.repeat(5_000)) };
    expect(JSON.parse(lineOf('{"a":{user_agent}}', told))).toEqual({ a: `${'"'.repeat(4_096)}...(+904)` });
  });
});
