import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, test } from 'vitest';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { kit, metric, metricBecomes } from '../kit/kit.ts';
import type { OriginConnection } from '../kit/scripted-origin.ts';
import { until } from '../kit/until.ts';

const { startOrigin, startScript, startDirect, rawClient, accessLog, later } = kit();

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** What becomes of one GET when the upstream does as `script` says. */
async function ask(script: (connection: OriginConnection) => Promise<void> | void, request = GET, settings: object = {}) {
  const origin = await startScript(async (connection) => {
    await connection.head();
    await script(connection);
  });
  const log = accessLog();
  const proxy = await startDirect({ to: origin, accessLog: log.target, ...settings });
  const client = await rawClient(proxy);
  client.send(request);
  const answer = await client.answer(request.slice(0, request.indexOf(' ')));
  await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
  return { origin, proxy, client, answer, line: async () => (await log.lines(1))[0]! };
}

describe('a head that is not HTTP is 502, and its connection is not used again [fault 26]', () => {
  test.each([
    ['garbage', 'garbage\r\n\r\n'],
    ['HTTP/0.9', '<html>hello</html>'],
    ['a mail server', '220 mail.example ESMTP\r\n'],
    ['HTTP/2', 'HTTP/2.0 200 OK\r\n\r\n'],
    ['HTTP/2 frames', '\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80\x00\x04\x00'],
    ['lower case', 'http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['status 99', 'HTTP/1.1 99 Low\r\nContent-Length: 2\r\n\r\nok'],
    ['status 099', 'HTTP/1.1 099 Low\r\nContent-Length: 2\r\n\r\nok'],
    ['status 000', 'HTTP/1.1 000 Zero\r\nContent-Length: 2\r\n\r\nok'],
    ['status 1000', 'HTTP/1.1 1000 High\r\nContent-Length: 2\r\n\r\nok'],
    ['a status that is a word', 'HTTP/1.1 OK OK\r\nContent-Length: 2\r\n\r\nok'],
    ['a negative status', 'HTTP/1.1 -20 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['no status', 'HTTP/1.1\r\nContent-Length: 2\r\n\r\nok'],
    ['Content-Length and Transfer-Encoding', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
    ['two unequal Content-Lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!'],
    ['two equal Content-Lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok'],
    ['a signed Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok'],
    ['a list of Content-Lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok'],
    ['an unknown transfer coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
    ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
    ['NUL in a value', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok'],
    ['a bare CR with an injected field', 'HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok'],
    ['a bare LF with an injected field', 'HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok'],
    ['NUL in the reason', 'HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nok'],
    ['a folded field', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok'],
    ['a space before a colon', 'HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok'],
    ['a field without a colon', 'HTTP/1.1 200 OK\r\nX\r\nContent-Length: 2\r\n\r\nok'],
    ['only LFs', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'],
    ['a head of 1 MiB', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1024 * 1024)}\r\nContent-Length: 2\r\n\r\nok`],
    ['a reason of 1 MiB', `HTTP/1.1 200 ${'x'.repeat(1024 * 1024)}\r\nContent-Length: 2\r\n\r\nok`],
    ['2,000 fields', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(2000)}Content-Length: 2\r\n\r\nok`],
    ['500 x 100', `${'HTTP/1.1 100 Continue\r\n\r\n'.repeat(500)}${OK}`],
    ['101 x 103', `${'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(101)}${OK}`],
  ])('%s', async (_, bytes) => {
    const { answer, origin, client } = await ask((connection) => void connection.send(bytes));
    expect(answer.status).toBe(502);
    expect(answer.complete).toBe(true);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ status: 502, code: 'bad_response' });
    expect(client.text).not.toContain('Set-Cookie');
    expect(await origin.connections[0]!.ended()).not.toBe('open');
  });
});

describe('an upstream that goes before the head of its answer is 502 [fault 21]', () => {
  test.each([
    ['closes', (connection: OriginConnection) => connection.end(), 'upstream_closed'],
    ['resets', (connection: OriginConnection) => connection.reset(), 'upstream_reset'],
    ['closes inside the status line', (connection: OriginConnection) => connection.send('HTTP/1.1 20').end(), 'upstream_closed'],
    ['closes inside a field', (connection: OriginConnection) => connection.send('HTTP/1.1 200 OK\r\nContent-Le').end(), 'upstream_closed'],
    [
      'closes before the blank line',
      (connection: OriginConnection) => connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n').end(),
      'upstream_closed',
    ],
    [
      'closes behind an interim answer',
      (connection: OriginConnection) => connection.send('HTTP/1.1 103 Early Hints\r\n\r\n').end(),
      'upstream_closed',
    ],
  ])('%s', async (_, script, code) => {
    const { answer, line, origin } = await ask(script);
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body.toString()).code).toBe(code);
    expect(await line()).toContain(` failure=${code} `);
    expect(origin.connections.length).toBe(1);
  });

  test('a POST is not repeated', async () => {
    const { answer, origin } = await ask((connection) => connection.reset(), 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx');
    expect(answer.status).toBe(502);
    expect(origin.connections.length).toBe(1);
  });
});

test('an upstream that refuses connections is 502 at once, with the reason [fault 3, rule R4]', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const proxy = await startDirect({ to: { port } });
  const client = await rawClient(proxy);
  client.send(`${GET}POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc${GET}`);
  for (let i = 0; i < 3; i++) {
    const answer = await client.answer();
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'connect_refused' });
    expect(answer.fields.find(([name]) => name === 'Proxy-Status')![1]).toContain('connection_refused');
    expect(answer.body.toString()).not.toMatch(/at .*\.ts|node_modules|Error:/);
  }
});

