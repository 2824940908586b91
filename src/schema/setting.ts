import type { Kind } from './kind.ts';

/**
 * One setting, declared once. Its name in a Table gives all the others: `appPassword` is `--app-password` (or `--appPassword`),
 * `WINDLASS_APP_PASSWORD`, and `app_password` in a file.
 */
export interface Setting<T> {
  readonly kind: Kind<T>;
  /** Heading it stands under in help. */
  readonly group: string;
  /** One line, lower case, no full stop. */
  readonly help: string;
  /** Absent: the setting must be given. */
  readonly fallback?: T;
  /** A setting that must be given, but not when another one has this value: then this is what it is. */
  readonly optionalIf?: { readonly setting: string; readonly value: unknown; readonly fallback: T };
  /** How to name a default that is computed. */
  readonly fallbackText?: string;
  /** What to do when a required one is missing. */
  readonly hint?: string;
  /** More spellings of the flag, without dashes. */
  readonly aliases?: readonly string[];
  /** One of slime's, or of another program whose place we take: its environment names without a prefix (`APP_PASSWORD`, `APPPASSWORD`) count too. */
  readonly slime?: boolean;
  /** Environment names by which other programs know it; they count after ours. */
  readonly otherEnv?: readonly string[];
  /** Secret: `--x-file`, `X_FILE` and `x_file` exist too, and the value is never shown. `lines`: the file may hold several. */
  readonly secret?: 'line' | 'lines';
  /** Its value is the name of an item of this section of a gateway's file, and there must be one. */
  readonly refersTo?: 'upstreams';
  /** False: a flag and an environment name only, not a key of the file. */
  readonly inFile?: boolean;
}

export type Table = { readonly [name: string]: Setting<unknown> };

/** What a table's settings amount to. */
export type Values<T extends Table> = { readonly [K in keyof T]: T[K] extends Setting<infer V> ? V : never };

/** Lets the compiler find T. */
export function setting<T>(of: Setting<T>): Setting<T> {
  return of;
}

/** `appPassword` → `app-password` */
export function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `appPassword` → `app_password` */
export function tomlName(name: string): string {
  return flagName(name).replaceAll('-', '_');
}

/** Environment names in the order in which they are looked at. */
export function envNames(name: string, of: Setting<unknown>): readonly string[] {
  const upper = tomlName(name).toUpperCase();
  const names = [`WINDLASS_${upper}`];
  if (of.slime === true) names.push(upper, name.toUpperCase());
  if (of.otherEnv !== undefined) names.push(...of.otherEnv);
  return [...new Set(names)];
}

/** The setting that names a file with the secret in it. */
export function fileTwin(name: string): string {
  return `${name}File`;
}
