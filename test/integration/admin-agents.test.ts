import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { AgentInfo, Page, RegisteredAgent, RevokedAgent } from '../../src/admin/model.ts';
import { GIVEN_LABELS } from '../../src/hub/limits.ts';
import { parseHubUrl } from '../../src/schema/upstream-url.ts';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit, metricBecomes, type Served, SECRET, type ServedAgent, tokenFor } from '../kit/kit.ts';
import { Operator } from '../kit/operator.ts';
import { asks, field, startHolding } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startOrigin, startHubWith, startAgentFor, dialHub, folder } = tools;

const FILE = `[agents]
secret = "${SECRET}"
hub_id = "gate"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native", "slime", "cranker"]
locations = ["gold", "all"]
[locations.gold]
path = "/gold"
upstream = "gold"
[locations.all]
upstream = "all"
[upstreams.gold]
agents = "tier=gold"
queue_timeout = "30s"
[upstreams.all]
agents = "*"
queue_timeout = "0s"
`;

const fixture = (file: string) => fileURLToPath(new URL(`../fixtures/${file}`, import.meta.url));
const at = (gateway: TestGateway) => ({ port: gateway.port() });
const said = ({ log }: ServedAgent, words: string): boolean => log.some(({ message }) => message.includes(words));
const sessions = (running: Pick<Served, 'adminAddress'>, count: number) =>
  metricBecomes(running, 'windlass_agent_sessions', (value) => value === count);

/** Every byte that the program has written below this folder. */
function writtenIn(path: string): string {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    .join('\n');
}

test('an agent is registered, works, is revoked: its session is cut with what runs, it stays out over a restart, and may come back [threat 35]', async () => {
  const { origin, arrived } = await startHolding(tools);
  const stateDir = folder();
  const first = await startGatewayOf(tools, FILE, { stateDir });
  const operator = new Operator(first, stateDir);
  const made = await operator.ask<RegisteredAgent>('POST', '/agents', { name: 'calm-otter', labels: { tier: 'gold' } });
  expect(made.status).toBe(201);
  const { id, token, command } = made.json;
  expect(command).toBe(`WINDLASS_TOKEN=${token} windlass agent run --hub http://127.0.0.1:${first.port()} --upstream localhost:3000`);
  // Nobody has come with it yet.
  expect(await operator.get<Page<AgentInfo>>('/agents?state=away')).toMatchObject({ total: 1, items: [{ id, name: 'calm-otter', state: 'away' }] });
  expect((await operator.ask('PATCH', `/agents/${id}`, { remark: 'x' })).json).toMatchObject({ status: 409, code: 'not_come_yet' });

  const agent = await startAgentFor(at(first), origin, { token, agentId: 'box', slots: 2 });
  const answered = await asks(tools, at(first), '/gold');
  (await arrived(0)).response.end('done');
  await answered.answer();
  const cut = await asks(tools, at(first));
  await arrived(1);
  const [shown] = (await operator.get<Page<AgentInfo>>('/agents')).items;
  expect(shown).toMatchObject({
    id: 'box',
    name: 'calm-otter',
    state: 'serving',
    wire: 'native',
    slots: 2,
    inFlight: 1,
    labels: { tier: 'gold' },
    version: expect.stringMatching(/^windlass\/\d/),
    tokens: [id],
  });
  expect(shown!.sessions).toHaveLength(1);
  expect(shown!.sessions[0]!.rttMs).toBeGreaterThan(0);
  expect(shown!.sessions[0]!.bytesIn).toBeGreaterThan(100);
  expect(shown!.sessions[0]!.bytesOut).toBeGreaterThan(100);
  await until('the request that is answered to count', async () => (await operator.get<AgentInfo>('/agents/box')).served === 1);

  const revoked = await operator.ask<RevokedAgent[]>('POST', '/agents/box/revoke', { reason: 'stolen on Monday' });
  expect([revoked.status, revoked.json]).toEqual([
    200,
    [{ id, name: 'calm-otter', atMs: expect.any(Number), by: 'local', reason: 'stolen on Monday', fixed: false }],
  ]);
  expect((await cut.answer()).status).toBe(502);
  await sessions(first, 0);
  await until('the agent to say why', () => said(agent, 'revoked'));
  expect(await operator.get<Page<AgentInfo>>('/agents')).toEqual({ total: 0, items: [] });

  // Nowhere but in that one answer has the token been.
  await first.close();
  expect(writtenIn(stateDir)).not.toContain(token);
  expect(JSON.stringify(first.log)).not.toContain(token);

  const second = await startGatewayOf(tools, FILE, { stateDir });
  const again = await dialHub(at(second), origin, { token, agentId: 'box' }, { refusedRetryMs: 20 });
  await until('the new hello to be refused', () => said(again, 'revoked'));
  const later = new Operator(second, stateDir);
  expect((await later.get<Page<RevokedAgent>>('/revoked')).items).toMatchObject([{ id, reason: 'stolen on Monday', fixed: false }]);
  expect((await later.ask('DELETE', `/revoked/${id}`)).status).toBe(204);
  expect((await later.ask('DELETE', `/revoked/${id}`)).json).toMatchObject({ status: 404, code: 'not_revoked' });
  await again.ready;
});

