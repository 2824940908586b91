import { redactedGiven } from '../observe/secret-field.ts';
import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import type { ConfigProblem } from '../admin/model.ts';
import { locationTable, type LocationSettings } from '../proxy/location-section.ts';
import { compileReplyEdits } from '../proxy/reply-edits.ts';
import { compileRule, type Rule } from '../proxy/rule.ts';
import { nearest } from '../schema/nearest.ts';
import { tomlName, type Table, type Values } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import { agentUpstreamFindings, agentUpstreamTable, type AgentUpstreamSettings } from '../upstream/agents-section.ts';
import { upstreamFindings, upstreamTable, type UpstreamSettings } from '../upstream/section.ts';
import type { Person } from '../admin/people.ts';
import { crossCheck } from './cross-check.ts';
import { knownKeys } from './file.ts';
import { takeIn } from './includes.ts';
import { ItemReader, type Retired, type RetiredKeys } from './item.ts';
import { renameOldKeys } from './legacy.ts';
import { addBuiltInPlugins, type PluginItem, readPlugin } from './plugins.ts';
import { readText } from './read-text.ts';
import { Report } from './report.ts';
import { readRevoked } from './revoked.ts';
import { quoted } from './resolve.ts';
import { adminTable, personOf } from './sections/admin.ts';
import { agentsTable, type AgentsSettings } from './sections/agents.ts';
import { basicSettings, basicTable, retiredBasicKeys, type BasicSettings } from './sections/basic.ts';
import { certificateSettings, certificateTable, type CertificateSettings } from './sections/certificate.ts';
import { type NotificationSettings, notificationSettings, notificationTable } from './sections/notification.ts';
import { retiredServerKeys, serverSettings, serverTable, type ServerSettings } from './sections/server.ts';
import { storageTable } from './sections/storage.ts';
import { gatewaySections } from './section-names.ts';
import { SettingsError } from './settings-error.ts';
import { Slices } from './slices.ts';
import { etagOf, readSource, watchedPaths } from './source.ts';
import { TextFile } from './text-file.ts';
import { type Item, readTree, type Tree } from './tree.ts';

/** An upstream is made of addresses or of agents. */
export type UpstreamItem =
  | { readonly of: 'addresses'; readonly name: string; readonly settings: UpstreamSettings; readonly fingerprint: string }
  | { readonly of: 'agents'; readonly name: string; readonly settings: AgentUpstreamSettings; readonly fingerprint: string };

export interface LocationItem {
  readonly name: string;
  readonly settings: LocationSettings;
  readonly rule: Rule;
  readonly fingerprint: string;
}

/** Everything that `windlass run` needs to know: checked, and every reference leads somewhere. Items are in the order of the files. */
export interface GatewaySettings {
  readonly basic: BasicSettings;
  readonly servers: ReadonlyMap<string, ServerSettings>;
  readonly locations: ReadonlyMap<string, LocationItem>;
  readonly upstreams: ReadonlyMap<string, UpstreamItem>;
  readonly plugins: ReadonlyMap<string, PluginItem>;
  readonly certificates: ReadonlyMap<string, CertificateSettings>;
  /** Who may log in to the console. */
  readonly admins: ReadonlyMap<string, Person>;
  /** Who is told of what happens, by name; that of `webhook` in [basic] is `basic.webhook`. */
  readonly notifications: ReadonlyMap<string, NotificationSettings>;
  /** Null: nobody may dial in. */
  readonly agents: AgentsSettings | null;
  /** Files and folders whose change may change the settings: those of the configuration, and the files with PEM, secrets and revoked tokens that it names. */
  readonly watched: readonly string[];
}

