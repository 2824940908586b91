import type { Page as PageOf, UpstreamInfo } from '../admin/model.ts';
import { endpointTable, upstreamsTable } from '../config/admin-commands.ts';
import { plainLine } from '../config/plain-line.ts';
import { nearest } from '../schema/nearest.ts';
import { adminClientOf } from './admin-client.ts';
import { Cannot } from './cannot.ts';
import type { Invocation } from './command.ts';
import { numberText } from './figures.ts';
import { Page, printJson } from './page.ts';
import type { Style } from './style.ts';
import type { Column } from './table.ts';
import { UsageError } from './usage-error.ts';

/** `upstreams`: where requests go, and how that is. */
export async function list(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const { client, values } = await adminClientOf(upstreamsTable, invocation);
  const { items: all } = await client.get<PageOf<UpstreamInfo>>('/upstreams').finally(() => client.close());
  const { query } = values;
  const items = all.filter(({ name, endpoints }) => [name, ...endpoints.flatMap(({ id, host }) => [id, host])].some((text) => text.includes(query)));
  if (args.switches.has('json')) {
    printJson(world, { total: items.length, items });
    return 0;
  }
  const page = new Page(world);
  page.table(endpointColumns(page.style), endpointRows(items), query === '' ? 'no upstreams' : 'no such upstreams');
  return 0;
}

/** `upstreams out`: an endpoint gets nothing new. */
export function takeOut(invocation: Invocation): Promise<number> {
  return change(invocation, 'out', 'gets no new requests, until windlass upstreams in puts it back');
}

/** `upstreams in`: it gets requests again. */
export function putIn(invocation: Invocation): Promise<number> {
  return change(invocation, 'in', 'gets requests again');
}

/** A line for an endpoint, or for all agents of an upstream of agents. */
export interface EndpointRow {
  readonly upstream: string;
  readonly endpoint: string;
  readonly condition: UpstreamInfo['endpoints'][number]['condition'] | 'nobody';
  readonly reason: string;
  readonly inFlight: number;
  readonly requests: number;
  readonly failures: number;
}

export function endpointRows(upstreams: readonly UpstreamInfo[]): readonly EndpointRow[] {
  return upstreams.flatMap(({ name, endpoints, agents, inFlight }): readonly EndpointRow[] => {
    if (agents !== null && agents !== undefined) {
      const { connected, slots, free } = agents;
      const reason = `${slots} slots, ${free} free`;
      return [
        {
          upstream: name,
          endpoint: `${connected} agent${connected === 1 ? '' : 's'}`,
          condition: connected === 0 ? 'nobody' : 'well',
          reason,
          inFlight,
          requests: Number.NaN,
          failures: Number.NaN,
        },
      ];
    }
    return endpoints.map(({ id, host, condition, check, inFlight: running, requests, failures }) => ({
      upstream: name,
      endpoint: id,
      condition,
      reason: check !== null && !check.healthy ? check.reason : host === id || `${host}` === id.replace(/:\d+$/, '') ? '' : host,
      inFlight: running,
      requests,
      failures,
    }));
  });
}

/** How endpoints are shown, here and by others. */
export function endpointColumns(style: Style): readonly Column<EndpointRow>[] {
  return [
    { title: 'UPSTREAM', text: ({ upstream }) => upstream, max: 28, spare: 1 },
    { title: 'ENDPOINT', text: ({ endpoint }) => endpoint, max: 44 },
    {
      title: 'STATE',
      text: ({ condition }) => condition,
      paint: (cell, { condition }) =>
        condition === 'well' ? style.green(cell) : condition === 'out' || condition === 'trying' ? style.yellow(cell) : style.red(cell),
    },
    { title: 'RUNNING', text: ({ inFlight }) => numberText(inFlight), side: 'right', spare: 3 },
    { title: 'REQUESTS', text: ({ requests }) => numberText(requests), side: 'right', spare: 5 },
    {
      title: 'FAILED',
      text: ({ failures }) => numberText(failures),
      paint: (cell, { failures }) => (failures > 0 ? style.yellow(cell) : cell),
      side: 'right',
      spare: 4,
    },
    { title: '', text: ({ reason }) => reason, max: 60, spare: 2 },
  ];
}

async function change(invocation: Invocation, what: 'out' | 'in', says: string): Promise<number> {
  const { args, world } = invocation;
  const { client, values } = await adminClientOf(endpointTable, invocation);
  const at = values.endpoint.indexOf('/');
  if (at < 1 || at === values.endpoint.length - 1)
    throw new UsageError(`upstreams ${what}: write it as UPSTREAM/ENDPOINT, such as api/10.0.0.1:8080; windlass upstreams shows those there are`);
  const upstream = values.endpoint.slice(0, at);
  const endpoint = values.endpoint.slice(at + 1);
  try {
    const { items } = await client.get<PageOf<UpstreamInfo>>('/upstreams');
    mustBeThere(items, upstream, endpoint);
    await client.send('POST', `/upstreams/${encodeURIComponent(upstream)}/${what}`, { endpoint });
  } finally {
    client.close();
  }
  if (args.switches.has('json')) printJson(world, { upstream, endpoint, [what]: true });
  else world.stderr.write(`${plainLine(endpoint)} of ${plainLine(upstream)} ${says}\n`);
  return 0;
}

/** @throws Cannot that names what is meant, perhaps */
function mustBeThere(all: readonly UpstreamInfo[], upstream: string, endpoint: string): void {
  const found = all.find(({ name }) => name === upstream);
  const or = (given: string, names: readonly string[]): string => {
    const near = nearest(given, names);
    return near === null ? 'windlass upstreams shows those there are' : `did you mean ${plainLine(near)}?`;
  };
  if (found === undefined)
    throw new Cannot(
      `no upstream is called ${plainLine(upstream)}; ${or(
        upstream,
        all.map(({ name }) => name),
      )}`,
    );
  const ids = found.endpoints.map(({ id }) => id);
  if (ids.includes(endpoint)) return;
  if (found.agents !== null) throw new Cannot(`the endpoints of ${plainLine(upstream)} are agents; windlass agents drain takes one of them out`);
  throw new Cannot(`${plainLine(upstream)} has no endpoint ${plainLine(endpoint)}; ${or(endpoint, ids)}`);
}
