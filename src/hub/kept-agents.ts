import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Log } from '../observe/log.ts';
import type { AgentOrders } from '../upstream/agent-orders.ts';
import { FileRecords } from '../store/file-records.ts';
import { MemoryRecords } from '../store/memory-records.ts';
import { type RecordForm, type Records, StoreError } from '../store/records.ts';
import { SettingsError } from '../config/settings-error.ts';
import { KEPT_RECORDS } from './limits.ts';

/** What operators have said of one agent, by its id. */
export interface AgentRecord extends AgentOrders {
  /** In the place of its token's, for people; '' = none. */
  readonly name: string;
  readonly remark: string;
}

/** A token that counts no more, by its id. */
export interface RevocationRecord {
  readonly name: string;
  readonly atMs: number;
  readonly by: string;
  readonly reason: string;
}

/** A token that was issued here, by its id: never the token itself. */
export interface IssuedRecord {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly labels: ReadonlyMap<string, string>;
  readonly atMs: number;
  /** 0 = never. */
  readonly expiresMs: number;
}

/**
 * What is said of agents here and outlives the process, in a folder of its own below the state folder: notes and orders, revoked tokens, issued tokens. Other
 * processes with the same state folder hear of changes within a second.
 */
export class KeptAgents {
  readonly notes: Kept<AgentRecord>;
  readonly revoked: Kept<RevocationRecord>;
  readonly issued: Kept<IssuedRecord>;
  #opened: Promise<void> | null = null;
  /** Revocations that could not be written. */
  readonly #unwritten = new Map<string, RevocationRecord>();

  /** `stateDir`: null = what is said lasts as long as the process. */
  constructor(stateDir: string | null, log: Log) {
    const kept = <T>(name: string, form: RecordForm<T>): Kept<T> => new Kept(stateDir === null ? null : join(stateDir, 'agents', name), form, log);
    this.notes = kept('notes.json', noteForm);
    this.revoked = kept('revoked.json', revocationForm);
    this.issued = kept('issued.json', issuedForm);
  }

  /** Reads what there is, once. @throws SettingsError: a list of revoked tokens that cannot be read may be the one that keeps a thief out */
  open(): Promise<void> {
    return (this.#opened ??= this.#open());
  }

  async #open(): Promise<void> {
    try {
      for (const one of [this.revoked, this.notes, this.issued]) await one.open();
    } catch (error) {
      this.#opened = null;
      if (error instanceof StoreError) throw new SettingsError([`what is kept of agents cannot be used: ${error.message}`]);
      throw error;
    }
  }

  /** Tokens that operators have revoked here. */
  get revocations(): ReadonlyMap<string, RevocationRecord> {
    return this.#unwritten.size === 0 ? this.revoked.all : new Map([...this.revoked.all, ...this.#unwritten]);
  }

  isRevoked(tokenId: string): boolean {
    return this.revoked.all.has(tokenId) || this.#unwritten.has(tokenId);
  }

  /** These tokens count no more, from now on, also when that cannot be written: then for as long as the process lives. @throws StoreError */
  async revoke(tokens: ReadonlyMap<string, RevocationRecord>): Promise<void> {
    for (const [id, record] of tokens) this.#unwritten.set(id, record);
    this.revoked.changed([...tokens.keys()]);
    await this.revoked.change((records) => {
      for (const [id, record] of tokens) records.set(id, record);
    });
    for (const id of tokens.keys()) this.#unwritten.delete(id);
    if ([...tokens.keys()].some((id) => this.issued.all.has(id)))
      await this.issued.change((records) => {
        for (const id of tokens.keys()) records.delete(id);
      });
  }

  /** This token counts again. @returns false when it was not revoked here. @throws StoreError */
  async pardon(tokenId: string): Promise<boolean> {
    if (!this.isRevoked(tokenId)) return false;
    await this.revoked.change((records) => records.delete(tokenId));
    this.#unwritten.delete(tokenId);
    return true;
  }

  close(): void {
    for (const one of [this.notes, this.revoked, this.issued]) one.close();
  }
}

/** Records of one kind, all held, and followed. */
export class Kept<T> {
  readonly #path: string | null;
  readonly #records: Records<T>;
  readonly #log: Log;
  #all: ReadonlyMap<string, T> = new Map();
  #stop: () => void = () => {};
  /** Told of ids whose record has changed, come or gone. */
  changed: (ids: readonly string[]) => void = () => {};

  constructor(path: string | null, form: RecordForm<T>, log: Log) {
    this.#path = path;
    this.#records = path === null ? new MemoryRecords<T>() : new FileRecords(path, form);
    this.#log = log;
  }