export interface LoadedGateway {
  readonly settings: GatewaySettings;
  /** One line each. */
  readonly warnings: readonly string[];
  /** The same with their places. */
  readonly problems: readonly ConfigProblem[];
  /** Of the texts that it was read from. */
  readonly etag: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Reads a TOML file, or a folder of them as one. `home`: where it would lie if it were no copy; relative paths in it start there.
 * @throws SettingsError with everything that is wrong, one line each
 */
export async function loadGateway(source: string, env: Env, home: string = source): Promise<LoadedGateway> {
  const { settings, report, etag } = await readGateway(source, env, home);
  if (report.failed) throw new SettingsError(report.errors(), report.warnings(), settings.watched, report.problems());
  return { settings, warnings: report.warnings(), problems: report.problems(), etag };
}

/**
 * The same with the report instead of an error: then the settings lack what is wrong. Without `env` no variables are put in.
 * `withOthers`: the sections of other commands are checked, too, and may stand alone; and plugins are made, to see whether they can be.
 */
export async function readGateway(
  source: string,
  env: Env | null,
  home: string = source,
  withOthers = false,
): Promise<{ readonly settings: GatewaySettings; readonly report: Report; readonly etag: string }> {
  const report = new Report();
  const files = readSource(source, report, home);
  const others = withOthers ? { mayStandAlone: true, needsTrial: () => true } : null;
  return { settings: await readFiles(files, env, report, watchedPaths(home), others), report, etag: etagOf(files, source) };
}

/** Checks texts that are not saved, with all that a start would find. `needsTrial`: not those plugins that run already. */
export async function readDraft(
  files: readonly TextFile[],
  env: Env | null,
  report: Report,
  needsTrial: (plugin: PluginItem) => boolean,
): Promise<GatewaySettings> {
  return readFiles(files, env, report, [], { mayStandAlone: false, needsTrial });
}

/** The same of a text that we have made ourselves. `path`: what it was made of, and is to be watched. @throws SettingsError */
export async function gatewayOfText(text: string, path: string): Promise<LoadedGateway> {
  const report = new Report();
  const file = new TextFile(path, dirname(resolve(path)), text);
  const settings = await readFiles([file], null, report, [resolve(path)], null);
  report.throwErrors();
  return { settings, warnings: report.warnings(), problems: report.problems(), etag: etagOf([file], path) };
}

/** What is looked at beside the gateway's own sections: those of other commands, and whether plugins can be made. */
interface Thorough {
  /** The sections of other commands may be all there is. */
  readonly mayStandAlone: boolean;
  readonly needsTrial: (plugin: PluginItem) => boolean;
}

async function readFiles(
  files: readonly TextFile[],
  env: Env | null,
  report: Report,
  watched: readonly string[],
  thorough: Thorough | null,
): Promise<GatewaySettings> {
  const slices = new Slices();
  const tree = await readTree(files, gatewaySections, env, report, slices);
  renameOldKeys(tree, report);
  await takeIn(tree, env, report);
  addBuiltInPlugins(tree);
  if (thorough !== null) (await import('./others.ts')).checkOthers(tree, report);
  const isAlone =
    thorough?.mayStandAlone === true && tree.others.size > 0 && tree.single.size === 0 && [...tree.named.values()].every(({ size }) => size === 0);
  const reader = new Reader(tree, report, slices, !isAlone);
  const settings = await reader.read(watched);
  if (thorough !== null)
    await (await import('./plugin-trial.ts')).tryPlugins([...settings.plugins.values()].filter(thorough.needsTrial), tree, report);
  return settings;
}

/** Makes settings of a tree, room by room. What is wrong goes to the report, and the item is left out. */
class Reader {
  readonly #tree: Tree;
  readonly #report: Report;
  readonly #slices: Slices;
  readonly #isWanted: boolean;
  /** Files that settings name. */
  readonly #named = new Set<string>();
  readonly #readers = {
    locations: new ItemReader(locationTable),
    upstreams: new ItemReader(upstreamTable, ONLY_AGENTS),
    agentUpstreams: new ItemReader(agentUpstreamTable, ONLY_ADDRESSES),
    certificates: new ItemReader(certificateTable),
    admins: new ItemReader(adminTable),
    notifications: new ItemReader(notificationTable),
  };

  /** `isWanted`: it is an error when there is no server. */
  constructor(tree: Tree, report: Report, slices: Slices, isWanted: boolean) {
    this.#isWanted = isWanted;
    this.#tree = tree;
    this.#report = report;
    this.#slices = slices;
  }