test('an upstream whose name does not resolve is 502', async () => {
  const proxy = await startDirect({ to: [parseUpstreamUrl('no-such-host.invalid:80')] });
  const client = await rawClient(proxy);
  client.send(GET);
  const answer = await client.answer();
  expect(answer.status).toBe(502);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'name_not_found' });
});

test('connecting that takes too long is 504 [fault 17]', async () => {
  // A process that is stopped, and whose backlog is full: the kernel drops handshakes.
  const child = spawn(process.execPath, ['-e', LISTENS], { stdio: ['ignore', 'pipe', 'inherit'] });
  later(() => child.kill('SIGKILL'));
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  child.kill('SIGSTOP');
  const port = Number(said.toString());
  for (let i = 0; i < 8; i++) {
    const filler = net.connect(port, '127.0.0.1');
    filler.on('error', () => {});
    later(() => filler.destroy());
  }
  const proxy = await startDirect({ to: { port }, connectTimeoutMs: 300 });
  const client = await rawClient(proxy);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx');
  const answer = await client.answer();
  expect(answer.status).toBe(504);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'connect_timeout' });
});

const LISTENS =
  "require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () { console.log(this.address().port); });";

const BODY = 'x'.repeat(100_000);

describe('an answer that breaks off is cut, never ended cleanly, and its log line says so [fault 22, rule R2]', () => {
  const framings = {
    'Content-Length': `HTTP/1.1 200 OK\r\nContent-Length: ${2 * BODY.length}\r\n\r\n${BODY}`,
    chunked: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${BODY.length.toString(16)}\r\n${BODY}\r\n`,
    'a piece of a chunk': `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${(2 * BODY.length).toString(16)}\r\n${BODY}`,
    'close-delimited': `HTTP/1.1 200 OK\r\n\r\n${BODY}`,
  };
  const ends: [keyof typeof framings, 'end' | 'reset', string][] = [
    ['Content-Length', 'end', 'upstream_closed'],
    ['Content-Length', 'reset', 'upstream_reset'],
    ['chunked', 'end', 'upstream_closed'],
    ['chunked', 'reset', 'upstream_reset'],
    ['a piece of a chunk', 'end', 'upstream_closed'],
    ['close-delimited', 'reset', 'upstream_reset'],
  ];
  for (const [framing, how, code] of ends) {
    for (const version of ['1.1', '1.0']) {
      test(`${framing}, upstream: ${how}, client: HTTP/${version}`, async () => {
        let ready: () => void;
        const taken = new Promise<void>((resolve) => (ready = resolve));
        const origin = await startScript(async (connection) => {
          await connection.head();
          connection.send(framings[framing]);
          await taken;
          connection[how]();
        });
        const log = accessLog();
        const proxy = await startDirect({ to: origin, accessLog: log.target });
        const client = await rawClient(proxy);
        client.send(`GET / HTTP/${version}\r\nHost: a\r\n\r\n`);
        await client.until(({ heardBytes }) => heardBytes > BODY.length);
        ready!();
        const answer = await client.answer();
        expect(answer.status).toBe(200);
        expect(answer.complete).toBe(false);
        const [line] = await log.lines(1);
        expect(line).toMatch(new RegExp(` out=${BODY.length} .* failure=${code} `));
      });
    }
  }

  test('a chunk that is none', async () => {
    const { answer, line } = await ask(
      (connection) => void connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n'),
    );
    expect(answer).toMatchObject({ status: 200, complete: false });
    expect(await line()).toContain(' failure=bad_response ');
  });

  test('a close-delimited answer that ends in order is complete', async () => {
    for (const version of ['1.1', '1.0']) {
      const { answer } = await ask(
        (connection) => connection.send(`HTTP/1.0 200 OK\r\n\r\n${BODY}`).end(),
        `GET / HTTP/${version}\r\nHost: a\r\n\r\n`,
      );
      expect(answer).toMatchObject({ status: 200, complete: true, framing: version === '1.1' ? 'chunked' : 'close' });
      expect(answer.body.length).toBe(BODY.length);
    }
  });

  test('an answer cut at every byte is never taken for complete', async () => {
    const whole = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n3;x=y\r\nefg\r\n0\r\nX: y\r\n\r\n';
    let cut = 0;
    const origin = await startScript(async (connection) => {
      await connection.head();
      connection.send(whole.slice(0, cut)).end();
    });
    const proxy = await startDirect({ to: origin });
    for (cut = 1; cut <= whole.length; cut++) {
      const client = await rawClient(proxy);
      client.send(GET);
      const answer = await client.answer();
      if (cut === whole.length) expect(answer).toMatchObject({ status: 200, complete: true, trailers: [['X', 'y']] });
      else if (answer.status === 200) expect(answer.complete).toBe(false);
      else expect(answer).toMatchObject({ status: 502, complete: true });
      client.socket.destroy();
    }
  });
});

test('an answer that arrives byte by byte is the same answer', async () => {
  const whole =
    'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 Fine\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n3;x=y\r\nefg\r\n0\r\nX: y\r\n\r\n';
  const origin = await startScript(async (connection) => {
    await connection.head();
    await connection.sendPieces(whole.split(''));
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(GET);
  const answer = await client.answer();
  expect(answer).toMatchObject({ status: 200, reason: 'Fine', complete: true, interim: [103], trailers: [['X', 'y']] });
  expect(answer.body.toString()).toBe('abcdefg');
});

test('an upstream that does not answer is 504, and hears that it is over [fault 23, threat 49]', async () => {
  const { answer, origin, line } = await ask(() => {}, GET, { firstByteTimeoutMs: 200 });
  expect(answer.status).toBe(504);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'first_byte_timeout' });
  expect(await line()).toContain(' failure=first_byte_timeout ');
  expect(await origin.connections[0]!.ended()).not.toBe('open');
});

test('an upstream whose head trickles in for ever is 504 [threat 49]', async () => {
  const { answer, origin } = await ask(
    async (connection) => {
      connection.send('HTTP/1.1 200 OK\r\nX: ');
      while (connection.ending === 'open') {
        connection.send('x');
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    GET,
    { firstByteTimeoutMs: 300 },
  );
  expect(answer.status).toBe(504);
  expect(origin.troubles).toEqual([]);
});

test('an answer that stalls is cut [fault 24]', async () => {
  for (const head of ['Content-Length: 5', 'Transfer-Encoding: chunked', 'X: close-delimited']) {
    const { answer, line, origin } = await ask(
      (connection) => void connection.send(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${head.startsWith('T') ? '2\r\nok\r\n' : 'ok'}`),
      GET,
      { idleTimeoutMs: 200 },
    );
    expect(answer).toMatchObject({ status: 200, complete: false });
    expect(await line()).toContain(' failure=upstream_stalled ');
    expect(await origin.connections[0]!.ended()).not.toBe('open');
  }
});

