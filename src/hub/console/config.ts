import { statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import type { ConfigBackend } from '../../admin/config-routes.ts';
import type {
  AppliedConfig,
  ApplyConfig,
  ConfigChange,
  ConfigConflict,
  ConfigInfo,
  ConfigProblem,
  ConfigText,
  ConfigVerdict,
  ConfigVersion,
  ConfigVersionDetail,
  FormSection,
  ImportConfig,
  ImportVerdict,
  Page,
} from '../../admin/model.ts';
import { Problem } from '../../admin/route.ts';
import { Draft } from '../../config/draft.ts';
import { formSchema } from '../../config/form-schema.ts';
import { type GatewaySettings, readDraft } from '../../config/gateway.ts';
import { History } from '../../config/history.ts';
import { importedText } from '../../config/import/imported-text.ts';
import { jsonSchema } from '../../config/json-schema.ts';
import { configLimits } from '../../config/limits.ts';
import { unifiedDiff } from '../../config/line-diff.ts';
import { hideSecrets } from '../../config/masked.ts';
import { Report } from '../../config/report.ts';
import { type Disk, saveFiles, whyFixed } from '../../config/save.ts';
import { SecretKeys } from '../../config/secret-keys.ts';
import { SettingsError } from '../../config/settings-error.ts';
import { etagOf, readSource } from '../../config/source.ts';
import { TextFile } from '../../config/text-file.ts';
import { type TomlData, tomlData } from '../../config/toml/edit.ts';
import type { Log } from '../../observe/log.ts';
import { formatAddress } from '../../schema/address.ts';
import type { JsonSchema } from '../../schema/kind.ts';
import type { Reload } from '../reload.ts';

export interface ConfigOptions {
  /** The file or folder that is run. */
  readonly source: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where earlier versions are kept; null = in memory. */
  readonly stateDir: string | null;
  readonly log: Log;
  /** Wall-clock ms. */
  readonly wall: () => number;
  /** Where files are written, when it is not the system. */
  readonly disk?: Disk;
}

/** A short look is good for so long, ms. */
const GLANCE_MS = 2_000;

/** Where the console is, and how it is asked. */
const CONSOLE_KEYS: ReadonlySet<string> = new Set(['admin_addr', 'console', 'console_hosts']);

/** What an import leaves as it was. */
interface Kept {
  readonly names: readonly string[];
  readonly sections: TomlData;
}

const NOTHING_KEPT: Kept = { names: [], sections: {} };

/** What runs by it. */
export interface ConfigRunner {
  readonly reload: Pick<Reload, 'now' | 'outcome' | 'ended'>;
  settings(): GatewaySettings;
  /** Something about it is another than before. */
  changed(): void;
}

/** The configuration of a gateway that runs from files, for those who look at it and change it. */
export class ConsoleConfig implements ConfigBackend {
  readonly #options: ConfigOptions;
  readonly #source: string;
  readonly #keys = new SecretKeys();
  readonly #history: History;
  #runner: ConfigRunner | null = null;
  /** One change after the other. */
  #last: Promise<unknown> = Promise.resolve();
  /** It is we who write: what is read then is noted by us. */
  #isSaving = false;
  #noted: Promise<void> = Promise.resolve();
  /** What lay there at the last short look. */
  #glance: { readonly atMs: number; readonly etag: string; readonly report: Report } | null = null;
  #form: readonly FormSection[] | null = null;
  #shown: { readonly etag: string; readonly sections: ConfigInfo['sections'] } | null = null;

  constructor(options: ConfigOptions) {
    this.#options = options;
    this.#source = options.source;
    this.#history = new History(options.stateDir, options.source);
  }

  /** It serves, and is read anew by this from now on. */
  attach(runner: ConfigRunner): void {
    this.#runner = runner;
    const { reload } = runner;
    reload.ended = () => {
      this.#glance = null;
      runner.changed();
      if (!this.#isSaving) this.#note();
    };
    this.#note();
  }

  /** What was to be kept of it is. */
  async written(): Promise<void> {
    await this.#last.catch(() => {});
    await this.#noted;
  }

  /** How it fares, without what stands in it. */
  applied(): Promise<AppliedConfig> {
    const nowMs = this.#options.wall();
    // Many pages ask, and files do not change that often.
    if (this.#glance === null || nowMs - this.#glance.atMs >= GLANCE_MS || nowMs < this.#glance.atMs) {
      const { etag, report } = this.#read();
      this.#glance = { atMs: nowMs, etag, report };
    }
    return Promise.resolve(this.#applied(this.#glance.etag, this.#glance.report));
  }

  async info(): Promise<ConfigInfo> {
    const { files, texts, etag, report } = this.#read();
    const shown = this.#shown?.etag === etag ? this.#shown : { etag, sections: await new Draft(texts, this.#isFolder).sections(this.#keys) };
    this.#shown = shown;
    return {
      ...this.#applied(etag, report),
      fixed: await whyFixed(
        files.map(({ path }) => resolve(path)),
        this.#folder,
      ),
      files: texts.map(({ name, text }) => ({ name, bytes: Buffer.byteLength(text) })),
      sections: shown.sections,
    };
  }

  file(name: string, clear: boolean): Promise<string | null> {
    const found = this.#read().texts.find((one) => one.name === name);
    return Promise.resolve(found === undefined ? null : clear ? found.text : hideSecrets(found.text, this.#keys));
  }

  schema(): readonly FormSection[] {
    this.#form ??= formSchema();
    return this.#form;
  }

  jsonSchema(): JsonSchema {
    return jsonSchema();
  }

  async check(changes: readonly ConfigChange[]): Promise<ConfigVerdict> {
    const { texts, etag } = this.#read();
    const { verdict } = await this.#checked(texts, etag, (draft) => draft.applyAll(changes));
    return verdict;
  }

  /** The settings as they would be after changes. @throws Problem when they could not be used */
  async settingsAfter(changes: readonly ConfigChange[]): Promise<GatewaySettings> {
    const { texts, etag } = this.#read();
    const { verdict, settings } = await this.#checked(texts, etag, (draft) => draft.applyAll(changes));
    if (!verdict.ok) throw unusable(verdict);
    return settings;
  }

  apply({ changes, note = '' }: ApplyConfig, ifMatch: string | null, by: string): Promise<ConfigVerdict> {
    if (ifMatch === null) {
      const detail =
        'Say with If-Match to which version the changes were made: the ETag of GET /config. Then nobody overwrites what somebody else has saved meanwhile.';
      return Promise.reject(new Problem(428, 'if_match_needed', detail));
    }
    return this.#inTurn(() => this.#change((draft) => draft.applyAll(changes), ifMatch, { by, note }));
  }

  async reload(): Promise<ConfigVerdict> {
    const { reload } = this.#runner!;
    await reload.now();
    const { etag } = this.#read();
    return { ok: reload.outcome.ok, problems: this.#named(reload.outcome.problems), diff: '', etag };
  }

  async history(): Promise<Page<ConfigVersion>> {
    const list = await this.#versions();
    const { etag } = this.#read();
    const current = list.find((version) => version.etag === etag)?.id;
    return { total: list.length, items: list.map((version) => ({ ...version, current: version.id === current })) };
  }

  async version(id: string, clear: boolean): Promise<ConfigVersionDetail | null> {
    const list = await this.#versions();
    const at = list.findIndex((version) => version.id === id);
    const version = await this.#history.get(id);
    if (at < 0 || version === null) return null;
    const older = list[at + 1];
    const before = older === undefined ? null : await this.#history.get(older.id);
    const { texts, etag } = this.#read();
    const { files, ...rest } = version;
    return {
      ...rest,
      current: list.find((one) => one.etag === etag)?.id === id,
      diff: this.#diff(before?.files ?? [], files),
      restoreDiff: this.#diff(texts, this.#placed(files, texts)),
      files: clear ? files : files.map(({ name, text }) => ({ name, text: hideSecrets(text, this.#keys) })),
    };
  }

  restore(id: string, by: string): Promise<ConfigVerdict> {
    return this.#inTurn(async () => {
      await this.#noted;
      const version = await this.#history.get(id);
      if (version === null) throw new Problem(404, 'not_found', 'There is no such version; only the newest hundred are kept.');
      return this.#restored(version.files, { by, note: `version ${Number(id)} restored` });
    });
  }

  rollBack(by: string): Promise<ConfigVerdict> {
    return this.#inTurn(async () => {
      const list = await this.#versions();
      const { etag } = this.#read();
      const { outcome } = this.#runner!.reload;
      const serves = outcome.ok && outcome.etag === etag;
      const at = serves ? list.findIndex((one) => one.etag === etag) : -1;
      const found = list.slice(at + 1).find((one) => one.served && one.etag !== etag && (serves || outcome.etag === '' || one.etag === outcome.etag));
      const version = found === undefined ? null : await this.#history.get(found.id);
      if (version === null) throw new Problem(409, 'nothing_before', 'No other version that has served is known.');
      return this.#restored(version.files, { by, note: `rolled back to version ${Number(version.id)}` });
    });
  }

  export(): Promise<string> {
    return Promise.resolve(hideSecrets(new Draft(this.#read().texts, this.#isFolder).merged(), this.#keys));
  }

  async import(order: ImportConfig, ifMatch: string | null, by: string): Promise<ImportVerdict> {
    const { toml, notes, isPart } = await this.#imported(order);
    const { texts, etag } = this.#read();
    const wanted = tomlData(toml);
    const kept = order.format === 'toml' || isPart ? NOTHING_KEPT : this.#keptOf(texts, wanted);
    const said =
      kept.names.length === 0
        ? notes
        : [...notes, `${kept.names.join(', ')} of this gateway stay as they are, so that its console is found where it was`];
    const edit = async (draft: Draft): Promise<void> => {
      if (isPart) draft.addSections(wanted);
      else if (texts.length === 1) {
        draft.apply([{ file: texts[0]!.name, text: toml }]);
        draft.addSections(kept.sections);
      } else await draft.become({ ...wanted, ...kept.sections });
    };
    const text = hideSecrets(toml, this.#keys);
    if (order.dryRun) return { ...(await this.#checked(texts, etag, edit)).verdict, text, notes: said };
    const verdict = await this.#inTurn(() => this.#change(edit, ifMatch ?? etag, { by, note: `imported (${order.format})` }));
    return { ...verdict, text, notes: said };
  }

  /** Files of other programs know nothing of this console: it stays where it is, for whom it was. */
  #keptOf(texts: readonly ConfigText[], wanted: TomlData): Kept {
    const was = tomlData(new Draft(texts, this.#isFolder).merged());
    const [before, basic] = [was['basic'] ?? {}, wanted['basic'] ?? {}];
    const kept = Object.entries(before).filter(([key]) => CONSOLE_KEYS.has(key) && !Object.hasOwn(basic, key));
    const keepsAdmins = was['admins'] !== undefined && wanted['admins'] === undefined;
    return {
      names: [...kept.map(([key]) => `basic.${key}`), ...(keepsAdmins ? ['admins'] : [])],
      sections: {
        ...(kept.length === 0 ? {} : { basic: { ...basic, ...Object.fromEntries(kept) } }),
        ...(keepsAdmins ? { admins: was['admins'] } : {}),
      },
    };
  }

  async #imported(order: ImportConfig): Promise<Awaited<ReturnType<typeof importedText>>> {
    try {
      const imported = await importedText(order, this.#source);
      tomlData(imported.toml);
      return imported;
    } catch (error) {
      const lines = error instanceof SettingsError ? error.lines : [(error as Error).message.split('\n')[0]!];
      throw new Problem(422, 'not_readable', lines[0] ?? 'It cannot be read.', { problems: lines.map(problem) });
    }
  }

  #restored(files: readonly ConfigText[], why: { readonly by: string; readonly note: string }): Promise<ConfigVerdict> {
    const { texts, etag } = this.#read();
    const wanted = this.#placed(files, texts);
    const gone = texts.filter(({ name }) => !wanted.some((one) => one.name === name));
    const changes: ConfigChange[] = [
      ...wanted.map(({ name, text }) => ({ file: name, text })),
      ...gone.map(({ name }) => ({ file: name, text: null })),
    ];
    return this.#change((draft) => draft.applyAll(changes), etag, why);
  }

  /** A file that was renamed since is still that one file. */
  #placed(files: readonly ConfigText[], texts: readonly ConfigText[]): readonly ConfigText[] {
    const [one] = files;
    return this.#isFolder || files.length !== 1 || texts.length !== 1 ? files : [{ name: texts[0]!.name, text: one!.text }];
  }

  /** All the way: checked, saved, served; or all as it was. */
  async #change(
    edit: (draft: Draft) => Promise<void>,
    ifMatch: string,
    { by, note }: { readonly by: string; readonly note: string },
  ): Promise<ConfigVerdict> {
    const { texts, etag } = this.#read();
    if (ifMatch !== etag) throw this.#conflict();
    const { verdict, files } = await this.#checked(texts, etag, edit);
    if (!verdict.ok) throw unusable(verdict);
    const before = new Map(texts.map(({ name, text }) => [name, text]));
    const after = new Map(files.map(({ name, text }) => [name, text]));
    const names = [...new Set([...before.keys(), ...after.keys()])].filter((name) => before.get(name) !== after.get(name));
    if (names.length === 0) return verdict;
    await this.#noted;
    const { reload } = this.#runner!;
    const save = (these: ReadonlyMap<string, string>, those: ReadonlyMap<string, string>): Promise<void> =>
      saveFiles(
        names.map((name) => ({ path: this.#pathOf(name), text: these.get(name) ?? null, was: those.get(name) ?? null })),
        this.#folder,
        this.#options.disk,
      );
    // To check took its time, and editors know of no turns.
    if (this.#read().etag !== etag) throw this.#conflict();
    this.#isSaving = true;
    try {
      await save(after, before).catch((error: unknown) => {
        throw error instanceof Problem && error.code === 'changed_meanwhile' ? this.#conflict() : error;
      });
      await reload.now();
      const now = this.#read().etag;
      const { ok, etag: serving, problems } = reload.outcome;
      if (ok && serving === now) {
        await this.#keep(by, note);
        return { ...verdict, problems: this.#named(problems), etag: now };
      }
      if (now !== etagOfTexts(files, this.#source, this.#isFolder))
        throw new Problem(409, 'changed_while_saving', 'Somebody else has changed the files while they were saved: look at what stands there now.');
      await save(before, after);
      await reload.now();
      throw unusable({ ok: false, problems: this.#named(problems), diff: verdict.diff, etag });
    } finally {
      this.#isSaving = false;
    }
  }

  #conflict(): Problem {
    const { texts, etag } = this.#read();
    const conflict: ConfigConflict = { etag, files: texts };
    return new Problem(
      412,
      'changed_meanwhile',
      'Somebody else has changed the configuration meanwhile: look at what stands there now, and save again.',
      { ...conflict },
    );
  }

  async #checked(
    texts: readonly ConfigText[],
    etag: string,
    edit: (draft: Draft) => Promise<void>,
  ): Promise<{ readonly verdict: ConfigVerdict; readonly files: readonly ConfigText[]; readonly settings: GatewaySettings }> {
    const draft = new Draft(texts, this.#isFolder);
    await edit(draft);
    const { files } = draft;
    const report = new Report();
    const readable: TextFile[] = [];
    let bytes = 0;
    for (const { name, text } of files) {
      bytes += Buffer.byteLength(text);
      const path = this.#shownPath(name);
      const file = new TextFile(path, dirname(resolve(path)), text);
      if (text.trim() === '') report.error({ file, path: [], position: { line: 1, column: 1 } }, '', 'is empty; a file of comments is fine');
      else readable.push(file);
    }
    if (files.length === 0) report.error(null, this.#source, 'holds no *.toml file; leave one');
    if (bytes > configLimits.fileBytes) report.error(null, this.#source, `is larger than ${configLimits.fileBytes} bytes`);
    const running = this.#runner?.settings().plugins;
    const settings = await readDraft(readable, this.#options.env, report, ({ name, fingerprint }) => running?.get(name)?.fingerprint !== fingerprint);
    const move = report.failed ? null : this.#moveOf(settings);
    if (move !== null) report.warn(null, 'basic.admin_addr', move);
    return { verdict: { ok: !report.failed, problems: this.#named(report.problems()), diff: this.#diff(texts, files), etag }, files, settings };
  }

  /** What becomes of the console itself, for who would look at a page that answers no more. */
  #moveOf({ basic }: GatewaySettings): string | null {
    const place = (of: GatewaySettings['basic']): string | null => (of.console && of.adminAddr !== null ? formatAddress(of.adminAddr) : null);
    const runs = this.#runner?.settings().basic;
    const [was, is] = [runs === undefined ? null : place(runs), place(basic)];
    if (was === null || was === is) return null;
    return is === null
      ? `takes the console away from ${was}: this page answers no more when it is saved`
      : `moves the console from ${was} to ${is}: open it there when it is saved`;
  }

  #diff(before: readonly ConfigText[], after: readonly ConfigText[]): string {
    const [was, is] = [before, after].map((texts) => new Map(texts.map(({ name, text }) => [name, text])));
    return [...new Set([...was!.keys(), ...is!.keys()])]
      .toSorted()
      .map((name) => {
        const [old, fresh] = [was!.get(name) ?? null, is!.get(name) ?? null];
        if (old === fresh) return '';
        return unifiedDiff(
          name,
          old === null ? null : hideSecrets(old, this.#keys),
          fresh === null ? null : hideSecrets(fresh, this.#keys, old ?? ''),
        );
      })
      .join('');
  }

  #applied(etag: string, report: Report): AppliedConfig {
    const outcome = this.#runner?.reload.outcome ?? { ok: true, etag: '', atMs: 0, problems: [] };
    return {
      etag,
      appliedEtag: outcome.etag,
      appliedAtMs: outcome.atMs,
      ok: outcome.ok && outcome.etag === etag,
      problems: this.#named(report.failed && outcome.ok ? report.problems() : outcome.problems),
    };
  }

  /** What lies there now. */
  #read(): { readonly files: readonly TextFile[]; readonly texts: readonly ConfigText[]; readonly etag: string; readonly report: Report } {
    const report = new Report();
    const files = readSource(this.#source, report);
    return { files, texts: files.map(({ path, text }) => ({ name: this.#nameOf(path), text })), etag: etagOf(files, this.#source), report };
  }

  /** An editor has saved something: that is a version, too. */
  #note(): void {
    this.#noted = this.#noted.then(() => this.#keep('file', ''));
  }

  async #keep(by: string, note: string): Promise<void> {
    const { texts, etag } = this.#read();
    const { outcome } = this.#runner!.reload;
    if (texts.length === 0) return;
    try {
      await this.#history.keep({ atMs: this.#options.wall(), by, note, etag, served: outcome.ok && outcome.etag === etag, files: texts });
    } catch (error) {
      this.#options.log.warn({ error: (error as Error).message }, 'this version of the configuration could not be kept: the history lacks it');
    }
  }

  async #versions(): ReturnType<History['list']> {
    await this.#noted;
    return this.#history.list();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  /** With files as `ConfigInfo.files` names them. */
  #named(problems: readonly ConfigProblem[]): readonly ConfigProblem[] {
    return problems.map((one) => (one.file === '' ? one : { ...one, file: this.#nameOf(one.file) }));
  }

  #nameOf(path: string): string {
    return this.#isFolder ? relative(this.#source, path).split(sep).join('/') : basename(path);
  }

  #pathOf(name: string): string {
    return resolve(this.#shownPath(name));
  }

  /** As it is told in messages. */
  #shownPath(name: string): string {
    return this.#isFolder ? join(this.#source, name) : this.#source;
  }

  get #folder(): string {
    return this.#isFolder ? resolve(this.#source) : dirname(resolve(this.#source));
  }

  get #isFolder(): boolean {
    return statSync(this.#source, { throwIfNoEntry: false })?.isDirectory() === true;
  }
}

function etagOfTexts(files: readonly ConfigText[], source: string, isFolder: boolean): string {
  return etagOf(
    files.map(({ name, text }) => new TextFile(isFolder ? join(source, name) : source, '', text)),
    source,
  );
}

function unusable(verdict: ConfigVerdict): Problem {
  const [first, ...others] = verdict.problems.filter(({ level }) => level === 'error');
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
  return new Problem(422, 'not_usable', `Nothing was changed: ${first?.message ?? 'it cannot be used'}${more}.`, { ...verdict });
}

function problem(message: string): ConfigProblem {
  return { level: 'error', message, file: '', line: 0, column: 0, subject: '' };
}
