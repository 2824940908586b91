import { isSecretField } from '../observe/secret-field.ts';
import { isTable } from './expand.ts';
import { editToml, type TomlData, TomlEditError, tomlData } from './toml/edit.ts';
import { valueText } from './toml/format.ts';
import { type PairSpan, type Span, spansOf, type ValueSpan } from './toml/spans.ts';
import { looksSecret, MASK, type SecretKeys } from './secret-keys.ts';

/** What is shown instead of a text that cannot be read. */
const UNREADABLE = '# This is no valid TOML, so it cannot be told what in it is secret: only admins see it.\n';

/** A text of a configuration with its secrets hidden. `before`: another text; secrets that are not the same there say so. */
export function hideSecrets(text: string, keys: SecretKeys, before: string | null = null): string {
  const data = dataOf(text);
  if (data === null) return UNREADABLE;
  const was = before === null ? null : (dataOf(before) ?? {});
  const spans = spansOf(text);
  const splices: { readonly from: number; readonly to: number; readonly text: string }[] = [];
  const pairIn = (above: readonly string[], { key, value }: PairSpan, within: unknown, old: unknown): void => {
    const names = key.map(({ name }) => name);
    const path = [...above, ...names];
    const [here, there] = [at(within, names), at(old, names)];
    const hidden = hiddenValue(path, here, data, keys);
    if (hidden !== here) {
      put(value, here, hidden, was === null ? null : { old: there });
      splices.push(...commentsIn(text, value));
    } else for (const pair of value.pairs) pairIn(path, pair, here, there);
  };
  const put = (value: ValueSpan, here: unknown, hidden: unknown, old: { readonly old: unknown } | null): void => {
    if (value.of === 'list' && Array.isArray(here) && Array.isArray(hidden)) {
      const olds = old === null ? null : Array.isArray(old.old) ? (old.old as unknown[]) : [];
      for (const [i, item] of value.items.entries()) put(item, here[i], hidden[i], olds === null ? null : { old: olds[i] });
    } else if (value.of === 'table' && isTable(here) && isTable(hidden)) {
      for (const pair of value.pairs) {
        const names = pair.key.map(({ name }) => name);
        put(pair.value, at(here, names), at(hidden, names), old === null ? null : { old: at(old.old, names) });
      }
    } else if (hidden !== here) {
      const isOther = old !== null && JSON.stringify(old.old) !== JSON.stringify(here);
      splices.push({
        from: value.from,
        to: value.to,
        text: valueText(isOther && typeof hidden === 'string' && (isMask(hidden) || maskedField(hidden) !== null) ? `${hidden} (changed)` : hidden),
      });
    }
  };
  // What is commented out was a secret, or is to be one.
  for (const { from, to } of commentsBetween(text, spans)) {
    const [, lead, key, value] = /^(#[#\s]*([\w-]+)\s*=\s*)(.*\S)/s.exec(text.slice(from, to)) ?? [];
    if (key !== undefined && (keys.isSecretAnywhere(key, value) || hasSecretField(value!)))
      splices.push({ from: from + lead!.length, to, text: valueText(MASK) });
  }
  // Of tables in lists each has its own data; how many there were tells which it is.
  const counts = new Map<string, number>();
  for (const { header, pairs } of spans) {
    const path = header?.path.map(({ name }) => name) ?? [];
    if (header?.isArray === true) counts.set(path.join('\0'), (counts.get(path.join('\0')) ?? -1) + 1);
    const [here, there] = [descend(data, path, counts), descend(was, path, counts)];
    for (const pair of pairs) pairIn(path, pair, here, there);
  }
  let out = text;
  for (const { from, to, text: put } of splices.toSorted((a, b) => b.from - a.from)) out = out.slice(0, from) + put + out.slice(to);
  return out;
}

/** Comments outside of values: behind them, or in lines of their own. */
function commentsBetween(text: string, spans: ReturnType<typeof spansOf>): readonly Span[] {
  const taken = spans.flatMap(({ header, pairs }) => [...(header === null ? [] : [header]), ...pairs]);
  const comments: Span[] = [];
  let at = 0;
  for (const { from, to } of [...taken, { from: text.length, to: text.length }]) {
    comments.push(...commentsOf(text, at, from));
    at = to;
  }
  return comments;
}

/** In a text that is not read as TOML, since it is a comment. */
function hasSecretField(text: string): boolean {
  return [...text.matchAll(/["']([\w-]+):\s*([^"']+)["']/g)].some(([, name, value]) => isSecretField(name!, value!));
}

function commentsOf(text: string, from: number, to: number): readonly Span[] {
  return [...text.slice(from, to).matchAll(/#[^\r\n]*/g)].map((match) => ({ from: from + match.index, to: from + match.index + match[0].length }));
}

/** Comments between the items of a list that is secret, without what they say. */
function commentsIn(text: string, { of, from, to, items }: ValueSpan): readonly { from: number; to: number; text: string }[] {
  if (of !== 'list') return [];
  const comments: Span[] = [];
  let at = from;
  for (const item of [...items, { from: to, to }]) {
    comments.push(...commentsOf(text, at, item.from));
    at = item.to;
  }
  return comments.filter((one) => /["']/.test(text.slice(one.from, one.to))).map((one) => ({ ...one, text: `# ${MASK}` }));
}

/** The values of one item with its secrets hidden, as JSON can say them. */
export function hiddenItem(path: readonly string[], values: TomlData, data: TomlData, keys: SecretKeys): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, jsonOf(hiddenValue([...path, key], value, data, keys))]));
}

/**
 * Values that somebody has seen with their secrets hidden, made whole again: what is still hidden is what it was.
 * @throws TomlEditError when something is hidden that was not there
 */
export function shownValue(given: unknown, was: unknown, path: readonly string[], olds: readonly unknown[] | null = null): unknown {
  if (typeof given === 'string') {
    if (isMask(given)) return unmasked(given, was, path, olds);
    const field = maskedField(given);
    if (field !== null) return field.start + valueOfField(unmasked(field.mask, was, path, olds));
    if (given.includes(MASK) && typeof was === 'string') return shownText(given, was);
    return was instanceof Date || typeof was === 'bigint' ? (jsonOf(was) === given ? was : given) : given;
  }
  if (Array.isArray(given)) {
    const list: readonly unknown[] = Array.isArray(was) ? was : was === undefined ? [] : [was];
    // One secret has no number, and is meant wherever it is put.
    const only = list.length === 1 && given.filter(isHidden).length === 1;
    return given.map((item, i) =>
      shownValue(item, isHidden(item) ? (only ? list[0] : given.length === list.length ? list[i] : undefined) : list[i], path, list),
    );
  }
  if (!isTable(given)) return given;
  return Object.fromEntries(
    Object.entries(given).map(([key, value]) => [
      key,
      shownValue(value, isTable(was) ? was[key] : undefined, [...path, key], olds?.map((one) => (isTable(one) ? one[key] : undefined)) ?? null),
    ]),
  );
}

/** A text that somebody has seen with its secrets hidden, made whole again. @throws TomlEditError */
export function shownText(given: string, was: string): string {
  if (!given.includes(MASK)) return given;
  const data = dataOf(given);
  // What is no TOML is told of by who checks it.
  return data === null ? given : editToml(given, shownValue(data, dataOf(was) ?? {}, []) as TomlData);
}

function unmasked(mask: string, was: unknown, path: readonly string[], olds: readonly unknown[] | null): unknown {
  const number = /\((\d+)\)$/.exec(mask)?.[1];
  const found = number !== undefined && olds !== null ? olds[Number(number) - 1] : was;
  if (found === undefined || (typeof found === 'object' && number === undefined))
    throw new TomlEditError(`${path.join('.')} is hidden (${MASK}) and was not there before; write out what it is to be`);
  return found;
}

function isMask(value: unknown): boolean {
  return typeof value === 'string' && /^\*{8}(?: \(\d+\))?$/.test(value);
}

function isHidden(value: unknown): boolean {
  return isMask(value) || (typeof value === 'string' && maskedField(value) !== null);
}

/** Of a field whose value is hidden: what stands before it, and the mask. */
function maskedField(text: string): { readonly start: string; readonly mask: string } | null {
  const [, start, mask] = /^([!#$%&'*+.^`|~\w-]+:\s*)(\*{8}(?: \(\d+\))?)$/.exec(text) ?? [];
  return start === undefined ? null : { start, mask: mask! };
}

/** What stands behind the name of a field; a text that is none is a value by itself. */
function valueOfField(text: unknown): string {
  return String(text).replace(FIELD, '$3');
}

/** The value itself when nothing of it is secret. */
function hiddenValue(path: readonly string[], value: unknown, data: TomlData, keys: SecretKeys): unknown {
  if (path[0] === 'storages' && path[2] === 'value' && typeof value === 'string') return hiddenPiece(value, keys);
  return keys.isSecret(path, value, data) ? masked(value, '') : withoutSecretFields(value, '');
}

const FIELD = /^(([!#$%&'*+.^`|~\w-]+):\s*)(\S.*)$/s;

/** Fields such as `Authorization: Bearer abc`, wherever they are set, without their values. */
function withoutSecretFields(value: unknown, suffix: string): unknown {
  if (Array.isArray(value)) {
    const hidden = value.map((item, i) => withoutSecretFields(item, value.length > 1 ? ` (${i + 1})` : suffix));
    return hidden.every((item, i) => item === value[i]) ? value : hidden;
  }
  if (typeof value !== 'string') return value;
  const [, start, name, text] = FIELD.exec(value) ?? [];
  if (start === undefined || !isSecretField(name!, text!) || isVariable(text!)) return value;
  return `${start}${MASK}${suffix}`;
}

/** What is taken from the environment or from the request is no secret of the file. */
function isVariable(text: string): boolean {
  return /^(?:[a-z]+ +)?(?:\$\{[A-Z_][A-Z\d_]*\}|\$\w+)$/i.test(text);
}

function hiddenPiece(text: string, keys: SecretKeys): string {
  const data = dataOf(text);
  if (data === null) return MASK;
  const hidden = Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, keys.isSecretAnywhere(key, value) ? masked(value, '') : withoutSecretFields(value, '')]),
  );
  return editToml(text, hidden);
}

function masked(value: unknown, suffix: string): unknown {
  if (Array.isArray(value)) return value.map((item, i) => masked(item, value.length > 1 ? ` (${i + 1})` : suffix));
  if (isTable(value)) {
    const some = Object.keys(value).some(looksSecret);
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, some && !looksSecret(key) ? one : masked(one, suffix)]));
  }
  return typeof value === 'string' && (value === '' || /^\$\{[A-Z_][A-Z\d_]*\}$/.test(value)) ? value : `${MASK}${suffix}`;
}

/** What JSON has no word for is text. */
function jsonOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(jsonOf);
  if (value instanceof Date) return value.toISOString();
  if (typeof value === 'bigint') return String(value);
  return isTable(value) ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, jsonOf(one)])) : value;
}

function dataOf(text: string): TomlData | null {
  try {
    return tomlData(text);
  } catch {
    return null;
  }
}

function at(value: unknown, names: readonly string[]): unknown {
  let here = value;
  for (const name of names) here = isTable(here) && Object.hasOwn(here, name) ? here[name] : undefined;
  return here;
}

function descend(data: unknown, path: readonly string[], counts: ReadonlyMap<string, number>): unknown {
  let here = data;
  for (const [i, name] of path.entries()) {
    here = at(here, [name]);
    if (Array.isArray(here)) here = here[counts.get(path.slice(0, i + 1).join('\0')) ?? 0];
  }
  return here;
}
