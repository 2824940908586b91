import { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import { VERSION } from '../observe/version.ts';
import { canonicalAddress } from '../schema/cidrs.ts';
import type { Connector } from '../tunnel/cranker/connector.ts';
import { DARK_ENTRIES, type DarkMode } from '../tunnel/cranker/dark-mode.ts';
import { CATCH_ALL, routeOf } from '../tunnel/cranker/route.ts';
import type { Answer } from './answer.ts';
import { json, problem, text } from './answer.ts';
import type { Pages } from './basics.ts';

/** What the pages show, and change. */
export interface CrankerBackend {
  readonly connectors: Iterable<Connector>;
  readonly dark: DarkMode;
  /** Requests that run, and file descriptors that are open. */
  readonly activeRequests: () => number;
  readonly openFiles: () => number;
  /** Unix ms of a monotonic time; of now when none is given. */
  readonly wall: (monotonicMs?: number) => number;
}

/**
 * The pages that routers of the Cranker family show: `/health`, `/health/connectors`, `/api/registrations`, and the dark-launch API of crank4go.
 * `writes`: may they be used to change anything?
 */
export function crankerPages(backend: CrankerBackend, writes: boolean): Pages {
  return (head) => {
    const { path, method } = head;
    const isRead = method === 'GET' || method === 'HEAD';
    switch (path) {
      case '/health':
        return isRead ? json(200, health(backend)) : onlyReads();
      case '/health/connectors':
        return isRead ? json(200, { services: services(backend) }) : onlyReads();
      case '/api/registrations':
        return isRead ? json(200, registrations(backend)) : onlyReads();
      default:
        return path.startsWith(DARK) ? darkLaunch(backend, head, path.slice(DARK.length), writes) : null;
    }
  };
}

const DARK = '/api/dark-launch/';

function onlyReads(): Answer {
  return problem(405, 'method_not_allowed', 'Only GET and HEAD are answered here.', ['Allow', 'GET, HEAD']);
}

function byRoute({ connectors }: CrankerBackend): ReadonlyMap<string, Connector[]> {
  const routes = new Map<string, Connector[]>();
  for (const connector of connectors) {
    const { route } = connector.registration;
    const known = routes.get(route);
    if (known === undefined) routes.set(route, [connector]);
    else known.push(connector);
  }
  return routes;
}

/** `{"default":{IP:{}},ROUTE:{IP:{}}}`: `default` is the catch-all. */
function registrations(backend: CrankerBackend): object {
  const page: [string, object][] = [['default', {}]];
  for (const [route, connectors] of byRoute(backend)) {
    const addresses = Object.fromEntries(connectors.map(({ registration }) => [registration.address, {}]));
    if (route === CATCH_ALL) page[0] = ['default', addresses];
    else page.push([route, addresses]);
  }
  return Object.fromEntries(page);
}

/** The page of crank4go's router. */
function health(backend: CrankerBackend): object {
  const routes = byRoute(backend);
  const isAvailable = routes.size > 0;
  const map = Object.fromEntries([...routes].map(([route, connectors]) => [route, countsByAddress(connectors)]));
  return {
    component: 'windlass-cranker-router',
    description: 'Passes requests to services whose connectors have registered here',
    version: VERSION,
    service: 'cranker-router',
    'git-url': '',
    isAvailable: true,
    dependencies: [
      {
        router: {
          CrankerProtocol: '1.0',
          CrankerProtocols: ['3.0', '1.0'],
          activeConnections: backend.activeRequests(),
          openFiles: backend.openFiles(),
          'Services Register Map': map,
          services: '/health/connectors',
          darkMode: !backend.dark.isEmpty,
          isAvailable,
        },
      },
    ],
  };
}

function countsByAddress(connectors: readonly Connector[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { registration, size } of connectors) counts.set(registration.address, (counts.get(registration.address) ?? 0) + size);
  return Object.fromEntries(counts);
}

/** By route: the names of mu-cranker-router, and those of crank4go beside them. */
function services(backend: CrankerBackend): object {
  const { dark } = backend;
  return Object.fromEntries(
    [...byRoute(backend)].map(([route, connectors]) => [
      route,
      {
        name: route,
        componentName: connectors[0]!.registration.componentName,
        isCatchAll: route === CATCH_ALL,
        connectors: connectors.map((connector) => {
          const { registration, sockets } = connector;
          const { instanceId, address, componentName, version, domain } = registration;
          return {
            connectorInstanceID: instanceId,
            ip: address,
            route,
            component: componentName,
            componentName,
            darkMode: dark.isDark(registration),
            connectionCount: sockets.length,
            connections: sockets.map(({ id, port, heardMs, inFlight }) => ({
              socketID: id,
              port,
              protocol: version,
              lastPingTime: new Date(backend.wall(heardMs)).toISOString(),
              ...(version === '3.0' ? { domain, inflight: inFlight } : {}),
            })),
          };
        }),
      },
    ]),
  );
}

/** `ip`, `ip/IP`, `service`, `service/NAME`, `gray`, `gray/on` and `gray/off`. Answers are sentences, as crank4go's are. */
function darkLaunch({ dark, wall }: CrankerBackend, head: RequestHead, rest: string, writes: boolean): Answer {
  const { method } = head;
  const slash = rest.indexOf('/');
  const kind = slash < 0 ? rest : rest.slice(0, slash);
  const name = slash < 0 ? '' : decoded(rest.slice(slash + 1));
  const isRead = method === 'GET' || method === 'HEAD';
  if (!isRead && !writes)
    return problem(403, 'forbidden', 'Dark mode is changed at the address for operators; --registration-api allows it here, too.');
  // A page of somebody else's in an operator's browser.
  if (!isRead && head.get('origin') !== undefined) return problem(403, 'forbidden', 'Dark mode is not changed by pages of other sites.');
  if (!isRead && method !== 'PUT' && method !== 'DELETE')
    return problem(405, 'method_not_allowed', 'Only GET, PUT and DELETE are answered here.', ['Allow', 'GET, HEAD, PUT, DELETE']);
  if (kind === 'gray') return gray(dark, method, name);
  if (kind !== 'ip' && kind !== 'service') return problem(404, 'not_found', 'There is ip, service and gray.');
  const isIp = kind === 'ip';
  const word = isIp ? 'IP' : 'service';
  if (name === '') {
    const all = isIp ? dark.hosts.map(({ address }) => address) : dark.routes;
    return isRead ? text(200, `DarkMode ${word}s = [${all.join(', ')}]\n`) : bad(`no ${word} is named`);
  }
  const known = isIp ? canonicalAddress(name) : plainRouteOf(name);
  if (known === null) return bad(`"${name.slice(0, 100)}" is no ${isIp ? 'address' : 'service'}`);
  if (isRead) {
    const isDark = isIp ? dark.host(known) !== null : dark.routes.includes(known);
    return text(200, `DarkMode ${word} ${known} is ${isDark ? 'on' : 'off'}\n`);
  }
  if (method === 'DELETE') {
    const was = isIp ? dark.lightenHost(known) : dark.lightenRoute(known);
    return text(200, `DarkMode ${word} ${known} is off${was ? '' : ', as it was'}\n`);
  }
  const done = isIp ? dark.darkenHost({ address: known, sinceMs: wall(), reason: 'api' }) : dark.darkenRoute(known);
  return done ? text(200, `DarkMode ${word} ${known} is on\n`) : problem(507, 'overload', `${DARK_ENTRIES} entries are dark already.`);
}

function gray(dark: DarkMode, method: string, word: string): Answer {
  if (word === '' && (method === 'GET' || method === 'HEAD')) return text(200, `GrayTesting is ${dark.gray ? 'on' : 'off'}\n`);
  if (method !== 'PUT' || (word !== 'on' && word !== 'off'))
    return problem(405, 'method_not_allowed', 'There is GET gray, PUT gray/on and PUT gray/off.');
  if (dark.isEmpty) return problem(403, 'forbidden', 'Nothing is in dark mode, so there is nothing to test.');
  dark.setGray(word === 'on');
  return text(200, `GrayTesting is ${word}\n`);
}

function bad(why: string): Answer {
  const id = Math.random().toString(36).slice(2, 10);
  return problem(400, new Failure('bad_request', why).code, `${why} (error id ${id})`);
}

function decoded(given: string): string {
  try {
    return decodeURIComponent(given);
  } catch {
    return given;
  }
}

function plainRouteOf(given: string): string | null {
  return given === CATCH_ALL ? CATCH_ALL : routeOf(given);
}
