import type tls from 'node:tls';
import { authorities } from '../config/authorities.ts';
import type { doctorTable } from '../config/doctor.ts';
import { plainLine } from '../config/plain-line.ts';
import type { Resolved } from '../config/resolve.ts';
import { SettingsError } from '../config/settings-error.ts';
import { DIRECT, type Egress, egressOf, proxyVariable } from '../schema/egress.ts';
import type { HealthCheck } from '../schema/health-check.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import { Wrong } from '../schema/wrong.ts';
import { createLoop } from '../std/loop.ts';
import { usualProbe } from '../upstream/health/checks.ts';
import { localAdminUrl } from './admin-url.ts';
import type { Invocation } from './command.ts';
import { agentPart, diagnoseConfiguration, diagnoseHubPorts, sourceOf } from './diagnose-files.ts';
import { diagnoseHub, tokenFinding } from './diagnose-hub.ts';
import { descriptorsFinding, nodeFinding, secretFileFinding } from './diagnose-machine.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { printJson } from './page.ts';
import { reach } from './reach.ts';
import { type Style, styleFor } from './style.ts';

/** `doctor`: what could be wrong, looked at one by one. Exit code 1 when something is. */
export async function run(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const asJson = args.switches.has('json');
  const findings: Finding[] = [];
  const style = styleFor(world);
  const tell = (some: readonly Finding[]): void => {
    for (const one of some) {
      findings.push(one);
      if (!asJson) world.stdout.write(`${lineOf(one, style)}\n`);
    }
  };
  tell([nodeFinding(process.version), descriptorsFinding(limitsText(invocation)), ...(await programFinding(localAdminUrl(world.env)))]);
  const source = sourceOf(invocation);
  try {
    const { values, sources } = await agentPart(source, invocation);
    if (source !== null) {
      tell(await diagnoseConfiguration(source, world, values.timeout));
      tell(await diagnoseHubPorts(source, invocation, values.timeout));
    }
    await diagnoseAgent(values, sources, invocation, tell);
    if (source === null && values.hub.length === 0 && values.upstream.length === 0 && values.token === null)
      tell([ok('nothing more', 'was asked for: --hub, --token-file and --upstream as for agent run, or -c FILE, have more looked at')]);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    if (source !== null) tell(await diagnoseConfiguration(source, world, STEP_MS));
    // The check of the file may have told of the same.
    tell(error.lines.filter((line) => !findings.some(({ says }) => says === line)).map((line) => fail('settings', line, '')));
  }
  const failed = findings.filter(({ level }) => level === 'FAIL').length;
  const warned = findings.filter(({ level }) => level === 'warn').length;
  if (asJson) printJson(world, { ok: failed === 0, findings });
  else world.stdout.write(`${sumOf(failed, warned, style)}\n`);
  return failed === 0 ? 0 : 1;
}

const STEP_MS = 5_000;

type Given = Resolved<typeof doctorTable>;

async function diagnoseAgent(
  values: Given['values'],
  sources: Given['sources'],
  { world }: Invocation,
  tell: (some: readonly Finding[]) => void,
): Promise<void> {
  const { token, hub: hubs, upstream: upstreams, wire, transport, timeout: timeoutMs } = values;
  const { egress, findings } = egressFor(values, world.env);
  tell(findings);
  if (token !== null && token !== '') {
    const { path, name } = sources.get('token')!;
    tell([tokenFinding(token, path === null ? `given by ${name}` : `read from ${path === '-' ? 'standard input' : path}`)]);
    const open = path === null || path === '-' ? null : secretFileFinding('token', path);
    if (open !== null) tell([open]);
  } else if (hubs.length > 0 && wire === 'native')
    tell([warn('token', 'was not given: whether the hub takes it is not asked', 'give it with --token-file')]);
  let trust: tls.SecureContext | undefined;
  let upstreamTrust: tls.SecureContext | undefined;
  try {
    upstreamTrust = authorities(values.caFile);
    trust = authorities(values.caFile, shownPair(values, world));
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    tell(error.lines.map((line) => fail('certificates', line, '')));
  }
  const loop = createLoop();
  for (const hub of hubs) {
    const way = hub.webSocket === true ? 'websocket' : transport;
    const named = values.proxy === 'environment' ? (proxyVariable(world.env, hub.protocol) ?? '--proxy') : '--proxy';
    const of = { hub, token: token || null, wire, transport: way, egress, proxyName: named, loop, timeoutMs };
    tell(await diagnoseHub({ ...of, ...(trust === undefined ? {} : { trust }) }));
  }
  for (const upstream of upstreams) tell(await diagnoseUpstream(upstream, upstreamTrust, values.healthCheck, timeoutMs));
}

