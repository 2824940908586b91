import { createHash } from 'node:crypto';
import type http from 'node:http';
import { describe, expect, test } from 'vitest';
import { Cidrs, parseCidr } from '../../src/schema/cidrs.ts';
import { valuesOf } from '../kit/answer.ts';
import { kit, metric, metricBecomes } from '../kit/kit.ts';
import { turns, until } from '../kit/until.ts';

const { startOrigin, startScript, startDirect, rawClient, accessLog } = kit();

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

test('a request goes through and its answer comes back', async () => {
  const origin = await startOrigin((_request, response) => {
    response.writeHead(201, 'Made', { 'X-One': '1', 'Set-Cookie': ['a=1', 'b=2'] });
    response.end('made');
  });
  const log = accessLog();
  const proxy = await startDirect({ to: origin, accessLog: log.target });
  const client = await rawClient(proxy);
  client.send('GET /a?b HTTP/1.1\r\nHost: example.org\r\nX-Mine: 1\r\n\r\n');
  const answer = await client.answer();
  expect(answer).toMatchObject({ status: 201, reason: 'Made', complete: true });
  expect(valuesOf(answer.fields, 'set-cookie')).toEqual(['a=1', 'b=2']);
  expect(answer.body.toString()).toBe('made');
  expect(origin.only).toMatchObject({ method: 'GET', url: '/a?b', complete: true });
  expect(origin.only.headers).toMatchObject({ host: 'example.org', 'x-mine': '1' });
  const [line] = await log.lines(1);
  expect(line).toMatch(/^\S+ 127\.0\.0\.1 "GET \/a\?b HTTP\/1\.1" 201 out=4 in=0 .* attempts=1 .* failure=- host=example\.org$/);
  expect(await metric(proxy, 'windlass_requests_in_flight')).toBe(0);
});

describe('the connection of a client', () => {
  test('is kept for the next request in HTTP/1.1, closed in HTTP/1.0', async () => {
    const proxy = await startDirect({ to: await startOrigin() });
    const client = await rawClient(proxy);
    for (let i = 0; i < 3; i++) {
      client.send(GET);
      const answer = await client.answer();
      expect(valuesOf(answer.fields, 'connection')).toEqual(['keep-alive'].slice(1));
    }
    const old = await rawClient(proxy);
    old.send('GET / HTTP/1.0\r\n\r\n');
    expect(valuesOf((await old.answer()).fields, 'connection')).toEqual(['close']);
    expect(await old.ended()).toBe('fin');
  });

  test('is closed in HTTP/1.1 and kept in HTTP/1.0 when the client says so', async () => {
    const proxy = await startDirect({ to: await startOrigin() });
    for (const value of ['close', 'Close', 'keep-alive, close', 'close, x']) {
      const client = await rawClient(proxy);
      client.send(`GET / HTTP/1.1\r\nHost: a\r\nConnection: ${value}\r\n\r\n${GET}`);
      expect(valuesOf((await client.answer()).fields, 'connection')).toEqual(['close']);
      expect(await client.ended()).toBe('fin');
      expect(client.rest).toBe('');
    }
    const old = await rawClient(proxy);
    for (let i = 0; i < 2; i++) {
      old.send('GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n');
      const answer = await old.answer();
      expect(answer.framing).toBe('length');
      expect(valuesOf(answer.fields, 'connection')).toEqual(['keep-alive']);
    }
  });

  test('is closed after its last request, and says so', async () => {
    const proxy = await startDirect({ to: await startOrigin(), limits: { requestsPerConnection: 2 } });
    const client = await rawClient(proxy);
    client.send(GET.repeat(3));
    expect(valuesOf((await client.answer()).fields, 'connection')).toEqual([]);
    expect(valuesOf((await client.answer()).fields, 'connection')).toEqual(['close']);
    expect(await client.ended()).toBe('fin');
    expect(client.rest).toBe('');
  });

  test('is closed when it stays silent, without a word [threat 48]', async () => {
    const proxy = await startDirect({ to: await startOrigin(), limits: { firstByteTimeoutMs: 200, keepAliveTimeoutMs: 200 } });
    const silent = await rawClient(proxy);
    expect(await silent.ended(3_000)).toBe('fin');
    expect(silent.text).toBe('');
    const idle = await rawClient(proxy);
    idle.send(GET);
    await idle.answer();
    expect(await idle.ended(3_000)).toBe('fin');
    expect(idle.rest).toBe('');
  });

  test('is one of so many, and accepting goes on [fault 36]', async () => {
    const proxy = await startDirect({ to: await startOrigin(), limits: { connections: 2 } });
    const first = await rawClient(proxy);
    const second = await rawClient(proxy);
    for (const client of [first, second]) {
      client.send(GET);
      expect((await client.answer()).status).toBe(200);
    }
    const third = await rawClient(proxy);
    expect(await third.ended()).not.toBe('open');
    expect(third.text).toBe('');
    first.socket.destroy();
    await metricBecomes(proxy, 'windlass_connections', (value) => value === 1);
    const fourth = await rawClient(proxy);
    fourth.send(GET);
    expect((await fourth.answer()).status).toBe(200);
    expect(await metric(proxy, 'windlass_connections_total{result="refused"}')).toBe(1);
  });
});

