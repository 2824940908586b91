import { expect, test } from 'vitest';
import { parseTraceparent } from '../../src/observe/trace.ts';
import { parseOtlpEndpoint } from '../../src/schema/otlp-endpoint.ts';
import { ask } from '../kit/ask.ts';
import { type Collector, type SeenSpan, startCollector } from '../kit/collector.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { Library } from '../kit/library.ts';
import { kit, metricBecomes, portOf } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const on = kit();

const ID = '0af7651916cd43dd8448eb211c80319c';
const CALLER = 'b7ad6b7169203331';

function traces(collector: Collector, sample: number, service = 'hub') {
  return { endpoint: parseOtlpEndpoint(`${collector.url}?scheduled_delay=5ms`), service, sample };
}

function isWithin(inner: SeenSpan, outer: SeenSpan): boolean {
  return inner.startNanos >= outer.startNanos && inner.endNanos <= outer.endNanos;
}

test('a trace goes on through hub, tunnel and agent to the service, and each of them says what it did', async () => {
  const [ours, theirs] = [await startCollector(on), await startCollector(on)];
  const origin = await on.startOrigin();
  const hub = await on.startHubWith({ traces: traces(ours, 0) });
  await on.startAgentFor(hub, origin, { agentId: 'gpu-1', traces: traces(theirs, 0, 'agent') });
  const answer = await ask(portOf(hub), {
    path: '/v1/models?token=geheim&page=2',
    headers: { traceparent: `00-${ID}-${CALLER}-01`, tracestate: 'congo=t61rcWkgMzE', 'x-request-id': 'r-1', 'user-agent': 'test/1' },
  });
  expect(answer.status).toBe(200);
  await ours.seen(2);
  await theirs.seen(3);

  const whole = ours.named('GET');
  const sent = ours.named('GET agent');
  const agent = theirs.spans.find(({ kind }) => kind === 2)!;
  const upstream = theirs.spans.find(({ kind }) => kind === 3)!;
  for (const span of [whole, sent, agent, upstream]) expect(span).toMatchObject({ traceId: ID, traceState: 'congo=t61rcWkgMzE', error: null });
  expect([whole.parentSpanId, sent.parentSpanId, agent.parentSpanId, upstream.parentSpanId]).toStrictEqual([
    CALLER,
    whole.spanId,
    sent.spanId,
    agent.spanId,
  ]);
  const { headers } = origin.requests[0]!;
  expect(parseTraceparent(String(headers['traceparent']))).toStrictEqual({ traceId: ID, parentId: upstream.spanId, flags: 1 });
  expect(headers['tracestate']).toBe('congo=t61rcWkgMzE');
  expect(theirs.named('connect').parentSpanId).toBe(upstream.spanId);
  expect(isWithin(sent, whole) && isWithin(upstream, agent)).toBe(true);
  expect(whole.attributes).toMatchObject({
    'http.request.method': 'GET',
    'http.response.status_code': 200,
    'url.scheme': 'http',
    'url.path': '/v1/models',
    'url.query': 'token=***&page=2',
    'server.address': '127.0.0.1',
    'server.port': portOf(hub),
    'client.address': '127.0.0.1',
    'network.protocol.version': '1.1',
    'user_agent.original': 'test/1',
    'http.request.header.x-request-id': ['r-1'],
    'windlass.agent': 'gpu-1',
  });
  expect(agent.attributes).toMatchObject({ 'windlass.agent': 'gpu-1', 'http.request.header.x-request-id': ['r-1'] });
  expect(upstream.attributes).toMatchObject({ 'server.address': '127.0.0.1', 'server.port': origin.port, 'http.response.status_code': 200 });
  expect([whole.service, agent.service]).toStrictEqual(['hub', 'agent']);
});

test('an agent that sends no spans tells its times, and the hub makes spans of them', async () => {
  const collector = await startCollector(on);
  const origin = await on.startOrigin();
  const hub = await on.startHubWith({ traces: traces(collector, 1) });
  await on.startAgentFor(hub, origin);
  await ask(portOf(hub));
  await collector.seen(5);
  const sent = collector.named('GET agent');
  const agent = collector.named('agent');
  expect(collector.named('upstream').parentSpanId).toBe(agent.spanId);
  expect(collector.named('connect').parentSpanId).toBe(agent.spanId);
  expect(agent.parentSpanId).toBe(sent.spanId);
  expect(isWithin(agent, sent)).toBe(true);
  expect(collector.named('GET').parentSpanId).toBe('');
  // The service is told of the span of the hub, since there is none of the agent.
  expect(parseTraceparent(String(origin.requests[0]!.headers['traceparent']))).toMatchObject({ traceId: sent.traceId, parentId: sent.spanId });
});

