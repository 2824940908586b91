import { compilePattern, type Pattern } from '../schema/pattern.ts';
import { Wrong } from '../schema/wrong.ts';
import type { FailureCode } from './failure.ts';
import { resolvePath } from './target.ts';

/** Makes one path out of another; the query stays as it is, byte for byte. */
export interface TargetRewrite {
  readonly text: string;
  /** Names of its own groups. */
  readonly names: ReadonlySet<string>;
  /** Values that it needs from elsewhere, by name or number. */
  readonly needs: ReadonlySet<string>;
  /** Null: the pattern is not found in the path. */
  of(target: string, values: Values): Rewritten | null;
  /** The own groups of what was found, beside those given. */
  capturesOf(rewritten: Rewritten, given: ReadonlyMap<string, string> | null): Map<string, string>;
}

/** Where values come from that its own pattern does not find. */
export type Values = { get(name: string): string | undefined } | null;

/**
 * What came of it. When that is no path that may be sent (it has dot segments again), or the path was too long for the pattern, there is a problem: then
 * the request must be refused, since what it asks for is not what its location allows.
 */
export interface Rewritten {
  readonly target: string;
  readonly groups: readonly string[];
  readonly problem: FailureCode | null;
  readonly detail: string;
}

/** Reads 'PATTERN REPLACEMENT', or one word with a $ that replaces the whole path. @throws Wrong */
export function compileTargetRewrite(given: string): TargetRewrite {
  const text = given.trim();
  const parts = text.split(/ +/);
  if (parts.length > 2) {
    throw new Wrong(`has ${parts.length} parts`, "write 'PATTERN REPLACEMENT' with one space in between; a space within the pattern is \\x20");
  }
  const whole = parts.length === 1 && parts[0]!.includes('$') && !parts[0]!.endsWith('$');
  const pattern = compilePattern(whole ? '^.*$' : parts[0]!);
  const pieces = parsePieces(whole ? parts[0]! : (parts[1] ?? ''));
  const own = new Set(pattern.names.keys());
  const needs = new Set<string>();
  for (const { name } of pieces) {
    if (name === null || own.has(name)) continue;
    if (/^\d+$/.test(name) && !whole) {
      if (Number(name) > pattern.groupCount) {
        throw new Wrong(
          `uses $${name}, and its pattern has ${pattern.groupCount} groups`,
          `put what is meant into parentheses, or write $$${name} for a dollar`,
        );
      }
    } else if (name !== '0') needs.add(name);
  }
  return new Replacing(text, pattern, pieces, own, needs);
}

/** A piece of the replacement: text, or a capture. */
interface Piece {
  readonly text: string;
  readonly name: string | null;
}

class Replacing implements TargetRewrite {
  readonly text: string;
  readonly names: ReadonlySet<string>;
  readonly needs: ReadonlySet<string>;
  readonly #pattern: Pattern;
  readonly #pieces: readonly Piece[];

  constructor(text: string, pattern: Pattern, pieces: readonly Piece[], names: ReadonlySet<string>, needs: ReadonlySet<string>) {
    this.text = text;
    this.#pattern = pattern;
    this.#pieces = pieces;
    this.names = names;
    this.needs = needs;
  }

  of(target: string, values: Values): Rewritten | null {
    if (!target.startsWith('/')) return null;
    const mark = target.indexOf('?');
    const path = mark < 0 ? target : target.slice(0, mark);
    if (path.length > this.#pattern.findMax) {
      if (!this.#pattern.test(path)) return null;
      return refused('target_too_long', `no path longer than ${this.#pattern.findMax} characters is rewritten here`);
    }
    const found = this.#pattern.find(path);
    if (found === null) return null;
    const { groups } = found;
    let made = path.slice(0, found.start);
    for (const { text, name } of this.#pieces) made += name === null ? text : this.#value(name, groups, values);
    made += path.slice(found.end);
    if (!made.startsWith('/')) made = `/${made}`;
    const ownMark = made.indexOf('?');
    const newPath = ownMark < 0 ? made : made.slice(0, ownMark);
    if (resolvePath(newPath) !== newPath) return refused('bad_request', 'the path leaves its location when it is rewritten');
    return { target: mark < 0 ? made : `${made}${ownMark < 0 ? '?' : '&'}${target.slice(mark + 1)}`, groups, problem: null, detail: '' };
  }

  capturesOf({ groups }: Rewritten, given: ReadonlyMap<string, string> | null): Map<string, string> {
    const all = new Map(given ?? []);
    for (const [name, number] of this.#pattern.names) all.set(name, groups[number] ?? '');
    return all;
  }

  #value(name: string, groups: readonly string[], values: Values): string {
    const number = this.#pattern.names.get(name) ?? (this.needs.has(name) ? -1 : Number(name));
    return number < 0 ? (values?.get(name) ?? '') : (groups[number] ?? '');
  }
}

function refused(problem: FailureCode, detail: string): Rewritten {
  return { target: '', groups: [], problem, detail };
}

/** Text and captures of a replacement. `$$` is a dollar. @throws Wrong */
function parsePieces(replacement: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const match of replacement.matchAll(/\$(?:(\$)|(\d{1,3}|[A-Za-z_]\w*)|\{(\w+)\})?/g)) {
    const [all, dollar, bare, braced] = match;
    pieces.push({ text: replacement.slice(from, match.index), name: null });
    from = match.index + all.length;
    if (dollar !== undefined) pieces.push({ text: '$', name: null });
    else if (bare === undefined && braced === undefined)
      throw new Wrong('has a $ that names nothing in its replacement', 'write $1, $name or ${name}, and $$ for a dollar');
    else pieces.push({ text: '', name: (bare ?? braced)! });
  }
  pieces.push({ text: replacement.slice(from), name: null });
  const bad = pieces.find(({ text }) => /[^\x21-\x7e]|[#\\]/.test(text));
  if (bad !== undefined)
    throw new Wrong('has characters in its replacement that may not stand in a path', `write them escaped: ${encodeURI(bad.text)}`);
  return pieces.filter(({ text, name }) => text !== '' || name !== null);
}
