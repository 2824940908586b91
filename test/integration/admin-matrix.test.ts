import http from 'node:http';
import { expect, test } from 'vitest';
import { LogRing } from '../../src/observe/log-ring.ts';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { kit, SECRET, tokenFor } from '../kit/kit.ts';
import { Operator } from '../kit/operator.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { folder, startHubWith } = tools;

const RANKS = ['anybody', 'read', 'operate', 'admin'];

interface Route {
  readonly method: string;
  readonly path: string;
  readonly role: string;
}

/** Every route that a program's admin API has, as its own table says. */
async function routesOf(operator: Operator): Promise<readonly Route[]> {
  const { paths } = await operator.get<{ paths: Record<string, Record<string, { 'x-role': string }>> }>('/openapi.json');
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, of]) => ({ method: method.toUpperCase(), path, role: of['x-role'] })),
  );
}

/** The status alone: event streams do not end by themselves. */
function statusOf(port: number, { method, path }: Route, token: string | null): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
    const whole = `/api/v1${path.replaceAll(/\{\w+\}/g, 'nothing-of-this-name')}`;
    const request = http.request({ host: '127.0.0.1', port, method, path: whole, headers, agent: false }, (response) => {
      resolve(response.statusCode!);
      response.destroy();
    });
    request.on('error', reject);
    request.end();
  });
}

const AGENTS = `[agents]\nsecret = "${SECRET}"\n`;

test.each(['gateway', 'hub'])(
  'every route of a %s answers those whose role allows it and nobody else: none, an agent, and each role, whatever routes there are [threat 70]',
  async (kind) => {
    const stateDir = folder();
    const running =
      kind === 'gateway'
        ? await startGatewayOf(tools, fileTo(9, { server: 'accepts = ["native"]', more: AGENTS }), { stateDir, lines: new LogRing() })
        : await startHubWith({}, {}, { stateDir, lines: new LogRing() });
    const operator = new Operator(running, stateDir);
    const { port } = running.adminAddress!;
    const routes = await routesOf(operator);
    // Nothing of what the program has is left out.
    const resources = new Set(routes.map(({ path }) => path.split('/')[1]!.replace(/\..*/, '')));
    const all = [
      'agents',
      'audit',
      'certificates',
      'events',
      'info',
      'logs',
      'openapi',
      'overview',
      'queue',
      'revoked',
      'session',
      'tokens',
      'topology',
    ];
    const more = ['traffic', 'upstreams', ...(kind === 'gateway' ? ['config', 'routing'] : [])];
    expect([...resources].toSorted()).toEqual(expect.arrayContaining([...all, ...more]));
    const askers: [rank: number, token: string | null, refused: number][] = [
      [0, null, 401],
      [0, tokenFor({}), 401],
    ];
    for (const role of ['read', 'operate', 'admin'])
      askers.push([RANKS.indexOf(role), (await operator.ask('POST', '/tokens', { name: role, role })).json.token, 403]);
    // One that was good, and one that is good for a moment only.
    const { id, token: revoked } = (await operator.ask('POST', '/tokens', { name: 'gone', role: 'admin' })).json;
    await operator.ask('DELETE', `/tokens/${id}`);
    const { token: expired, expiresAtMs } = (await operator.ask('POST', '/tokens', { name: 'old', role: 'admin', ttlMs: 1 })).json;
    await until('its end', () => Date.now() > expiresAtMs);
    askers.push([0, revoked, 401], [0, expired, 401]);
    const wrong: string[] = [];
    for (const route of routes) {
      const needed = RANKS.indexOf(route.role);
      expect(needed, `${route.method} ${route.path} names a role`).toBeGreaterThanOrEqual(0);
      for (const [rank, token, refused] of askers) {
        const status = await statusOf(port, route, token);
        const isRefused = status === 401 || status === 403;
        // Whoever may ask is answered, if only that there is no such thing or that a body is missing.
        if (rank >= needed ? isRefused || status >= 500 : status !== refused)
          wrong.push(`${route.method} ${route.path} as ${RANKS[rank]}: ${status}`);
      }
    }
    expect(wrong).toEqual([]);
  },
  60_000,
);

