import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { Failure } from '../../http/failure.ts';
import type { RequestHead } from '../../http/head.ts';
import { SEC_WEBSOCKET_KEY } from '../../http/names.ts';
import type { Log } from '../../observe/log.ts';
import type { Wire } from '../../std/wire.ts';
import { labelsWithin } from '../labels.ts';
import type { AgentClaims } from '../native/accept.ts';
import { turnAway } from '../turn-away.ts';
import { acceptOf, handshakeProblem } from '../websocket-handshake.ts';
import { CLOSED_WELL } from './close-codes.ts';
import { Connector1 } from './connector-1.ts';
import { Connector3 } from './connector-3.ts';
import type { Connector, ConnectorOptions, Registration, RouterRules } from './connector.ts';
import type { DarkMode } from './dark-mode.ts';
import { Messages } from './messages.ts';
import { type CrankerVersion, type Granted, negotiate } from './negotiate.ts';
import { CATCH_ALL, domainOf, routeOf } from './route.ts';
import type { RouterCore } from './router-exchange.ts';

/** Who may register what. */
export interface RegistrarRules extends RouterRules {
  readonly spoken: ReadonlySet<CrankerVersion>;
  /** May routes hold slashes? Where only the first segment of a path counts, such a route would never be found. */
  readonly deepRoutes: boolean;
  /** May connectors come from there? */
  mayRegister(address: string): boolean;
  /** What it has proved to be; why it is not let in. */
  identify(head: RequestHead, registration: Registration): AgentClaims | Failure;
}

export interface RegistrarOptions {
  readonly core: RouterCore;
  readonly log: Log;
  readonly dark: DarkMode;
  /** A connector has come. Returns null when it is taken, else why not. */
  joined(connector: Connector): Failure | null;
}

/** Connectors at once, and sockets of one; over it, 503. */
const CONNECTORS = 20_000;
const SOCKETS = 2_000;
/** Registrations that are remembered, and characters of one: 2 MB at most. */
const READ = 1_000;
const WORDS = 1_000;
/** Characters of an instance id and of a component name. */
const NAME_LENGTH = 128;

/** Does somebody ask for one of the registrar's paths? On a port that applications share, only with a field that none of theirs has. */
export function asksForCranker(head: RequestHead, isShared: boolean): boolean {
  if (head.upgrade.toLowerCase() !== 'websocket' || pathKind(head.path) === null) return false;
  if (!isShared) return true;
  return (
    head.get('crankerprotocol') !== undefined ||
    head.get('route') !== undefined ||
    (head.get('sec-websocket-protocol') ?? '').toLowerCase().includes('cranker_')
  );
}

function pathKind(path: string): 'register' | 'deregister' | null {
  if (path === '/register' || path === '/register/') return 'register';
  return path === '/deregister' || path === '/deregister/' ? 'deregister' : null;
}

/** A registration, read. */
interface Read {
  readonly registration: Registration;
  readonly labels: ReadonlyMap<string, string>;
}

/** A registration that may be granted; or, where nothing is granted, the end of one. */
interface Asked {
  readonly registration: Registration;
  readonly granted: Granted | null;
  readonly claims: AgentClaims;
  readonly labels: ReadonlyMap<string, string>;
  /** Stands for the connector and what it serves. */
  readonly key: string;
}

/** Where connectors register and deregister. */
export class Registrar {
  rules: RegistrarRules;
  readonly #options: RegistrarOptions;
  readonly #connectors = new Map<string, Connector1 | Connector3>();
  /** What ids of sockets begin with: in 1.0 each request has one of its own, and random ones cost more than the rest of it. */
  readonly #name = randomBytes(4).toString('hex');
  #sockets = 0;
  /** Registrations as they were asked for, by the words: a connector of 1.0 says the same for each request. */
  readonly #read = new Map<string, Read>();