describe('pipelining', () => {
  test('fifty mixed requests at once are answered in order, each with its own answer [threat 13]', async () => {
    const origin = await startOrigin((request, response, seen) => {
      request.on('end', () => {
        const n = Number(request.url!.slice(1));
        const answer = () => {
          const text = `answer ${n} ${seen.body}`;
          if (n % 5 === 0) response.writeHead(200, { 'Content-Length': text.length });
          else if (n % 5 === 1) {
            response.writeHead(200);
            response.write(text.slice(0, 4));
            response.end(text.slice(4));
            return;
          } else if (n % 5 === 2) {
            response.writeHead(204).end();
            return;
          }
          response.end(text);
        };
        if (n % 7 === 0) setTimeout(answer, 10);
        else answer();
      });
    });
    const proxy = await startDirect({ to: origin });
    const client = await rawClient(proxy);
    let all = '';
    const wanted: string[] = [];
    const method = (n: number) => (n % 6 === 5 ? 'HEAD' : n % 3 === 1 ? 'POST' : 'GET');
    for (let n = 0; n < 50; n++) {
      const body = `body ${n} GET /9 HTTP/1.1\r\n\r\n`;
      if (method(n) === 'POST' && n % 2 === 0) all += `POST /${n} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      else if (method(n) === 'POST')
        all += `POST /${n} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
      else all += `${method(n)} /${n} HTTP/1.1\r\nHost: a\r\n\r\n`;
      wanted.push(n % 5 === 2 || method(n) === 'HEAD' ? '' : `answer ${n} ${method(n) === 'POST' ? body : ''}`);
    }
    client.send(all);
    for (let n = 0; n < 50; n++) {
      const answer = await client.answer(method(n));
      expect(answer.complete).toBe(true);
      expect(answer.body.toString()).toBe(wanted[n]);
    }
    expect(client.rest).toBe('');
    expect(origin.requests.map(({ url }) => url)).toEqual(wanted.map((_, n) => `/${n}`));
    expect(origin.mostRunning).toBe(1);
  });

  test('a bad request behind good ones is refused in its turn', async () => {
    const proxy = await startDirect({ to: await startOrigin() });
    const client = await rawClient(proxy);
    client.send(`${GET}${GET}GET / HTTP/1.1\r\nHost : a\r\n\r\n${GET}`);
    expect((await client.answer()).status).toBe(200);
    expect((await client.answer()).status).toBe(200);
    expect((await client.answer()).status).toBe(400);
    expect(await client.ended()).toBe('fin');
    expect(client.rest).toBe('');
  });

  test('requests cut at every byte give the same answers', async () => {
    const origin = await startOrigin((request, response, seen) => {
      request.on('end', () => response.end(`${request.method} ${request.url} ${seen.body}`));
    });
    const proxy = await startDirect({ to: origin });
    const text =
      '\r\nGET /a?b HTTP/1.1\r\nHost: a\r\nX:  y \r\n\r\nPOST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello' +
      'PUT /d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\nT: u\r\n\r\nGET http://h/e HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    for (let cut = 1; cut < text.length; cut++) {
      const client = await rawClient(proxy);
      await client.sendPieces([text.slice(0, cut), text.slice(cut)]);
      const bodies: string[] = [];
      for (let i = 0; i < 4; i++) bodies.push((await client.answer()).body.toString());
      expect(bodies).toEqual(['GET /a?b ', 'POST /c hello', 'PUT /d hello', 'GET /e ']);
      client.socket.destroy();
    }
  });
});