test('agents of all wires are cut and turned away once they are revoked', async () => {
  const origin = await startOrigin();
  const stateDir = folder();
  const gateway = await startGatewayOf(tools, FILE, { stateDir });
  const operator = new Operator(gateway, stateDir);
  const cranker = { route: 'shop', domain: '*', componentName: 'shop', versions: ['3.0', '1.0'] as const, window: 2, fields: [] };
  const comers = [
    { token: tokenFor({ id: 'n' }), agentId: 'native-one' },
    { token: tokenFor({ id: 's' }), agentId: '7', wire: 'slime' as const, slots: 1 },
    { token: tokenFor({ id: 'c' }), wire: 'cranker' as const, cranker, slots: 4 },
  ];
  for (const comer of comers) await startAgentFor(at(gateway), origin, comer);
  const listed = await until('all three', async () => {
    const { items } = await operator.get<Page<AgentInfo>>('/agents');
    return items.filter(({ free }) => free > 0).length === 3 ? items : null;
  });
  expect(listed.map(({ wire }) => wire).toSorted()).toEqual(['cranker', 'native', 'slime']);
  // Each answers one, and what that takes is counted.
  for (let i = 0; i < 30; i++) await (await asks(tools, at(gateway))).answer();
  const served = await until('all three to have served', async () => {
    const { items } = await operator.get<Page<AgentInfo>>('/agents');
    return items.reduce((sum, one) => sum + one.served, 0) === 30 ? items : null;
  });
  for (const { wire, sessions: carried } of served.filter((one) => one.served > 0))
    for (const { bytesIn, bytesOut } of carried) expect([wire, bytesIn > 100, bytesOut > 100]).toEqual([wire, true, true]);
  for (const { id } of listed) expect((await operator.ask('POST', `/agents/${encodeURIComponent(id)}/revoke`, { reason: '' })).status).toBe(200);
  await sessions(gateway, 0);
  for (const comer of comers) await dialHub(at(gateway), origin, comer);
  await until('all three to be turned away', () => {
    const away = gateway.log.lines.filter(({ message, fields }) => message.includes('turned away') && JSON.stringify(fields).includes('revoked'));
    return ['tunnel:', 'slime', 'cranker:'].every((wire) => away.some(({ message }) => message.includes(wire)));
  });
  expect((await operator.get<Page<RevokedAgent>>('/revoked')).items.map(({ id }) => id).toSorted()).toEqual(['c', 'n', 's']);
  await sessions(gateway, 0);
});

