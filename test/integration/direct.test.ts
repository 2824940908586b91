import { expect, test } from 'vitest';
import { kit, metric } from '../kit/kit.ts';

const { startOrigin, startDirect, rawClient } = kit();

test('a request goes through and its answer comes back', async () => {
  const origin = await startOrigin();
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send('GET /a?b HTTP/1.1\r\nHost: example.org\r\n\r\n');
  const answer = await client.answer();
  expect(answer).toMatchObject({ status: 200, complete: true });
  expect(answer.body.toString()).toBe('ok');
  expect(origin.only).toMatchObject({ method: 'GET', url: '/a?b', complete: true });
  expect(await metric(proxy, 'windlass_requests_in_flight')).toBe(0);
});
