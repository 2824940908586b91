import { mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Handler } from '../../http/exchange.ts';
import { VERSION } from '../../observe/version.ts';
import type { Address } from '../../schema/address.ts';
import { FileRecords } from '../../store/file-records.ts';
import { type AgentsBackend, agentsRoutes } from '../../admin/agents-routes.ts';
import { AdminApi } from '../../admin/api.ts';
import type { ConsoleHere } from '../../admin/basics.ts';
import { AuditLog } from '../../admin/audit.ts';
import { auditRoutes } from '../../admin/audit-routes.ts';
import { Broadcast, type Changed, type TickSource } from '../../admin/broadcast.ts';
import { type CertificatesBackend, certificatesRoutes } from '../../admin/certificates-routes.ts';
import { type ConfigBackend, configRoutes } from '../../admin/config-routes.ts';
import { ConsoleDoor } from '../../admin/console.ts';
import { Files } from '../../admin/files.ts';
import { Gate, LOCAL } from '../../admin/gate.ts';
import type { HostRule } from '../../admin/host-rule.ts';
import { infoRoutes } from '../../admin/info-routes.ts';
import { LocalToken } from '../../admin/local-token.ts';
import { Login } from '../../admin/login.ts';
import { type LogsBackend, logsRoutes } from '../../admin/logs-routes.ts';
import type { Info } from '../../admin/model.ts';
import { type OverviewBackend, overviewRoutes } from '../../admin/overview-routes.ts';
import { People, type Person } from '../../admin/people.ts';
import { type QueueBackend, queueRoutes } from '../../admin/queue-routes.ts';
import type { AdminRoute } from '../../admin/route.ts';
import { type RoutingBackend, routingRoutes } from '../../admin/routing-routes.ts';
import { sessionRoutes } from '../../admin/session-routes.ts';
import { Sessions } from '../../admin/sessions.ts';
import { Tickets } from '../../admin/tickets.ts';
import { tokenRoutes } from '../../admin/token-routes.ts';
import { tokenForm, Tokens } from '../../admin/tokens.ts';
import { type TrafficBackend, trafficRoutes } from '../../admin/traffic-routes.ts';
import { type UpstreamsBackend, upstreamsRoutes } from '../../admin/upstreams-routes.ts';
import type { House } from '../house.ts';

/** What of the program the console shows and changes. What is absent is not there, and its routes neither. */
export interface Backends {
  readonly agents?: AgentsBackend;
  readonly queue?: QueueBackend;
  readonly upstreams?: UpstreamsBackend;
  readonly certificates?: CertificatesBackend;
  readonly config?: ConfigBackend;
  readonly routing?: RoutingBackend;
  readonly overview?: OverviewBackend;
  readonly traffic?: TrafficBackend;
  readonly logs?: LogsBackend;
  /** Numbers of each second, for pages that are open. */
  readonly ticks?: TickSource;
}

/** The routes of those that are there. Each resource has one line. */
function routesOf({ agents, queue, upstreams, certificates, config, routing, overview, traffic, logs }: Backends): readonly AdminRoute[] {
  return [
    ...(overview === undefined ? [] : overviewRoutes(overview)),
    ...(agents === undefined ? [] : agentsRoutes(agents)),
    ...(queue === undefined ? [] : queueRoutes(queue)),
    ...(upstreams === undefined ? [] : upstreamsRoutes(upstreams)),
    ...(certificates === undefined ? [] : certificatesRoutes(certificates)),
    ...(config === undefined ? [] : configRoutes(config)),
    ...(routing === undefined ? [] : routingRoutes(routing)),
    ...(traffic === undefined ? [] : trafficRoutes(traffic)),
    ...(logs === undefined ? [] : logsRoutes(logs)),
  ];
}

/** What a console is made of. */
export interface ConsoleOptions extends Backends {
  /** Where tokens, the audit log and the local token lie; null = nowhere, and what was kept is lost at the end. */
  readonly stateDir: string | null;
  /** Where the local token lies, when that is not the state folder. */
  readonly tokenDir?: string | null;
  /** What only the program knows of itself. */
  about(): Pick<Info, 'kind' | 'name' | 'source' | 'listening'>;
}

/** What settings say of the console; they may change while it is there. */
export interface ConsoleRules {
  readonly isOn: boolean;
  readonly people: ReadonlyMap<string, Person>;
  /** Names under which it may be asked, besides addresses, localhost and this machine's; lower case. */
  readonly hosts: ReadonlySet<string>;
}

/** The console of a program: made once, for all places at which it stands. */
export class Console {
  readonly #house: House;
  readonly #options: ConsoleOptions;
  readonly #api: AdminApi;
  readonly #files = new Files(uiFolder());
  readonly #local = new LocalToken();
  readonly #people = new People();
  readonly #tokens: Tokens;
  readonly #audit: AuditLog;
  readonly #broadcast: Broadcast;
  readonly #tickets: Tickets;
  readonly #startedAtMs: number;
  readonly routes: readonly AdminRoute[];
  #rules: ConsoleRules = { isOn: true, people: new Map(), hosts: new Set() };
  #address: Address | null = null;
  #opening: Promise<void> | null = null;

