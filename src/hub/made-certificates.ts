import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { Authority } from '../certs/authority.ts';
import { type DevelopmentAuthority, openDevelopmentAuthority } from '../certs/development-authority.ts';
import type { Http01Answers } from '../certs/acme/http-01.ts';
import type { AcmeLimits } from '../certs/acme/limits.ts';
import type { OrderedCertificate, OrderedStatus, OrderMeans } from '../certs/acme/ordered.ts';
import type { CertificateRecord } from '../certs/acme/records.ts';
import type { Minter, NamedPair } from '../certs/store.ts';
import type { GatewaySettings } from '../config/gateway.ts';
import type { AuthoritySettings, OrderSettings } from '../config/sections/certificate.ts';
import { SettingsError } from '../config/settings-error.ts';
import type { House } from './house.ts';

/** An authority in use, with its own certificate. */
export type MadeMinter = Minter & Pick<NamedPair, 'cert' | 'notAfterMs'>;

/** What one configuration has of certificates that are made or fetched here. */
export interface PreparedMade {
  /** Those that are ordered, by name; they change while they are in use. */
  readonly ordered: ReadonlyMap<string, NamedPair>;
  /** Authorities of [certificates]. */
  readonly minters: readonly (MadeMinter & { readonly name: string })[];
  /** Our own, for servers with `self_signed`; null: none has it. */
  readonly selfSigned: MadeMinter | null;
  /** Null: nobody ever comes for a proof. */
  readonly answers: Http01Answers | null;
  /** From now on these are ordered, and none else. */
  commit(): void;
  abandon(): void;
}

/** How an order is doing, for operators. */
export interface OrderReport extends Omit<OrderedStatus, 'nextTryMs'> {
  readonly nextTry: string;
}

export interface MadeOptions {
  /** Where accounts, certificates and authorities are kept; null = there is no such folder. */
  readonly stateDir: string | null;
  /** Bounds that differ from the usual ones. */
  readonly acmeLimits?: Partial<AcmeLimits>;
  readonly random?: () => number;
}

interface Ordered {
  readonly fingerprint: string;
  readonly one: OrderedCertificate;
}

/** Certificates that are ordered, and authorities that make them on demand. One whose settings stay the same is the same after a reload. */
export class MadeCertificates {
  readonly #house: House;
  readonly #options: MadeOptions;
  #means: Promise<OrderMeans> | null = null;
  #answers: Http01Answers | null = null;
  #development: DevelopmentAuthority | null = null;
  #ordered = new Map<string, Ordered>();
  #minters = new Map<string, { readonly fingerprint: string; readonly authority: Authority }>();
  readonly #counts = new Map<string, { issued: number; failed: number }>();
  /** Called when another certificate serves. */
  changed: () => void = () => {};

  constructor(house: House, options: MadeOptions) {
    this.#house = house;
    this.#options = options;
    const help = 'Orders of certificates, by what became of them: issued, failed.';
    house.metrics.computed('counter', 'windlass_certificate_orders_total', help, ['certificate', 'result'], (emit) => {
      for (const [name, { issued, failed }] of this.#counts) {
        emit(issued, name, 'issued');
        emit(failed, name, 'failed');
      }
    });
  }

