import { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import type { Considered } from '../proxy/explain.ts';
import { type Described, imagine } from '../proxy/imagined.ts';
import { upstreamName } from '../proxy/location-section.ts';
import { Router } from '../proxy/router.ts';
import { nearest } from '../schema/nearest.ts';
import { Wrong } from '../schema/wrong.ts';
import type { GatewaySettings } from './gateway.ts';
import type { ServerSettings } from './sections/server.ts';
import { SettingsError } from './settings-error.ts';

/** Where a server sends a request. */
export interface Route {
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
  /** Of the location that takes it, in their order. */
  readonly plugins: readonly string[];
  /** In the order in which they are asked. */
  readonly considered: readonly Considered[];
}

/** Where every server sends a request, or the one that is named. @throws SettingsError when there is no such server, or no such request */
export function routesOf(settings: GatewaySettings, described: Described, server: string | null): readonly Route[] {
  return serversOf(settings, server).map((one) => routeOf(one, settings, described));
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
    return {
      ...here,
      location: null,
      upstream: null,
      target: null,
      status: noMatchStatus,
      refusal: 'no location takes it',
      captures: {},
      plugins: [],
    };
  }
  const { rewrite, upstream, plugins } = match.value.settings;
  const captures = rewrite === null ? match.captures : rewrite.apply(head, match.captures);
  const shown: Record<string, string> = Object.fromEntries(captures ?? []);
  const taken = { ...here, location: winner, captures: shown, plugins };
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
