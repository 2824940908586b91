import { parseSelector } from '../schema/selector.ts';
import type { CrankerRouterSettings } from '../config/cranker-router.ts';
import type { CrankerLimits } from '../tunnel/cranker/limits.ts';
import { AgentDesk } from './agent-desk.ts';
import { CrankerDesk } from './cranker-desk.ts';
import { Front, type Running } from './front.ts';
import type { Deps } from './house.ts';
import { AGENTS } from './console/hub-overview.ts';
import { answersWith } from './inside.ts';
import { hubStatus } from './status.ts';

/** A running router; `registrationAddress` is where connectors register. */
export interface RunningRouter extends Running {
  readonly registrationAddress: { readonly host: string; readonly port: number };
}

/** What tests may set as well. */
export interface RouterDeps extends Deps {
  readonly crankerLimits?: Partial<CrankerLimits>;
}

/** `windlass cranker-router`: a hub whose agents are Cranker connectors. @throws the listen error, SettingsError */
export async function startCrankerRouter(settings: CrankerRouterSettings, deps: RouterDeps): Promise<RunningRouter> {
  const front = new Front(settings, settings.queueBytes, deps);
  const { house } = front;
  const { loop, metrics } = house;
  const desk = new AgentDesk(
    house,
    { hubId: settings.viaName, secrets: settings.secrets, siblings: new Map(), revoked: [], requireCertificate: false },
    { queueSize: settings.queueSize, knownForMs: settings.keepRoutesMs },
    deps.tunnelLimits,
  );
  const { pool } = desk;
  const cranker = new CrankerDesk(
    house,
    desk,
    {
      spoken: settings.spoken,
      deepRoutes: settings.deepRoutes,
      from: settings.registrationFrom,
      proof: settings.auth,
      certificateRoutes: settings.certificateRoutes,
      maxInFlight: settings.maxInFlight,
      keepsHost: settings.keepsHost,
      legacyForwarded: settings.legacyForwarded,
    },
    { pingAfterMs: settings.pingAfterMs, idleTimeoutMs: settings.idleTimeoutMs, ...deps.crankerLimits },
  );
  // What a connector announces by its route and domain is what is asked of it.
  const upstream = pool.select({
    name: '',
    selector: parseSelector('@announced'),
    balance: { by: 'least_conn' },
    affinityWaitMs: 0,
    queueSize: settings.queueSize,
    queueBytes: Number.POSITIVE_INFINITY,
    queueTimeoutMs: settings.maxWaitMs,
    blockTimeoutMs: settings.maxWaitMs,
    fullStatus: 503,
    onAbort: null,
  });
  house.endpointBytes = () => desk.bufferedBytes;
  house.leave = () => desk.leave();
  house.cut = () => desk.cut();
  metrics.computedGauge('windlass_queue_size', 'Requests that wait for a slot.', () => pool.waiting);
  const { registration } = settings;
  let registering: Running | null = null;
  try {
    if (registration !== null) {
      const pages = cranker.pages(settings.registrationApi);
      registering = await new Front({ ...settings, ...registration, adminAddr: null, accessLog: 'off' }, 0, deps, house).listen({
        name: 'registration',
        behind: 'ourselves',
        guards: [],
        upstream: answersWith(pages),
        patienceMs: () => 0,
        timeoutMs: 0,
        entry: null,
        readiness: () => ({ ok: true, detail: {} }),
        takeOver: cranker.takeOver(false),
      });
    }
    const running = await front.listen({
      name: 'router',
      behind: AGENTS,
      guards: [],
      upstream,
      patienceMs: () => settings.maxWaitMs,
      timeoutMs: settings.timeoutMs,
      entry: null,
      status: () => hubStatus(settings.viaName, house.draining ? 'draining' : 'serving', pool, 0, loop.clock),
      readiness: () => ({ ok: true, detail: { state: 'serving', connectors: pool.size, waiting: pool.waiting } }),
      pages: cranker.pages(true),
      ...(registration === null ? { takeOver: cranker.takeOver(true) } : {}),
    });
    return {
      ...running,
      registrationAddress: registering?.address ?? running.address,
      reload: () => {
        running.reload();
        registering?.reload();
      },
    };
  } catch (error) {
    front.destroy();
    throw error;
  }
}
