import type { GatewaySettings, LocationItem } from '../config/gateway.ts';
import { SettingsError } from '../config/settings-error.ts';
import { orderOf } from '../proxy/order.ts';
import { formatAddress } from '../schema/address.ts';
import type { Invocation } from './command.ts';
import { configSource } from './settings.ts';
import type { World } from './world.ts';

/** `check`: what is wrong with a gateway file, and in which order its locations are asked. Exit code 2 when something is wrong. */
export async function run(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const source = configSource(invocation);
  const { readGateway } = await import('../config/gateway.ts');
  const asJson = args.switches.has('json');
  try {
    const { settings, report } = await readGateway(source, world.env, source, true);
    report.throwErrors();
    const warnings = report.warnings();
    if (asJson) printJson(world, { ok: true, errors: [], warnings, servers: serversOf(settings) });
    else {
      warn(warnings, world);
      world.stdout.write(
        `${settings.servers.size === 0 ? '' : `${pageOf(settings)}\n`}${source} can be used${warnings.length === 0 ? '' : `, with ${count(warnings.length, 'warning')}`}\n`,
      );
    }
    return 0;
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    if (!asJson) {
      warn(error.warnings, world);
      throw error;
    }
    printJson(world, { ok: false, errors: error.lines, warnings: error.warnings, servers: [] });
    return 2;
  }
}

function warn(warnings: readonly string[], world: World): void {
  for (const line of warnings) world.stderr.write(`windlass: warning: ${line}\n`);
}

function printJson(world: World, page: CheckPage): void {
  world.stdout.write(`${JSON.stringify(page, null, 2)}\n`);
}

/** What `check --json` prints. */
interface CheckPage {
  readonly ok: boolean;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  readonly servers: readonly ServerRow[];
}

interface ServerRow {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly tls: boolean;
  /** In the order in which they are asked. */
  readonly locations: readonly LocationRow[];
}

interface LocationRow {
  readonly name: string;
  readonly weight: number;
  readonly host: string;
  readonly path: string;
  /** Methods and conditions. */
  readonly also: string;
  readonly upstream: string;
}

function serversOf({ servers, locations }: GatewaySettings): readonly ServerRow[] {
  return [...servers.values()].map((server) => {
    const items = server.locations.map((name) => locations.get(name)!);
    const ordered = orderOf(items.map((item) => ({ weight: item.rule.weight, item })));
    return {
      name: server.name,
      addresses: server.addresses.map(formatAddress),
      tls: server.tls !== null,
      locations: ordered.map(({ item }) => rowOf(item)),
    };
  });
}

function rowOf({ name, settings, rule }: LocationItem): LocationRow {
  return {
    name,
    weight: rule.weight,
    host: rule.hosts?.text ?? '',
    path: rule.path?.text ?? '',
    also: [...(settings.methods ?? []), ...rule.conditions.map(({ place, text }) => `${place} ${text}`)].join(', '),
    upstream: settings.upstream ?? '',
  };
}

function pageOf(settings: GatewaySettings): string {
  return serversOf(settings)
    .map((server) => {
      const title = `servers.${server.name} on ${server.addresses.join(', ')}${server.tls ? ' (TLS)' : ''}`;
      if (server.locations.length === 0) return `${title}\n  no locations\n`;
      const rows = server.locations.map(({ weight, name, host, path, also, upstream }) => [
        String(weight),
        name,
        host === '' ? 'any host' : host,
        path === '' ? 'any path' : path,
        also,
        upstream === '' ? '' : `-> ${upstream}`,
      ]);
      const widths = rows[0]!.map((_, i) => Math.min(Math.max(...rows.map((row) => row[i]!.length)), COLUMN_MAX));
      const lines = rows.map((row) =>
        `  ${row.map((cell, i) => (i === 0 ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join('  ')}`.trimEnd(),
      );
      return `${title}: the heaviest location that takes a request answers\n${lines.join('\n')}\n`;
    })
    .join('\n');
}

/** A long pattern does not push everything else off the screen. */
const COLUMN_MAX = 40;

function count(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? '' : 's'}`;
}