  /** Opens what only the new settings need. @throws SettingsError */
  async prepare(settings: GatewaySettings): Promise<PreparedMade> {
    const before = this.#ordered;
    const ordered = new Map<string, Ordered>();
    const minters = new Map(this.#minters);
    const abandon = (): void => {
      for (const [name, { one }] of ordered) if (before.get(name)?.one !== one) one.stop();
    };
    const made: (MadeMinter & { name: string })[] = [];
    const isSelfSigned = [...settings.servers.values()].some(({ tls }) => tls?.selfSigned === true);
    let development: DevelopmentAuthority | null = null;
    // Read once for all that are new.
    let kept: ReadonlyMap<string, CertificateRecord> | null = null;
    const open = async (of: OrderSettings): Promise<OrderedCertificate> => {
      const means = await this.#meansFor(`certificates.${of.name}`);
      kept ??= await means.store.certificates.all();
      const { OrderedCertificate: Made } = await import('../certs/acme/ordered.ts');
      return Made.open({ name: of.name, domains: of.domains, isDefault: of.isDefault, ...of.order }, means, kept);
    };
    try {
      for (const of of settings.certificates.values()) {
        if (of.of === 'authority') made.push(this.#minterOf(of, minters));
        if (of.of !== 'order') continue;
        const known = before.get(of.name);
        ordered.set(of.name, known?.fingerprint === of.fingerprint ? known : { fingerprint: of.fingerprint, one: await open(of) });
      }
      if (isSelfSigned) development = await this.#openDevelopment();
    } catch (error) {
      abandon();
      if (error instanceof SettingsError) throw error;
      throw new SettingsError([`certificates cannot be kept: ${(error as Error).message}`]);
    }
    return {
      ordered: new Map([...ordered].map(([name, { one }]) => [name, one])),
      minters: made,
      selfSigned: development === null ? null : minterFor(development.authority, [], true),
      answers: this.#answers,
      commit: () => {
        this.#ordered = ordered;
        this.#minters = new Map([...minters].filter(([name]) => made.some((one) => one.name === name)));
        for (const [name, old] of before) if (ordered.get(name)?.one !== old.one) old.one.stop();
        for (const [name, { one }] of ordered) {
          if (before.get(name)?.one === one) continue;
          one.changed = () => this.changed();
          one.start();
        }
      },
      abandon,
    };
  }

  /** Of a certificate that is ordered, by its label; empty for others. */
  statusOf(label: string): { readonly order?: OrderReport } {
    const found = label.startsWith('certificates.') ? this.#ordered.get(label.slice('certificates.'.length)) : undefined;
    if (found === undefined) return {};
    const { nextTryMs, ...status } = found.one.status;
    return { order: { ...status, nextTry: new Date(nextTryMs).toISOString() } };
  }

  #minterOf(of: AuthoritySettings, minters: Map<string, { fingerprint: string; authority: Authority }>): MadeMinter & { name: string } {
    const { name, fingerprint, cert, key, domains, isDefault } = of;
    let known = minters.get(name);
    if (known?.fingerprint !== fingerprint) {
      known = { fingerprint, authority: new Authority(cert.text, key.text, this.#wall) };
      minters.set(name, known);
    }
    return { name, ...minterFor(known.authority, domains, isDefault) };
  }

  /** Made when something is ordered for the first time. */
  #meansFor(subject: string): Promise<OrderMeans> {
    this.#means ??= this.#makeMeans(this.#folderFor(`${subject}.acme`));
    const means = this.#means;
    // Another try begins anew.
    means.catch(() => {
      if (this.#means === means) this.#means = null;
    });
    return means;
  }

  async #makeMeans(stateDir: string): Promise<OrderMeans> {
    const [{ openAcmeStore }, { OrderDesk }, { Http01Answers: Answers }, { acmeLimits }] = await Promise.all([
      import('../certs/acme/records.ts'),
      import('../certs/acme/desk.ts'),
      import('../certs/acme/http-01.ts'),
      import('../certs/acme/limits.ts'),
    ]);
    const limits = { ...acmeLimits, ...this.#options.acmeLimits };
    const store = await openAcmeStore(stateDir);
    this.#answers ??= new Answers();
    return {
      store,
      solvers: [this.#answers],
      desk: new OrderDesk(limits.ordersAtOnce),
      limits,
      log: this.#house.log,
      wall: this.#wall,
      random: this.#options.random ?? Math.random,
      ended: (name, result) => this.#countOf(name)[result]++,
    };
  }

  #countOf(name: string): { issued: number; failed: number } {
    let count = this.#counts.get(name);
    if (count === undefined) this.#counts.set(name, (count = { issued: 0, failed: 0 }));
    return count;
  }

  async #openDevelopment(): Promise<DevelopmentAuthority> {
    if (this.#development !== null) return this.#development;
    const found = await openDevelopmentAuthority(this.#folderFor('self_signed'), this.#wall);
    const { fingerprint256, validTo } = found.authority.certificate;
    this.#house.log.info(
      { ca: found.certPath, sha256: fingerprint256, notAfter: new Date(validTo).toISOString() },
      `${found.isNew ? 'an authority for development was made' : 'the authority for development is there'}: who is to believe servers with self_signed trusts this file`,
    );
    this.#development = found;
    return found;
  }

  /** Path of the certificate of our own authority; null: there is none. */
  get developmentCa(): string | null {
    return this.#development?.certPath ?? null;
  }

  #folderFor(subject: string): string {
    const { stateDir } = this.#options;
    if (stateDir === null) throw new SettingsError([`${subject} needs a folder for what must outlive the process; give one with --state-dir`]);
    return resolve(stateDir);
  }

  readonly #wall = (): number => this.#house.loop.clock.wall();

  close(): void {
    for (const { one } of this.#ordered.values()) one.stop();
  }
}

/** Clients that name nobody, as those that dial an address do, get a certificate for this machine. */
function minterFor(authority: Authority, domains: readonly string[], isDefault: boolean): MadeMinter {
  const here = ['localhost', ...(domains.length === 0 ? [hostname().toLowerCase()] : []), '127.0.0.1', '::1'];
  return {
    domains,
    isDefault,
    cert: authority.cert,
    notAfterMs: Date.parse(authority.certificate.validTo),
    leafFor: (name) => authority.leafFor(name === '' ? here : [name]),
  };
}
