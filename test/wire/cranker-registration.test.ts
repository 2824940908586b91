import { describe, expect, test } from 'vitest';
import { Cidrs, parseCidr } from '../../src/schema/cidrs.ts';
import { CrankerPeer, type Registering, ScriptedConnector } from '../kit/cranker-peer.ts';
import { kit, SECRET, type ServedRouter, tokenFor } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const made = kit();
const { startRouter, rawClient, startHubWith } = made;

async function ask(router: ServedRouter, registering: Registering): Promise<CrankerPeer> {
  const peer = await CrankerPeer.ask(router.registrationAddress.port, registering);
  made.later(() => peer.socket.destroy());
  return peer;
}

const size = async (router: ServedRouter): Promise<number> => {
  const page = (await (await fetch(`http://127.0.0.1:${router.adminAddress!.port}/health/connectors`)).json()) as {
    services: Record<string, { connectors: { connectionCount: number }[] }>;
  };
  return Object.values(page.services)
    .flatMap(({ connectors }) => connectors)
    .reduce((sum, { connectionCount }) => sum + connectionCount, 0);
};

test('registrations are told apart beyond the thousand that are remembered, and however long their words are', async () => {
  const router = await startRouter();
  const routes = Array.from({ length: 1_001 }, (_, i) => `r${i}`);
  for (const route of routes) await ask(router, { route });
  const long = { route: 'long', path: `/register?connectorInstanceID=x&more=${'y'.repeat(1_000)}` };
  for (const one of [{ route: 'r0' }, { route: 'r0' }, long, long]) expect((await ask(router, one)).status).toBe(101);
  const page = await fetch(`http://127.0.0.1:${router.adminAddress!.port}/health/connectors`);
  const { services } = (await page.json()) as { services: Record<string, { connectors: { connectionCount: number }[] }> };
  const counts = Object.entries(services).map(([name, { connectors }]) => [name, connectors.reduce((sum, one) => sum + one.connectionCount, 0)]);
  expect(Object.fromEntries(counts)).toEqual({ ...Object.fromEntries(routes.map((route) => [route, 1])), r0: 3, long: 2 });
});

describe('the answer to a registration with', () => {
  test.each([
    ['header 1.0 only', { says: '1.0' }, undefined, '1.0'],
    ['subprotocols 3.0 and 1.0', { says: '1.0', offers: 'cranker_3.0, cranker_1.0' }, 'cranker_3.0', undefined],
    ['subprotocols 1.0 and 3.0', { says: '1.0', offers: 'cranker_1.0, cranker_3.0' }, 'cranker_1.0', '1.0'],
    ['subprotocol 3.0 and no header', { says: null, offers: 'cranker_3.0' }, 'cranker_3.0', undefined],
    ['header 3.0 and no subprotocol', { says: '3.0' }, undefined, undefined],
    ['an unknown subprotocol and header 1.0', { says: '1.0', offers: 'chat' }, undefined, '1.0'],
    ['an offer of compression, which is not taken', { says: '1.0', fields: ['Sec-WebSocket-Extensions: permessage-deflate'] }, undefined, '1.0'],
  ] as const)('%s is a 101 as the family gives it', async (_, registering, subprotocol, version) => {
    const router = await startRouter();
    for (const path of ['/register', '/register/']) {
      const peer = await ask(router, { route: 'a', path, ...registering });
      expect(peer.status).toBe(101);
      expect(peer.fields.get('sec-websocket-protocol')).toBe(subprotocol);
      expect(peer.fields.get('crankerprotocol')).toBe(version);
      expect(peer.fields.has('sec-websocket-extensions')).toBe(false);
    }
  });

  test.each([
    ['header 2.0', { says: '2.0' }, 500],
    ['no version at all', { says: null }, 500],
    ['only unknown subprotocols', { says: null, offers: 'a, b' }, 500],
    ['another version of WebSocket', { version: '8' }, 400],
    ['a route that climbs', { route: 'a/../b' }, 400],
    ['a route with a character that has no place there', { route: 'a<b>' }, 400],
    ['a route with a slash, where only first segments count', { route: 'a/b' }, 400],
    ['a domain that is none', { route: 'a', domain: 'a b', says: '3.0' }, 400],
  ] as const)('%s is a refusal', async (_, registering, status) => {
    const router = await startRouter();
    const peer = await ask(router, { route: 'a', ...registering });
    expect(peer.status).toBe(status);
    expect(await size(router)).toBe(0);
  });

  test('an address that is not allowed is 403, whatever else it says', async () => {
    const router = await startRouter({ registrationFrom: new Cidrs(parseCidr('10.0.0.0/8')) });
    expect((await ask(router, { route: 'a' })).status).toBe(403);
    expect((await ask(router, { route: 'a', says: '2.0' })).status).toBe(403);
    expect((await ask(router, { path: '/deregister/' })).status).toBe(403);
    const open = await startRouter({ registrationFrom: new Cidrs(parseCidr('loopback')) });
    expect((await ask(open, { route: 'a' })).status).toBe(101);
  });

  test('no upgrade is 404', async () => {
    const router = await startRouter();
    for (const path of ['/register', '/register/', '/deregister', '/'])
      expect((await fetch(`http://127.0.0.1:${router.registrationAddress.port}${path}`)).status).toBe(404);
  });

  test('a router that speaks one version alone never grants the other', async () => {
    const one = await startRouter({ spoken: new Set(['1.0']) });
    expect((await ask(one, { route: 'a', offers: 'cranker_3.0, cranker_1.0' })).fields.get('sec-websocket-protocol')).toBe('cranker_1.0');
    expect((await ask(one, { route: 'a', offers: 'cranker_3.0', says: null })).status).toBe(500);
    const three = await startRouter({ spoken: new Set(['3.0']) });
    expect((await ask(three, { route: 'a' })).status).toBe(500);
  });
});

