import { createHash } from 'node:crypto';
import type net from 'node:net';
import { expect, test } from 'vitest';
import { kit, metric } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const { startOrigin, startScript, startDirect, rawClient } = kit();

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

function connects(port: number): string {
  return `windlass_upstream_connects_total{endpoint="http://127.0.0.1:${port}"}`;
}

test('requests share a kept-alive connection to the upstream', async () => {
  const origin = await startOrigin();
  const proxy = await startDirect({ to: origin });
  for (let i = 0; i < 5; i++) {
    const client = await rawClient(proxy);
    client.send(GET);
    expect((await client.answer()).status).toBe(200);
    client.socket.destroy();
  }
  expect(origin.connections).toBe(1);
  expect(await metric(proxy, connects(origin.port))).toBe(1);
});

test('an origin that closes idle connections after 50 ms costs no GET, and no POST is delivered twice [fault 20, rule R1]', async () => {
  const origin = await startOrigin((request, response) => {
    const { socket } = request as { socket: net.Socket & { idle?: NodeJS.Timeout } };
    clearTimeout(socket.idle);
    request.on('end', () => response.end('ok'));
    request.resume();
    response.on('finish', () => {
      socket.idle = setTimeout(() => socket.destroySoon(), 50);
    });
  });
  const proxy = await startDirect({ to: origin });
  let failed = 0;
  let failedPosts = 0;
  const workers = Array.from({ length: 16 }, async (_, worker) => {
    const client = await rawClient(proxy);
    for (let n = 0; n < 40; n++) {
      const post = n % 8 === 7;
      client.send(
        post ? `POST /${worker}-${n} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc` : `GET /${worker}-${n} HTTP/1.1\r\nHost: a\r\n\r\n`,
      );
      const { status } = await client.answer();
      if (status !== 200) {
        if (post) failedPosts++;
        else failed++;
      }
      // Around the origin's limit, so that its FIN and the next request cross.
      await new Promise((resolve) => setTimeout(resolve, n % 4 === 0 ? 0 : 48 + ((worker + n) % 8)));
    }
  });
  await Promise.all(workers);
  expect(failed).toBe(0);
  const posts = origin.requests.filter(({ method }) => method === 'POST').map(({ url }) => url);
  expect(new Set(posts).size).toBe(posts.length);
  expect(posts.length).toBeGreaterThanOrEqual(16 * 5 - failedPosts);
  expect(origin.connections).toBeGreaterThan(16);
});

for (const how of ['end', 'reset'] as const) {
  test(`a GET on a kept-alive connection that the upstream closes (${how}) unanswered is repeated once on a fresh one [fault 20, rule R1]`, async () => {
    const origin = await startScript(async (connection) => {
      if (connection.number === 1) {
        await connection.head();
        connection.send(OK);
        await connection.head(2);
        connection[how]();
      } else {
        await connection.head();
        connection.send(OK);
      }
    });
    const proxy = await startDirect({ to: origin });
    const client = await rawClient(proxy);
    client.send(GET);
    expect((await client.answer()).status).toBe(200);
    client.send('GET /again HTTP/1.1\r\nHost: a\r\n\r\n');
    expect((await client.answer()).status).toBe(200);
    expect(origin.connections.length).toBe(2);
    expect(origin.connections[1]!.text).toContain('GET /again HTTP/1.1');
  });

  test(`a POST on a kept-alive connection that the upstream closes (${how}) unanswered is not repeated: 502 [fault 20, rule R1]`, async () => {
    const origin = await startScript(async (connection) => {
      await connection.head();
      connection.send(OK);
      await connection.head(2);
      connection[how]();
    });
    const proxy = await startDirect({ to: origin });
    const client = await rawClient(proxy);
    client.send(GET);
    await client.answer();
    client.send('POST /once HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx');
    expect((await client.answer()).status).toBe(502);
    expect(origin.text.split('POST /once').length - 1).toBe(1);
  });
}

