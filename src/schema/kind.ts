import { resolve } from 'node:path';
import { formatAddress, parseAddress, parsePort, type Address } from './address.ts';
import { parseAllowRule, type AllowRule } from './allow.ts';
import { formatBytes, parseBytes } from './bytes.ts';
import { Cidrs, parseCidr } from './cidrs.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { nearest } from './nearest.ts';
import { parseHubUrl, parseServerUrl, parseUpstreamUrl, type UpstreamUrl } from './upstream-url.ts';
import { Wrong } from './wrong.ts';

/** A kind of value: how it is read from text and from TOML, and how it is written. Everything that cannot be used throws Wrong. */
export interface Kind<T> {
  /** Stands for the value in help. */
  readonly word: string;
  /** One phrase for the reference. */
  readonly says: string;
  /** May it be given several times? */
  readonly many: boolean;
  /** What may be written, when there are only so many. */
  readonly choices: readonly string[];
  /** JSON Schema of what may stand in a file, for editors. */
  readonly json: JsonSchema;
  /** From flags (one text per time given) and the environment (one text). */
  parse(texts: readonly string[]): T;
  /** `folder` is where the file is: relative paths in a file start there. */
  fromToml(value: unknown, folder: string): T;
  format(value: T): string;
  /** The text with whatever may be secret in it taken out. */
  redact(text: string): string;
}

/** A piece of JSON Schema, draft 7. */
export type JsonSchema = { readonly [keyword: string]: unknown };

/** Any text without control characters. */
export function text(word = 'TEXT', says = 'text'): Kind<string> {
  return scalar(word, says, (given) => {
    if (given === '') throw new Wrong('is empty', 'give a value or leave it out');
    // oxlint-disable-next-line no-control-regex -- control characters are what is being looked for
    if (/[\u0000-\u001f\u007f]/.test(given)) throw new Wrong('has control characters in it', 'is there a line break too many?');
    return given;
  });
}

/** Where a file is. On the command line relative to the working folder, in a file to that file's. */
export function path(says = 'path'): Kind<string> {
  const plain = text('PATH', says);
  return { ...plain, fromToml: (value, folder) => resolve(folder, plain.fromToml(value, folder)) };
}

/** Text of a given form. */
export function textLike(form: RegExp, word: string, says: string, fix: string): Kind<string> {
  return scalar(word, says, (given) => {
    if (!form.test(given)) throw new Wrong('is not of the right form', fix);
    return given;
  });
}

/** Secrets, one per text. (Where they may come from is the setting's business.) */
export function secrets(): Kind<readonly string[]> {
  const one = text('SECRET', 'secret text');
  return {
    ...one,
    parse: (texts) => texts.map((given) => one.parse([given])),
    fromToml: (value, folder) =>
      Array.isArray(value) && value.length > 0 ? value.map((item) => one.fromToml(item, folder)) : [one.fromToml(value, folder)],
    format: () => '***',
    json: { type: ['string', 'array'], items: { type: 'string' } },
  };
}

export function integer(min: number, max: number): Kind<number> {
  return scalar(
    'N',
    'whole number',
    (given) => {
      if (!/^-?\d{1,15}$/.test(given)) throw new Wrong('is no whole number', `give a number from ${min} to ${max}`);
      const n = Number(given);
      if (n < min || n > max) throw new Wrong('is out of range', `give a number from ${min} to ${max}`);
      return n;
    },
    { types: ['number'], json: { type: ['integer', 'string'], minimum: min, maximum: max } },
  );
}

export function toggle(): Kind<boolean> {
  return scalar(
    'BOOL',
    'true or false',
    (given) => {
      const value = TOGGLES.get(given.toLowerCase());
      if (value === undefined) throw new Wrong('is neither true nor false', 'write true or false');
      return value;
    },
    { types: ['boolean'], choices: ['true', 'false'] },
  );
}

