import { KEPT_LINES, KEPT_LINES_BYTES } from './limits.ts';
import type { Log, LogLevel, RootLog } from './log.ts';
import { redactedFields, redactedText, type Fields } from './redact.ts';

/** A line that was written, its secrets taken out. */
export interface KeptLine {
  readonly atMs: number;
  readonly level: Exclude<LogLevel, 'silent'>;
  readonly message: string;
  readonly fields: Fields;
}

/** Keeps the last lines of a log, bounded in number and bytes. */
export class LogRing {
  readonly #wall: () => number;
  readonly #lines: { readonly line: KeptLine; readonly bytes: number }[] = [];
  readonly #heard = new Set<(line: KeptLine) => void>();
  #bytes = 0;

  constructor(wall: () => number = Date.now) {
    this.#wall = wall;
  }

  /** The same log, whose lines are kept from now on. */
  beside(log: RootLog): RootLog {
    return new KeptRoot(log, this);
  }

  /** The latest first. */
  *latest(): Generator<KeptLine, void, void> {
    for (let i = this.#lines.length - 1; i >= 0; i--) yield this.#lines[i]!.line;
  }

  get size(): number {
    return this.#lines.length;
  }

  /** Calls back for every line. @returns ends it */
  listen(heard: (line: KeptLine) => void): () => void {
    this.#heard.add(heard);
    return () => void this.#heard.delete(heard);
  }

  /** @internal */
  keep(level: KeptLine['level'], bound: Fields, fields: Fields, message: string): void {
    const line: KeptLine = { atMs: this.#wall(), level, message: redactedText(message), fields: redactedFields({ ...bound, ...fields }) };
    // Two for each character, and what the objects take.
    const bytes = 2 * (line.message.length + JSON.stringify(line.fields).length) + 200;
    this.#lines.push({ line, bytes });
    this.#bytes += bytes;
    while (this.#lines.length > KEPT_LINES || (this.#bytes > KEPT_LINES_BYTES && this.#lines.length > 1)) this.#bytes -= this.#lines.shift()!.bytes;
    for (const heard of this.#heard) heard(line);
  }
}

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 };

class KeptLog implements Log {
  protected readonly log: Log;
  protected readonly root: RootLog;
  readonly #ring: LogRing;
  readonly #bound: Fields;

  constructor(log: Log, root: RootLog, ring: LogRing, bound: Fields) {
    this.log = log;
    this.root = root;
    this.#ring = ring;
    this.#bound = bound;
  }

  debug(fields: Fields, message: string): void {
    this.log.debug(fields, message);
    this.#keep('debug', fields, message);
  }

  info(fields: Fields, message: string): void {
    this.log.info(fields, message);
    this.#keep('info', fields, message);
  }

  warn(fields: Fields, message: string): void {
    this.log.warn(fields, message);
    this.#keep('warn', fields, message);
  }

  error(fields: Fields, message: string): void {
    this.log.error(fields, message);
    this.#keep('error', fields, message);
  }

  child(fields: Fields): Log {
    return new KeptLog(this.log.child(fields), this.root, this.#ring, { ...this.#bound, ...fields });
  }

  #keep(level: KeptLine['level'], fields: Fields, message: string): void {
    if (RANK[level] >= RANK[this.root.level]) this.#ring.keep(level, this.#bound, fields, message);
  }
}

class KeptRoot extends KeptLog implements RootLog {
  constructor(log: RootLog, ring: LogRing) {
    super(log, log, ring, {});
  }

  get level(): LogLevel {
    return this.root.level;
  }

  set level(level: LogLevel) {
    this.root.level = level;
  }
}