test('an upstream that closes every connection unanswered is asked at most twice: 502 [fault 21, rule R1]', async () => {
  const origin = await startScript(async (connection) => {
    if (connection.number === 1) {
      await connection.head();
      connection.send(OK);
      await connection.head(2);
    } else await connection.head();
    connection.end();
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(GET);
  await client.answer();
  client.send('GET /again HTTP/1.1\r\nHost: a\r\n\r\n');
  expect((await client.answer()).status).toBe(502);
  expect(origin.text.split('GET /again').length - 1).toBe(2);
});

test('a fresh connection that is closed unanswered is not tried again: 502 [fault 21]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.end();
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(GET);
  expect((await client.answer()).status).toBe(502);
  expect(origin.connections.length).toBe(1);
});

test('a GET whose interim answer went out is not repeated [rule R1]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(OK);
    await connection.head(2);
    connection.send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
    await until('the hints at the client', () => client.text.includes(' 103 '));
    connection.end();
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(GET);
  await client.answer();
  client.send('GET /again HTTP/1.1\r\nHost: a\r\n\r\n');
  expect(await client.answer()).toMatchObject({ status: 502, interim: [103] });
  expect(origin.connections.length).toBe(1);
});

for (const [framing, head, pieces] of [
  ['Content-Length', 'Content-Length: 12', ['first ', 'second']],
  ['chunked', 'Transfer-Encoding: chunked', ['6\r\nfirst \r\n', '6\r\nsecond\r\n0\r\n\r\n']],
] as const) {
  test(`a PUT that is repeated in the middle of its body (${framing}) arrives once and whole [fault 20, rule R1]`, async () => {
    const origin = await startScript(async (connection) => {
      await connection.head();
      if (connection.number > 1) {
        await connection.until(({ text }) => text.includes('second'));
        connection.send(OK);
        return;
      }
      connection.send(OK);
      await connection.until(({ text }) => text.includes('first '));
      connection.end();
      // While the proxy is still connecting anew: the rest of the body.
      client.send(pieces[1]);
    });
    const proxy = await startDirect({ to: origin });
    const client = await rawClient(proxy);
    client.send(GET);
    await client.answer();
    client.send(`PUT /a HTTP/1.1\r\nHost: a\r\n${head}\r\n\r\n${pieces[0]}`);
    expect((await client.answer()).status).toBe(200);
    const [, again] = origin.connections;
    expect(again!.text).toMatch(/^PUT \/a HTTP\/1\.1\r\n/);
    expect(again!.text.slice(again!.text.indexOf('\r\n\r\n') + 4)).toBe(pieces.join(''));
  });
}

test('a PUT whose body is too large to keep is not repeated', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(OK);
    await connection.until(({ heardBytes }) => heardBytes > 200_000);
    connection.reset();
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(GET);
  await client.answer();
  client.send('PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n').send(Buffer.alloc(250_000));
  expect((await client.answer()).status).toBe(502);
  expect(origin.connections.length).toBe(1);
});

test('a connection on which the upstream spoke unasked is not used again [fault 26]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(OK);
    if (connection.number === 1) {
      await until('the answer at the client', () => client.text.endsWith('ok'));
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned');
    }
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(GET);
  expect((await client.answer()).body.toString()).toBe('ok');
  expect(await origin.connections[0]!.ended()).not.toBe('open');
  client.send(GET);
  expect((await client.answer()).body.toString()).toBe('ok');
  expect(origin.connections.length).toBe(2);
});

test('an answer appended to another in the same packet is thrown away with its connection', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(`${OK}HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned`);
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(GET + GET);
  expect((await client.answer()).body.toString()).toBe('ok');
  expect((await client.answer()).body.toString()).toBe('ok');
  expect(origin.connections.length).toBe(2);
  expect(client.rest).toBe('');
});

test('the same for an answer without a body', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(`HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned`);
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(GET + GET);
  expect((await client.answer()).status).toBe(204);
  expect((await client.answer()).status).toBe(204);
  expect(client.rest).toBe('');
});

test('a kept connection is dropped before the peer says it will close it', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 2\r\n\r\nok');
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(GET);
  const answer = await client.answer();
  expect(answer.fields.map(([name]) => name.toLowerCase())).not.toContain('keep-alive');
  expect(await origin.connections[0]!.ended(1_500)).not.toBe('open');
});

test('a large body that is sent in many pieces arrives whole over a reused connection', async () => {
  const origin = await startOrigin();
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  const body = Buffer.from(Array.from({ length: 500_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
  for (let round = 0; round < 2; round++) {
    client.send(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`);
    for (let at = 0; at < body.length; at += 50_000) await client.sendPieces([body.subarray(at, at + 50_000)]);
    expect((await client.answer()).status).toBe(200);
  }
  const hash = createHash('sha256').update(body).digest('hex');
  expect(origin.requests.map(({ sha256 }) => sha256)).toEqual([hash, hash]);
  expect(origin.connections).toBe(1);
});