const TOGGLES: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['yes', true],
  ['on', true],
  ['false', false],
  ['0', false],
  ['no', false],
  ['off', false],
]);

export function choice<const T extends string>(choices: readonly T[]): Kind<T> {
  return scalar(
    choices.join('|'),
    `one of ${choices.join(', ')}`,
    (given) => {
      const found = choices.find((one) => one === given.replaceAll('-', '_').toLowerCase());
      if (found !== undefined) return found;
      const near = nearest(given, choices);
      throw new Wrong('is not one of the choices', near === null ? `choose ${listed(choices)}` : `did you mean ${near}? (choose ${listed(choices)})`);
    },
    { choices },
  );
}

export function duration(maxMs?: number): Kind<number> {
  return scalar('TIME', 'duration such as 500ms, 30s or 1h2m3s', (given) => parseDuration(given, maxMs), {
    format: formatDuration,
    types: ['number'],
  });
}

export function bytes(): Kind<number> {
  return scalar('SIZE', 'size such as 64KiB or 10MB', parseBytes, { format: formatBytes, types: ['number'] });
}

export function port(): Kind<number> {
  return scalar('PORT', 'port number, 0 = any free one', parsePort, { types: ['number'] });
}

/** The host part of where to listen. */
export function host(): Kind<string> {
  return scalar('HOST', 'IP address or name', (given) => {
    if (/^(?:[^:]*|\[.*\]):\d+$/.test(given)) throw new Wrong('has a port in it', 'give the port with --port');
    return given === '' ? '0.0.0.0' : parseAddress(given.includes(':') && !given.startsWith('[') ? `[${given}]:0` : `${given}:0`).host;
  });
}

/** Where to listen: HOST:PORT or :PORT. */
export function address(defaultHost: string): Kind<Address> {
  return scalar('ADDRESS', `address such as :8080 (then the host is ${defaultHost}) or [::1]:8080`, (given) => parseAddress(given, defaultHost), {
    format: formatAddress,
    types: ['number'],
  });
}

/** A kind that can also be switched off. */
export function orOff<T>(kind: Kind<T>): Kind<T | null> {
  const isOff = (given: unknown): boolean => given === 'off' || given === 'none' || given === false;
  return {
    ...kind,
    says: `${kind.says}, or off`,
    parse: (texts) => (isOff(texts.at(-1)) ? null : kind.parse(texts)),
    fromToml: (value, folder) => (isOff(value) ? null : kind.fromToml(value, folder)),
    format: (value) => (value === null ? 'off' : kind.format(value)),
    json: { anyOf: [kind.json, { enum: ['off', 'none', false] }] },
  };
}

/** Where requests go. */
export function upstreamUrl(): Kind<UpstreamUrl> {
  return scalar('URL', 'host:port (http), http(s):// or h2c://[user[:pass]@]host[:port][/path]', parseUpstreamUrl, {
    format: (url) => url.shown,
    redact: withoutUserInfo,
  });
}

/** A server of HTTP/1.1. */
export function serverUrl(): Kind<UpstreamUrl> {
  return scalar('URL', 'host:port (http) or http(s)://[user[:pass]@]host[:port][/path]', parseServerUrl, {
    format: (url) => url.shown,
    redact: withoutUserInfo,
  });
}

export function hubUrl(): Kind<UpstreamUrl> {
  return scalar('URL', 'host:port (http), http(s):// or ws(s)://[user[:pass]@]host[:port][/path]', parseHubUrl, {
    format: (url) => url.shown,
    redact: withoutUserInfo,
  });
}

/** Up to the last @, because a password may hold anything. */
function withoutUserInfo(given: string): string {
  return given.replace(/^((?:[a-z][a-z\d+.-]*:\/\/)?).*@/is, '$1***@');
}