test('a connector that has shown a certificate in the place of a token is revoked by that', async () => {
  const origin = await startOrigin();
  const stateDir = folder();
  const gateway = await startGatewayOf(
    tools,
    `[agents]
secret = "${SECRET}"
cranker_auth = "certificate"
cranker_routes = ["alice=shop"]
[servers.main]
addr = "127.0.0.1:0"
accepts = ["cranker"]
tls_cert = "${fixture('one.pem')}"
tls_key = "${fixture('one.key')}"
tls_client_ca = "${fixture('client-ca.pem')}"
locations = ["all"]
[locations.all]
upstream = "all"
[upstreams.all]
agents = "*"
`,
    { stateDir },
  );
  const operator = new Operator(gateway, stateDir);
  const cranker = { route: 'shop', domain: '*', componentName: 'shop', versions: ['3.0', '1.0'] as const, window: 2, fields: [] };
  const hubs = [parseHubUrl(`wss://127.0.0.1:${gateway.port()}`)];
  const shown = { certFile: fixture('alice.pem'), keyFile: fixture('alice.key') };
  const comer = { token: '', wire: 'cranker' as const, cranker, slots: 4, hubs, shown, caFile: fixture('ca.pem') };
  await startAgentFor(at(gateway), origin, comer);
  const [agent] = (await operator.get<Page<AgentInfo>>('/agents')).items;
  expect(agent).toMatchObject({ wire: 'cranker', certificate: { subject: expect.stringContaining('alice') } });
  expect((await operator.ask('POST', `/agents/${encodeURIComponent(agent!.id)}/revoke`, { reason: '' })).status).toBe(200);
  await sessions(gateway, 0);
  await dialHub(at(gateway), origin, comer);
  await until('it to be turned away', () => gateway.log.lines.some((line) => JSON.stringify(line).includes('cranker: a connector was turned away')));
  await sessions(gateway, 0);
  expect((await operator.get<Page<RevokedAgent>>('/revoked')).items).toMatchObject([
    { id: `certificate ${agent!.certificate!.fingerprint}`, name: 'alice' },
  ]);
});

test('a token that has not come yet, or an agent that has left, can be revoked as well; and one that takes the id of another is no shield', async () => {
  const origin = await startOrigin();
  const stateDir = folder();
  const gateway = await startGatewayOf(tools, FILE, { stateDir });
  const operator = new Operator(gateway, stateDir);
  const { json } = await operator.ask<RegisteredAgent>('POST', '/agents', { name: 'never came' });
  // Somebody else calls himself by the id of that token.
  await startAgentFor(at(gateway), origin, { token: tokenFor({ id: 'mimic' }), agentId: json.id });
  const gone = await startAgentFor(at(gateway), origin, { token: tokenFor({ id: 'left' }), agentId: 'gone' });
  await gone.close();
  await sessions(gateway, 1);
  expect((await operator.get<AgentInfo>('/agents/gone')).state).toBe('away');
  const both = await operator.ask<RevokedAgent[]>('POST', `/agents/${json.id}/revoke`, { reason: '' });
  expect(both.json.map(({ id }) => id).toSorted()).toEqual([json.id, 'mimic'].toSorted());
  const left = await operator.ask<RevokedAgent[]>('POST', '/agents/gone/revoke', { reason: '' });
  expect(left.json.map(({ id }) => id)).toEqual(['left']);
  // And a token that only a piece of paper tells of.
  expect((await operator.ask<RevokedAgent[]>('POST', '/agents/found-in-the-bin/revoke', { reason: '' })).json[0]).toMatchObject({
    id: 'found-in-the-bin',
  });
  expect((await operator.ask('POST', '/agents/no%20id/revoke', { reason: '' })).status).toBe(404);
  await sessions(gateway, 0);
});

