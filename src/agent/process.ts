import type tls from 'node:tls';
import { CertFiles, type CertPair } from '../certs/files.ts';
import type { Log } from '../observe/log.ts';
import { Registry } from '../observe/metrics.ts';
import { addProcessMetrics } from '../observe/process.ts';
import { VERSION } from '../observe/version.ts';
import { systemClock } from '../std/clock.ts';
import { createLoop } from '../std/loop.ts';
import { type AdminListener, listenForOperators } from '../admin/listen.ts';
import { authorities } from '../config/authorities.ts';
import type { AgentSettings } from '../config/settings.ts';
import { SettingsError } from '../config/settings-error.ts';
import { type AgentDeps, type Agents, startAgents } from './agent.ts';
import { AgentTraces } from './traced.ts';

/** A running agent process. */
export interface RunningAgent extends Omit<Agents, 'joined' | 'readiness'> {
  readonly adminAddress: { readonly host: string; readonly port: number } | null;
  readonly metrics: Registry;
}

/** `windlass agent run`: agents with what a process of their own has, files of trust and a listener for operators. @throws its error, SettingsError */
export async function startAgent(
  settings: AgentSettings,
  deps: Omit<AgentDeps, 'metrics' | 'trust' | 'hubTrust' | 'connect'>,
): Promise<RunningAgent> {
  const { log, clock = systemClock } = deps;
  const metrics = new Registry();
  const trust = authorities(settings.caFile);
  const shown = openPair(settings, log, () => clock.wall());
  const processMetrics = addProcessMetrics(metrics, VERSION);
  const agents = await startAgents(settings, {
    ...deps,
    metrics,
    traces: (of, loop) => new AgentTraces(of, loop, log, metrics),
    ...(trust === undefined ? {} : { trust }),
    ...(shown === null ? {} : { hubTrust: hubContext(shown, settings.caFile, log) }),
  });
  if (shown !== null) {
    metrics.computedGauge(
      'windlass_certificate_expiry_seconds',
      'When the certificate that is shown to hubs expires, Unix time.',
      () => shown.current.notAfterMs / 1000,
    );
  }
  let admin: AdminListener | null = null;
  try {
    if (settings.adminAddr !== null) admin = await listenForOperators(createLoop(clock), settings.adminAddr, metrics, () => agents.readiness());
  } catch (error) {
    agents.destroy();
    finish();
    throw error;
  }

  function finish(): void {
    admin?.close();
    shown?.close();
    processMetrics.close();
  }

  return {
    ready: agents.ready,
    adminAddress: admin?.address ?? null,
    metrics,
    resize: (slots) => agents.resize(slots),
    reload: () => {
      shown?.look();
      agents.reload();
    },
    close: async () => {
      await agents.close();
      finish();
    },
    destroy: () => {
      agents.destroy();
      finish();
    },
  };
}

/** The certificate that is shown to hubs. @throws SettingsError */
function openPair({ shown }: AgentSettings, log: Log, wall: () => number): CertFiles | null {
  if (shown === null) return null;
  try {
    return new CertFiles({ certPath: shown.certFile, keyPath: shown.keyFile, log, wall });
  } catch (error) {
    throw new SettingsError([`--cert-file and --key-file cannot be used: ${(error as Error).message}`]);
  }
}

/** A context with the pair that there is now; made once for each. @throws SettingsError */
function hubContext(files: CertFiles, caFile: string | null, log: Log): () => tls.SecureContext {
  const make = (pair: CertPair): tls.SecureContext => authorities(caFile, { cert: pair.cert.toString('latin1'), key: pair.key.toString('latin1') })!;
  let pair = files.current;
  let context = make(pair);
  return () => {
    if (files.current === pair) return context;
    pair = files.current;
    try {
      context = make(pair);
    } catch (error) {
      log.warn({ reason: (error as Error).message }, 'the new certificate cannot be shown to hubs: the old one is');
    }
    return context;
  };
}