/** Several values: the flag repeated, or separated (by commas unless commas mean something inside). */
export function list<T>(kind: Kind<T>, separator: RegExp = /,/, says = 'comma-separated or repeated'): Kind<readonly T[]> {
  const parse = (texts: readonly string[]): readonly T[] => {
    const items = texts.flatMap((given) => given.split(separator)).map((item) => item.trim());
    const values = all(
      items.filter((item) => item !== ''),
      (item) => naming(item, () => kind.parse([item])),
    );
    if (values.length === 0) throw new Wrong('is empty', 'give at least one value or leave it out');
    return values;
  };
  // Shown as a part of what was given, an item cut out of a password at its comma would slip past redact().
  const naming = <V>(item: string, read: () => V): V => {
    try {
      return read();
    } catch (error) {
      if (error instanceof Wrong && kind.redact('://@') === '://@') throw new Wrong(error.message, error.fix, item);
      throw error;
    }
  };
  return {
    word: `${kind.word}[,…]`,
    says: `${kind.says}; ${says}`,
    many: true,
    choices: kind.choices,
    parse,
    fromToml: (value, folder) => {
      if (!Array.isArray(value)) return typeof value === 'string' ? parse([value]) : [kind.fromToml(value, folder)];
      return all(value, (item) => naming(String(item), () => kind.fromToml(item, folder)));
    },
    format: (values) => values.map((value) => kind.format(value)).join(','),
    redact: (given) => kind.redact(given),
    json: { anyOf: [{ type: 'array', items: kind.json }, kind.json, { type: 'string' }] },
  };
}

/** Reads all items. @throws Wrong about the first that cannot be used, with those about the others */
export function all<T, V>(items: readonly T[], read: (item: T) => V): readonly V[] {
  const wrongs: Wrong[] = [];
  const values: V[] = [];
  for (const item of items) {
    try {
      values.push(read(item));
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      wrongs.push(error);
    }
  }
  const [first, ...others] = wrongs;
  if (first === undefined) return values;
  throw others.length === 0 ? first : new Wrong(first.message, first.fix, first.part, others);
}

/** A list that `none` (or `[]`) empties. */
export function orNone<T>(kind: Kind<readonly T[]>): Kind<readonly T[]> {
  const isNone = (given: unknown): boolean => given === 'none' || given === 'off';
  return {
    ...kind,
    parse: (texts) => (isNone(texts.at(-1)) ? [] : kind.parse(texts)),
    fromToml: (value, folder) => (isNone(value) ? [] : kind.fromToml(value, folder)),
    format: (values) => (values.length === 0 ? 'none' : kind.format(values)),
  };
}

/** Address blocks whose word is believed. */
export function cidrs(): Kind<Cidrs> {
  const blocks = list(scalar('CIDR', 'address block such as 10.0.0.0/8, a single address, loopback or private', parseCidr));
  return {
    ...blocks,
    parse: (texts) => new Cidrs(blocks.parse(texts).flat()),
    fromToml: (value, folder) => new Cidrs(blocks.fromToml(value, folder).flat()),
    format: () => '',
  };
}

export function allowRules(): Kind<readonly AllowRule[]> {
  return list(scalar('RULE', "methods and path such as 'GET,POST /v1/*'", parseAllowRule), /[;\n]/, 'repeated, or separated by semicolons');
}

/** `id=address` pairs of hubs. */
export function siblings(): Kind<ReadonlyMap<string, UpstreamUrl>> {
  const pairs = list(
    scalar('ID=URL', 'hub such as hub-b=https://b.example.com', (given): [string, UpstreamUrl] => {
      const at = given.indexOf('=');
      if (at < 0) throw new Wrong('has no =', `write ID=${given}`);
      const id = given.slice(0, at).trim();
      if (!/^[\w.-]{1,64}$/.test(id)) throw new Wrong('has no hub id', 'use up to 64 letters, digits, dots and dashes before the =');
      return [id, parseServerUrl(given.slice(at + 1).trim())];
    }),
  );
  return {
    ...pairs,
    parse: (texts) => new Map(pairs.parse(texts)),
    fromToml: (value, folder) => new Map(pairs.fromToml(value, folder)),
    format: (map) => [...map].map(([id, hub]) => `${id}=${hub.shown}`).join(','),
  };
}