test('what is not recorded goes on byte for byte as it came, also what is no trace', async () => {
  const collector = await startCollector(on);
  const origin = await on.startOrigin();
  const hub = await on.startHubWith({ traces: traces(collector, 0) });
  await on.startAgentFor(hub, origin, { traces: traces(collector, 0) });
  const sent = [{ traceparent: `00-${ID}-${CALLER}-00`, tracestate: 'a=1' }, { traceparent: 'rubbish', tracestate: 'b=2' }, {}];
  for (const headers of sent) await ask(portOf(hub), { headers });
  expect(origin.requests.map(({ headers: { traceparent, tracestate } }) => ({ traceparent, tracestate }))).toStrictEqual(
    sent.map((one) => ({ traceparent: undefined, tracestate: undefined, ...one })),
  );
  // One that is recorded, so that there is something to wait for.
  await ask(portOf(hub), { headers: { traceparent: `00-${ID}-${CALLER}-01` } });
  await collector.seen(4);
  expect(new Set(collector.spans.map(({ traceId }) => traceId))).toStrictEqual(new Set([ID]));
});

test('two traceparents are none: a new trace begins, and the state of the old ones ends', async () => {
  const collector = await startCollector(on);
  const origin = await on.startOrigin();
  const hub = await on.startHubWith({ traces: traces(collector, 1) });
  await on.startAgentFor(hub, origin);
  const client = await on.rawClient(hub);
  client.send(`GET / HTTP/1.1\r\nHost: a\r\nTraceparent: 00-${ID}-${CALLER}-01\r\nTraceparent: 00-${ID}-${CALLER}-01\r\nTracestate: a=1\r\n\r\n`);
  await client.until((self) => self.text.includes('HTTP/1.1 200'), 'the answer');
  await collector.seen(2);
  const whole = collector.named('GET');
  expect(whole.traceId).not.toBe(ID);
  expect(origin.requests[0]!.headers['tracestate']).toBeUndefined();
  expect(parseTraceparent(String(origin.requests[0]!.headers['traceparent']))!.traceId).toBe(whole.traceId);
});

test('the wait for a slot is a span, and a request that nobody takes has an error', async () => {
  const collector = await startCollector(on);
  let release!: () => void;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const origin = await on.startOrigin((request, response) => {
    const free = request.url === '/first' ? held : Promise.resolve();
    void free.then(() => response.end('ok'));
  });
  const hub = await on.startHubWith({ traces: traces(collector, 0), queueTimeoutMs: 5_000, queueSize: 1 });
  await on.startAgentFor(hub, origin, { slots: 1 });
  const recorded = { traceparent: `00-${ID}-${CALLER}-01` };
  const first = ask(portOf(hub), { path: '/first' });
  await until('the first is there', () => origin.requests.length === 1);
  const second = ask(portOf(hub), { path: '/second', headers: recorded });
  await metricBecomes(hub, 'windlass_queue_size', (size) => size === 1);
  expect((await ask(portOf(hub), { path: '/third', headers: recorded })).status).toBe(503);
  release();
  await Promise.all([first, second]);
  await collector.seen(4);
  const whole = collector.spans.find(({ kind, attributes }) => kind === 2 && attributes['url.path'] === '/second')!;
  const queue = collector.named('queue');
  expect(queue.parentSpanId).toBe(whole.spanId);
  expect(isWithin(queue, whole)).toBe(true);
  const refused = collector.spans.find(({ attributes }) => attributes['url.path'] === '/third')!;
  expect(refused).toMatchObject({ error: 'queue_full', attributes: { 'error.type': 'queue_full', 'http.response.status_code': 503 } });
});

test('the wait for a plugin that asks elsewhere is a span, and says which; what waits for none has none', async () => {
  const collector = await startCollector(on);
  const auth = await on.startOrigin();
  const origin = await on.startOrigin();
  const gateway = await startGatewayOf(
    on,
    `[basic]
admin_addr = "127.0.0.1:0"
otlp_endpoint = "${collector.url}?scheduled_delay=5ms"
[servers.main]
addr = "127.0.0.1:0"
locations = ["asks", "all"]
[locations.asks]
path = "/asks"
plugins = ["mark", "door"]
upstream = "one"
[locations.all]
plugins = ["mark"]
upstream = "one"
[plugins.mark]
category = "request_id"
[plugins.door]
category = "forward_auth"
auth_url = "http://127.0.0.1:${auth.port}/"
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
`,
  );
  await ask(gateway.port(), { path: '/asks' });
  await ask(gateway.port(), { path: '/all' });
  await until('both', () => collector.spans.filter(({ kind }) => kind === 2).length === 2);
  const whole = collector.named('GET asks');
  const plugins = collector.named('plugins');
  expect(plugins).toMatchObject({ parentSpanId: whole.spanId, kind: 1, error: null, attributes: { 'windlass.plugins': ['door'] } });
  expect(isWithin(plugins, whole)).toBe(true);
  const sent = collector.spans.find(({ kind, parentSpanId }) => kind === 3 && parentSpanId === whole.spanId)!;
  expect(plugins.endNanos).toBeLessThanOrEqual(sent.startNanos);
});

