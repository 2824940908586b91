import { X509Certificate } from 'node:crypto';
import { tellOfAge } from '../../certs/age.ts';
import { CertFiles } from '../../certs/files.ts';
import type { Minter, NamedPair } from '../../certs/store.ts';
import type { Pem } from '../../schema/pem.ts';
import type { GatewaySettings } from '../../config/gateway.ts';
import { namesIn, type PairSettings } from '../../config/sections/certificate.ts';
import { SettingsError } from '../../config/settings-error.ts';
import type { House } from '../house.ts';
import type { PreparedMade } from '../made-certificates.ts';

/** The certificates of one configuration, as they are when somebody asks. */
export interface PreparedCertificates {
  /** Those of [certificates]. */
  readonly pairs: readonly NamedPair[];
  /** Those of them that make others. */
  readonly minters: readonly Minter[];
  /** For servers with `self_signed`; null: there are none. */
  readonly selfSigned: Minter | null;
  /** The one that a server has for itself. */
  ownOf(server: string): Pick<NamedPair, 'cert' | 'key'> | null;
  /** Another number after every change of a file. */
  readonly generation: number;
  commit(): void;
  abandon(): void;
}

/** A pair, and where it stands in the file. */
interface Named {
  readonly label: string;
  readonly source: ShownCertificate['source'];
  readonly pair: Pick<NamedPair, 'cert' | 'notAfterMs'>;
  /** Null: it comes from no files of its own. */
  readonly files: CertFiles | null;
  /** Servers that may show it. */
  readonly usedBy: readonly string[];
}

/** A certificate in use, for people to look at. */
export interface ShownCertificate {
  /** `certificates.NAME`, `servers.NAME` or `self_signed`. */
  readonly label: string;
  readonly source: 'file' | 'acme' | 'self_signed' | 'server';
  /** PEM, its own first; never the key. */
  readonly cert: string;
  readonly usedBy: readonly string[];
  /** Why what is in its files now is not in use; '' = it is. */
  readonly problem: string;
}

/** The certificates of a gateway. Those in files are read anew when they change, also while the configuration is broken or not watched. */
export class GatewayCertificates {
  readonly #house: House;
  /** By the paths of both files. */
  #files = new Map<string, CertFiles>();
  #named: readonly Named[] = [];
  #generation = 0;
  /** Called after every change: new handshakes are to get what is there now. */
  changed: () => void = () => {};