test('a drained agent stays and gets nothing new, also when it comes anew and when the gateway does, until it is resumed', async () => {
  const { origin, arrived, held } = await startHolding(tools);
  const stateDir = folder();
  const gateway = await startGatewayOf(tools, FILE, { stateDir });
  const operator = new Operator(gateway, stateDir);
  const agent = await startAgentFor(at(gateway), origin, { agentId: 'box', slots: 2 });
  const running = await asks(tools, at(gateway));
  await arrived(0);
  const drained = await operator.ask<AgentInfo>('POST', '/agents/box/drain');
  expect(drained.json).toMatchObject({ state: 'draining', drained: true, slots: 2, free: 0, inFlight: 1 });
  const refused = await (await asks(tools, at(gateway))).answer();
  expect([refused.status, JSON.parse(refused.body.toString())]).toEqual([
    503,
    expect.objectContaining({ code: 'taken_out', detail: expect.stringContaining('drained') }),
  ]);
  expect(field(refused, 'proxy-status')).toContain('details="taken_out"');
  // What runs there runs to its end.
  held[0]!.response.end('whole');
  expect((await running.answer()).body.toString()).toBe('whole');

  await agent.close();
  await sessions(gateway, 0);
  expect((await operator.get<AgentInfo>('/agents/box')).state).toBe('away');
  await startAgentFor(at(gateway), origin, { agentId: 'box', slots: 2 });
  expect((await (await asks(tools, at(gateway))).answer()).status).toBe(503);
  await gateway.close();

  const next = await startGatewayOf(tools, FILE, { stateDir });
  await startAgentFor(at(next), origin, { agentId: 'box', slots: 2 });
  expect((await (await asks(tools, at(next))).answer()).status).toBe(503);
  const resumed = await new Operator(next, stateDir).ask<AgentInfo>('POST', '/agents/box/resume');
  expect(resumed.json).toMatchObject({ state: 'serving', drained: false, free: 2 });
  const served = await asks(tools, at(next));
  (await arrived(1)).response.end();
  expect((await served.answer()).status).toBe(200);
});

test('an operator gives an agent so many labels, and one more is refused', async () => {
  const origin = await startOrigin();
  const stateDir = folder();
  const gateway = await startGatewayOf(tools, FILE, { stateDir });
  const operator = new Operator(gateway, stateDir);
  await startAgentFor(at(gateway), origin, { agentId: 'box' });
  const labels = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`l${i}`, 'x']));
  expect((await operator.ask('PATCH', '/agents/box', { labels: labels(GIVEN_LABELS + 1) })).json).toMatchObject({
    status: 422,
    code: 'too_many_labels',
  });
  expect((await operator.ask('PATCH', '/agents/box', { labels: labels(GIVEN_LABELS) })).status).toBe(200);
  expect(Object.keys((await operator.get<AgentInfo>('/agents/box')).labels)).toHaveLength(GIVEN_LABELS);
});

test('labels that operators give select an agent at once, for a request that waits already, and are kept with its name and remark', async () => {
  const origin = await startOrigin();
  const stateDir = folder();
  const gateway = await startGatewayOf(tools, FILE, { stateDir });
  const operator = new Operator(gateway, stateDir);
  const labels = new Map([
    ['tier', 'old'],
    ['gpu', 'a100'],
  ]);
  const golden = await startAgentFor(at(gateway), origin, { agentId: 'away', labels: new Map([['tier', 'gold']]) });
  await golden.close();
  await startAgentFor(at(gateway), origin, { agentId: 'box', labels });
  await operator.ask('PATCH', '/agents/box', { labels: { tier: 'gold' } });
  expect((await (await asks(tools, at(gateway), '/gold')).answer()).status).toBe(200);
  await operator.ask('PATCH', '/agents/box', { labels: {} });
  // One that is golden is known, and away: the request waits.
  const waits = await asks(tools, at(gateway), '/gold');
  await metricBecomes(gateway, 'windlass_queue_size', (size) => size === 1);
  const noted = await operator.ask<AgentInfo>('PATCH', '/agents/box', {
    name: 'Rack 7',
    remark: '<b>ask Ann</b>',
    labels: { tier: 'gold', rack: '7' },
  });
  expect((await waits.answer()).status).toBe(200);
  const kept = {
    name: 'Rack 7',
    remark: '<b>ask Ann</b>',
    labels: { tier: 'gold', gpu: 'a100', rack: '7' },
    given: { name: 'Rack 7', labels: { tier: 'gold', rack: '7' } },
  };
  expect(noted.json).toMatchObject(kept);
  for (const query of ['rack=7', 'ANN', 'rack 7', 'box', '127.0.0.1']) expect((await operator.get(`/agents?query=${query}`)).total).toBe(1);
  expect((await operator.get('/agents?query=nobody')).total).toBe(0);
  for (const bad of [{ labels: { 'no label': 'x' } }, { name: 'two\nlines' }, { colour: 'red' }, { labels: { x: 1 } }])
    expect((await operator.ask('PATCH', '/agents/box', bad)).status).toBe(422);
  expect((await operator.ask('PATCH', '/agents/nobody', { name: 'x' })).status).toBe(404);
  await gateway.close();

  const next = await startGatewayOf(tools, FILE, { stateDir });
  await startAgentFor(at(next), origin, { agentId: 'box', labels });
  expect(await new Operator(next, stateDir).get('/agents/box')).toMatchObject(kept);
  expect((await (await asks(tools, at(next), '/gold')).answer()).status).toBe(200);
});