describe('Expect: 100-continue [threat 12]', () => {
  const EXPECTS = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n';

  test('the body comes after 100, and the upstream is not asked to expect anything', async () => {
    const origin = await startOrigin();
    const proxy = await startDirect({ to: origin });
    for (const expects of [EXPECTS, EXPECTS.replace('100-continue', '100-Continue')]) {
      const client = await rawClient(proxy);
      client.send(expects);
      await client.until(({ text }) => text === 'HTTP/1.1 100 Continue\r\n\r\n');
      client.send('hello');
      expect(await client.answer()).toMatchObject({ status: 200, interim: [100] });
      expect(origin.requests.at(-1)!.body).toBe('hello');
      expect(origin.requests.at(-1)!.headers.expect).toBeUndefined();
      client.send(GET);
      expect((await client.answer()).status).toBe(200);
    }
  });

  test('a body that comes without waiting is taken', async () => {
    const origin = await startOrigin();
    const proxy = await startDirect({ to: origin });
    const client = await rawClient(proxy);
    client.send(`${EXPECTS}hello${GET}`);
    expect((await client.answer()).status).toBe(200);
    expect(origin.requests[0]!.body).toBe('hello');
    expect((await client.answer()).status).toBe(200);
    expect(origin.requests.map(({ method }) => method)).toEqual(['POST', 'GET']);
  });

  test('a body too large is refused before it is sent [fault 33]', async () => {
    const origin = await startOrigin();
    const proxy = await startDirect({ to: origin, limits: { bodyBytes: 4 } });
    const client = await rawClient(proxy);
    client.send(EXPECTS);
    expect(await client.answer()).toMatchObject({ status: 413, interim: [] });
    expect(await client.ended()).toBe('fin');
    expect(origin.bytes).toBe(0);
  });

  test('an upstream that answers without the body: what 100 asked for is thrown away, and the next request is served [threat 9]', async () => {
    const origin = await startScript(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno');
    });
    const proxy = await startDirect({ to: origin });
    const client = await rawClient(proxy);
    client.send(EXPECTS);
    expect(await client.answer()).toMatchObject({ status: 417, interim: [100] });
    client.send(`GET /${GET}`);
    expect((await client.answer()).status).toBe(417);
    expect(origin.connections.map(({ text }) => text.slice(0, 16))).toEqual(['POST / HTTP/1.1\r', 'GET / HTTP/1.1\r\n']);
    expect(client.rest).toBe('');
  });

  test('a client of HTTP/1.0 or without a body gets no 100', async () => {
    const origin = await startOrigin();
    const proxy = await startDirect({ to: origin });
    const old = await rawClient(proxy);
    old.send('POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello');
    expect(await old.answer()).toMatchObject({ status: 200, interim: [] });
    const empty = await rawClient(proxy);
    empty.send('GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n');
    expect(await empty.answer()).toMatchObject({ status: 200, interim: [] });
  });

  test('a client that never sends the body it announced is 408 [fault 31]', async () => {
    const origin = await startOrigin();
    const proxy = await startDirect({ to: origin, limits: { bodyIdleTimeoutMs: 200 } });
    const client = await rawClient(proxy);
    client.send(EXPECTS);
    expect(await client.answer()).toMatchObject({ status: 408, interim: [100] });
    expect((await origin.decided()).complete).toBe(false);
  });
});

