import http from 'node:http';
import { expect, test } from 'vitest';
import { LogRing } from '../../src/observe/log-ring.ts';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { kit, SECRET, tokenFor } from '../kit/kit.ts';
import { Operator } from '../kit/operator.ts';

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