test('a hub without a file does the same, beside the tokens that its own list revokes', async () => {
  const origin = await startOrigin();
  const stateDir = folder();
  const revokedFile = join(folder(), 'revoked');
  writeFileSync(revokedFile, 'written-down\n');
  const hub = await startHubWith({ revokedFile }, {}, { stateDir });
  const operator = new Operator(hub, stateDir);
  await startAgentFor(hub, origin, { token: tokenFor({ id: 'one' }), agentId: 'one' });
  // Another with the same token goes with it.
  await startAgentFor(hub, origin, { token: tokenFor({ id: 'one' }), agentId: 'two' });
  expect((await operator.ask('POST', '/agents/one/revoke', { reason: 'x' })).status).toBe(200);
  await sessions(hub, 0);
  const { items } = await operator.get<Page<RevokedAgent>>('/revoked');
  expect(items.map(({ id, fixed }) => [id, fixed])).toEqual([
    ['one', false],
    ['written-down', true],
  ]);
  expect((await operator.ask('DELETE', '/revoked/written-down')).json).toMatchObject({ status: 409, code: 'fixed' });
  // The list is read anew, and what was revoked here stays so.
  writeFileSync(revokedFile, '');
  hub.reload();
  const again = await dialHub(hub, origin, { token: tokenFor({ id: 'one' }), agentId: 'one' });
  await until('the refusal', () => said(again, 'revoked'));
});

test('programs that share a state folder hear of what is revoked at the other', async () => {
  const origin = await startOrigin();
  const stateDir = folder();
  const [one, two] = [await startHubWith({}, {}, { stateDir }), await startHubWith({}, {}, { stateDir })];
  await startAgentFor(two, origin, { token: tokenFor({ id: 'x' }), agentId: 'box' });
  await new Operator(one, stateDir).ask('POST', '/agents/x/revoke', { reason: '' });
  await sessions(two, 0);
});

test('a revocation that cannot be written holds all the same, and who asked is told', async () => {
  const origin = await startOrigin();
  const stateDir = folder();
  writeFileSync(join(stateDir, 'agents'), 'in the way');
  const hub = await startHubWith({}, {}, { stateDir });
  const operator = new Operator(hub, stateDir);
  const agent = await startAgentFor(hub, origin, { agentId: 'box' });
  const { status, json } = await operator.ask('POST', '/agents/box/revoke', { reason: 'x' });
  expect([status, json.code]).toEqual([507, 'not_written']);
  expect(json.detail).toContain('for as long as this process lives');
  await sessions(hub, 0);
  await until('the agent to say why', () => said(agent, 'revoked'));
  expect((await operator.get<Page<RevokedAgent>>('/revoked')).total).toBe(1);
  const drained = await operator.ask('POST', '/agents', { name: 'x' });
  expect([drained.status, drained.json.code]).toEqual([507, 'not_written']);
});

test('a list of revoked tokens that is broken stops the start, because it may be the one that keeps a thief out', async () => {
  const stateDir = folder();
  const hub = await startHubWith({}, {}, { stateDir });
  await new Operator(hub, stateDir).ask('POST', '/agents/thief/revoke', { reason: '' });
  await hub.close();
  const path = join(stateDir, 'agents', 'revoked.json');
  writeFileSync(path, readFileSync(path, 'utf8').slice(0, 40));
  await expect(startHubWith({}, {}, { stateDir })).rejects.toThrow(`what is kept of agents cannot be used: ${path}:`);
});