describe('interim answers', () => {
  test('103 is passed on before the answer, without framing of its own', async () => {
    const { answer, client } = await ask(
      (connection) => void connection.send(`HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nContent-Length: 99\r\n\r\n${OK}`),
    );
    expect(answer).toMatchObject({ status: 200, interim: [103], complete: true });
    expect(answer.body.toString()).toBe('ok');
    const hints = client.text.slice(0, client.text.indexOf('\r\n\r\n'));
    expect(hints).toContain('\r\nLink: </style.css>; rel=preload');
    expect(hints).not.toMatch(/content-length/i);
  });

  test('100 that nobody asked for goes no further, and a hundred of them are borne', async () => {
    const { answer } = await ask((connection) => void connection.send('HTTP/1.1 100 Continue\r\n\r\n'.repeat(100) + OK));
    expect(answer).toMatchObject({ status: 200, interim: [] });
  });

  test('clients of HTTP/1.0 hear none', async () => {
    const { answer } = await ask(
      (connection) => void connection.send(`HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${OK}`),
      'GET / HTTP/1.0\r\nHost: a\r\n\r\n',
    );
    expect(answer).toMatchObject({ status: 200, interim: [] });
  });
});

describe('answers without a body', () => {
  test('to HEAD: the length that a GET would have had is told, and nothing follows', async () => {
    const { answer, client, origin } = await ask(
      (connection) => void connection.send('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n'),
      'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
    );
    expect(answer).toMatchObject({ status: 200, complete: true, framing: 'none' });
    expect(answer.fields).toContainEqual(['Content-Length', '1000']);
    client.send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
    await origin.connections[0]!.head(2);
    origin.connections[0]!.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    expect((await client.answer('HEAD')).status).toBe(200);
    expect(client.rest).toBe('');
    expect(origin.connections.length).toBe(1);
  });

  test('to HEAD from an upstream that sends one all the same: it is dropped with its connection', async () => {
    const { answer, client, origin } = await ask((connection) => void connection.send(OK), 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(answer.status).toBe(200);
    client.send(GET);
    expect((await client.answer()).body.toString()).toBe('ok');
    expect(origin.connections.length).toBe(2);
  });

  for (const status of [204, 304]) {
    for (const [what, fields] of [
      ['Content-Length: 5', 'Content-Length: 5\r\n'],
      ['Content-Length: 0', 'Content-Length: 0\r\n'],
      ['chunked', 'Transfer-Encoding: chunked\r\n'],
      ['nothing', ''],
    ]) {
      test(`${status} with ${what} ends with its head`, async () => {
        const { answer, client, origin } = await ask(async (connection) => {
          connection.send(`HTTP/1.1 ${status} Nothing\r\nETag: "x"\r\n${fields}\r\n`);
          await connection.head(2);
          connection.send(OK);
        });
        expect(answer).toMatchObject({ status, framing: 'none' });
        expect(answer.fields.map(([name]) => name.toLowerCase())).not.toContain('transfer-encoding');
        if (status === 204) expect(answer.fields.map(([name]) => name.toLowerCase())).not.toContain('content-length');
        client.send(GET);
        expect((await client.answer()).body.toString()).toBe('ok');
        expect(origin.connections.length).toBe(1);
      });
    }
  }

  test('of length 0 keep the connection', async () => {
    const { answer, client } = await ask(async (connection) => {
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      await connection.head(2);
      connection.send(OK);
    });
    expect(answer).toMatchObject({ status: 200, framing: 'length', complete: true });
    client.send(GET);
    expect((await client.answer()).body.toString()).toBe('ok');
  });
});

test("fields about the connection stay on it: none of the upstream's reach the client", async () => {
  const { answer } = await ask(
    (connection) =>
      void connection.send(
        'HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nTE: x\r\nProxy-Authenticate: x\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok',
      ),
  );
  expect(answer.fields).toEqual([
    ['X-Kept', '1'],
    ['Content-Length', '2'],
  ]);
});

test('an upstream that says Connection: close is not asked again on that connection', async () => {
  const { client, origin } = await ask((connection) => void connection.send(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok`));
  client.send(GET);
  expect((await client.answer()).status).toBe(200);
  expect(origin.connections.length).toBe(2);
});

test('an answer longer than its length is cut at it', async () => {
  const { answer, client } = await ask((connection) => void connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more'));
  expect(answer.body.toString()).toBe('ok');
  client.send(GET);
  expect((await client.answer()).body.toString()).toBe('ok');
});

describe('an upstream that answers before it has the whole request [fault 25, threat 9]', () => {
  test('with a small rest: the answer is passed on, the rest is thrown away, the connection is kept', async () => {
    const origin = await startScript(async (connection) => {
      for (let n = 1; ; n++) {
        await connection.head(n);
        connection.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
      }
    });
    const proxy = await startDirect({ to: origin });
    const client = await rawClient(proxy);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\na');
    expect((await client.answer()).status).toBe(403);
    client.send('GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'.padEnd(99));
    client.send(GET);
    expect((await client.answer()).status).toBe(403);
    expect(client.rest).toBe('');
    expect(origin.text).not.toContain('GET /smuggled HTTP/1.1\r\nHost: a\r\nX-Forwarded');
    expect(origin.text.split('GET / HTTP/1.1').length - 1).toBe(1);
  });

  test('with a rest of unknown size: the answer says that the connection closes, so that no client sends its next request into its end', async () => {
    const origin = await startScript(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    });
    const proxy = await startDirect({ to: origin });
    const client = await rawClient(proxy);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n');
    const answer = await client.answer();
    expect(answer.status).toBe(403);
    expect(answer.fields).toContainEqual(['Connection', 'close']);
    client.send('23\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\nX: y\r\n\r\n').send(GET);
    expect(await client.ended()).toBe('fin');
    expect(client.rest).toBe('');
    expect(origin.text).not.toContain('GET /smuggled HTTP/1.1\r\nHost: a\r\nX-Forwarded');
  });

  test('with a large rest: the answer is passed on, and the connection closes', async () => {
    const origin = await startScript(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno');
    });
    const proxy = await startDirect({ to: origin });
    for (const framing of ['Content-Length: 10000000', 'Transfer-Encoding: chunked']) {
      const client = await rawClient(proxy);
      client.send(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`);
      const piece = framing.startsWith('C') ? 'x'.repeat(50_000) : `c350\r\n${'x'.repeat(50_000)}\r\n`;
      const pump = () => {
        while (client.ending === 'open' && client.socket.writable) if (!client.socket.write(piece)) break;
      };
      client.socket.on('drain', pump);
      pump();
      expect((await client.answer()).status).toBe(413);
      await client.ended();
      expect(client.rest).toBe('');
      client.socket.destroy();
    }
    await metricBecomes(proxy, 'windlass_connections', (value) => value === 0);
  });

  test('a rest that does not come in time closes the connection', async () => {
    const origin = await startScript(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    });
    const proxy = await startDirect({ to: origin, limits: { drainTimeoutMs: 200 } });
    const client = await rawClient(proxy);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\na');
    expect((await client.answer()).status).toBe(403);
    expect(await client.ended(2_000)).toBe('fin');
  });

  test('an echo of any size comes back whole: both directions at once', async () => {
    const origin = await startOrigin((request, response) => void request.pipe(response));
    const proxy = await startDirect({ to: origin });
    const client = await rawClient(proxy);
    const body = Buffer.from(Array.from({ length: 6_000_000 }, (_, i) => (i ^ (i >> 8)) & 0xff));
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`).send(body);
    await client.until(({ heardBytes }) => heardBytes > body.length);
    const answer = await client.answer();
    expect(answer.complete).toBe(true);
    expect(answer.body.equals(body)).toBe(true);
  });
});

test('several addresses share the requests in turn', async () => {
  const origins = [await startOrigin(), await startOrigin()];
  const proxy = await startDirect({ to: origins.map(({ port }) => parseUpstreamUrl(`127.0.0.1:${port}`)) });
  const client = await rawClient(proxy);
  for (let i = 0; i < 10; i++) {
    client.send(GET);
    await client.answer();
  }
  expect(origins.map(({ requests }) => requests.length)).toEqual([5, 5]);
});

test("an upstream's path is a prefix, and its user info is Basic auth unless the client brings its own", async () => {
  const origin = await startOrigin();
  const proxy = await startDirect({ to: [parseUpstreamUrl(`http://user:pass@127.0.0.1:${origin.port}/base/`)], hostHeader: 'upstream' });
  const client = await rawClient(proxy);
  client.send(
    'GET /x?y HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
  );
  for (let i = 0; i < 3; i++) await client.answer();
  expect(origin.requests.map(({ url }) => url)).toEqual(['/base/x?y', '/base/x', '*']);
  expect(origin.requests[0]!.headers).toMatchObject({
    host: `127.0.0.1:${origin.port}`,
    authorization: `Basic ${Buffer.from('user:pass').toString('base64')}`,
    'x-forwarded-host': 'a',
  });
  expect(origin.requests[1]!.headers.authorization).toBe('Bearer t');
});

test('a hundred answers that break off at random places leave nothing behind', async () => {
  const origin = await startOrigin((_request, response) => {
    response.write('x'.repeat(50_000));
    setTimeout(() => response.socket?.resetAndDestroy(), Math.random() * 5);
  });
  const proxy = await startDirect({ to: origin });
  await Promise.all(
    Array.from({ length: 100 }, async () => {
      const client = await rawClient(proxy);
      client.send(GET);
      const answer = await client.answer().catch(() => null);
      expect(answer?.status === 200 && answer.complete).not.toBe(true);
    }),
  );
  await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
  await metricBecomes(proxy, 'windlass_connections', (value) => value === 0);
  expect(await metric(proxy, 'windlass_buffered_bytes')).toBe(0);
  await until('all upstream connections to be gone', () => origin.open === 0);
});