  constructor(house: House) {
    this.#house = house;
    house.metrics.computed('gauge', 'windlass_certificate_expiry_seconds', 'When a TLS certificate expires, Unix time.', ['certificate'], (emit) => {
      for (const { label, pair } of this.#named) emit(pair.notAfterMs / 1000, label);
    });
  }

  /** When each certificate expires, for operators. */
  get report(): readonly { readonly certificate: string; readonly notAfter: string }[] {
    return this.#named.map(({ label, pair }) => ({ certificate: label, notAfter: new Date(pair.notAfterMs).toISOString() }));
  }

  /** Those in use. */
  get shown(): readonly ShownCertificate[] {
    return this.#named.map(({ label, source, pair, files, usedBy }) => ({ label, source, cert: pair.cert, usedBy, problem: files?.problem ?? '' }));
  }

  /** Opens the files that only the new settings name. `made`: those that come from no file. @throws SettingsError */
  prepare(settings: GatewaySettings, made: PreparedMade): PreparedCertificates {
    const before = this.#files;
    const files = new Map<string, CertFiles>();
    const discard = (): void => {
      for (const [key, one] of files) if (before.get(key) !== one) one.close();
    };
    const open = (cert: Pem, key: Pem): CertFiles | null => {
      if (cert.path === null || key.path === null) return null;
      const id = `${cert.path}\0${key.path}`;
      let one = files.get(id) ?? before.get(id);
      if (one === undefined) {
        one = this.#open(cert.path, key.path);
        one.changed = () => {
          this.#generation++;
          this.changed();
        };
      } else one.look();
      files.set(id, one);
      return one;
    };
    const named: Named[] = [];
    const pairs: NamedPair[] = [];
    const own = new Map<string, NamedPair>();
    /** Those that stand in the configuration: files look after themselves. */
    const inline: Named[] = [];
    const ofAll: string[] = [];
    const ofSelfSigned: string[] = [];
    for (const { name, tls } of settings.servers.values()) {
      if (tls?.global === true) ofAll.push(name);
      if (tls?.selfSigned === true) ofSelfSigned.push(name);
    }
    try {
      for (const item of settings.certificates.values()) {
        if (item.of === 'authority') continue;
        const opened = item.of === 'order' ? null : open(item.cert, item.key);
        const pair = item.of === 'order' ? made.ordered.get(item.name)! : pairOf(item, opened);
        pairs.push(pair);
        named.push({ label: `certificates.${item.name}`, source: item.of === 'order' ? 'acme' : 'file', pair, files: opened, usedBy: ofAll });
        if (item.of !== 'order' && opened === null) inline.push(named.at(-1)!);
      }
      for (const authority of made.minters)
        named.push({ label: `certificates.${authority.name}`, source: 'file', pair: authority, files: null, usedBy: ofAll });
      if (made.selfSigned !== null)
        named.push({ label: 'self_signed', source: 'self_signed', pair: made.selfSigned, files: null, usedBy: ofSelfSigned });
      for (const { name, tls } of settings.servers.values()) {
        if (tls === null || tls.own === null) continue;
        const { cert, key } = tls.own;
        const one = open(cert, key);
        const notAfterMs = Date.parse(new X509Certificate(cert.text).validTo);
        const pair = one === null ? { cert: cert.text, key: key.text, domains: [], isDefault: true, notAfterMs } : livePair(one, true, []);
        own.set(name, pair);
        named.push({ label: `servers.${name}`, source: 'server', pair, files: one, usedBy: [name] });
        if (one === null) inline.push(named.at(-1)!);
      }
    } catch (error) {
      discard();
      throw error;
    }
    const generation = (): number => this.#generation;
    return {
      pairs,
      minters: made.minters,
      selfSigned: made.selfSigned,
      ownOf: (server) => own.get(server) ?? null,
      get generation() {
        return generation();
      },
      commit: () => {
        this.#files = files;
        this.#named = named;
        for (const [key, one] of before) if (files.get(key) !== one) one.close();
        for (const { label, pair } of inline) tellOfAge(this.#house.log, label, pair.notAfterMs, this.#house.loop.clock.wall());
      },
      abandon: discard,
    };
  }

  #open(certPath: string, keyPath: string): CertFiles {
    const { log, loop } = this.#house;
    try {
      return new CertFiles({ certPath, keyPath, log, wall: () => loop.clock.wall() });
    } catch (error) {
      throw new SettingsError([`a certificate cannot be used: ${(error as Error).message}`]);
    }
  }

  close(): void {
    for (const one of this.#files.values()) one.close();
    this.#files.clear();
  }
}

/** `files`: null = the pair stands in the configuration itself. */
function pairOf({ cert, key, domains, domainsOfCertificate, isDefault, notAfterMs }: PairSettings, files: CertFiles | null): NamedPair {
  if (files === null) return { cert: cert.text, key: key.text, domains, isDefault, notAfterMs };
  return livePair(files, isDefault, domainsOfCertificate ? null : domains);
}

/** What is in the files whenever somebody asks. `domains`: null = the names in the certificate. */
function livePair(files: CertFiles, isDefault: boolean, domains: readonly string[] | null): NamedPair {
  return {
    get cert() {
      return files.current.cert.toString('latin1');
    },
    get key() {
      return files.current.key.toString('latin1');
    },
    get notAfterMs() {
      return files.current.notAfterMs;
    },
    get domains() {
      return domains ?? namesIn(new X509Certificate(files.current.cert));
    },
    isDefault,
  };
}
