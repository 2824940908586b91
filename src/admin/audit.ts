import { appendFile, open, rename, stat } from 'node:fs/promises';
import type { Clock } from '../std/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Deed } from './api.ts';
import { adminLimits } from './limits.ts';
import type { AuditEntry, Page } from './model.ts';

/** Who did what: the newest in memory, all of them in a file that is bounded, and each as a line of the log. */
export class AuditLog {
  readonly #path: string | null;
  readonly #clock: Clock;
  readonly #log: Log;
  /** Oldest first. */
  #entries: AuditEntry[] = [];
  #writing: Promise<void> = Promise.resolve();
  #isBroken = false;

  /** `path`: null = only in memory. */
  constructor(path: string | null, clock: Clock, log: Log) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
  }

  /** Reads the end of what earlier processes have written. */
  async open(): Promise<void> {
    if (this.#path === null) return;
    const text = await tailOf(this.#path).catch(() => '');
    const entries: AuditEntry[] = [];
    for (const line of text.split('\n')) {
      try {
        if (line !== '') entries.push(JSON.parse(line) as AuditEntry);
      } catch {
        // The first line is cut, and the last may be.
      }
    }
    this.#entries = [...entries, ...this.#entries].slice(-adminLimits.auditEntries);
  }

  readonly done = (deed: Deed): void => {
    const last = this.#entries.at(-1)?.atMs ?? 0;
    const entry: AuditEntry = {
      // One after the other, so that a page of them can begin behind any.
      atMs: Math.max(this.#clock.wall(), last + 1),
      who: bounded(deed.asker?.name ?? ''),
      role: deed.asker?.role ?? '',
      address: deed.address,
      action: deed.action,
      subject: bounded(deed.subject),
      status: deed.status,
      detail: bounded(deed.detail),
    };
    this.#entries.push(entry);
    if (this.#entries.length > 2 * adminLimits.auditEntries) this.#entries = this.#entries.slice(-adminLimits.auditEntries);
    const { atMs: _, ...fields } = entry;
    this.#log.info(fields, 'an operator did this');
    if (this.#path !== null) this.#writing = this.#writing.then(() => this.#write(this.#path!, entry));
  };

  /** Newest first; `beforeMs`: only older ones. */
  page(limit: number, beforeMs: number): Page<AuditEntry> {
    const known = this.#entries.slice(-adminLimits.auditEntries);
    const older = known.filter(({ atMs }) => atMs < beforeMs);
    return { total: known.length, items: older.slice(-limit).toReversed() };
  }

  /** Everything is in the file, or never will be. */
  close(): Promise<void> {
    return this.#writing;
  }

  async #write(path: string, entry: AuditEntry): Promise<void> {
    try {
      const size = await stat(path).then(
        (found) => found.size,
        () => 0,
      );
      if (size > adminLimits.auditFileBytes) await rename(path, `${path}.1`);
      await appendFile(path, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
      this.#isBroken = false;
    } catch (error) {
      // The log has the line; told once, until it works again.
      if (!this.#isBroken)
        this.#log.error({ error: (error as Error).message }, 'the audit log cannot be written: what operators do is only in this log');
      this.#isBroken = true;
    }
  }
}

/** As many bytes from the end as the entries in memory can have. */
async function tailOf(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const length = Math.min(size, adminLimits.auditEntries * 1024);
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await file.read(bytes, 0, length, size - length);
    return bytes.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

function bounded(text: string): string {
  return text.length > adminLimits.auditCharacters ? `${text.slice(0, adminLimits.auditCharacters)}…` : text;
}
