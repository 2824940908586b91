import { resolveSettings } from '../config/resolve.ts';
import { routeTable } from '../config/route.ts';
import { type Route, routesOf } from '../config/routing.ts';
import type { Considered } from '../proxy/explain.ts';
import type { Described } from '../proxy/imagined.ts';
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
  const routes = routesOf(settings, described, values.server);
  if (args.switches.has('json')) world.stdout.write(`${JSON.stringify({ ...described, servers: routes }, null, 2)}\n`);
  else {
    const { method, host, path } = described;
    world.stdout.write(`${method} ${path} at ${host === '' ? 'no host' : `host ${host}`}\n\n${routes.map(pageOf).join('\n')}`);
  }
  return routes.some(({ location }) => location !== null) ? 0 : 1;
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