  constructor(rules: RegistrarRules, options: RegistrarOptions) {
    this.rules = rules;
    this.#options = options;
    options.dark.changed = () => {
      for (const connector of this.#connectors.values()) connector.look();
    };
  }

  get connectors(): Iterable<Connector> {
    return this.#connectors.values();
  }

  /** Takes over a connection that asked for a WebSocket at one of our paths: answers 101, or why not. `rest` is what came behind the head. */
  accept(head: RequestHead, wire: Wire, rest: Buffer): void {
    const { core, log } = this.#options;
    const asked = this.#look(head);
    if (asked instanceof Failure) {
      const level = asked.code === 'too_many_requests' ? 'debug' : 'warn';
      log[level]({ peer: head.peer.address, reason: asked.detail, status: asked.status }, 'cranker: a connector was turned away');
      turnAway(wire, core.loop, asked);
      return;
    }
    const { registration, granted } = asked;
    const subprotocol = granted?.subprotocol ?? null;
    const named = subprotocol === null ? '' : `Sec-WebSocket-Protocol: ${subprotocol}\r\n`;
    const said = granted?.saysVersion === true ? 'CrankerProtocol: 1.0\r\n' : '';
    // Who reads the first bytes must be there before they come.
    wire.write(Buffer.from(`${SWITCHING}Sec-WebSocket-Accept: ${acceptOf(head.value(SEC_WEBSOCKET_KEY))}\r\n${named}${said}\r\n`, 'latin1'));
    const messages = new Messages(core.loop, wire, 'router', core.limits, core.framing);
    if (granted === null) {
      this.#deregister(registration, asked.claims);
      messages.close(CLOSED_WELL, 'Deregister complete');
    } else this.#register(asked, head, messages);
    if (rest.length > 0) messages.received(rest, 0, rest.length);
  }

  #look(head: RequestHead): Asked | Failure {
    const { rules } = this;
    const { address } = head.peer;
    if (!rules.mayRegister(address)) return new Failure('forbidden', `connectors may not register from ${address}`);
    const problem = handshakeProblem(head);
    if (problem !== '') return new Failure('bad_request', problem);
    const isRegister = pathKind(head.path) === 'register';
    let granted: Granted | null = null;
    if (isRegister) {
      granted = negotiate(head.get('sec-websocket-protocol') ?? '', head.get('crankerprotocol') ?? '', rules.spoken);
      // 500 is what routers of the family answer to this.
      if (granted === null)
        return new Failure('bad_request', `this router speaks Cranker ${[...rules.spoken].join(' and ')}, and the connector offers neither`, 0, 500);
    }
    const read = this.#readRegistration(head, granted?.version ?? '1.0');
    if (read instanceof Failure) return read;
    const { registration } = read;
    if (!rules.deepRoutes && registration.route.includes('/'))
      return new Failure('bad_request', `the route "${registration.route}" has a slash, and only the first segment of a path is looked at here`);
    const claims = rules.identify(head, registration);
    if (claims instanceof Failure) return claims;
    const labels = labelsWithin(read.labels, claims.labels);
    if (typeof labels === 'string') return new Failure('forbidden', `the token does not allow this value of the label ${labels}`);
    const key = [registration.version, claims.tokenId, registration.instanceId, registration.route, registration.domain, address].join('\n');
    const there = this.#connectors.get(key);
    if (isRegister && (there === undefined ? this.#connectors.size >= CONNECTORS : there.size >= SOCKETS))
      return new Failure(
        'overload',
        there === undefined ? 'too many connectors are here already' : `this connector has ${SOCKETS} sockets already`,
        5,
      );
    return { registration, granted, claims, labels, key };
  }

  #readRegistration(head: RequestHead, version: CrankerVersion): Read | Failure {
    const words = [version, head.target, head.get('route') ?? '', head.get('domain') ?? '', head.peer.address].join('\n');
    const known = this.#read.get(words);
    if (known !== undefined) return known;
    const registration = readRegistration(head, version);
    if (registration instanceof Failure) return registration;
    const read = { registration, labels: announcedLabels(registration) };
    if (this.#read.size >= READ) this.#read.clear();
    if (words.length <= WORDS) this.#read.set(words, read);
    return read;
  }

  #register(asked: Asked, head: RequestHead, messages: Messages): void {
    const { key } = asked;
    let connector = this.#connectors.get(key);
    const isNew = connector === undefined || !connector.takesMore;
    if (isNew) connector = this.#make(asked, head);
    connector!.add(`${this.#name}${(this.#sockets++).toString(16).padStart(8, '0')}`, head.peer.port, messages);
    if (!isNew) return;
    this.#connectors.set(key, connector!);
    const failure = this.#options.joined(connector!);
    if (failure !== null) connector!.close(failure);
  }

  #make({ key, registration, claims, labels }: Asked, head: RequestHead): Connector1 | Connector3 {
    const { core, log, dark } = this.#options;
    const { instanceId, route, domain, version, address, componentName } = registration;
    const { certificate } = head.peer;
    const options: ConnectorOptions = {
      core,
      log,
      rules: this.rules,
      dark,
      registration,
      agent: {
        // One agent per connector and route: a connector may have several of these.
        id: `${instanceId}/${route}${domain === CATCH_ALL ? '' : `@${domain}`}`,
        instance: randomBytes(8).toString('hex'),
        tokenId: claims.tokenId,
        name: claims.name === '' ? componentName : claims.name,
        scopes: claims.scopes,
        scopePaths: claims.scopePaths,
        expiresMs: claims.expiresMs,
        labels,
        hardware: null,
        address,
        ...(certificate === null ? {} : { certificate }),
        ...(claims.sealedBy === undefined ? {} : { sealedBy: claims.sealedBy }),
      },
      over: (connector) => {
        if (this.#connectors.get(key) === connector) this.#connectors.delete(key);
      },
    };
    return version === '3.0' ? new Connector3(options) : new Connector1(options);
  }

  /** Those of the same connector get nothing new. Whoever gives no id means nobody, and nobody can mean another's. */
  #deregister({ instanceId, route }: Registration, { tokenId }: AgentClaims): void {
    if (instanceId.startsWith(UNKNOWN)) return;
    for (const connector of this.#connectors.values()) {
      const { registration, agent } = connector;
      if (registration.instanceId === instanceId && registration.route === route && agent.tokenId === tokenId) connector.drain();
    }
  }
}

