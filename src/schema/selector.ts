import { scalar, type Kind } from './kind.ts';
import { Wrong } from './wrong.ts';

/** Which agents an upstream is made of: all of its terms must hold. No terms and not `announced` = every agent. */
export interface Selector {
  /** As it was written. */
  readonly text: string;
  readonly terms: readonly SelectorTerm[];
  /** Those that say by their labels `host` and `route` that they serve what is asked for. */
  readonly announced: boolean;
}

export interface SelectorTerm {
  /** `name` and `scope` are the token's, `id` is the agent's, anything else is one of its labels. */
  readonly of: 'name' | 'scope' | 'id' | 'label';
  /** Name of the label; '' for the others. */
  readonly label: string;
  /** Text and captures (`$1`, `$name`, `${name}`) in turn: text stands at even places, the names of captures at odd ones. */
  readonly value: readonly string[];
}

/** `agents` of an upstream. */
export function selector(): Kind<Selector> {
  return scalar(
    'SELECTOR',
    'agents such as *, name=calm-otter, scope=gpu, gpu=a100, route=$1 or @announced; several = all must hold',
    parseSelector,
    {
      format: ({ text }) => text,
    },
  );
}

/** Does it depend on the request? */
export function isFixed({ terms, announced }: Selector): boolean {
  return !announced && terms.every(({ value }) => value.length === 1);
}

/** @throws Wrong */
export function parseSelector(given: string): Selector {
  const words = wordsOf(given);
  if (words.length === 0) throw new Wrong('is empty', 'write * for every agent');
  const terms: SelectorTerm[] = [];
  let announced = false;
  for (const word of words) {
    if (word === '*') {
      if (words.length > 1) throw new Wrong('has * beside other terms', 'leave the * out: all terms must hold', word);
    } else if (word.startsWith('@')) {
      if (word !== '@announced') throw new Wrong('has a word with @ that is not known', 'write @announced', word);
      announced = true;
    } else terms.push(termOf(word));
  }
  return { text: words.join(' '), terms, announced };
}

/** Separated by spaces and commas, but within quotes. */
function wordsOf(given: string): readonly string[] {
  const words: readonly string[] = given.match(/(?:[^\s,"]|"[^"]*")+|"/g) ?? [];
  if (words.includes('"')) throw new Wrong('has a quote that does not end', 'quotes go around a value: gpu="NVIDIA A100"');
  return words;
}

function termOf(word: string): SelectorTerm {
  const at = word.indexOf('=');
  if (at < 0) throw new Wrong('has a term without =', `write name=${word} or scope=${word}, or KEY=VALUE for a label`, word);
  const key = word.slice(0, at);
  const text = word.slice(at + 1).replaceAll('"', '');
  if (text === '') throw new Wrong('has a term without a value', `write ${key}=VALUE`, word);
  const value = partsOf(text, word);
  if (key === 'name' || key === 'scope' || key === 'id') return { of: key, label: '', value };
  const label = key.startsWith('label.') ? key.slice('label.'.length) : key;
  if (!/^[a-zA-Z][\w./-]{0,62}$/.test(label))
    throw new Wrong('has a bad key', 'write name, scope, id, or a label: a letter, then letters, digits and . _ / -', word);
  return { of: 'label', label, value };
}

function partsOf(text: string, word: string): readonly string[] {
  const parts = text.split(/\$(?:\{(\w+)\}|(\d+|[a-z_]\w*))/i);
  // Two groups per capture, of which one is there.
  const value: string[] = [];
  for (let i = 0; i < parts.length; i += 3) {
    value.push(parts[i]!);
    if (i + 1 < parts.length) value.push(parts[i + 1] ?? parts[i + 2]!);
  }
  if (value.some((part, i) => i % 2 === 0 && part.includes('$')))
    throw new Wrong('has a $ that names no capture', 'write $1, $name or ${name}: what the location captures of host or path', word);
  return value;
}
