import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DemoService, startDemoService } from './demo-service.ts';

let service: DemoService;
let url: string;
beforeAll(async () => {
  service = await startDemoService();
  url = `http://127.0.0.1:${service.port}`;
});
afterAll(() => service.close());

const chat = (body: string): Promise<Response> => fetch(`${url}/v1/chat/completions`, { method: 'POST', body });

test('it says what it is, and which models it has', async () => {
  expect(await (await fetch(url)).json()).toMatchObject({ service: 'windlass demo' });
  expect(await (await fetch(`${url}/v1/models`)).json()).toMatchObject({ object: 'list', data: [{ id: 'demo' }] });
});

test('an event stream ends with the whole sentence said', async () => {
  const text = await (await fetch(`${url}/v1/stream`)).text();
  const tokens = [...text.matchAll(/^data: (\{"token.*)$/gm)].map(([, data]) => (JSON.parse(data!) as { token: string }).token);
  expect(tokens.length).toBeGreaterThan(20);
  expect(tokens.join('')).toMatch(/^A hub .* connection\.$/);
  expect(text).toMatch(/event: end\ndata: \{\}\n\n$/);
});

test('a streamed chat says the same as one that is not', async () => {
  const streamed = await chat('{"stream": true}');
  expect(streamed.headers.get('content-type')).toBe('text/event-stream');
  const text = await streamed.text();
  expect(text).toMatch(/"finish_reason":"stop"\}\]\}\n\ndata: \[DONE\]\n\n$/);
  const said = [...text.matchAll(/"delta":\{"content":("[^"]*")\}/g)].map(([, token]) => JSON.parse(token!) as string).join('');
  const whole = (await (await chat('{}')).json()) as { choices: { message: { content: string } }[] };
  expect(whole.choices[0]!.message.content).toBe(said);
});

test.each(['', 'x', '[]', '1', 'null'])('a body that is no JSON object is 400: %s', async (body) => {
  const reply = await chat(body);
  expect(reply.status).toBe(400);
  expect(await reply.json()).toMatchObject({ error: { type: 'invalid_request_error' } });
});

test('everything else is 404', async () => {
  expect((await fetch(`${url}/nothing`)).status).toBe(404);
  expect((await fetch(`${url}/v1/models`, { method: 'POST' })).status).toBe(404);
});