async function diagnoseUpstream(
  upstream: UpstreamUrl,
  trust: tls.SecureContext | undefined,
  check: HealthCheck | null,
  timeoutMs: number,
): Promise<readonly Finding[]> {
  const about = `upstream ${upstream.shown}`;
  const { findings, isReached } = await reach({
    about,
    to: upstream,
    // The service stands beside the agent: no proxy is asked for it.
    proxy: null,
    proxyName: '',
    ...(trust === undefined ? {} : { trust }),
    alpn: ['h2', 'http/1.1'],
    timeoutMs,
    nowMs: Date.now(),
    caFix: '--ca-file names the file of its authority',
  });
  if (!isReached || check === null) return findings;
  const probe = usualProbe({
    check,
    address: { host: upstream.host, port: upstream.port },
    tls: { verify: true, ...(trust === undefined ? {} : { context: trust }) },
  });
  const { ok: isWell, reason } = await new Promise<{ ok: boolean; reason: string }>((resolve) => probe.start(resolve)).finally(() => probe.close());
  const said = plainLine(reason);
  return [
    ...findings,
    isWell
      ? ok(about, `its health check says it is well${said === '' ? '' : ` (${said})`}`)
      : fail(about, `its health check says: ${said}`, 'ask the service itself, such as with curl; until it is well its slots are not offered'),
  ];
}

/** A hub or gateway of this machine, when one answers its operators. */
async function programFinding(url: string): Promise<readonly Finding[]> {
  let said: Readonly<Record<string, unknown>>;
  try {
    const response = await fetch(`${url}/readyz?verbose`, { signal: AbortSignal.timeout(STEP_MS), redirect: 'manual' });
    said = (await response.json()) as Record<string, unknown>;
  } catch {
    return [];
  }
  const about = 'this machine';
  if (typeof said['ready'] !== 'boolean') return [];
  if (said['ready']) return [ok(about, `what runs at ${url} is ready; windlass status says more`)];
  return [
    warn(
      about,
      `what runs at ${url} is not ready (${typeof said['state'] === 'string' ? said['state'] : 'no reason given'})`,
      'it is starting or stopping: its log says which',
    ),
  ];
}

function shownPair({ certFile, keyFile }: Given['values'], world: Invocation['world']): { cert: string; key: string } | null {
  if (certFile === null || keyFile === null) return null;
  const read = (path: string): string => {
    try {
      return world.readText(path, PEM_BYTES);
    } catch (error) {
      throw new SettingsError([`${path} ${(error as Error).message}; give the path of a PEM file`]);
    }
  };
  return { cert: read(certFile), key: read(keyFile) };
}

const PEM_BYTES = 1024 * 1024;

function egressFor({ proxy }: Given['values'], env: Readonly<Record<string, string | undefined>>): { egress: Egress; findings: readonly Finding[] } {
  if (proxy === 'off') return { egress: DIRECT, findings: [] };
  if (proxy !== 'environment') return { egress: { http: proxy, https: proxy, except: [] }, findings: [] };
  try {
    return { egress: egressOf(env), findings: [] };
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    return { egress: DIRECT, findings: [fail('proxy', `environment ${error.part} ${error.message}`, error.fix)] };
  }
}

function limitsText({ world }: Invocation): string | null {
  try {
    return world.readText('/proc/self/limits', 64 * 1024);
  } catch {
    return null;
  }
}

function lineOf({ level, about, says, fix }: Finding, style: Style): string {
  const mark = level === 'ok' ? style.green('ok  ') : level === 'warn' ? style.yellow('warn') : style.red('FAIL');
  return `${mark}  ${style.bold(plainLine(about))}: ${plainLine(says)}${fix === '' ? '' : `\n      ${style.dim('→')} ${plainLine(fix)}`}`;
}

function sumOf(failed: number, warned: number, style: Style): string {
  const warnings = `${warned} warning${warned === 1 ? '' : 's'}`;
  if (failed > 0) return `${style.red(`${failed} thing${failed === 1 ? '' : 's'} to mend`)}${warned === 0 ? '' : `, ${warnings}`}`;
  return warned === 0 ? style.green('all is well') : `nothing is broken; ${warnings}`;
}
