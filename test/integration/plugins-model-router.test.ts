import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadGateway } from '../../src/config/gateway.ts';
import type { SettingsError } from '../../src/config/settings-error.ts';
import { type Asked, ask } from '../kit/ask.ts';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit, metric, SECRET } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startAgentFor, startOrigin, rawClient, folder } = tools;

function fileWith(settings: string, ports: Readonly<Record<string, number>>, more = ''): string {
  return `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["all"]
${more}
[locations.all]
plugins = ["router"]
[plugins.router]
category = "model_router"
${settings}
[upstreams.boxes]
agents = "models=$model"
queue_timeout = "5s"
${Object.entries(ports)
  .map(([name, port]) => `[upstreams.${name}]\naddrs = ["127.0.0.1:${port}"]\n`)
  .join('')}`;
}

interface Stage {
  readonly gateway: TestGateway;
  readonly post: (body: string, headers?: Record<string, string>) => Promise<Asked>;
}

/** Upstreams cloud and rest, and an agent that announces two models; each says its name. */
async function stage(settings: string, more = ''): Promise<Stage> {
  const [cloud, rest, box] = await Promise.all(
    ['cloud', 'rest', 'box'].map((name) =>
      startOrigin((request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => response.end(`${name} ${Buffer.concat(chunks).toString()}`));
      }),
    ),
  );
  const gateway = await startGatewayOf(tools, fileWith(settings, { cloud: cloud!.port, rest: rest!.port }, more));
  await startAgentFor({ port: gateway.port() }, box!, { labels: new Map([['models', 'llama3.1:8b qwen']]), agentId: 'box' });
  await until('the agent', async () => (await metric(gateway, 'windlass_agent_slots{state="free"}')) === 1);
  const post: Stage['post'] = (body, headers = {}) => ask(gateway.port(), { method: 'POST', path: '/v1/chat/completions', headers, body });
  return { gateway, post };
}

const ALL = 'agents = "boxes"\nmodels = { "gpt-4o" = "cloud" }';

test('a request goes to whoever has its model, its body unchanged', async () => {
  const { post } = await stage(ALL);
  for (const [body, to] of [
    ['{"model":"gpt-4o","messages":[]}', 'cloud'],
    ['{ "messages": [{"model":"gpt-4o"}], "model": "llama3.1:8b" }', 'box'],
    ['{"mod\\u0065l":"qwen"}', 'box'],
    [`{"model":"qwen","image":"${'A'.repeat(300_000)}"}`, 'box'],
  ])
    expect((await post(body!)).text).toBe(`${to!} ${body!}`);
  // As curl -d sends it.
  expect((await post('{"model":"qwen"}', { 'Content-Type': 'application/x-www-form-urlencoded' })).text).toBe('box {"model":"qwen"}');
});

test('a model that nobody has is 404 as OpenAI says it, and what names no model is 400', async () => {
  const { post, gateway } = await stage(ALL);
  const missing = await post('{"model":"gpt-\\"<9>"}');
  expect(missing.status).toBe(404);
  expect(JSON.parse(missing.text)).toEqual({
    error: {
      message: `The model 'gpt-"<9>' does not exist or you do not have access to it.`,
      type: 'invalid_request_error',
      param: null,
      code: 'model_not_found',
    },
  });
  for (const body of [
    '{"model":"a","model":"qwen"}',
    '{"model":"qwen","Model":"x"}',
    '{"model":7}',
    '{}',
    'no JSON',
    `{"x":"${'A'.repeat(70_000)}","model":"qwen"}`,
  ]) {
    const { status, text } = await post(body);
    expect(status).toBe(400);
    expect((JSON.parse(text) as { error: { type: string } }).error.type).toBe('invalid_request_error');
  }
  expect((await post('--x\r\n', { 'Content-Type': 'multipart/form-data; boundary=x' })).status).toBe(400);
  expect((await post('model=qwen', { 'Content-Type': 'application/x-www-form-urlencoded' })).status).toBe(400);
  expect((await post('{"model":"qwen"}', { 'Content-Encoding': 'gzip' })).status).toBe(400);
  for (const body of ['{"model":""}', '{"model":"a\\u0000b"}', `{"model":"${'x'.repeat(300)}"}`]) expect((await post(body)).status).toBe(404);
  // Without a body there is nothing to look into, and this location has no upstream of its own.
  expect((await ask(gateway.port(), { path: '/v1/files' })).status).toBe(404);
});

test('a default takes all the rest, but not what could be two things', async () => {
  const { post, gateway } = await stage(`${ALL}\ndefault = "rest"`);
  for (const body of ['{"model":"nobody-has-it"}', '{}', 'no JSON']) expect((await post(body)).text).toBe(`rest ${body}`);
  expect((await ask(gateway.port(), { path: '/v1/files' })).text).toBe('rest ');
  expect((await post('{"model":"a","model":"b"}')).status).toBe(400);
});

test('a body that comes in pieces is read as far as it must be', async () => {
  const { gateway } = await stage(ALL);
  const client = await rawClient({ port: gateway.port() });
  client.send('POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n');
  await client.until(() => client.text.includes('100 Continue'));
  for (const piece of ['{"mo', 'del":', '"qw', 'en"}']) client.send(`${piece.length.toString(16)}\r\n${piece}\r\n`);
  client.send('0\r\n\r\n');
  await client.until(() => client.text.includes('box {"model":"qwen"}'));
});