test('windlass proxy makes spans as well, and asks for none of a service that makes its own', async () => {
  const collector = await startCollector(on);
  const origin = await on.startOrigin();
  const proxy = await on.startDirect({ to: origin, traces: traces(collector, 0, 'door') });
  await ask(portOf(proxy), { path: '/unseen' });
  await ask(portOf(proxy), { path: '/seen', headers: { traceparent: `00-${ID}-${CALLER}-01` } });
  await collector.seen(2);
  const whole = collector.spans.find(({ kind }) => kind === 2)!;
  const sent = collector.spans.find(({ kind }) => kind === 3)!;
  expect(whole).toMatchObject({ traceId: ID, parentSpanId: CALLER, service: 'door', attributes: { 'url.path': '/seen' } });
  expect(sent).toMatchObject({ parentSpanId: whole.spanId, attributes: { 'server.port': origin.port } });
  expect(origin.requests[0]!.headers['traceparent']).toBeUndefined();
  expect(parseTraceparent(String(origin.requests[1]!.headers['traceparent']))).toMatchObject({ traceId: ID, parentId: sent.spanId });
});

test('a hub of the library sends spans where it is told to, its agents tell it theirs, and the handler sees the trace', async () => {
  const collector = await startCollector(on);
  const library = new Library(on);
  const hub = await library.hub({ traces: { endpoint: `${collector.url}?scheduled_delay=5ms`, service: 'inside' } });
  let seen: string | null = null;
  await library.serve(hub, (request: Request) => {
    seen = request.headers.get('traceparent');
    return new Response('ok');
  });
  await ask(hub.address!.port);
  await collector.seen(5);
  const sent = collector.named('GET agent');
  expect(collector.named('agent').parentSpanId).toBe(sent.spanId);
  expect(collector.named('GET').service).toBe('inside');
  expect(parseTraceparent(seen!)).toMatchObject({ traceId: sent.traceId, parentId: sent.spanId });
});

test('a server of a gateway may have a collector of its own, as files of Pingap say', async () => {
  const [all, own] = [await startCollector(on), await startCollector(on)];
  const origin = await on.startOrigin();
  const gateway = await startGatewayOf(
    on,
    `[basic]
admin_addr = "127.0.0.1:0"
otlp_endpoint = "${all.url}?scheduled_delay=5ms"
otlp_service = "edge"
trace_sample = 1
[servers.shop]
addr = "127.0.0.1:0"
locations = ["all"]
[servers.inside]
addr = "127.0.0.1:0"
locations = ["all"]
otlp_exporter = "${own.url}?timeout=3s&max_queue_size=2048&scheduled_delay=5ms&max_export_batch_size=512"
[locations.all]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
`,
  );
  await ask(gateway.port('shop'), { path: '/shop' });
  await ask(gateway.port('inside'), { path: '/inside' });
  await all.seen(2);
  await own.seen(2);
  const span = all.named('GET all');
  expect(span).toMatchObject({
    service: 'edge',
    attributes: { 'windlass.server': 'shop', 'windlass.location': 'all', 'windlass.upstream': 'one', 'url.path': '/shop' },
  });
  expect(all.spans.find(({ kind }) => kind === 3)).toMatchObject({ parentSpanId: span.spanId, attributes: { 'server.port': origin.port } });
  expect(own.named('GET all').attributes['windlass.server']).toBe('inside');
});

test('the log names the trace that a request was given', async () => {
  const collector = await startCollector(on);
  const origin = await on.startOrigin();
  const log = on.accessLog();
  const gateway = await startGatewayOf(
    on,
    `[basic]
admin_addr = "127.0.0.1:0"
otlp_endpoint = "${collector.url}?scheduled_delay=5ms"
[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
access_log = "${log.target.path} {trace}"
[locations.all]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
`,
  );
  await ask(gateway.port());
  await collector.seen(2);
  expect(await log.lines(1)).toStrictEqual([collector.named('GET all').traceId]);
});

test('the environment of OpenTelemetry counts where the file says nothing, and what cannot be used of it turns traces off with a line', async () => {
  const collector = await startCollector(on);
  const origin = await on.startOrigin();
  const file = (more: string): string => `[basic]
admin_addr = "127.0.0.1:0"
auto_restart_check_interval = "0s"
${more}
[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
`;
  const before = { ...process.env };
  on.later(() => {
    for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) delete process.env[name];
    Object.assign(process.env, before);
  });
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = `${collector.url}?scheduled_delay=5ms`;
  process.env['OTEL_SERVICE_NAME'] = 'from-outside';
  process.env['OTEL_EXPORTER_OTLP_HEADERS'] = 'x-key=abc';
  const gateway = await startGatewayOf(on, file(''));
  await ask(gateway.port(), { path: '/one' });
  await collector.seen(2);
  expect(collector.named('GET all').service).toBe('from-outside');
  expect(collector.requests[0]!.headers['x-key']).toBe('abc');

  await gateway.change(file('otlp_endpoint = "off"'));
  await ask(gateway.port(), { path: '/two' });
  expect(origin.requests[1]!.headers['traceparent']).toBeUndefined();

  process.env['OTEL_TRACES_SAMPLER_ARG'] = 'many';
  await gateway.change(file('# again'));
  await ask(gateway.port(), { path: '/three' });
  expect(origin.requests[2]!.headers['traceparent']).toBeUndefined();
  expect(gateway.log.at('warn').filter((line) => line.includes('OTEL_'))).toHaveLength(1);
});