describe('slow and large requests', () => {
  test('[fault 32] a head that does not end is 408, however it trickles in [threat 48]', async () => {
    const origin = await startOrigin();
    const proxy = await startDirect({ to: origin, limits: { headTimeoutMs: 300 } });
    const client = await rawClient(proxy);
    const trickle = setInterval(() => {
      if (client.socket.writable) client.send('X: y\r\n');
    }, 20);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n');
    expect((await client.answer()).status).toBe(408);
    clearInterval(trickle);
    expect(await client.ended()).not.toBe('open');
    expect(origin.bytes).toBe(0);
  });

  test('[fault 32] the same for a second request on a kept connection', async () => {
    const proxy = await startDirect({ to: await startOrigin(), limits: { headTimeoutMs: 200 } });
    const client = await rawClient(proxy);
    client.send(GET);
    await client.answer();
    client.send('GET / HTTP/1.1\r\nHo');
    expect((await client.answer()).status).toBe(408);
  });

  for (const framing of ['Content-Length: 10', 'Transfer-Encoding: chunked']) {
    test(`a body that stalls is 408, and the upstream sees an abort (${framing}) [fault 31, threat 48]`, async () => {
      const origin = await startOrigin();
      const log = accessLog();
      const proxy = await startDirect({ to: origin, accessLog: log.target, limits: { bodyIdleTimeoutMs: 200 } });
      const client = await rawClient(proxy);
      client.send(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n${framing.startsWith('C') ? 'hello' : '5\r\nhello\r\n'}`);
      expect((await client.answer()).status).toBe(408);
      expect(await client.ended()).toBe('fin');
      expect((await origin.decided()).complete).toBe(false);
      const [line] = await log.lines(1);
      expect(line).toMatch(/ 408 .* failure=request_timeout /);
      await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
    });
  }

  test('a body that is announced too large is 413 and goes nowhere; one that grows too large is 413 and its upstream sees an abort [fault 33]', async () => {
    const origin = await startOrigin();
    const proxy = await startDirect({ to: origin, limits: { bodyBytes: 1000 } });
    const announced = await rawClient(proxy);
    announced.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n${'x'.repeat(1001)}${GET}`);
    expect((await announced.answer()).status).toBe(413);
    expect(await announced.ended()).toBe('fin');
    expect(announced.rest).toBe('');
    expect(origin.bytes).toBe(0);
    const grown = await rawClient(proxy);
    grown.send(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n${'x'.repeat(500)}\r\n`);
    await until('the request at the origin', () => origin.requests.length === 1);
    grown.send(`1f5\r\n${'x'.repeat(501)}\r\n0\r\n\r\n${GET}`);
    expect((await grown.answer()).status).toBe(413);
    await grown.ended();
    expect((await origin.decided()).complete).toBe(false);
    const fits = await rawClient(proxy);
    fits.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(1000)}`);
    expect((await fits.answer()).status).toBe(200);
    expect(origin.requests.length).toBe(2);
  });
});

describe('a client that leaves', () => {
  /** An origin that answers nothing by itself. */
  async function waiting(start: (response: http.ServerResponse) => void = () => {}) {
    const origin = await startOrigin((_request, response) => start(response));
    const log = accessLog();
    const proxy = await startDirect({ to: origin, accessLog: log.target });
    return { origin, proxy, log, client: await rawClient(proxy) };
  }

  for (const how of ['fin', 'reset'] as const) {
    const go = (client: Awaited<ReturnType<typeof rawClient>>) => (how === 'fin' ? client.halfClose() : client.reset());

    test(`before its body is complete (${how}): the upstream never sees a complete request, the log says 499 [fault 27]`, async () => {
      for (const [framing, part] of [
        ['Content-Length: 10', 'hello'],
        ['Transfer-Encoding: chunked', '5\r\nhello\r\n'],
        ['Transfer-Encoding: chunked', '5\r\nhello\r\n0\r\n'],
      ] as const) {
        const { origin, log, client, proxy } = await waiting();
        client.send(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n${part}`);
        await until('the request at the origin', () => origin.requests[0]?.body === 'hello');
        go(client);
        expect((await origin.decided()).complete).toBe(false);
        const [line] = await log.lines(1);
        expect(line).toMatch(/ 499 .* in=5 .* failure=client_gone /);
        await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
      }
    });

    test(`while it waits for the answer (${how}): the upstream is told [fault 28, rule R5]`, async () => {
      const { origin, log, client, proxy } = await waiting();
      client.send(GET);
      await until('the request at the origin', () => origin.requests.length === 1);
      go(client);
      await until('the origin to hear of it', () => origin.requests[0]!.aborted, 1_500);
      const [line] = await log.lines(1);
      expect(line).toMatch(/ 499 .* failure=client_gone /);
      await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
      await metricBecomes(proxy, `windlass_upstream_connections{endpoint="http://127.0.0.1:${origin.port}"}`, (value) => value === 0);
    });

    test(`during the download (${how}): the upstream is told [fault 29, rule R5]`, async () => {
      const { origin, log, client, proxy } = await waiting((response) => response.write('x'.repeat(1000)));
      client.send(GET);
      await client.until(({ text }) => text.includes('xxx'));
      go(client);
      await until('the origin to hear of it', () => origin.requests[0]!.aborted, 1_500);
      const [line] = await log.lines(1);
      expect(line).toMatch(/ 499 out=1000 .* failure=client_gone /);
      await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
    });
  }

  test('half a head is no request: nothing is logged, nothing goes on', async () => {
    const { origin, client, proxy } = await waiting();
    client.send('GET / HTTP/1.1\r\nHost: a\r\n');
    client.halfClose();
    expect(await client.ended()).toBe('fin');
    expect(client.text).toBe('');
    expect(origin.bytes).toBe(0);
    await metricBecomes(proxy, 'windlass_connections', (value) => value === 0);
  });

  test('after its answer is a normal end: a half-closed connection has had its say [fault 30]', async () => {
    const origin = await startOrigin();
    const log = accessLog();
    const proxy = await startDirect({ to: origin, accessLog: log.target });
    const client = await rawClient(proxy);
    client.send(GET);
    expect((await client.answer()).status).toBe(200);
    client.halfClose();
    expect(await client.ended()).toBe('fin');
    const [line] = await log.lines(1);
    expect(line).toMatch(/ 200 .* failure=- /);
  });

  test('64 of them in the middle of 64 KiB answers, again and again, disturb nobody', async () => {
    const body = Buffer.alloc(64 * 1024, 'abcdefg');
    const hash = createHash('sha256').update(body).digest('hex');
    const origin = await startOrigin((_request, response) => void response.end(body));
    const proxy = await startDirect({ to: origin });
    let stop = false;
    let good = 0;
    const steady = Promise.all(
      Array.from({ length: 4 }, async () => {
        const client = await rawClient(proxy);
        while (!stop) {
          client.send(GET);
          const answer = await client.answer();
          expect(answer.complete).toBe(true);
          expect(createHash('sha256').update(answer.body).digest('hex')).toBe(hash);
          good++;
        }
      }),
    );
    for (let round = 0; round < 6; round++) {
      await Promise.all(
        Array.from({ length: 64 }, async (_, i) => {
          const client = await rawClient(proxy);
          client.send(GET);
          if (i % 4 !== 0) await client.until(({ heardBytes }) => heardBytes > 0).catch(() => {});
          if (i % 2 === 0) client.reset();
          else client.socket.destroy();
        }),
      );
    }
    stop = true;
    await steady;
    expect(good).toBeGreaterThan(10);
    await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
    await metricBecomes(proxy, 'windlass_connections', (value) => value === 4);
  });
});

describe('fields', () => {
  /** What the origin got of a request with these fields. */
  async function fieldsOf(
    fields: string,
    settings: object = {},
    line = 'GET / HTTP/1.1\r\nHost: a',
  ): Promise<http.IncomingHttpHeaders & { raw: string[] }> {
    const origin = await startOrigin();
    const proxy = await startDirect({ to: origin, ...settings });
    const client = await rawClient(proxy);
    client.send(`${line}\r\n${fields}\r\n`);
    expect((await client.answer()).status).toBe(200);
    return Object.assign(origin.only.headers, { raw: [...origin.only.rawHeaders] });
  }

  test('a client cannot say who it is: what it claims is overwritten [threat 22]', async () => {
    const seen = await fieldsOf(
      'X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\nx-forwarded-for: 7.7.7.7\r\n',
    );
    expect(seen).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'a',
      forwarded: 'for=127.0.0.1;host="a";proto=http',
      via: '1.1 windlass',
    });
    expect(seen.raw.join('\n')).not.toMatch(/6\.6\.6\.6|7\.7\.7\.7|evil/);
    expect(seen['x-real-ip']).toBeUndefined();
    expect(seen['x-forwarded-port']).toBeUndefined();
  });

  test('a trusted proxy is believed, and what we see is appended [threat 22]', async () => {
    const seen = await fieldsOf(
      'X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: front\r\nVia: 1.1 front\r\n',
      {
        trustedProxies: new Cidrs(parseCidr('127.0.0.1')),
      },
    );
    expect(seen).toMatchObject({
      'x-forwarded-for': '6.6.6.6, 127.0.0.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'front',
      forwarded: 'for=6.6.6.6, for=127.0.0.1;host="a";proto=http',
      via: '1.1 front, 1.1 windlass',
    });
  });

  test('different hosts on one connection are told apart', async () => {
    const origin = await startOrigin();
    const proxy = await startDirect({ to: origin });
    const client = await rawClient(proxy);
    const hosts = ['a', 'b', 'a', 'aa', 'b.example:80', 'b'];
    client.send(hosts.map((host) => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`).join(''));
    for (const _ of hosts) await client.answer();
    expect(origin.requests.map(({ headers }) => headers['x-forwarded-host'])).toEqual(hosts);
    expect(origin.requests.map(({ headers }) => headers.host)).toEqual(hosts);
  });

  test('what Connection names is removed, but nothing that protects, routes or frames, and nothing of ours [threat 21]', async () => {
    const seen = await fieldsOf(
      'Connection: X-Secret, Authorization, X-Forwarded-For, Host, Cookie, Via, Forwarded, Content-Length, close\r\nConnection: x-other\r\nX-Secret: 1\r\nX-Other: 2\r\nX-Kept: 3\r\nAuthorization: Bearer t\r\nCookie: c=1\r\nX-Forwarded-For: 6.6.6.6\r\nContent-Length: 0\r\n',
    );
    expect(seen['x-secret']).toBeUndefined();
    expect(seen['x-other']).toBeUndefined();
    expect(seen).toMatchObject({
      'x-kept': '3',
      authorization: 'Bearer t',
      cookie: 'c=1',
      host: 'a',
      'x-forwarded-for': '127.0.0.1',
      via: '1.1 windlass',
      'content-length': '0',
    });
    expect(seen.forwarded).toContain('for=127.0.0.1');
  });

  test('fields about the connection stay on it [threat 11]', async () => {
    const seen = await fieldsOf(
      'Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\nProxy-Authorization: Basic x\r\nTrailer: X\r\nX-Kept: 1\r\n',
    );
    for (const name of ['keep-alive', 'proxy-connection', 'te', 'upgrade', 'http2-settings', 'proxy-authorization'])
      expect(seen[name]).toBeUndefined();
    expect(seen['x-kept']).toBe('1');
  });

  test('TE: trailers is passed on as a promise of our own', async () => {
    const seen = await fieldsOf('TE: gzip, trailers\r\nConnection: TE\r\n');
    expect(seen.te).toBe('trailers');
    expect(seen.connection).toBe('TE');
  });

  test('a request of HTTP/1.0 goes on as HTTP/1.1, with the upstream as Host when it named none', async () => {
    const seen = await fieldsOf('X-Kept: 1\r\n', {}, 'GET / HTTP/1.0');
    expect(seen.host).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(seen['x-forwarded-host']).toBeUndefined();
    expect(seen.forwarded).toBe('for=127.0.0.1;proto=http');
  });

  test('a body without a length goes on in chunks, one with a length with that length', async () => {
    const origin = await startOrigin();
    const proxy = await startDirect({ to: origin });
    const client = await rawClient(proxy);
    client.send(
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 002\r\n\r\nok',
    );
    for (let i = 0; i < 2; i++) expect((await client.answer()).status).toBe(200);
    expect(origin.requests[0]!.headers).toMatchObject({ 'transfer-encoding': 'chunked' });
    expect(origin.requests[0]!.headers['content-length']).toBeUndefined();
    expect(origin.requests[1]!.headers['transfer-encoding']).toBeUndefined();
    expect(origin.requests.map(({ body }) => body)).toEqual(['ok', 'ok']);
  });
});

test('a proxy that forwards to itself ends in 508 once Via shows it [threat 30]', async () => {
  const sink = await startOrigin();
  let visits = 0;
  // The proxy's own port is known only when it runs: a relay stands in for it.
  const relay = await startScript(async (connection) => {
    const head = await connection.head();
    visits++;
    const inner = await rawClient(proxy);
    inner.send(head);
    const answer = await inner.answer();
    connection.send(`HTTP/1.1 ${answer.status} Relayed\r\nContent-Length: 0\r\n\r\n`);
  });
  const proxy = await startDirect({ to: relay });
  const client = await rawClient(proxy);
  client.send(GET);
  expect((await client.answer()).status).toBe(508);
  expect(visits).toBe(10);
  expect(sink.requests.length).toBe(0);
});

describe('the access log', () => {
  test('has one line of printable ASCII per request, whatever it says [threat 61]', async () => {
    const log = accessLog();
    const proxy = await startDirect({ to: await startOrigin(), accessLog: log.target });
    const requests = [
      `GET /"quotes"?a=b HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff"x\r\n\r\n`,
      'GET /\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n',
      `${"!#$%&'*+-.^_`|~"} /x HTTP/1.1\r\nHost: a\r\n\r\n`,
      'GET /?token=s3cret&x=y HTTP/1.1\r\nHost: a\r\n\r\n',
      `GET /${'l'.repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    ];
    for (const request of requests) {
      const client = await rawClient(proxy);
      client.send(request);
      await client.answer();
      client.socket.destroy();
    }
    const lines = await log.lines(requests.length);
    expect(lines.length).toBe(requests.length);
    for (const line of lines) expect(line).toMatch(/^[\x20-\x7e]+$/);
    expect(lines.join('\n')).not.toContain('s3cret');
  });
});

describe('closing', () => {
  test('finishes what runs, and takes nothing new', async () => {
    let finish: (() => void) | null = null;
    const origin = await startOrigin((_request, response) => {
      response.write('half');
      finish = () => response.end(' and half');
    });
    const proxy = await startDirect({ to: origin, drainTimeoutMs: 5_000 });
    const idle = await rawClient(proxy);
    const busy = await rawClient(proxy);
    busy.send(GET);
    await busy.until(({ text }) => text.includes('half'));
    const closed = proxy.close();
    expect(await idle.ended()).toBe('fin');
    await turns(10);
    const late = await rawClient(proxy).then(
      () => 'accepted',
      () => 'refused',
    );
    expect(late).toBe('refused');
    finish!();
    expect(await busy.answer()).toMatchObject({ status: 200, complete: true });
    expect(await busy.ended()).toBe('fin');
    await closed;
  });

  test('cuts what does not finish in time', async () => {
    const origin = await startOrigin((_request, response) => void response.write('half'));
    const proxy = await startDirect({ to: origin, drainTimeoutMs: 200 });
    const client = await rawClient(proxy);
    client.send(GET);
    await client.until(({ text }) => text.includes('half'));
    await proxy.close();
    expect(await client.answer()).toMatchObject({ status: 200, complete: false });
    await until('the origin to hear of it', () => origin.requests[0]!.aborted);
  });
});

test('trailers pass both ways', async () => {
  const origin = await startScript(async (connection) => {
    await connection.until(({ text }) => text.endsWith('\r\n\r\n') && text.includes('\r\n0\r\n'));
    connection.send('HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Sum-2: 2\r\n\r\n');
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 3\r\n\r\n');
  const answer = await client.answer();
  expect(answer.trailers).toEqual([
    ['X-Sum', '1'],
    ['X-Sum-2', '2'],
  ]);
  expect(origin.text.endsWith('0\r\nX-Sum: 3\r\n\r\n')).toBe(true);
});

test('a chunked answer arrives as it is written, without waiting for more', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let i = 0; i < 3; i++) {
      connection.send(`8\r\ndata: ${i}\n\r\n`);
      await until(`event ${i} at the client`, () => client.text.includes(`data: ${i}\n`));
    }
    connection.send('0\r\n\r\n');
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(GET);
  expect((await client.answer()).body.toString()).toBe('data: 0\ndata: 1\ndata: 2\n');
  expect(origin.troubles).toEqual([]);
});

test('an answer to one client never reaches another', async () => {
  const origin = await startOrigin((request, response) => void response.end(request.url!.repeat(50)));
  const proxy = await startDirect({ to: origin });
  await Promise.all(
    Array.from({ length: 32 }, async (_, i) => {
      const client = await rawClient(proxy);
      for (let n = 0; n < 10; n++) {
        client.send(`GET /${i}-${n} HTTP/1.1\r\nHost: a\r\n\r\n`);
        expect((await client.answer()).body.toString()).toBe(`/${i}-${n}`.repeat(50));
      }
    }),
  );
});
