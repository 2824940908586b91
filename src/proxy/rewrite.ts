import type { FailureCode } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import { resolvePath } from '../http/target.ts';
import { type Kind, scalar } from '../schema/kind.ts';
import { compilePattern, type Pattern } from '../schema/pattern.ts';
import { Wrong } from '../schema/wrong.ts';
import type { Captures } from '../upstream/upstream.ts';

/** Makes the path that is forwarded out of the one that was asked for. */
export interface Rewrite {
  readonly text: string;
  /** Names of its own groups: captures for whoever comes after it. */
  readonly names: ReadonlySet<string>;
  /** Captures that it needs from the location's host and path, by name or number. */
  readonly needs: ReadonlySet<string>;
  /**
   * Sets `head.newTarget` when the pattern is found in the path; the query stays as it is, byte for byte. When what comes out is no path that may be
   * sent (it has dot segments again), `head.problem` is set: then the request must be refused, since what it asks for is not what its location allows.
   * So it is for a path that is too long for the pattern.
   * @returns the captures, with those of the rewrite's own named groups
   */
  apply(head: RequestHead, captures: Captures): Captures;
}

export function rewrite(): Kind<Rewrite> {
  return scalar('REWRITE', "'PATTERN REPLACEMENT' such as '^/api/v1/(.*)$ /v2/$1'; just one word with a $ replaces the whole path", compileRewrite, {
    format: (one) => one.text,
  });
}

/** @throws Wrong */
export function compileRewrite(given: string): Rewrite {
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

class Replacing implements Rewrite {
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

  apply(head: RequestHead, captures: Captures): Captures {
    const { target } = head;
    if (!target.startsWith('/')) return captures;
    const mark = target.indexOf('?');
    const path = mark < 0 ? target : target.slice(0, mark);
    if (path.length > this.#pattern.findMax) {
      if (this.#pattern.test(path)) refuse(head, 'target_too_long', `no path longer than ${this.#pattern.findMax} characters is rewritten here`);
      return captures;
    }
    const found = this.#pattern.find(path);
    if (found === null) return captures;
    let made = path.slice(0, found.start);
    for (const { text, name } of this.#pieces) made += name === null ? text : this.#value(name, found.groups, captures);
    made += path.slice(found.end);
    if (!made.startsWith('/')) made = `/${made}`;
    const query = mark < 0 ? '' : target.slice(mark + 1);
    const ownMark = made.indexOf('?');
    const newPath = ownMark < 0 ? made : made.slice(0, ownMark);
    if (resolvePath(newPath) !== newPath) {
      refuse(head, 'bad_request', 'the path leaves its location when it is rewritten');
      return captures;
    }
    head.newTarget = mark < 0 ? made : `${made}${ownMark < 0 ? '?' : '&'}${query}`;
    if (this.names.size === 0) return captures;
    const all = new Map(captures ?? []);
    for (const [name, number] of this.#pattern.names) all.set(name, found.groups[number] ?? '');
    return all;
  }

  #value(name: string, groups: readonly string[], captures: Captures): string {
    const number = this.#pattern.names.get(name) ?? (this.needs.has(name) ? -1 : Number(name));
    return number < 0 ? (captures?.get(name) ?? '') : (groups[number] ?? '');
  }
}

function refuse(head: RequestHead, problem: FailureCode, detail: string): void {
  head.problem = problem;
  head.problemDetail = detail;
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
