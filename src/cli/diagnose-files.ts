import { statSync } from 'node:fs';
import type { Info } from '../admin/model.ts';
import { agentTable } from '../config/agent.ts';
import { doctorTable, hubPortsTable } from '../config/doctor.ts';
import { type ConfigFile, readConfigFile, sectionOf } from '../config/file.ts';
import { hubTable } from '../config/hub.ts';
import { type Problem, type Resolved, resolveSettings } from '../config/resolve.ts';
import { SettingsError } from '../config/settings-error.ts';
import { type Address, formatAddress } from '../schema/address.ts';
import type { Table } from '../schema/setting.ts';
import { localAdminClient } from './admin-client.ts';
import { Cannot } from './cannot.ts';
import type { Invocation } from './command.ts';
import { portFinding } from './diagnose-machine.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import type { World } from './world.ts';

/** The file or folder that is looked at; null = none was named. */
export function sourceOf({ args, world }: Invocation): string | null {
  return args.config ?? (world.env['WINDLASS_CONFIG'] || null);
}

/** Is a configuration right, and are its ports to be had? */
export async function diagnoseConfiguration(source: string, world: World, timeoutMs: number): Promise<readonly Finding[]> {
  const { env } = world;
  const about = 'configuration';
  const { readGateway } = await import('../config/gateway.ts');
  try {
    const { settings, report } = await readGateway(source, env, source, true);
    report.throwErrors();
    const warnings = report.warnings();
    const findings: Finding[] = warnings.map((line) => warn(about, line, ''));
    if (warnings.length === 0) findings.push(ok(about, `${source} can be used`));
    const { adminAddr } = settings.basic;
    const isOurs = ourPorts(adminAddr, world, timeoutMs);
    for (const { name, addresses } of settings.servers.values())
      for (const address of addresses) findings.push(await portFinding(`servers.${name}`, address, isOurs));
    if (adminAddr !== null && settings.servers.size > 0) findings.push(await portFinding('admin_addr', adminAddr, isOurs));
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
  const isOurs = ourPorts(adminAddr, invocation.world, timeoutMs);
  return [
    await portFinding('hub.port', { host, port }, isOurs),
    ...(adminAddr === null ? [] : [await portFinding('hub.admin_addr', adminAddr, isOurs)]),
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

/** Which ports belong to a hub or gateway of ours that answers its operators there. It is asked once; null = it runs, and does not tell us. */
function ourPorts(adminAddr: Address | null, world: World, timeoutMs: number): (address: Address) => Promise<boolean | null> {
  let ports: Promise<ReadonlySet<number> | null> | null = null;
  return async ({ port }) => {
    if (adminAddr === null) return false;
    const all = await (ports ??= portsOf(adminAddr, world, timeoutMs));
    return all === null ? port === adminAddr.port || null : all.has(port);
  };
}

/** None: nobody of ours is there. */
async function portsOf(adminAddr: Address, world: World, timeoutMs: number): Promise<ReadonlySet<number> | null> {
  if (!(await answersAsOurs(adminAddr, timeoutMs))) return new Set();
  const client = localAdminClient(`http://${formatAddress(asked(adminAddr))}`, world, timeoutMs);
  try {
    const { listening } = await client.get<Info>('/info');
    return new Set([adminAddr.port, ...listening.map(({ url }) => portOf(url))]);
  } catch (error) {
    if (error instanceof Cannot) return null;
    throw error;
  } finally {
    client.close();
  }
}

function portOf(url: string): number {
  const { port, protocol } = new URL(url);
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}

/** Whoever listens on all addresses is asked on loopback. */
function asked({ host, port }: Address): Address {
  return { host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port };
}

/** Does a hub or gateway of ours answer its operators there? */
async function answersAsOurs(adminAddr: Address, timeoutMs: number): Promise<boolean> {
  try {
    const response = await fetch(`http://${formatAddress(asked(adminAddr))}/readyz?verbose`, {
      signal: AbortSignal.timeout(timeoutMs),
      redirect: 'manual',
    });
    return typeof ((await response.json()) as { ready?: unknown }).ready === 'boolean';
  } catch {
    return false;
  }
}
