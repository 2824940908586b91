import { Wrong } from '../schema/wrong.ts';

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Puts variables of the environment into text: `${NAME}`, and `${NAME:default}` for when it is not set or empty. `$${NAME}` stays as `${NAME}`.
 * Only names in capitals are meant: `$name`, `${name}` and `$1` belong to rewrites and header values and stay as they are.
 * @throws Wrong for a variable that is not there
 */
export function expand(text: string, env: Env): string {
  if (!text.includes('${')) return text;
  return text.replace(VARIABLE, (whole, escape: string, name: string, fallback: string | undefined) => {
    if (escape !== '') return whole.slice(1);
    const value = Object.hasOwn(env, name) ? env[name] : undefined;
    if (value !== undefined && value !== '') return value;
    if (fallback !== undefined) return fallback;
    throw new Wrong(
      `names a variable that is ${value === undefined ? 'not set' : 'empty'}`,
      `set ${name}, or write \${${name}:default}`,
      `\${${name}}`,
    );
  });
}

/** Text that expand() turns back into this text. */
export function unexpanded(text: string): string {
  return text.replace(VARIABLE, '$$$&');
}

const VARIABLE = /(\$?)\$\{([A-Z_][A-Z\d_]*)(?::([^}]*))?\}/g;

/** The same for every text in a list or table; without `env` nothing is put in. Tables become plain objects, whatever their keys are. */
export function expandAll(value: unknown, env: Env | null): unknown {
  if (typeof value === 'string') return env === null ? value : expand(value, env);
  if (Array.isArray(value)) return value.map((item: unknown) => expandAll(item, env));
  return isTable(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, expandAll(item, env)])) : value;
}

/** Is there anything for expandAll() to do? */
export function hasVariables(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('${') && value.search(VARIABLE) >= 0;
  if (Array.isArray(value)) return value.some(hasVariables);
  return isTable(value) && Object.values(value).some(hasVariables);
}

/** A TOML table, as opposed to a list or a date. */
export function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
