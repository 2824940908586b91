import type net from 'node:net';
import type { AgentDeps } from '../../src/agent/agent.ts';
import type { AgentSettings, CrankerRegistration } from '../../src/config/settings.ts';
import { parseHubUrl } from '../../src/schema/upstream-url.ts';
import type { Answerer, HttpOrigin } from './http-origin.ts';
import { type Kit, kit as makeKit, type Listening, type ServedAgent } from './kit.ts';
import { type RouterDialect, RouterPeer, type RouterSocket } from './cranker-router-peer.ts';

/** Settings of a connector under test. */
export type ConnectorSettings = Partial<Omit<AgentSettings, 'cranker'>> & { readonly cranker?: Partial<CrankerRegistration> };

/** An origin, and what its script wants to remember. */
export type NotingOrigin = HttpOrigin & { later?: () => unknown; closed: number };

/** One connector at one scripted router. */
export interface Connected {
  readonly router: RouterPeer;
  readonly socket: RouterSocket;
  readonly origin: NotingOrigin;
  readonly agent: ServedAgent;
}

/** Starts scripted routers and connectors, and closes them when the test is over. */
export class Connectors {
  readonly kit: Kit;

  constructor(kit: Kit) {
    this.kit = kit;
  }

  async router(dialect: RouterDialect, server?: net.Server, port?: number): Promise<RouterPeer> {
    const router = await RouterPeer.start(dialect, server, port);
    this.kit.later(() => router.close());
    return router;
  }

  /** `windlass agent run --wire cranker`, which is not waited for. */
  async connect(
    routers: readonly Listening[],
    { cranker, ...settings }: ConnectorSettings = {},
    origin: Listening = { port: 1 },
    deps: Partial<AgentDeps> = {},
  ): Promise<ServedAgent> {
    const registration: CrankerRegistration = {
      route: 'shop',
      domain: '*',
      componentName: 'windlass',
      versions: ['3.0', '1.0'],
      window: 2,
      fields: [],
      ...cranker,
    };
    const hubs = routers.map((router) => parseHubUrl(`ws://127.0.0.1:${'port' in router ? router.port : router.address.port}`));
    return this.kit.dialHub(
      routers[0] ?? { port: 1 },
      origin,
      { token: '', wire: 'cranker', hubs, slots: 100, ...settings, cranker: registration },
      {},
      deps,
    );
  }

  /** A router, a connector with one socket there, and an origin. */
  async one(
    dialect: RouterDialect,
    answer: Answerer,
    settings: ConnectorSettings = {},
    prepare: (router: RouterPeer) => void = () => {},
  ): Promise<Connected> {
    const origin = Object.assign(await this.kit.startOrigin(answer), { closed: 0 }) as NotingOrigin;
    const router = await this.router(dialect);
    prepare(router);
    const agent = await this.connect([router], { ...settings, cranker: { window: 1, ...settings.cranker } }, origin);
    await agent.ready;
    return { router, socket: await router.socket(), origin, agent };
  }
}

/** As kit(). */
export function connectors(): Connectors {
  return new Connectors(makeKit());
}