  async read(sources: readonly string[]): Promise<GatewaySettings> {
    const basicItem = this.#tree.single.get('basic');
    const basicValues = basicItem === undefined ? null : this.#values(new ItemReader(basicTable, retiredBasicKeys), basicItem);
    const basic = basicSettings(basicValues ?? defaultsOf(basicTable));
    const agentsItem = this.#tree.single.get('agents');
    const servers = new ItemReader(serverTable, retiredServerKeys);
    const storages = new ItemReader(storageTable);
    const settings: GatewaySettings = {
      basic,
      servers: await this.#each('servers', (item) => {
        const values = this.#values(servers, item);
        return values === null ? null : serverSettings(item.name, values, basic, this.#fingerprint(item, values));
      }),
      locations: await this.#each('locations', (item) => this.#location(item)),
      upstreams: await this.#each('upstreams', (item) => this.#upstream(item)),
      plugins: await this.#readPlugins(),
      certificates: await this.#each('certificates', (item) => this.#certificate(item)),
      admins: await this.#each('admins', (item) => this.#person(item)),
      notifications: await this.#notifications(basic),
      agents: agentsItem === undefined ? null : this.#agents(agentsItem),
      watched: [],
    };
    await this.#each('storages', (item) => this.#values(storages, item));
    if (this.#tree.isWhole && this.#isWanted) await crossCheck(settings, this.#tree, this.#report, this.#slices);
    const revoked = settings.agents?.revokedFile ?? null;
    return { ...settings, watched: [...new Set([...sources, ...this.#named, ...(revoked === null ? [] : [revoked])])] };
  }

  async #each<T>(section: string, read: (item: Item) => T | null): Promise<ReadonlyMap<string, T>> {
    const found = new Map<string, T>();
    for (const [name, item] of this.#tree.named.get(section) ?? []) {
      await this.#slices.pause();
      const one = read(item);
      if (one !== null) found.set(name, one);
    }
    return found;
  }

  #values<T extends Table>(reader: ItemReader<T>, item: Item): Values<T> | null {
    const noted: typeof readText = (path, maxBytes) => {
      this.#named.add(path);
      return readText(path, maxBytes);
    };
    return reader.read(item, noted, this.#report);
  }

  /** Equal for equal settings, the contents of files that they name included; tells nothing of them. */
  #fingerprint(item: Item, values: Readonly<Record<string, unknown>>, texts: readonly string[] = []): string {
    const parts: unknown[] = [...texts];
    for (const [key, { value }] of [...item.entries].toSorted(([a], [b]) => (a < b ? -1 : 1))) parts.push(key, value);
    for (const value of Object.values(values)) {
      if (typeof value !== 'object' || value === null || !('path' in value) || !('text' in value)) continue;
      if (typeof value.path === 'string') this.#named.add(value.path);
      if (typeof value.text === 'string') parts.push(value.text);
    }
    return createHash('sha256').update(JSON.stringify(parts, bigintsAsText)).digest('base64url');
  }

  #agents(item: Item): AgentsSettings | null {
    const values = this.#values(new ItemReader(agentsTable), item);
    if (values === null || values.revokedFile === null) return values;
    try {
      return { ...values, revoked: [...values.revoked, ...readRevoked(values.revokedFile)] };
    } catch (error) {
      // A list that is not there lets nobody in: it may be the one that keeps a thief out.
      const { place, value } = item.entries.get('revoked_file')!;
      const message = `${quoted(String(value))} ${(error as Error).message}; give the path of a file with one token id per line`;
      this.#report.error(place, `${item.subject}.revoked_file`, message);
      return null;
    }
  }

  #location(item: Item): LocationItem | null {
    const values = this.#values(this.#readers.locations, item);
    if (values === null) return null;
    const settings: LocationSettings = { ...values, name: item.name };
    try {
      // Made anew with the environment when it is put to use; what is wrong with it is wrong without, too.
      compileReplyEdits({ set: settings.setResponseHeaders, add: settings.addResponseHeaders, remove: settings.removeResponseHeaders }, {});
      return { name: item.name, settings, rule: compileRule(settings), fingerprint: this.#fingerprint(item, values) };
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      this.#report.error(
        item.place,
        item.subject,
        `${error.part === null ? '' : `${quoted(redactedGiven(error.part))} `}${error.message}; ${error.fix}`,
      );
      return null;
    }
  }