test('connectors and applications may share one port', async () => {
  const router = await startRouter({ registration: null });
  expect(router.registrationAddress.port).toBe(router.address.port);
  const connector = await ScriptedConnector.start(router.address.port, '3.0', { route: 'a', id: 'one', answer: () => ({ body: 'yes' }) });
  made.later(() => connector.kill());
  expect(await (await fetch(`http://127.0.0.1:${router.address.port}/a/b`)).text()).toBe('yes');
  // An application's own path and WebSocket of that name are its own.
  expect((await fetch(`http://127.0.0.1:${router.address.port}/register/x`)).status).toBe(404);
  expect((await ask(router, { says: null })).status).toBe(404);
});

describe('deregistration', () => {
  test.each(['1.0', '3.0'] as const)(
    'closes the idle sockets of this connector and route with 1001, and its own with 1000, in %s',
    async (version) => {
      const router = await startRouter();
      const offers = version === '3.0' ? { offers: 'cranker_3.0' } : {};
      const mine = await ask(router, { route: 'a', id: 'one', ...offers });
      const other = await ask(router, { route: 'b', id: 'one', ...offers });
      const twin = await ask(router, { route: 'a', id: 'two', ...offers });
      for (const path of ['/deregister/', '/deregister']) {
        const goodbye = await ask(router, { route: 'a', id: 'one', path, says: path === '/deregister' ? null : '1.0' });
        expect(goodbye.status).toBe(101);
        expect(goodbye.fields.has('sec-websocket-protocol')).toBe(false);
        const { code, bytes } = await goodbye.nextOf('close');
        expect([code, bytes.toString('utf8', 2)]).toEqual([1000, 'Deregister complete']);
      }
      const { code, bytes } = await mine.nextOf('close');
      expect([code, bytes.toString('utf8', 2)]).toEqual([1001, 'Going away']);
      expect(await size(router)).toBe(2);
      expect([other.isOver, twin.isOver]).toEqual([false, false]);
    },
  );

  test('without an id removes nothing, and is answered all the same', async () => {
    const router = await startRouter();
    await ask(router, { route: 'a' });
    await ask(router, { route: 'a', id: 'one' });
    const goodbye = await ask(router, { route: 'a', path: '/deregister/' });
    expect((await goodbye.nextOf('close')).code).toBe(1000);
    expect(await size(router)).toBe(2);
  });
});

describe('with --registration-auth token', () => {
  const settings = { auth: 'token', secrets: [SECRET] } as const;

  test('a connector shows an agent token, in either of two fields', async () => {
    const router = await startRouter(settings);
    for (const field of [`Windlass-Token: ${tokenFor()}`, `Authorization: Bearer ${tokenFor()}`])
      expect((await ask(router, { route: 'a', fields: [field] })).status).toBe(101);
  });

  test('whoever has none, a wrong or an old one is 401, and nothing is registered', async () => {
    const router = await startRouter(settings);
    for (const token of ['', 'nonsense', tokenFor({}, 'another secret'), tokenFor({ expiresMs: Date.now() - 600_000 })])
      expect((await ask(router, { route: 'a', fields: token === '' ? [] : [`Windlass-Token: ${token}`] })).status).toBe(401);
    expect(await size(router)).toBe(0);
  });

  test('a token bounds the routes that may be registered [threat 37]', async () => {
    const router = await startRouter(settings);
    const fields = [`Windlass-Token: ${tokenFor({ labels: new Map([['route', 'a,b']]) })}`];
    expect((await ask(router, { route: 'a', fields })).status).toBe(101);
    expect((await ask(router, { route: 'b', fields, offers: 'cranker_3.0' })).status).toBe(101);
    expect((await ask(router, { route: 'c', fields })).status).toBe(403);
    expect((await ask(router, { route: '*', fields })).status).toBe(403);
    expect(await size(router)).toBe(2);
  });

  test('nobody deregisters the connectors of another token, whatever id he gives', async () => {
    const router = await startRouter(settings);
    const fields = (id: string): string[] => [`Windlass-Token: ${tokenFor({ id })}`];
    await ask(router, { route: 'a', id: 'one', fields: fields('mine') });
    expect((await (await ask(router, { route: 'a', id: 'one', path: '/deregister/', fields: fields('thief') })).nextOf('close')).code).toBe(1000);
    expect(await size(router)).toBe(1);
    await ask(router, { route: 'a', id: 'one', path: '/deregister/', fields: fields('mine') });
    await until('it is gone', async () => (await size(router)) === 0);
  });
});

test('a hub that was not told to accept connectors passes their registration on as the request that it is', async () => {
  const hub = await startHubWith();
  const client = await rawClient(hub);
  client.send(
    'GET /register/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nCrankerProtocol: 1.0\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  expect((await client.answer()).status).toBe(503);
});
