import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { parseBytes } from './bytes.ts';
import { parseDuration } from './duration.ts';
import { scalar, type Kind } from './kind.ts';
import { LOG_FORMATS, type LogTemplate, parseLogTemplate } from './log-template.ts';
import { nearest } from './nearest.ts';
import { Wrong } from './wrong.ts';

export const ROLLINGS = ['never', 'minutely', 'hourly', 'daily'] as const;
export type Rolling = (typeof ROLLINGS)[number];

/** A file of log lines, and what becomes of it when it grows or gets old. */
export interface LogFileSpec {
  readonly path: string;
  /** A new file when this part of the time (UTC) is over. */
  readonly rolling: Rolling;
  /** A new file before it grows over this; 0 = it may. */
  readonly maxBytes: number;
  /** Earlier files that are kept, oldest deleted first; 0 = all. */
  readonly maxFiles: number;
  /** Earlier files older than this are deleted, ms; 0 = none. */
  readonly maxAgeMs: number;
  readonly compress: 'gzip' | 'none';
  /** Bytes of lines that may wait for a slow disk. */
  readonly bufferedBytes: number;
  /** How long a line waits at most for company, ms. */
  readonly flushMs: number;
}

/** Where lines go, and what they say. */
export interface AccessLogSpec {
  readonly target: 'stdout' | LogFileSpec;
  readonly template: LogTemplate;
  /** As it was given. */
  readonly text: string;
}

/** A named format or a template; in front of it the path of a file, with options as the query of a URL. */
export function accessLog(): Kind<AccessLogSpec> {
  const kind = scalar('FORMAT', SAYS, (given) => parseAccessLog(given, process.cwd()), { format: ({ text }) => text });
  return {
    ...kind,
    fromToml: (value, folder) => (typeof value === 'string' ? parseAccessLog(value, folder) : kind.fromToml(value, folder)),
  };
}

const SAYS = `${[...LOG_FORMATS.keys()].join(', ')} or a template with tags such as {uri}; a path in front of it writes to that file`;

/** `folder`: where relative paths start. @throws Wrong */
export function parseAccessLog(given: string, folder: string, env: Readonly<Record<string, string | undefined>> = process.env): AccessLogSpec {
  const [, file, rest = ''] = /^\s*(\.{0,2}\/\S*)(?:\s+(.*\S))?\s*$/s.exec(given) ?? [];
  const template = parseLogTemplate(file === undefined ? given.trim() : rest === '' ? 'combined' : rest, env, hostname());
  return { target: file === undefined ? 'stdout' : parseLogFile(file, folder), template, text: given };
}

type Options = { -readonly [K in keyof LogFileSpec]: LogFileSpec[K] };

/** `/path/access.log?rolling=daily&max_size=100mb` */
function parseLogFile(given: string, folder: string): LogFileSpec {
  const at = given.indexOf('?');
  const path = at < 0 ? given : given.slice(0, at);
  if (path.endsWith('/')) throw new Wrong('names a folder', `name a file in it, such as ${path}access.log`);
  const options: Options = { path: resolve(folder, path), ...DEFAULTS };
  for (const [name, value] of new URLSearchParams(at < 0 ? '' : given.slice(at + 1))) {
    const read = READERS.get(name.replaceAll('-', '_'));
    if (read === undefined) {
      const near = nearest(name, READERS.keys());
      throw new Wrong(
        'has an option that is not known',
        near === null ? `there are ${[...READERS.keys()].join(', ')}` : `did you mean ${near}?`,
        name,
      );
    }
    try {
      read(options, value);
    } catch (error) {
      if (error instanceof Wrong) throw new Wrong(`has an option that ${error.message}`, error.fix, `${name}=${value}`);
      throw error;
    }
  }
  return options;
}

const DEFAULTS: Omit<LogFileSpec, 'path'> = {
  rolling: 'never',
  maxBytes: 0,
  maxFiles: 30,
  maxAgeMs: 0,
  compress: 'none',
  bufferedBytes: 4 * 1024 * 1024,
  flushMs: 100,
};

/** What a line takes on average: `channel_buffer` counts lines. */
const LINE_BYTES = 1024;

const READERS: ReadonlyMap<string, (options: Options, value: string) => void> = new Map<string, (options: Options, value: string) => void>([
  ['rolling', (options, value) => (options.rolling = oneOf(ROLLINGS, value))],
  ['max_size', (options, value) => (options.maxBytes = parseBytes(value))],
  ['max_files', (options, value) => (options.maxFiles = wholeNumber(value, 0, 100_000))],
  ['max_age', (options, value) => (options.maxAgeMs = parseDuration(value, Number.MAX_SAFE_INTEGER))],
  ['compress', (options, value) => (options.compress = oneOf(['gzip', 'none'] as const, value))],
  ['channel_buffer', (options, value) => (options.bufferedBytes = wholeNumber(value, 1, 1_000_000) * LINE_BYTES)],
  ['flush_timeout', (options, value) => (options.flushMs = parseDuration(value))],
]);

function oneOf<const T extends string>(choices: readonly T[], value: string): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw new Wrong('is not one of the choices', `choose ${choices.join(', ')}`);
  return found;
}

function wholeNumber(value: string, min: number, max: number): number {
  if (!/^\d{1,9}$/.test(value) || Number(value) < min || Number(value) > max)
    throw new Wrong('is out of range', `give a number from ${min} to ${max}`);
  return Number(value);
}
