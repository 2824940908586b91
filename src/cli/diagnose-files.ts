import { statSync } from 'node:fs';
import { agentTable } from '../config/agent.ts';
import { doctorTable, hubPortsTable } from '../config/doctor.ts';
import { type ConfigFile, readConfigFile, sectionOf } from '../config/file.ts';
import { hubTable } from '../config/hub.ts';
import { type Problem, type Resolved, resolveSettings } from '../config/resolve.ts';
import { SettingsError } from '../config/settings-error.ts';
import { type Address, formatAddress } from '../schema/address.ts';
import type { Table } from '../schema/setting.ts';
import { Cannot } from './cannot.ts';
import type { Invocation } from './command.ts';
import { portFinding } from './diagnose-machine.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

/** The file or folder that is looked at; null = none was named. */
export function sourceOf({ args, world }: Invocation): string | null {
  return args.config ?? (world.env['WINDLASS_CONFIG'] || null);
}

/** Is a configuration right, and are its ports to be had? */
export async function diagnoseConfiguration(
  source: string,
  env: Readonly<Record<string, string | undefined>>,
  timeoutMs: number,
): Promise<readonly Finding[]> {
  const about = 'configuration';
  const { readGateway } = await import('../config/gateway.ts');
  try {
    const { settings, report } = await readGateway(source, env, source, true);
    report.throwErrors();
    const warnings = report.warnings();
    const findings: Finding[] = warnings.map((line) => warn(about, line, ''));
    if (warnings.length === 0) findings.push(ok(about, `${source} can be used`));
    const { adminAddr } = settings.basic;
    const isRunning = once(() => answersAsOurs(adminAddr, timeoutMs));
    for (const { name, addresses } of settings.servers.values())
      for (const address of addresses) findings.push(await portFinding(`servers.${name}`, address, isRunning));
    if (adminAddr !== null && settings.servers.size > 0) findings.push(await portFinding('admin_addr', adminAddr, isRunning));
    return findings;
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return [
      ...error.lines.map((line) => fail(about, line, 'windlass check shows the same, and nothing else')),
      ...error.warnings.map((line) => warn(about, line, '')),
    ];
  }
}

/** Are the ports of a section [hub] to be had? */
export async function diagnoseHubPorts(source: string, invocation: Invocation, timeoutMs: number): Promise<readonly Finding[]> {
  const file = await fileWith(source, 'hub', invocation);
  if (file === null) return [];
  const { values } = await resolved(hubPortsTable, hubTable, 'hub', file, invocation, new Map());
  const { host, port, adminAddr } = values;
  const isRunning = once(() => answersAsOurs(adminAddr, timeoutMs));
  return [
    await portFinding('hub.port', { host, port }, isRunning),
    ...(adminAddr === null ? [] : [await portFinding('hub.admin_addr', adminAddr, isRunning)]),
  ];
}

/** What an agent would go by: flags, environment, and section [agent] where the file has one. @throws SettingsError */
export async function agentPart(source: string | null, invocation: Invocation): Promise<Resolved<typeof doctorTable>> {
  const file = source === null ? null : await fileWith(source, 'agent', invocation);
  return resolved(doctorTable, { ...agentTable, ...doctorTable }, 'agent', file, invocation, invocation.args.flags);
}

async function resolved<T extends Table>(
  table: T,
  sectionTable: Table,
  section: string,
  file: ConfigFile | null,
  { command, world }: Invocation,
  flags: ReadonlyMap<string, readonly string[]>,
): Promise<Resolved<T>> {
  const problems: Problem[] = [];
  return resolveSettings(table, {
    command: command.words.join(' '),
    flags,
    env: world.env,
    sectionName: section,
    section: file === null ? null : sectionOf(file, section, sectionTable, problems),
    readText: (path, maxBytes) => world.readText(path, maxBytes),
    // What is wrong with the file is told of by the check of the file.
    problems: [],
  });
}

/** The file when it has this section. A folder has gateways in it. */
async function fileWith(source: string, section: string, { world }: Invocation): Promise<ConfigFile | null> {
  try {
    if (statSync(source).isDirectory()) return null;
    const file = await readConfigFile(source, '--config', (path, maxBytes) => world.readText(path, maxBytes));
    return Object.hasOwn(file.data, section) ? file : null;
  } catch (error) {
    if (error instanceof SettingsError) return null;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error instanceof Error ? new Cannot(`${source} cannot be read: ${error.message}`) : error;
  }
}

function once(ask: () => Promise<boolean>): () => Promise<boolean> {
  let asked: Promise<boolean> | null = null;
  return () => (asked ??= ask());
}

/** Does a hub or gateway of ours answer its operators there? */
async function answersAsOurs(adminAddr: Address | null, timeoutMs: number): Promise<boolean> {
  if (adminAddr === null) return false;
  const host = adminAddr.host === '0.0.0.0' ? '127.0.0.1' : adminAddr.host === '::' ? '::1' : adminAddr.host;
  try {
    const response = await fetch(`http://${formatAddress({ host, port: adminAddr.port })}/readyz?verbose`, {
      signal: AbortSignal.timeout(timeoutMs),
      redirect: 'manual',
    });
    return typeof ((await response.json()) as { ready?: unknown }).ready === 'boolean';
  } catch {
    return false;
  }
}
