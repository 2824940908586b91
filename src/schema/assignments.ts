import { type Kind, list, scalar, text } from './kind.ts';
import { Wrong } from './wrong.ts';

/** Longest name, characters. */
const NAME_CHARS = 200;

/** What each of some names stands for: `NAME=VALUE` pairs, in TOML also a table. Names are any text without control characters. */
export function assignments(word: string, says: string): Kind<ReadonlyMap<string, string>> {
  const pairs = list(
    scalar(word, says, (given): [string, string] => {
      const at = given.indexOf('=');
      if (at < 0) throw new Wrong('has no =', `write it as ${word}`);
      return pairOf(given.slice(0, at).trim(), given.slice(at + 1).trim());
    }),
  );
  return {
    ...pairs,
    parse: (texts) => new Map(pairs.parse(texts)),
    fromToml: (value, folder) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return new Map(pairs.fromToml(value, folder));
      return new Map(Object.entries(value).map(([name, of]) => pairOf(name, text().fromToml(of, folder))));
    },
    format: (map) => [...map].map(([name, value]) => `${name}=${value}`).join(','),
    json: { anyOf: [pairs.json, { type: 'object', additionalProperties: { type: 'string' } }] },
  };
}

function pairOf(name: string, value: string): [string, string] {
  if (!/^[^\p{C}]+$/u.test(name) || name.length > NAME_CHARS)
    throw new Wrong('has a bad name', `use up to ${NAME_CHARS} printable characters`, name.slice(0, NAME_CHARS));
  if (value === '') throw new Wrong('has a name that stands for nothing', 'write something behind it', name);
  return [name, value];
}
