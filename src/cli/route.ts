import type { GatewaySettings } from '../config/gateway.ts';
import { resolveSettings } from '../config/resolve.ts';
import { routeTable } from '../config/route.ts';
import type { ServerSettings } from '../config/sections/server.ts';
import { SettingsError } from '../config/settings-error.ts';
import { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import type { Considered } from '../proxy/explain.ts';
import { type Described, imagine } from '../proxy/imagined.ts';
import { upstreamName } from '../proxy/location-section.ts';
import { Router } from '../proxy/router.ts';
import { nearest } from '../schema/nearest.ts';
import { Wrong } from '../schema/wrong.ts';
import type { Invocation } from './command.ts';
import { configSource } from './settings.ts';

/** `route`: which location of a gateway file answers a request, and why the others do not. Exit code 1 when none does. */
export async function run(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const { values } = await resolveSettings(routeTable, {
    command: 'route',
    flags: args.flags,
    env: world.env,
    sectionName: null,
    section: null,
    readText: (file, maxBytes) => world.readText(file, maxBytes),
    problems: [],
  });
  const { loadGateway } = await import('../config/gateway.ts');
  const { settings, warnings } = await loadGateway(configSource(invocation), world.env);
  for (const line of warnings) world.stderr.write(`windlass: warning: ${line}\n`);
  const described: Described = { host: values.host, method: values.method, path: values.path, headers: values.header };
  const routes = serversOf(settings, values.server).map((server) => routeOf(server, settings, described));
  if (args.switches.has('json')) world.stdout.write(`${JSON.stringify({ ...described, servers: routes }, null, 2)}\n`);
  else {
    const { method, host, path } = described;
    world.stdout.write(`${method} ${path} at ${host === '' ? 'no host' : `host ${host}`}\n\n${routes.map(pageOf).join('\n')}`);
  }
  return routes.some(({ location }) => location !== null) ? 0 : 1;
}

/** Where a server sends a request. */
interface Route {
  readonly server: string;
  /** Null: no location takes it. */
  readonly location: string | null;
  /** Null: there is none, or none of the name that was captured. */
  readonly upstream: string | null;
  /** Path and query as they are sent on; null when the request is answered here. */
  readonly target: string | null;
  /** Status of the answer when it is not sent on; null when it is. */
  readonly status: number | null;
  /** Why it is not sent on; '' when it is. */
  readonly refusal: string;
  readonly captures: Readonly<Record<string, string>>;
  /** In the order in which they are asked. */
  readonly considered: readonly Considered[];
}

function routeOf(server: ServerSettings, settings: GatewaySettings, described: Described): Route {
  const items = server.locations.map((name) => settings.locations.get(name)!);
  const router = new Router(items.map((item) => ({ rule: item.rule, value: item })));
  const head = imagined(described);
  const { considered, winner } = router.explain(head);
  const here = { server: server.name, considered };
  const match = router.find(head);
  if (match === null || winner === null) {
    const { noMatchStatus } = server;
    return { ...here, location: null, upstream: null, target: null, status: noMatchStatus, refusal: 'no location takes it', captures: {} };
  }
  const { rewrite, upstream } = match.value.settings;
  const captures = rewrite === null ? match.captures : rewrite.apply(head, match.captures);
  const shown: Record<string, string> = Object.fromEntries(captures ?? []);
  const taken = { ...here, location: winner, captures: shown };
  if (head.problem !== null) {
    const { status, detail } = new Failure(head.problem, head.problemDetail);
    return { ...taken, upstream: null, target: null, status, refusal: detail };
  }
  const name = upstream === null ? null : upstreamName(upstream, captures);
  if (upstream === null) return { ...taken, upstream: null, target: head.target, status: null, refusal: '' };
  if (name === null || !settings.upstreams.has(name)) {
    const refusal = `${upstream} means ${name === null ? 'nothing here' : `"${name}"`}, and there is no such upstream`;
    return { ...taken, upstream: null, target: null, status: 404, refusal };
  }
  return { ...taken, upstream: name, target: head.target, status: null, refusal: '' };
}

function imagined(described: Described): RequestHead {
  try {
    return imagine(described);
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    const { method, path, host } = described;
    throw new SettingsError([`route: ${JSON.stringify(`${method} ${path}`)} at host ${JSON.stringify(host)} ${error.message}: ${error.fix}`]);
  }
}

function serversOf({ servers }: GatewaySettings, name: string | null): readonly ServerSettings[] {
  if (name === null) return [...servers.values()];
  const server = servers.get(name);
  if (server !== undefined) return [server];
  const near = nearest(name, servers.keys());
  throw new SettingsError([
    `--server ${JSON.stringify(name)} is no server of the file; ${near === null ? `there is ${[...servers.keys()].join(', ')}` : `did you mean ${near}?`}`,
  ]);
}

const MARKS: Readonly<Record<Considered['verdict'], string>> = { wins: '->', behind: '=', host: '', path: '', method: '', condition: '' };

function pageOf({ server, location, upstream, target, status, refusal, captures, considered }: Route): string {
  const names = Math.max(0, ...considered.map(({ name }) => name.length));
  const rows = considered.map(
    ({ name, weight, verdict, why }) => `${MARKS[verdict].padEnd(2)} ${String(weight).padStart(5)}  ${name.padEnd(names)}  ${why}`,
  );
  const found = Object.entries(captures).map(([name, value]) => `${name}=${value}`);
  const outcome =
    status !== null
      ? `answered here: ${status}, ${refusal}`
      : `sent on as ${target} to ${upstream === null ? 'nobody: its plugins must answer' : `upstream ${upstream}`}`;
  return [
    `servers.${server}: ${location === null ? 'no location' : `location ${location}`}`,
    ...rows,
    ...(found.length === 0 ? [] : [`captured: ${found.join(' ')}`]),
    outcome,
    '',
  ].join('\n');
}
