import { secretCheck } from '../std/secret.ts';
import { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import {
  PREFER,
  SLIME_AGENT_ID,
  SLIME_AGENT_TOKEN,
  SLIME_APP_PASSWORD,
  SLIME_BLOCK,
  SLIME_CONNECTION_ID,
  SLIME_SCOPE,
  WINDLASS_HUB,
  WINDLASS_TOKEN,
} from '../http/names.ts';
import { tunnelLimits } from '../tunnel/limits.ts';
import { acceptAgent, type AgentClaims } from '../tunnel/native/accept.ts';
import { asksForWebSocket } from '../tunnel/native/websocket.ts';
import { createKeyring, openToken } from '../tunnel/token.ts';
import { AgentPool } from '../upstream/agents.ts';
import type { Guard } from '../proxy/site.ts';
import type { HubSettings } from '../config/settings.ts';
import { Expiry } from './expiry.ts';
import { Front, type Running } from './front.ts';
import type { Deps, House } from './house.ts';
import { hubStatus } from './status.ts';
import { WakeCall } from './wake-call.ts';

/** How long goodbyes may take when a hub leaves, ms. */
const FAREWELL_MS = 2_000;

/** `windlass hub run`: one address, behind it every agent that has dialled in. @throws the listen error */
export async function startHub(settings: HubSettings, deps: Deps): Promise<Running> {
  const front = new Front(settings, settings.queueBytes, deps);
  const { house } = front;
  const { loop, log, metrics } = house;
  const wake = settings.onEmpty === null ? null : new WakeCall(settings.onEmpty, settings.hubId, log, loop.clock);
  /** Of sessions that are over. */
  const pastFrames = { sent: 0, received: 0 };
  const expiry = new Expiry(loop);
  const pool = new AgentPool({
    queueSize: settings.queueSize,
    starved: ({ head }) => wake?.call({ waiting: pool.waiting, scope: head?.value(SLIME_SCOPE) ?? '' }),
    joined: (session, twin) => {
      const { agent, slots } = session;
      expiry.joined(session);
      log.info({ agent: agent.id, name: agent.name, from: agent.address, slots }, 'agent joined');
      if (twin !== null)
        log.warn(
          { agent: agent.id, from: agent.address, other: twin.agent.address },
          'another process has the same id: both get work; give each its own --agent-id or --state-dir',
        );
    },
    left: (session, reason) => {
      const { agent } = session;
      expiry.left(session);
      pastFrames.sent += session.framesSent ?? 0;
      pastFrames.received += session.framesReceived ?? 0;
      log.info({ agent: agent.id, name: agent.name, reason }, 'agent left');
    },
  });
  const authenticate = authenticator(settings, () => loop.clock.wall());
  countAgents(house, pool);
  metrics.computed('counter', 'windlass_tunnel_frames_total', 'Frames exchanged with agents, by direction.', ['direction'], (emit) => {
    let { sent, received } = pastFrames;
    for (const session of pool.sessions) {
      sent += session.framesSent ?? 0;
      received += session.framesReceived ?? 0;
    }
    emit(sent, 'sent');
    emit(received, 'received');
  });
  house.endpointBytes = () => {
    let sum = 0;
    for (const session of pool.sessions) sum += session.bufferedBytes;
    return sum;
  };
  house.leave = async () => {
    for (const session of pool.sessions) session.drain();
    const end = loop.clock.now() + FAREWELL_MS;
    while (pool.size > 0 && loop.clock.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  house.cut = () => {
    expiry.stop();
    for (const session of pool.sessions) session.close(new Failure('draining', 'the hub has stopped'));
  };
  metrics.computedGauge(
    'windlass_queue_oldest_age_seconds',
    'How long the request that has waited longest for a slot has been here; 0 when none waits.',
    () => {
      const { oldest } = pool;
      return oldest === null ? 0 : (loop.clock.now() - oldest.notes.startMs) / 1000;
    },
  );
  metrics.computedGauge('windlass_queue_size', 'Requests that wait for a slot.', () => pool.waiting + (front.anteroom?.waiting ?? 0));
  return front.listen({
    guards: settings.appPassword === null ? [takeOutOurs] : [passwordGuard(settings.appPassword), takeOutOurs],
    upstream: pool,
    patienceMs: (head) => patienceMs(head, settings.queueTimeoutMs, settings.blockTimeoutMs),
    timeoutMs: settings.timeoutMs,
    entry: settings.concurrent > 0 ? { places: settings.concurrent, queue: settings.queueSize, waitMs: settings.blockTimeoutMs } : null,
    status: () => hubStatus(settings.hubId, house.draining ? 'draining' : 'serving', pool, front.anteroom?.waiting ?? 0, loop.clock),
    readiness: () => ({ ok: true, detail: { state: 'serving', agents: pool.size, waiting: pool.waiting } }),
    takeOver: {
      token: 'windlass/1',
      wants: asksForWebSocket,
      accept: (head, wire, rest) =>
        acceptAgent(head, wire, rest, {
          loop,
          log,
          hubId: settings.hubId,
          siblings: [...settings.siblings].map(([id, hub]) => ({ id, address: hub.shown })),
          ...(deps.tunnelLimits === undefined ? {} : { limits: { ...tunnelLimits, ...deps.tunnelLimits } }),
          authenticate,
          joined: (session) => {
            if (house.draining) return new Failure('draining', 'the hub is stopping', 1);
            pool.join(session);
            return null;
          },
        }),
    },
  });
}

/** How long a request may wait for a slot: as long as it asks (`Slime-Block`, RFC 7240 `Prefer: wait=N`), within bounds, else the default. */
function patienceMs(head: RequestHead, defaultMs: number, longestMs: number): number {
  if (head.has(SLIME_BLOCK)) return longestMs;
  if (!head.has(PREFER)) return defaultMs;
  const wait = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?/i.exec(head.value(PREFER));
  return wait === null ? defaultMs : Math.min(Number(wait[1]) * 1000, longestMs);
}

/** What is between the application and the hub stays between them. */
function takeOutOurs(head: RequestHead): null {
  if (head.has(WINDLASS_TOKEN)) head.remove(WINDLASS_TOKEN);
  if (head.has(WINDLASS_HUB)) head.remove(WINDLASS_HUB);
  if (head.has(SLIME_AGENT_ID)) head.remove(SLIME_AGENT_ID);
  if (head.has(SLIME_AGENT_TOKEN)) head.remove(SLIME_AGENT_TOKEN);
  if (head.has(SLIME_CONNECTION_ID)) head.remove(SLIME_CONNECTION_ID);
  if (head.has(SLIME_APP_PASSWORD)) head.remove(SLIME_APP_PASSWORD);
  return null;
}

function passwordGuard(password: string): Guard {
  const isRight = secretCheck(password, 'latin1');
  return (head) =>
    isRight(head.value(SLIME_APP_PASSWORD)) ? null : new Failure('unauthorized', 'Unauthorized: Slime-App-Password is missing or wrong');
}

function authenticator(settings: HubSettings, wall: () => number): (token: string) => AgentClaims | Failure {
  const keyring = createKeyring(settings.secrets);
  return (token) => {
    const claims = openToken(token, keyring, wall());
    if (!('reason' in claims))
      return { tokenId: claims.id, name: claims.name, scopes: claims.scopes, scopePaths: claims.scopePaths, expiresMs: claims.expiresMs };
    const why = {
      malformed: 'the agent token is not a token',
      foreign: "the agent token was not issued with this hub's secret",
      expired: 'the agent token has expired: issue a new one with "windlass hub register"',
    }[claims.reason];
    return new Failure('unauthorized', why);
  };
}

function countAgents({ metrics }: House, pool: AgentPool): void {
  metrics.computedGauge(
    'windlass_agents_connected',
    'Agents that are connected.',
    () => new Set([...pool.sessions].map((session) => session.agent.id)).size,
  );
  metrics.computedGauge('windlass_agent_sessions', 'Sessions of agents.', () => pool.size);
  metrics.computed('gauge', 'windlass_agent_slots', 'Slots of all agents, by state.', ['state'], (emit) => {
    let free = 0;
    let busy = 0;
    for (const session of pool.sessions) {
      free += session.free;
      busy += session.inFlight;
    }
    emit(free, 'free');
    emit(busy, 'busy');
  });
}