test('the list has the models of the file and of the agents that are here, and each of them by name', async () => {
  const { gateway } = await stage(ALL);
  const list = await ask(gateway.port(), { path: '/v1/models' });
  expect(list.headers['content-type']).toBe('application/json');
  const { object, data } = JSON.parse(list.text) as { object: string; data: { id: string; object: string }[] };
  expect([object, ...data.map(({ id }) => id)]).toEqual(['list', 'gpt-4o', 'llama3.1:8b', 'qwen']);
  expect(JSON.parse((await ask(gateway.port(), { path: '/v1/models/llama3.1%3A8b' })).text)).toMatchObject({ id: 'llama3.1:8b', object: 'model' });
  expect((await ask(gateway.port(), { path: '/v1/models/other' })).status).toBe(404);
  expect((await ask(gateway.port(), { path: '/v1/models/%zz' })).status).toBe(400);
});

test('usage is in the log and in the metrics when an answer ends, in one piece, as a stream, or cut', async () => {
  const usage = '"usage":{"prompt_tokens":10,"completion_tokens":3}';
  const event = `data: {"choices":[],${usage}}\n\n`;
  const cloud = await startOrigin((request, response) => {
    const kind = request.headers['x-kind'];
    if (kind === 'whole') {
      const body = `{"choices":[],${usage}}`;
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body);
    } else {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(`data: {"usage":null}\n\n${event.slice(0, 30)}`);
      response.write(event.slice(30), () => (kind === 'cut' ? response.destroy() : response.end('data: [DONE]\n\n')));
    }
  });
  const log = join(folder(), 'access.log');
  const more = `access_log = '${log} {"status":{status},"model":{+model},"in":{+tokens_in},"out":{+tokens_out}}'`;
  const gateway = await startGatewayOf(tools, fileWith('models = { "gpt-4o" = "cloud" }\ndefault = "cloud"', { cloud: cloud.port }, more));
  const post = (kind: string, model: string): Promise<Asked> =>
    ask(gateway.port(), { method: 'POST', path: '/v1/x', headers: { 'X-Kind': kind }, body: `{"model":"${model}"}` });
  const whole = await post('whole', 'gpt-4o');
  expect([whole.headers['content-length'], whole.complete]).toEqual([String(`{"choices":[],${usage}}`.length), true]);
  expect((await post('stream', 'gpt-4o')).text).toBe(`data: {"usage":null}\n\n${event}data: [DONE]\n\n`);
  expect((await post('cut', 'gpt-4o')).complete).toBe(false);
  await post('whole', 'made-up');
  const lines = await until('four lines', () => {
    const text = existsSync(log) ? readFileSync(log, 'latin1').trim().split('\n') : [];
    return text.length === 4 ? text : null;
  });
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { status: 200, model: 'gpt-4o', in: 10, out: 3 },
    { status: 200, model: 'gpt-4o', in: 10, out: 3 },
    { status: expect.any(Number) as number, model: 'gpt-4o', in: 10, out: 3 },
    { status: 200, model: 'made-up', in: 10, out: 3 },
  ]);
  expect(await metric(gateway, 'windlass_model_tokens_total{plugin="router",model="gpt-4o",direction="in"}')).toBe(30);
  expect(await metric(gateway, 'windlass_model_tokens_total{plugin="router",model="gpt-4o",direction="out"}')).toBe(9);
  expect(await metric(gateway, 'windlass_model_tokens_total{plugin="router",model="other",direction="in"}')).toBe(10);
});

test('a reload with other models counts on, and a second router may stand beside it', async () => {
  const cloud = await startOrigin((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"usage":{"prompt_tokens":10,"completion_tokens":3}}');
  });
  const gateway = await startGatewayOf(tools, fileWith('models = { "gpt-4o" = "cloud" }', { cloud: cloud.port }));
  const post = (model: string): Promise<Asked> => ask(gateway.port(), { method: 'POST', path: '/v1/x', body: `{"model":"${model}"}` });
  expect([(await post('gpt-4o')).status, (await post('new')).status]).toEqual([200, 404]);
  const second = '[plugins.second]\ncategory = "model_router"\ndefault = "cloud"\n';
  await gateway.change(fileWith('models = { "gpt-4o" = "cloud", "new" = "cloud" }', { cloud: cloud.port }) + second);
  expect([(await post('gpt-4o')).status, (await post('new')).status]).toEqual([200, 200]);
  expect(await metric(gateway, 'windlass_model_tokens_total{plugin="router",model="gpt-4o",direction="in"}')).toBe(20);
});

test('upstreams that do not exist are refused at load, as is a router without any', async () => {
  const file = join(folder(), 'windlass.toml');
  for (const [settings, said] of [
    ['models = { a = "clout" }', 'plugins.router.models "clout" is no upstream; did you mean cloud?'],
    ['agents = "box"', 'is no upstream'],
    ['list_path = "v1"', 'list_path "v1" is not of the right form'],
  ] as const) {
    writeFileSync(file, fileWith(settings, { cloud: 1 }));
    const error = (await loadGateway(file, {}).catch((problem: unknown) => problem)) as SettingsError;
    expect(error.lines.join('\n')).toContain(said);
  }
  await expect(startGatewayOf(tools, fileWith('', { cloud: 1 }))).rejects.toThrow('names no upstream');
});

test('the example of its page runs', async () => {
  const page = readFileSync(new URL('../../docs/plugins/model-router.md', import.meta.url), 'utf8');
  const where = folder();
  writeFileSync(join(where, 'secret'), SECRET);
  const example = /```toml\n([^]*?)```/
    .exec(page)![1]!
    .replace('0.0.0.0:8080', '127.0.0.1:0')
    .replace('/etc/windlass/secret', join(where, 'secret'))
    .replace('/var/log/windlass', where);
  const gateway = await startGatewayOf(tools, example);
  expect(gateway.warnings).toEqual([]);
  expect((await ask(gateway.port(), { path: '/v1/models' })).status).toBe(200);
});
