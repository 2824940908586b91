import { expect, test } from 'vitest';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import type { HttpOrigin } from '../kit/http-origin.ts';
import { kit, metric, metricBecomes } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const made = kit();

/** An origin that says its name, and 500 while it is ill. */
interface Named {
  readonly origin: HttpOrigin;
  ill: boolean;
  /** Requests that were no probes. */
  readonly served: () => number;
}

async function startNamed(name: string): Promise<Named> {
  const named = { ill: false };
  const origin = await made.startOrigin((request, response) => {
    request.resume();
    response.writeHead(named.ill ? 500 : 200).end(name);
  });
  return Object.assign(named, { origin, served: () => origin.requests.filter(({ url }) => url !== '/health').length });
}

const CHECK = 'health_check = "http://api/health?check_frequency=100ms"';

function fileOf(origins: readonly Named[], upstream = CHECK): string {
  return `[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "api"
[upstreams.api]
addrs = [${origins.map(({ origin }) => `"127.0.0.1:${origin.port}"`).join(', ')}]
eject_failures = 0
${upstream}
`;
}

async function ask(gateway: TestGateway): Promise<{ status: number; text: string }> {
  const answer = await fetch(`http://127.0.0.1:${gateway.port()}/`);
  return { status: answer.status, text: await answer.text() };
}

/** Waits until the metrics say of an address whether it is well. */
function becomes(gateway: TestGateway, { origin }: Named, up: 0 | 1): Promise<void> {
  return metricBecomes(gateway, `windlass_health_up{upstream="api",endpoint="127.0.0.1:${origin.port}"}`, (value) => value === up);
}

function told(gateway: TestGateway): string[] {
  return gateway.log.lines
    .filter(({ message }) => message.startsWith('an endpoint'))
    .map(({ level, fields }) => `${level} ${String((fields as { reason?: string }).reason)}`);
}

test('an address that fails its check gets no requests until it is well again, and one line each says so', async () => {
  const [one, two] = [await startNamed('one'), await startNamed('two')];
  const gateway = await startGatewayOf(made, fileOf([one, two]));
  await becomes(gateway, one, 1);
  one.ill = true;
  await becomes(gateway, one, 0);
  const before = one.served();
  for (let i = 0; i < 10; i++) expect(await ask(gateway)).toEqual({ status: 200, text: 'two' });
  expect(one.served()).toBe(before);
  one.ill = false;
  await becomes(gateway, one, 1);
  await until('it gets requests again', async () => (await ask(gateway)).text === 'one');
  expect(told(gateway)).toEqual(['warn answers 500', 'info answers 200']);
  expect(await metric(gateway, 'windlass_health_checks_total{result="fail"}')).toBeGreaterThanOrEqual(2);
});

test('without a check of its own an upstream is probed by connecting, and with off not at all', async () => {
  const [one, two] = [await startNamed('one'), await startNamed('two')];
  const gateway = await startGatewayOf(made, fileOf([one], ''));
  await until('a probe', async () => (await metric(gateway, 'windlass_health_checks_total{result="pass"}')) >= 1);
  expect(one.origin.connections).toBeGreaterThanOrEqual(1);
  expect(one.origin.requests).toEqual([]);
  const silent = await startGatewayOf(made, fileOf([two], 'health_check = "off"'));
  expect((await ask(silent)).status).toBe(200);
  expect(silent.metrics.render()).not.toContain('windlass_health_up{');
});

test('when all addresses fail the answer is 503 at once, and 200 as soon as one is well [fault 37]', async () => {
  const both = [await startNamed('one'), await startNamed('two')];
  const gateway = await startGatewayOf(made, fileOf(both));
  for (const one of both) one.ill = true;
  for (const one of both) await becomes(gateway, one, 0);
  const { status, text } = await ask(gateway);
  expect([status, JSON.parse(text)]).toMatchObject([503, { code: 'no_healthy_endpoint' }]);
  expect(both.map((one) => one.served())).toEqual([0, 0]);
  both[1]!.ill = false;
  await becomes(gateway, both[1]!, 1);
  expect(await ask(gateway)).toEqual({ status: 200, text: 'two' });
});

test('a reload that leaves the check as it is keeps what is known, whatever else it changes [fault 14]', async () => {
  const [one, two, three] = [await startNamed('one'), await startNamed('two'), await startNamed('three')];
  const gateway = await startGatewayOf(made, fileOf([one, two]));
  one.ill = true;
  await becomes(gateway, one, 0);
  const before = one.served();
  await gateway.change(fileOf([one, two, three], `${CHECK}\nalgo = "random_two"\nread_timeout = "7s"`));
  expect(await metric(gateway, 'windlass_config_last_reload_success')).toBe(1);
  for (let i = 0; i < 10; i++) expect((await ask(gateway)).text).toMatch(/^(?:two|three)$/);
  await gateway.change('[upstreams.api]\nhealth_check = "smoke://signals"\n');
  expect(await metric(gateway, 'windlass_config_last_reload_success')).toBe(0);
  for (let i = 0; i < 10; i++) expect((await ask(gateway)).status).toBe(200);
  expect(one.served()).toBe(before);
  expect(told(gateway)).toEqual(['warn answers 500']);
});

test('a check that is switched off by a reload speaks against nobody any more', async () => {
  const [one, two] = [await startNamed('one'), await startNamed('two')];
  const gateway = await startGatewayOf(made, fileOf([one, two]));
  one.ill = true;
  await becomes(gateway, one, 0);
  await gateway.change(fileOf([one, two], 'health_check = "off"'));
  const answers = [await ask(gateway), await ask(gateway)];
  expect(answers.map(({ text }) => text).toSorted()).toEqual(['one', 'two']);
  expect(gateway.metrics.render()).not.toContain('windlass_health_up{');
});

test('an address that is taken out of the file is probed no more', async () => {
  const [one, two] = [await startNamed('one'), await startNamed('two')];
  const gateway = await startGatewayOf(made, fileOf([one, two]));
  await becomes(gateway, one, 1);
  await gateway.change(fileOf([two]));
  expect(gateway.metrics.render()).not.toContain(`"127.0.0.1:${one.origin.port}"`);
  await until('no connection is left', () => one.origin.open === 0);
  const [before, looks] = [one.origin.requests.length, two.origin.requests.length];
  await until('three looks at the other', () => two.origin.requests.length >= looks + 3);
  expect(one.origin.requests.length).toBe(before);
});

test('a check that cannot be used is refused with its line, its value and the fix', async () => {
  const one = await startNamed('one');
  const gateway = await startGatewayOf(made, fileOf([one]));
  await gateway.change(fileOf([one], 'health_check = "http://api/health?failure=0"'));
  const errors = gateway.log.at('error').join('\n');
  expect(errors).toContain('windlass.toml:13:1 upstreams.api.health_check');
  expect(errors).toContain('has failure=0, which is no number of results in a row');
  expect(errors).toContain('give a number from 1 to 1000');
});
