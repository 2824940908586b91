import { randomBytes } from 'node:crypto';
import type { Clock } from '../std/clock.ts';
import type { Log } from '../observe/log.ts';
import { MemoryRecords } from '../store/memory-records.ts';
import type { RecordForm, Records } from '../store/records.ts';
import { adminLimits } from './limits.ts';
import type { TokenInfo } from './model.ts';
import type { Standing } from './people.ts';
import { Problem, type Role, ROLES } from './route.ts';
import { digestOf } from './sessions.ts';

/** A token as it is kept: nobody can make the token of it. */
export interface TokenRecord extends Omit<TokenInfo, 'id'> {
  readonly digest: string;
}

/** How tokens stand in their file. */
export const tokenForm: RecordForm<TokenRecord> = {
  kind: 'admin-tokens',
  read: (value) => {
    const { name, role, digest, createdAtMs, expiresAtMs, lastUsedAtMs } = (typeof value === 'object' && value !== null ? value : {}) as Partial<
      Record<keyof TokenRecord, unknown>
    >;
    if (typeof name !== 'string' || typeof digest !== 'string') throw new Error('has no name or no digest');
    if (!ROLES.includes(role as Role)) throw new Error('has no role');
    const [created, expires, used] = [createdAtMs, expiresAtMs, lastUsedAtMs].map((time) => (typeof time === 'number' ? time : Number.NaN));
    // One that cannot be read is not one that never expires.
    if (![created, expires, used].every(Number.isFinite)) throw new Error('has no times');
    return { name, role: role as Role, digest, createdAtMs: created!, expiresAtMs: expires!, lastUsedAtMs: used! };
  },
  write: (record) => record,
};

/** Tokens for scripts. They outlive the process where there is a file for them. */
export class Tokens {
  readonly #records: Records<TokenRecord>;
  readonly #clock: Clock;
  readonly #log: Log;
  #byDigest: ReadonlyMap<string, { readonly id: string; readonly record: TokenRecord }> = new Map();
  #all: ReadonlyMap<string, TokenRecord> = new Map();
  /** By id: used since that was written down last. */
  readonly #used = new Map<string, number>();
  #unfollow: () => void = () => {};
  #timer: NodeJS.Timeout | null = null;

  constructor(records: Records<TokenRecord> | null, clock: Clock, log: Log) {
    this.#records = records ?? new MemoryRecords();
    this.#clock = clock;
    this.#log = log;
  }

  /** Reads what there is. Tokens that cannot be read let nobody in, and the log says so. */
  async open(): Promise<void> {
    await this.#read();
    this.#unfollow = this.#records.follow(
      (all) => this.#take(all),
      (error) => this.#unreadable(error),
    );
  }

  async #read(): Promise<void> {
    try {
      this.#take(await this.#records.all());
    } catch (error) {
      this.#unreadable(error as Error);
    }
  }

  #unreadable({ message }: Error): void {
    this.#take(new Map());
    // There is a file once there is a token.
    if (!message.endsWith(' does not exist')) this.#log.error({ error: message }, 'the tokens of the admin API cannot be read: they let nobody in');
  }

  #take(all: ReadonlyMap<string, TokenRecord>): void {
    this.#all = all;
    this.#byDigest = new Map([...all].map(([id, record]) => [record.digest, { id, record }]));
  }

  /** Who may do what with this token; null: nobody. It counts as used. */
  use(token: string): Standing | null {
    const found = this.#byDigest.get(digestOf(token));
    if (found === undefined) return null;
    const { id, record } = found;
    const standing: Standing = { name: record.name, role: () => this.#roleOf(id, record.digest) };
    if (standing.role() === null) return null;
    this.#used.set(id, this.#clock.wall());
    if (this.#timer === null) {
      this.#timer = setTimeout(() => void this.#writeUses(), adminLimits.tokenUsesMs);
      this.#timer.unref();
    }
    return standing;
  }

  #roleOf(id: string, digest: string): Role | null {
    const record = this.#all.get(id);
    if (record === undefined || record.digest !== digest) return null;
    return record.expiresAtMs === 0 || this.#clock.wall() < record.expiresAtMs ? record.role : null;
  }

  /** Newest first. */
  list(): readonly TokenInfo[] {
    return [...this.#all].map(([id, record]) => this.#infoOf(id, record)).toSorted((a, b) => b.createdAtMs - a.createdAtMs);
  }

  #infoOf(id: string, { name, role, createdAtMs, expiresAtMs, lastUsedAtMs }: TokenRecord): TokenInfo {
    return { id, name, role, createdAtMs, expiresAtMs, lastUsedAtMs: Math.max(lastUsedAtMs, this.#used.get(id) ?? 0) };
  }

  /** `ttlMs` 0 = it never expires. The token is told this once. @throws Problem, StoreError */
  async issue(name: string, role: Role, ttlMs: number): Promise<TokenInfo & { readonly token: string }> {
    const token = `wlt_${randomBytes(32).toString('base64url')}`;
    const id = randomBytes(6).toString('hex');
    const now = this.#clock.wall();
    const record: TokenRecord = {
      name,
      role,
      digest: digestOf(token),
      createdAtMs: now,
      expiresAtMs: ttlMs === 0 ? 0 : now + ttlMs,
      lastUsedAtMs: 0,
    };
    await this.#change((all) => {
      for (const [other, { expiresAtMs }] of all) if (expiresAtMs !== 0 && expiresAtMs <= now) all.delete(other);
      if (all.size >= adminLimits.tokens) throw new Problem(507, 'too_many_tokens', `There are ${adminLimits.tokens} tokens; revoke one.`);
      all.set(id, record);
    });
    return { ...this.#infoOf(id, record), token };
  }

  /** False: there is none. @throws StoreError */
  async revoke(id: string): Promise<boolean> {
    return await this.#change((all) => all.delete(id));
  }

  async #change<R>(edit: (all: Map<string, TokenRecord>) => R): Promise<R> {
    let refused: Problem | null = null;
    const result = await this.#records
      .change((all) => {
        try {
          const made = edit(all);
          this.#take(new Map(all));
          return made;
        } catch (error) {
          if (error instanceof Problem) refused = error;
          throw error;
        }
      })
      .catch(async (error: unknown) => {
        // What was taken before it was written is not so.
        await this.#read();
        throw refused ?? error;
      });
    return result;
  }

  async #writeUses(): Promise<void> {
    this.#timer = null;
    const used = new Map(this.#used);
    this.#used.clear();
    try {
      await this.#change((all) => {
        for (const [id, lastUsedAtMs] of used) {
          const record = all.get(id);
          if (record !== undefined) all.set(id, { ...record, lastUsedAtMs: Math.max(record.lastUsedAtMs, lastUsedAtMs) });
        }
      });
    } catch (error) {
      this.#log.warn({ error: (error as Error).message }, 'when the tokens of the admin API were used last could not be written down');
    }
  }

  close(): void {
    this.#unfollow();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