  constructor(house: House, options: ConsoleOptions) {
    const { loop, log } = house;
    const { clock } = loop;
    const { stateDir } = options;
    this.#house = house;
    this.#options = options;
    this.#startedAtMs = clock.wall();
    this.#tokens = new Tokens(stateDir === null ? null : new FileRecords(join(stateDir, 'admin-tokens.json'), tokenForm), clock, log);
    this.#audit = new AuditLog(stateDir === null ? null : join(stateDir, 'admin-audit.jsonl'), clock, log);
    this.#broadcast = new Broadcast(options.ticks ?? null);
    const sessions = new Sessions(clock);
    this.#tickets = new Tickets(clock);
    const gate = new Gate(sessions, this.#tokens, this.#local.token);
    const people = this.#people;
    this.routes = [
      ...sessionRoutes({ people, login: new Login(people, clock), sessions, tickets: this.#tickets, gate, clock }),
      ...tokenRoutes(this.#tokens),
      ...auditRoutes(this.#audit),
      ...infoRoutes({ info: () => this.#info(), broadcast: this.#broadcast, routes: () => this.routes }),
      ...routesOf(options),
    ];
    this.#api = new AdminApi({ loop, routes: this.routes, prove: gate.prove, done: this.#audit.done, defect: house.defect });
  }

  /** The token that commands of this machine use; a new one for each process. */
  get localToken(): string {
    return this.#local.token;
  }

  /** The console at the listener for operators. */
  get here(): ConsoleHere {
    const door = this.at('');
    return { isOn: () => this.#rules.isOn, open: (head, reply, notes) => door.open(head, reply, notes) };
  }

  /** The console at a place: under `base`, '' = all paths. `names`: more than the usual ones. */
  at(base: string, holds: HostRule['holds'] = 'everybody', names: readonly string[] = []): Handler {
    const rule = (): HostRule => ({ names: names.length === 0 ? this.#rules.hosts : new Set([...names, ...this.#rules.hosts]), holds });
    return new ConsoleDoor({ api: this.#api, files: this.#files }, base, rule);
  }

  /** Goes by other settings from now on. */
  renew(rules: ConsoleRules): void {
    this.#rules = rules;
    this.#people.renew(rules.people);
    if (rules.isOn && this.#address !== null) this.#leaveToken(this.#address);
    else this.#local.remove();
  }

  /** Reads what it has kept; before anybody can ask. */
  open(): Promise<void> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open(): Promise<void> {
    const { stateDir } = this.#options;
    try {
      if (stateDir !== null) mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    } catch (error) {
      this.#house.log.warn(
        { folder: stateDir, error: (error as Error).message },
        'there is no state folder: tokens and the audit log cannot be kept',
      );
    }
    await Promise.all([this.#tokens.open(), this.#audit.open()]);
  }

  /** The listener for operators is there, or at another address, or nowhere (null): commands of this machine find their way in. */
  opened(address: Address | null): void {
    this.#address = address;
    if (this.#rules.isOn && address !== null) this.#leaveToken(address);
    else this.#local.remove();
  }

  #leaveToken(address: Address): void {
    const { stateDir, tokenDir = stateDir } = this.#options;
    if (tokenDir === null) return;
    try {
      this.#local.leave(tokenDir, address);
    } catch (error) {
      const text = 'no local token could be left: commands such as windlass status need --admin-token-file';
      this.#house.log.warn({ error: (error as Error).message }, text);
    }
  }

  /** A link that lets one browser in, once and soon, as whoever may read the state folder. `url`: of the listener. */
  link(url: string): string {
    return `${url}/#ticket=${this.#tickets.issue(LOCAL)}`;
  }

  /** What it shows has changed: pages that are open hear of it soon. */
  changed(what: Changed): void {
    this.#broadcast.changed(what);
  }

  #info(): Info {
    return {
      version: VERSION,
      node: process.version,
      pid: process.pid,
      hostname: hostname(),
      startedAtMs: this.#startedAtMs,
      state: this.#house.draining ? 'draining' : 'serving',
      ...this.#options.about(),
    };
  }

  /** Nobody comes in any more; what is to be written is. */
  async close(): Promise<void> {
    this.#local.remove();
    this.#broadcast.close();
    this.#tokens.close();
    await this.#audit.close();
  }
}

/** Beside the program as it is built; in development where the build puts it. */
function uiFolder(): string {
  const here = import.meta.url;
  return fileURLToPath(new URL(here.endsWith('.ts') ? '../../../dist/ui' : '../../ui', here));
}
