import picocolors from 'picocolors';
import { pino, type Logger } from 'pino';
import { Lines } from './lines.ts';
import { redactedFields, redactedText, type Fields } from './redact.ts';

/** What the program says about itself while it runs. Requests go to the access log instead. */
export interface Log {
  debug(fields: Fields, message: string): void;
  info(fields: Fields, message: string): void;
  warn(fields: Fields, message: string): void;
  error(fields: Fields, message: string): void;
  /** A log whose lines all carry these fields. */
  child(fields: Fields): Log;
}

/** A log whose least important lines may change while it runs, for itself and all its children. */
export interface RootLog extends Log {
  level: LogLevel;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Where lines go. `process.stderr` fits. */
export interface LogStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

export interface LogOptions {
  level?: LogLevel;
  /** `auto`: pretty on a terminal, JSON otherwise. */
  format?: 'auto' | 'pretty' | 'json';
  /** Standard error unless given, and then without ever waiting for it. */
  stream?: LogStream;
  /** Wall clock, ms. */
  wall?: () => number;
  /** Colours in the pretty form; default: on a terminal, unless NO_COLOR says otherwise. */
  color?: boolean;
}

/** A log with secrets removed and control characters escaped (they never reach a terminal raw). */
export function createLog(options: LogOptions = {}): RootLog {
  const stream = options.stream === undefined || options.stream === process.stderr ? standardError() : options.stream;
  const threshold: Threshold = { level: options.level ?? 'info' };
  const wall = options.wall ?? Date.now;
  const pretty = options.format === 'pretty' || (options.format !== 'json' && stream.isTTY === true);
  if (!pretty) return new JsonLog(jsonLogger(wall, stream), threshold);
  const color = options.color ?? (stream.isTTY === true && picocolors.isColorSupported);
  return new PrettyLog(threshold, wall, stream, picocolors.createColors(color), {});
}

/** Says nothing: for tests and for callers that want silence. */
export const nullLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => nullLog,
};

/** Standard error that is never waited for: whoever reads it slowly, or no longer, loses lines instead of stopping the program. */
function standardError(): LogStream {
  // On a terminal order matters more: other output goes there, too.
  if (process.stderr.isTTY) return process.stderr;
  const lines = new Lines({ target: 2, flushMs: 0 });
  process.on('exit', () => lines.flushSync());
  return { write: (text) => lines.write(text) };
}

type Level = Exclude<LogLevel, 'silent'>;
const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 };

/** Shared by a log and its children. */
interface Threshold {
  level: LogLevel;
}

function isWanted(level: Level, threshold: Threshold): boolean {
  return RANK[level] >= RANK[threshold.level];
}

function jsonLogger(wall: () => number, stream: LogStream): Logger {
  return pino(
    {
      level: 'debug',
      base: null,
      timestamp: () => `,"time":"${isoTime(wall())}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => void stream.write(line.replace(UNSAFE_IN_JSON, escapeUnit)) },
  );
}

class JsonLog implements RootLog {
  readonly #logger: Logger;
  readonly #threshold: Threshold;

  constructor(logger: Logger, threshold: Threshold) {
    this.#logger = logger;
    this.#threshold = threshold;
  }

  get level(): LogLevel {
    return this.#threshold.level;
  }

  set level(level: LogLevel) {
    this.#threshold.level = level;
  }

  debug(fields: Fields, message: string): void {
    if (isWanted('debug', this.#threshold)) this.#logger.debug(redactedFields(fields), redactedText(message));
  }

  info(fields: Fields, message: string): void {
    if (isWanted('info', this.#threshold)) this.#logger.info(redactedFields(fields), redactedText(message));
  }

  warn(fields: Fields, message: string): void {
    if (isWanted('warn', this.#threshold)) this.#logger.warn(redactedFields(fields), redactedText(message));
  }

  error(fields: Fields, message: string): void {
    if (isWanted('error', this.#threshold)) this.#logger.error(redactedFields(fields), redactedText(message));
  }

  child(fields: Fields): Log {
    return new JsonLog(this.#logger.child({ ...redactedFields(fields) }), this.#threshold);
  }
}

type Colors = ReturnType<typeof picocolors.createColors>;

class PrettyLog implements RootLog {
  readonly #threshold: Threshold;
  readonly #wall: () => number;
  readonly #stream: LogStream;
  readonly #colors: Colors;
  readonly #bound: Fields;

  constructor(threshold: Threshold, wall: () => number, stream: LogStream, colors: Colors, bound: Fields) {
    this.#threshold = threshold;
    this.#wall = wall;
    this.#stream = stream;
    this.#colors = colors;
    this.#bound = bound;
  }

  get level(): LogLevel {
    return this.#threshold.level;
  }

  set level(level: LogLevel) {
    this.#threshold.level = level;
  }

  debug(fields: Fields, message: string): void {
    this.#say('debug', fields, message);
  }

  info(fields: Fields, message: string): void {
    this.#say('info', fields, message);
  }

  warn(fields: Fields, message: string): void {
    this.#say('warn', fields, message);
  }

  error(fields: Fields, message: string): void {
    this.#say('error', fields, message);
  }

  child(fields: Fields): Log {
    return new PrettyLog(this.#threshold, this.#wall, this.#stream, this.#colors, { ...this.#bound, ...fields });
  }

  #say(level: Level, fields: Fields, message: string): void {
    if (!isWanted(level, this.#threshold)) return;
    const c = this.#colors;
    const mark = { debug: c.gray('debug'), info: c.green('info '), warn: c.yellow('warn '), error: c.red('error') }[level];
    let line = `${c.dim(localTime(this.#wall()))} ${mark} ${printable(redactedText(message))}`;
    const all = redactedFields({ ...this.#bound, ...fields });
    for (const key of Object.keys(all)) {
      const value = all[key];
      if (value !== undefined) line += ` ${c.cyan(printable(key))}${c.dim('=')}${prettyValue(value)}`;
    }
    this.#stream.write(`${line}\n`);
  }
}

function prettyValue(value: unknown): string {
  if (typeof value === 'string') return value !== '' && !NEEDS_QUOTES.test(value) ? value : printable(JSON.stringify(value));
  if (typeof value === 'object' && value !== null) {
    const { message } = value as { message?: unknown };
    return printable(JSON.stringify(typeof message === 'string' ? message : value));
  }
  return String(value);
}

/** The text with everything a terminal could obey written as an escape. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escapeUnit);
}

/** C0, DEL, C1, line separators, and the marks that reorder text: what a terminal or a reader's eye could be fooled by. */
// oxlint-disable-next-line no-control-regex -- control characters are the subject
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
/** The same, but for C0, which JSON has escaped already (and whose newline ends the line). */
const UNSAFE_IN_JSON = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
// oxlint-disable-next-line no-control-regex -- control characters are the subject
const NEEDS_QUOTES = /[\u0000-\u0020"=\\\u007f-\u00a0\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

function localTime(ms: number): string {
  const date = new Date(ms);
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}
