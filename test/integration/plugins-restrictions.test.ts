import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ask, fileWithPlugins } from '../kit/ask.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { handshake, startSocketOrigin } from '../kit/handshake.ts';
import { kit } from '../kit/kit.ts';

const made = kit();

async function behind(category: string, settings: string) {
  const origin = await startSocketOrigin(made);
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, `[plugins.p]\ncategory = "${category}"\n${settings}\n`));
  return { origin, gateway, port: gateway.port() };
}

test.each([
  ['"good.example"', 'https://good.example/a?b', true],
  ['"good.example"', 'http://GOOD.example:8080', true],
  ['"good.example"', 'https://good.example./', true],
  ['"good.example"', 'https://www.good.example/', false],
  ['"good.example"', 'https://good.example.evil.example/', false],
  ['"good.example"', 'https://evil.example/?https://good.example/', false],
  ['"good.example"', 'https://good.example@evil.example/', false],
  ['"good.example"', 'https://evil.example\\@good.example/', false],
  ['"good.example"', 'good.example', false],
  ['"good.example"', 'ftp://good.example/', false],
  ['"good.example"', null, false],
  ['"good.example"', `https://${'a.'.repeat(2_000)}good.example/`, false],
  ['"*.good.example"', 'https://a.b.good.example/', true],
  ['"*.good.example"', 'https://good.example/', false],
  ['"*good.example"', 'https://good.example/', true],
  ['"*good.example"', 'https://www.good.example/', true],
  ['"*good.example"', 'https://notgood.example/', false],
  ['"bücher.example"', 'https://xn--bcher-kva.example/', true],
  ['"a.example", "[::1]"', 'http://[::1]:8080/', true],
])('referer_restriction with %s and Referer %s: %s', async (sites, referer, listed) => {
  const headers = referer === null ? {} : { Referer: referer };
  const { origin, port } = await behind('referer_restriction', `referer_list = [${sites}]\nmessage = "not from there"`);
  const answer = await ask(port, { headers });
  expect([answer.status, answer.text]).toEqual(listed ? [200, 'ok'] : [403, 'not from there\n']);
  expect(origin.requests.length).toBe(listed ? 1 : 0);
  expect(await handshake(made, port, headers)).toBe(listed ? 101 : 403);
  const denying = await behind('referer_restriction', `referer_list = [${sites}]\ntype = "deny"`);
  expect((await ask(denying.port, { headers })).status).toBe(listed ? 403 : 200);
});

test.each([
  ["'^curl/', 'wget'", 'curl/8.1', true],
  ["'^curl/', 'wget'", 'GNU wget', true],
  ["'^curl/', 'wget'", 'Mozilla/5.0 (like curl/8)', false],
  ["'^curl/', 'wget'", null, false],
  ["'(?i)bot\\b'", 'GoogleBOT/2.1', true],
  ["'^$'", null, true],
  ["'^a{2,3}$'", 'aaa', true],
])('ua_restriction with %s and User-Agent %s: %s', async (patterns, agent, listed) => {
  const headers = agent === null ? {} : { 'User-Agent': agent };
  const { port } = await behind('ua_restriction', `ua_list = [${patterns}]`);
  expect((await ask(port, { headers })).status).toBe(listed ? 200 : 403);
  expect(await handshake(made, port, headers)).toBe(listed ? 101 : 403);
  const denying = await behind('ua_restriction', `ua_list = [${patterns}]\ntype = "deny"`);
  expect((await ask(denying.port, { headers })).status).toBe(listed ? 403 : 200);
});

test('no User-Agent makes a pattern run for long', async () => {
  const { port } = await behind('ua_restriction', `ua_list = ['^(a+)+$', '(x*)*y', '(.*?,){11}P']\ntype = "deny"`);
  // Backtracking would take longer than the universe has.
  for (const agent of [`${'a'.repeat(12_000)}!`, 'x'.repeat(12_000), ','.repeat(12_000)])
    expect((await ask(port, { headers: { 'User-Agent': agent } })).status).toBe(200);
});

test.each([
  ['referer_restriction', '', 'needs referer_list'],
  ['referer_restriction', 'referer_list = []', 'names nothing'],
  ['referer_restriction', 'referer_list = ["https://a.example/"]', 'is no host'],
  ['referer_restriction', 'referer_list = ["a*b.example"]', 'is no host'],
  ['ua_restriction', '', 'needs ua_list'],
  ['ua_restriction', "ua_list = ['(?<=a)b']", 'look-around'],
  ['ua_restriction', "ua_list = ['(']", 'is no pattern'],
  ['ua_restriction', 'ua_list = ["a"]\ntype = "block"', 'is not one of the choices'],
])('%s with %j is refused', async (category, settings, said) => {
  const error = await behind(category, settings).catch((wrong: unknown) => wrong);
  expect((error as { lines: string[] }).lines.join('\n')).toContain(said);
});

test.each([
  ['referer-restriction', { Referer: 'https://www.example.com/page' }],
  ['ua-restriction', { 'User-Agent': 'Mozilla/5.0' }],
])('the example on the page of %s runs', async (name, headers) => {
  const origin = await made.startOrigin();
  const page = readFileSync(new URL(`../../docs/plugins/${name}.md`, import.meta.url), 'utf8');
  const example = /^```toml\n([^]*?)^```$/m
    .exec(page)![1]!
    .replace('0.0.0.0:8080', '127.0.0.1:0')
    .replace('127.0.0.1:3000', `127.0.0.1:${origin.port}`);
  const gateway = await startGatewayOf(made, example);
  expect(gateway.warnings).toEqual([]);
  expect((await ask(gateway.port(), { headers })).status).toBe(200);
  expect((await ask(gateway.port(), { headers: { 'User-Agent': 'BadBot/1.0' } })).status).toBe(403);
});
