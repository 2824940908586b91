import type { ClientCertificate } from '../http/client-certificate.ts';
import { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import { httpLimits } from '../http/limits.ts';
import { AUTHORIZATION, WINDLASS_TOKEN } from '../http/names.ts';
import type { TakeOver } from '../http/server-h1.ts';
import type { Registration } from '../tunnel/cranker/connector.ts';
import { DarkMode } from '../tunnel/cranker/dark-mode.ts';
import { crankerLimits, type CrankerLimits } from '../tunnel/cranker/limits.ts';
import type { CrankerVersion } from '../tunnel/cranker/negotiate.ts';
import { asksForCranker, Registrar, type RegistrarRules } from '../tunnel/cranker/registrar.ts';
import { CATCH_ALL } from '../tunnel/cranker/route.ts';
import { RouterCore } from '../tunnel/cranker/router-exchange.ts';
import type { AgentClaims } from '../tunnel/native/accept.ts';
import type { Pages } from '../admin/basics.ts';
import { crankerPages } from '../admin/cranker.ts';
import { openDescriptors } from '../observe/process.ts';
import type { AgentDesk } from './agent-desk.ts';
import type { House } from './house.ts';

/** Whom a router lets register, and how it treats them. */
export interface CrankerRules {
  readonly spoken: ReadonlySet<CrankerVersion>;
  readonly deepRoutes: boolean;
  /** Where connectors may come from; null = from anywhere. */
  readonly from: { has(address: string): boolean } | null;
  /** How a connector proves who it is: not at all, by an agent token, or by the certificate of its TLS handshake. */
  readonly proof: 'none' | 'token' | 'certificate';
  /** By a name in a certificate: the routes that it may register, `*` for all. Who is not here may register the routes that its certificate names. */
  readonly certificateRoutes: ReadonlyMap<string, readonly string[]>;
  readonly maxInFlight: number;
  readonly keepsHost: boolean;
  readonly legacyForwarded: boolean;
}

/** Where connectors of the Cranker family come in. They are agents like all others from there on. */
export class CrankerDesk {
  readonly dark = new DarkMode();
  readonly registrar: Registrar;
  readonly #house: House;
  readonly #desk: AgentDesk;

  constructor(house: House, desk: AgentDesk, rules: CrankerRules, limits: Partial<CrankerLimits> = {}) {
    this.#house = house;
    this.#desk = desk;
    this.registrar = new Registrar(this.#rulesOf(rules), {
      core: new RouterCore(house.loop, { ...crankerLimits, ...limits }, httpLimits),
      log: house.log,
      dark: this.dark,
      joined: (connector) => desk.admit(connector),
    });
  }

  /** Goes by other rules from now on; connectors that are here stay. */
  renew(rules: CrankerRules): void {
    this.registrar.rules = this.#rulesOf(rules);
  }

  /** `isShared`: applications ask on the same port. */
  takeOver(isShared: boolean): TakeOver {
    return {
      token: '',
      wants: (head) => asksForCranker(head, isShared),
      accept: (head, wire, rest) => this.registrar.accept(head, wire, rest),
    };
  }

  /** Health, registrations and dark mode. `writes`: may they be changed there? */
  pages(writes: boolean): Pages {
    const { pool } = this.#desk;
    const { clock } = this.#house.loop;
    const { registrar } = this;
    return crankerPages(
      {
        get connectors() {
          return registrar.connectors;
        },
        dark: this.dark,
        activeRequests: () => [...pool.sessions].reduce((sum, { inFlight }) => sum + inFlight, 0),
        openFiles: openDescriptors,
        wall: (ms = clock.now()) => clock.wall() - clock.now() + ms,
      },
      writes,
    );
  }

  #rulesOf(rules: CrankerRules): RegistrarRules {
    return {
      ...rules,
      mayRegister: (address) => rules.from === null || rules.from.has(address),
      identify: (head, registration) => this.#identify(rules, head, registration),
    };
  }

  #identify({ proof, certificateRoutes }: CrankerRules, head: RequestHead, registration: Registration): AgentClaims | Failure {
    const { certificate } = head.peer;
    if (certificate === null && this.#desk.rules.requireCertificate)
      return new Failure('forbidden', 'connectors must show a client certificate here');
    if (proof === 'none') return ANYBODY;
    if (proof === 'token') return this.#desk.judge(tokenOf(head), registration.address);
    if (certificate === null) return new Failure('forbidden', 'connectors must show a client certificate here');
    const names = namesOf(certificate);
    const allowed = names.flatMap((name) => certificateRoutes.get(name) ?? [name]);
    if (!allowed.includes(CATCH_ALL)) {
      if (!allowed.includes(registration.route)) return new Failure('forbidden', `this certificate does not allow the route "${registration.route}"`);
      if (registration.domain !== CATCH_ALL && !names.includes(registration.domain))
        return new Failure('forbidden', `this certificate does not name the domain "${registration.domain}"`);
    }
    const claims = { ...ANYBODY, tokenId: `certificate ${certificate.fingerprint}`, name: certificate.commonName };
    return this.#desk.refusal(claims) ?? claims;
  }
}

const ANYBODY: AgentClaims = { tokenId: '', name: '', scopes: [], scopePaths: [], expiresMs: 0, labels: new Map() };

/** Connectors can add fields to their registration, and some only the usual one. */
function tokenOf(head: RequestHead): string {
  if (head.has(WINDLASS_TOKEN)) return head.value(WINDLASS_TOKEN);
  return /^bearer +(.+)$/i.exec(head.value(AUTHORIZATION))?.[1]?.trim() ?? '';
}

/** What a certificate calls its holder. */
function namesOf({ commonName, names }: ClientCertificate): string[] {
  const all = names.filter((one) => one.startsWith('DNS:') || one.startsWith('URI:')).map((one) => one.slice(4));
  return commonName === '' ? all : [commonName, ...all];
}

/** Several ways out of HTTP on one port: the first that wants a request has it. */
export function anyOf(ways: readonly TakeOver[]): TakeOver {
  const takes = (way: TakeOver, head: RequestHead): boolean => (way.token !== '' && head.upgrade === way.token) || way.wants?.(head) === true;
  return {
    token: '',
    wants: (head) => ways.some((way) => takes(way, head)),
    accept: (head, wire, rest) => ways.find((way) => takes(way, head))!.accept(head, wire, rest),
  };
}