test('what nobody has to prove anything for is named here, and what changes something needs more than the right to look, but for this [threat 70] [threat 67]', async () => {
  const stateDir = folder();
  const operator = new Operator(await startGatewayOf(tools, fileTo(9, { more: '' }), { stateDir }), stateDir);
  const named = (routes: readonly Route[]): readonly string[] => routes.map(({ method, path }) => `${method} ${path}`).toSorted();
  const routes = await routesOf(operator);
  expect(named(routes.filter(({ role }) => role === 'anybody'))).toEqual(['GET /openapi.json', 'POST /session', 'POST /session/ticket']);
  const asking = new Set(['DELETE /session', 'POST /config/check', 'POST /routing/log-template', 'POST /routing/rewrite', 'POST /routing/test']);
  const looking = routes.filter(({ method, role }) => method !== 'GET' && role === 'read');
  expect(named(looking).filter((one) => !asking.has(one))).toEqual([]);
});

test('no other way to write a route, no other method and no field that names one opens it to strangers, or more of it to who may look [threat 70]', async () => {
  const stateDir = folder();
  const gateway = await startGatewayOf(tools, fileTo(9, { more: '' }), { stateDir });
  const operator = new Operator(gateway, stateDir);
  const { port } = gateway.adminAddress!;
  const { token } = (await operator.ask('POST', '/tokens', { name: 'looks', role: 'read' })).json;
  const say = async (line: string, fields: readonly string[] = []): Promise<number> => {
    const client = await tools.rawClient({ port });
    client.send(`${line} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Length: 0\r\n${fields.map((one) => `${one}\r\n`).join('')}\r\n`);
    const { status } = await client.answer(line.split(' ', 1)[0]!);
    client.socket.destroy();
    return status;
  };
  const wrong: string[] = [];
  const check = async (line: string, allowed: readonly number[], fields?: readonly string[]): Promise<void> => {
    const status = await say(line, fields);
    if (!allowed.includes(status)) wrong.push(`${line} ${fields?.join(' ') ?? ''}: ${status}`);
  };
  for (const { method, path, role } of (await routesOf(operator)).filter((one) => one.role !== 'anybody')) {
    const whole = `/api/v1${path.replaceAll(/\{\w+\}/g, 'x')}`;
    const spelled = [
      `${whole}/`,
      whole.replace('/api', '//api'),
      whole.replace('/v1/', '/v1//'),
      whole.replace('/v1/', '/v1/./'),
      whole.replace('/v1/', '/v1/x/../'),
      whole.replace('/v1/', '/v1/%2e%2e/v1/'),
      whole.replace('/api', '/API'),
      whole.replace('/v1/', '/v1%2f'),
      whole.replace(/.$/, (last) => `%${last.charCodeAt(0).toString(16)}`),
      `${whole};x=y`,
      `http://127.0.0.1:${port}${whole}`,
      `${whole}?_method=${method}&access_token=${token}`,
    ];
    for (const one of spelled) await check(`${method} ${one}`, [400, 401, 404, 405]);
    for (const other of ['HEAD', 'OPTIONS', 'PROPFIND', 'PATCH', 'PUT', method.toLowerCase()]) {
      if (!['/session', '/session/ticket'].includes(path)) await check(`${other} ${whole}`, [400, 401, 405, 501]);
    }
    if (method === 'GET' || role === 'read') continue;
    // Who may look does no more by asking for it with GET.
    const fields = [`Authorization: Bearer ${token}`, `X-HTTP-Method-Override: ${method}`, 'X-Forwarded-User: admin'];
    await check(`GET ${whole}?_method=${method}`, [200, 403, 404, 405, 422], fields);
    await check(`${method} ${whole}`, [403], [fields[0]!, 'X-Original-URL: /api/v1/info']);
  }
  expect(wrong).toEqual([]);
}, 120_000);