const UNKNOWN = 'unknown-';
const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n';

/** What a registration says, checked. */
function readRegistration(head: RequestHead, version: CrankerVersion): Registration | Failure {
  const { address } = head.peer;
  const target = head.target;
  const question = target.indexOf('?');
  const query = new URLSearchParams(question < 0 ? '' : target.slice(question + 1));
  const route = routeOf(head.get('route') ?? '');
  if (route === null)
    return new Failure('bad_request', 'the route may hold letters, digits and / _ . - (no segment that ends in a dot or holds two), or be *');
  const domain = domainOf(head.get('domain') ?? '');
  if (domain === null) return new Failure('bad_request', 'the domain is no host name');
  const said = plainName(query.get('connectorInstanceID') ?? '');
  return {
    instanceId: said === '' ? `${UNKNOWN}${address}` : said,
    componentName: plainName(query.get('componentName') ?? ''),
    route,
    // Connectors of 1.0 send it too, and no router of theirs looks at it.
    domain: version === '3.0' ? domain : CATCH_ALL,
    version,
    address,
  };
}

/** What may stand in fields, logs and pages as it is. */
function plainName(given: string): string {
  return given
    .trim()
    .slice(0, NAME_LENGTH)
    .replaceAll(/[^\w.:@+ -]/g, '_');
}

/** What its route and domain are in the words of selectors; `@announced` finds it by them. */
export function announcedLabels({ route, domain, componentName, version }: Registration): ReadonlyMap<string, string> {
  const labels = new Map([
    ['route', route === CATCH_ALL ? '/' : route],
    ['cranker', version],
  ]);
  if (domain !== CATCH_ALL) labels.set('host', domain);
  if (componentName !== '') labels.set('component', componentName);
  return labels;
}
