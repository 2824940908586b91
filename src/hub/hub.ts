import { secretCheck } from '../std/secret.ts';
import { Failure } from '../http/failure.ts';
import { SLIME_APP_PASSWORD, SLIME_SCOPE } from '../http/names.ts';
import { patienceOf } from '../upstream/patience.ts';
import type { Guard } from '../proxy/site.ts';
import { readRevoked } from '../config/revoked.ts';
import { SettingsError } from '../config/settings-error.ts';
import type { HubSettings } from '../config/settings.ts';
import { AgentDesk } from './agent-desk.ts';
import { Front, type Running } from './front.ts';
import type { Deps } from './house.ts';
import { takeOutOurs } from './our-fields.ts';
import { hubStatus } from './status.ts';
import { WakeCall } from './wake-call.ts';

/** `windlass hub run`: one address, behind it every agent that has dialled in. @throws the listen error, SettingsError */
export async function startHub(settings: HubSettings, deps: Deps): Promise<Running> {
  const revoked = settings.revokedFile === null ? [] : revokedIn(settings.revokedFile);
  const front = new Front(settings, settings.queueBytes, deps);
  const { house } = front;
  const { loop, log, metrics } = house;
  const wake = settings.onEmpty === null ? null : new WakeCall(settings.onEmpty, settings.hubId, log, loop.clock);
  const desk = new AgentDesk(
    house,
    { ...settings, revoked, requireCertificate: settings.requireAgentCertificate },
    { queueSize: settings.queueSize, starved: ({ head }) => wake?.call({ waiting: pool.waiting, scope: head?.value(SLIME_SCOPE) ?? '' }) },
    deps.tunnelLimits,
  );
  const { pool } = desk;
  house.endpointBytes = () => desk.bufferedBytes;
  house.leave = () => desk.leave();
  house.cut = () => desk.cut();
  const outside = (): number => front.anteroom?.waiting ?? 0;
  metrics.computedGauge('windlass_queue_size', 'Requests that wait for a slot.', () => pool.waiting + outside());
  const running = await front.listen({
    guards: settings.appPassword === null ? [takeOutOurs] : [passwordGuard(settings.appPassword), takeOutOurs],
    upstream: pool,
    patienceMs: (head) => patienceOf(head, settings.queueTimeoutMs, settings.blockTimeoutMs),
    timeoutMs: settings.timeoutMs,
    entry: settings.concurrent > 0 ? { places: settings.concurrent, queue: settings.queueSize, waitMs: settings.blockTimeoutMs } : null,
    status: () => hubStatus(settings.hubId, house.draining ? 'draining' : 'serving', pool, outside(), loop.clock),
    readiness: () => ({ ok: true, detail: { state: 'serving', agents: pool.size, waiting: pool.waiting } }),
    takeOver: desk.takeOver,
  });
  return {
    ...running,
    reload: () => {
      running.reload();
      if (settings.revokedFile === null) return;
      try {
        desk.renew({ ...desk.rules, revoked: revokedIn(settings.revokedFile) });
      } catch (error) {
        log.warn({ reason: (error as Error).message }, 'the list of revoked tokens stays as it was');
      }
    },
  };
}

/** @throws SettingsError: a list that is not there lets nobody in, since it may be the one that keeps a thief out */
function revokedIn(path: string): readonly string[] {
  try {
    return readRevoked(path);
  } catch (error) {
    throw new SettingsError([`--revoked-file "${path}" ${(error as Error).message}; give the path of a file with one token id per line`]);
  }
}

function passwordGuard(password: string): Guard {
  const isRight = secretCheck(password, 'latin1');
  return (head) =>
    isRight(head.value(SLIME_APP_PASSWORD)) ? null : new Failure('unauthorized', 'Unauthorized: Slime-App-Password is missing or wrong');
}