  #upstream(item: Item): UpstreamItem | null {
    const given = new Set(givenNames(item, item.entries.has('agents') ? agentUpstreamTable : upstreamTable));
    if (item.entries.has('agents')) {
      const values = this.#values(this.#readers.agentUpstreams, item);
      if (values === null || !this.#findings(item, agentUpstreamFindings(values, given))) return null;
      return { of: 'agents', name: item.name, settings: { ...values, name: item.name }, fingerprint: this.#fingerprint(item, values) };
    }
    if (!item.entries.has('addrs') && !isMistyped(item)) {
      this.#report.error(
        item.place,
        item.subject,
        'has neither addrs nor agents; write addrs = ["127.0.0.1:3000"], or agents = "*" for agents that dial in',
      );
      return null;
    }
    const values = this.#values(this.#readers.upstreams, item);
    if (values === null || !this.#findings(item, upstreamFindings(values, given))) return null;
    return { of: 'addresses', name: item.name, settings: { ...values, name: item.name }, fingerprint: this.#fingerprint(item, values) };
  }

  /** False when one of them is an error. */
  #findings(item: Item, findings: readonly Finding[]): boolean {
    let isGood = true;
    for (const { severity, key, message, fix } of findings) {
      const entry = item.entries.get(tomlName(key));
      const place = entry?.place ?? item.place;
      const subject = `${item.subject}.${entry?.key ?? tomlName(key)}`;
      if (severity === 'warning') this.#report.warn(place, subject, `${message}; ${fix}`);
      else {
        isGood = false;
        this.#report.error(place, subject, `${message}; ${fix}`);
      }
    }
    return isGood;
  }

  async #readPlugins(): Promise<ReadonlyMap<string, PluginItem>> {
    const found = new Map<string, PluginItem>();
    for (const [name, item] of this.#tree.named.get('plugins') ?? []) {
      await this.#slices.pause();
      const texts: string[] = [];
      const noted: typeof readText = (path, maxBytes) => {
        this.#named.add(path);
        const text = readText(path, maxBytes);
        texts.push(text);
        return text;
      };
      const one = await readPlugin(item, noted, (values) => this.#fingerprint(item, values, texts), this.#report);
      if (one !== null) found.set(name, one);
    }
    return found;
  }

  async #notifications({ webhook }: BasicSettings): Promise<ReadonlyMap<string, NotificationSettings>> {
    const items = await this.#each('notifications', (item) => this.#notification(item));
    return webhook === null ? items : new Map([...items, [webhook.name, webhook]]);
  }

  #notification(item: Item): NotificationSettings | null {
    const values = this.#values(this.#readers.notifications, item);
    if (values === null) return null;
    try {
      return notificationSettings(item.name, values);
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      const entry = item.entries.get(error.part ?? '') ?? item.entries.get(`${error.part ?? ''}_file`);
      this.#report.error(entry?.place ?? item.place, `${item.subject}.${entry?.key ?? error.part ?? ''}`, `${error.message}; ${error.fix}`);
      return null;
    }
  }

  #person(item: Item): Person | null {
    const values = this.#values(this.#readers.admins, item);
    if (values === null) return null;
    try {
      return personOf(item.name, values);
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      this.#report.error(item.place, item.subject, `${error.message}; ${error.fix}`);
      return null;
    }
  }

  #certificate(item: Item): CertificateSettings | null {
    const values = this.#values(this.#readers.certificates, item);
    if (values === null) return null;
    try {
      return certificateSettings(item.name, values, this.#fingerprint(item, values));
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      const entry = item.entries.get(error.part ?? '');
      this.#report.error(entry?.place ?? item.place, `${item.subject}.${error.part ?? ''}`, `${error.message}; ${error.fix}`);
      return null;
    }
  }
}

function bigintsAsText(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

interface Finding {
  readonly severity: 'error' | 'warning';
  readonly key: string;
  readonly message: string;
  readonly fix: string;
}

/** Is there a key that was probably meant to be addrs or agents? It is told of by itself. */
function isMistyped(item: Item): boolean {
  return [...item.entries.keys()].some((key) => nearest(key, ['addrs', 'agents']) !== null && !knownKeys(upstreamTable).has(key));
}

/** Keys of the other kind of upstream. */
function strange(table: Table, other: Table, says: string): RetiredKeys {
  return new Map(
    Object.keys(other)
      .filter((key) => !Object.hasOwn(table, key))
      .map((key): [string, Retired] => [tomlName(key), { level: 'error', says }]),
  );
}

const ONLY_ADDRESSES = strange(
  agentUpstreamTable,
  upstreamTable,
  'is for upstreams with addrs, and this one has agents; leave it out, or leave agents out',
);
const ONLY_AGENTS = strange(upstreamTable, agentUpstreamTable, 'is for upstreams with agents, and this one has addrs; leave it out');

function givenNames(item: Item, table: Table): readonly string[] {
  const known = knownKeys(table);
  return [...item.entries.keys()].flatMap((key) => known.get(key) ?? []);
}

function defaultsOf<T extends Table>(table: T): Values<T> {
  return Object.fromEntries(Object.entries(table).map(([name, { fallback }]) => [name, fallback])) as Values<T>;
}