  /** As they are now. */
  get all(): ReadonlyMap<string, T> {
    return this.#all;
  }

  /** @throws StoreError */
  async open(): Promise<void> {
    const path = this.#path;
    if (path === null) return;
    if (existsSync(path)) this.#take(await this.#records.all());
    this.#stop = this.#records.follow(
      (records) => this.#take(records),
      // A file that was never there is no loss, and one that is taken away leaves what was known.
      (error) => existsSync(path) && this.#log.warn({ reason: error.message }, 'what is kept of agents stays as it was'),
    );
  }

  /** Changes it here and where it is kept. @throws StoreError; then nothing has changed */
  async change<R>(edit: (records: Map<string, T>) => R): Promise<R> {
    if (this.#path !== null) makeFolder(dirname(this.#path));
    let after = this.#all;
    const result = await this.#records.change((records) => {
      const made = edit(records);
      if (records.size > KEPT_RECORDS) throw new StoreError(`more than ${KEPT_RECORDS} records are not kept; remove old ones`);
      after = new Map(records);
      return made;
    });
    this.#take(after);
    return result;
  }

  #take(records: ReadonlyMap<string, T>): void {
    const before = this.#all;
    this.#all = records;
    const ids = new Set([...before.keys(), ...records.keys()]);
    const changed = [...ids].filter(
      (id) => before.get(id) !== records.get(id) && JSON.stringify(plain(before.get(id))) !== JSON.stringify(plain(records.get(id))),
    );
    if (changed.length > 0) this.changed(changed);
  }

  close(): void {
    this.#stop();
  }
}

/** For comparison: maps have no JSON of their own. */
function plain(record: unknown): unknown {
  if (typeof record !== 'object' || record === null) return record;
  return Object.entries(record).map(([key, value]) => [key, value instanceof Map ? [...value] : value]);
}

/** @throws StoreError */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StoreError(`${folder} cannot be made (${(error as NodeJS.ErrnoException).code ?? 'unknown'}); give another folder with --state-dir`);
  }
}

const noteForm: RecordForm<AgentRecord> = {
  kind: 'notes on agents',
  read: (value) => ({
    name: textIn(value, 'name'),
    remark: textIn(value, 'remark'),
    labels: labelsIn(value),
    isDrained: fieldOf(value, 'drained') === true,
  }),
  write: ({ name, remark, labels, isDrained }) => ({ name, remark, labels: Object.fromEntries(labels), drained: isDrained }),
};

const revocationForm: RecordForm<RevocationRecord> = {
  kind: 'revoked agent tokens',
  read: (value) => ({ name: textIn(value, 'name'), atMs: timeIn(value, 'at'), by: textIn(value, 'by'), reason: textIn(value, 'reason') }),
  write: ({ name, atMs, by, reason }) => ({ name, at: new Date(atMs).toISOString(), by, reason }),
};

const issuedForm: RecordForm<IssuedRecord> = {
  kind: 'issued agent tokens',
  read: (value) => {
    const scopes = fieldOf(value, 'scopes');
    if (!Array.isArray(scopes) || !scopes.every((scope) => typeof scope === 'string')) throw new Error('has no list of scopes');
    return {
      name: textIn(value, 'name'),
      scopes,
      labels: labelsIn(value),
      atMs: timeIn(value, 'at'),
      expiresMs: fieldOf(value, 'expires') === null ? 0 : timeIn(value, 'expires'),
    };
  },
  write: ({ name, scopes, labels, atMs, expiresMs }) => ({
    name,
    scopes,
    labels: Object.fromEntries(labels),
    at: new Date(atMs).toISOString(),
    expires: expiresMs === 0 ? null : new Date(expiresMs).toISOString(),
  }),
};

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) throw new Error('is no object');
  return (value as Record<string, unknown>)[name];
}

function textIn(value: unknown, name: string): string {
  const text = fieldOf(value, name);
  if (typeof text !== 'string') throw new Error(`has no text ${name}`);
  return text;
}

function timeIn(value: unknown, name: string): number {
  const ms = Date.parse(textIn(value, name));
  if (Number.isNaN(ms)) throw new Error(`has no time ${name}`);
  return ms;
}

function labelsIn(value: unknown): ReadonlyMap<string, string> {
  const labels = fieldOf(value, 'labels');
  if (typeof labels !== 'object' || labels === null || !Object.values(labels).every((one) => typeof one === 'string'))
    throw new Error('has no labels');
  return new Map(Object.entries(labels as Record<string, string>));
}