/** `k=v` pairs; in TOML also a table. */
export function labels(): Kind<ReadonlyMap<string, string>> {
  const pairs = list(
    scalar('KEY=VALUE', 'label such as gpu=a100', (given): [string, string] => {
      const at = given.indexOf('=');
      if (at < 0) throw new Wrong('has no =', `write ${given}=VALUE`);
      return labelOf(given.slice(0, at).trim(), given.slice(at + 1).trim());
    }),
  );
  return {
    ...pairs,
    parse: (texts) => new Map(pairs.parse(texts)),
    fromToml: (value, folder) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return new Map(pairs.fromToml(value, folder));
      return new Map(Object.entries(value).map(([key, of]) => labelOf(key, text().fromToml(of, folder))));
    },
    format: (map) => [...map].map(([key, value]) => `${key}=${value}`).join(','),
    json: { anyOf: [pairs.json, { type: 'object', additionalProperties: { type: 'string' } }] },
  };
}

function labelOf(key: string, value: string): [string, string] {
  if (!/^[a-zA-Z][\w./-]{0,62}$/.test(key))
    throw new Wrong('has a bad key', 'a key begins with a letter and has letters, digits and . _ / - (at most 63)', key);
  if (!/^[^\p{C}]{0,200}$/u.test(value)) throw new Wrong('has a bad value', 'a value has at most 200 printable characters', key);
  return [key, value];
}

interface ScalarOptions<T> {
  readonly format?: (value: T) => string;
  readonly redact?: (text: string) => string;
  readonly choices?: readonly string[];
  /** TOML types beside string that mean what their text means. */
  readonly types?: readonly ('number' | 'boolean')[];
  /** When the types and choices do not say enough. */
  readonly json?: JsonSchema;
}

/** A kind made of one text; given several times, the last counts. */
export function scalar<T>(word: string, says: string, read: (text: string) => T, options: ScalarOptions<T> = {}): Kind<T> {
  const types: readonly string[] = ['string', ...(options.types ?? [])];
  return {
    word,
    says,
    many: false,
    choices: options.choices ?? [],
    parse: (texts) => read(texts.at(-1)!),
    fromToml: (value) => {
      if (types.includes(typeof value) || (typeof value === 'bigint' && types.includes('number'))) return read(String(value));
      throw new Wrong(`is ${tomlType(value)}`, `write ${types.map((type) => TYPE_WORDS.get(type)).join(' or ')}: ${says}`);
    },
    format: options.format ?? String,
    redact: options.redact ?? ((given) => given),
    json: options.json ?? schemaOf(types, options.choices ?? []),
  };
}

/** Of a choice also its other spellings, what the environment is to say (`"${LEVEL}"`), and nothing: an empty text is a key that is not set. */
function schemaOf(types: readonly string[], choices: readonly string[]): JsonSchema {
  const type = types.length === 1 ? types[0] : types;
  if (choices.length === 0 || types.length > 1) return { type };
  const spelled = choices.map((word) =>
    word
      .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
      .replace(/[a-z]/gi, (letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}]`)
      .replaceAll('_', '[-_]'),
  );
  return { anyOf: [{ enum: choices }, { type: 'string', pattern: `^$|\\$\\{|^(${spelled.join('|')})$` }] };
}

const TYPE_WORDS: ReadonlyMap<string, string> = new Map([
  ['string', 'text in quotes'],
  ['number', 'a number'],
  ['boolean', 'true or false without quotes'],
]);

function tomlType(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Date) return 'a date';
  if (typeof value === 'object') return 'a table';
  return TYPE_WORDS.get(typeof value === 'bigint' ? 'number' : typeof value) ?? 'of no use';
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
