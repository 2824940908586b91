import { expect, test } from 'vitest';
import { valuesOf } from '../kit/answer.ts';
import { dialects, type Reply, ScriptedConnector, type ScriptedOptions, type Served } from '../kit/cranker-peer.ts';
import { kit, type ServedRouter } from '../kit/kit.ts';

const made = kit();
const { startRouter, rawClient } = made;

async function connector(router: ServedRouter, version: '1.0' | '3.0', options: ScriptedOptions): Promise<ScriptedConnector> {
  const started = await ScriptedConnector.start(router.registrationAddress.port, version, options);
  made.later(() => started.kill());
  return started;
}

const echo = ({ line, body }: Served): Reply => ({
  fields: ['x-one:1', 'set-cookie:a=1', 'set-cookie:b=2'],
  body: `${line}|${body.toString('latin1')}`,
});

test.each(
  Object.keys(dialects).flatMap((dialect) =>
    (dialect === 'asgi' ? ['3.0'] : dialect === 'jc' ? ['1.0', '3.0'] : ['1.0']).map((version) => [dialect, version as '1.0' | '3.0']),
  ),
)('requests to a connector of %s go through in protocol %s', async (dialect, version) => {
  const router = await startRouter();
  const behind = await connector(router, version as '1.0' | '3.0', {
    route: 'my-service',
    id: 'one',
    component: 'comp',
    dialect: dialect!,
    answer: echo,
  });
  const client = await rawClient(router);
  for (const body of ['', 'hello=world', 'x'.repeat(100_000)]) {
    client.send(`POST /my-service/p?q=1:2 HTTP/1.1\r\nHost: example.org\r\nX-Mine: 1\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    const answer = await client.answer();
    expect(answer).toMatchObject({ status: 200, reason: 'OK', complete: true });
    expect(valuesOf(answer.fields, 'set-cookie')).toEqual(['a=1', 'b=2']);
    expect(answer.body.toString()).toBe(`POST /my-service/p?q=1:2 HTTP/1.1|${body}`);
  }
  client.send('GET /my-service HTTP/1.1\r\nHost: example.org\r\n\r\n');
  expect((await client.answer()).body.toString()).toBe('GET /my-service HTTP/1.1|');
  expect(behind.served.at(-1)!.fields.get('host')).toBe('example.org');
  client.send('HEAD /my-service HTTP/1.1\r\nHost: example.org\r\n\r\n');
  expect((await client.answer('HEAD')).status).toBe(200);
});
