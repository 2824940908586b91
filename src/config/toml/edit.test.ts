import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isTable } from '../expand.ts';
import { editToml, sameData, TomlEditError, tomlData } from './edit.ts';
import { keyText, valueText } from './format.ts';

/** Data of any form, to be changed without ceremony. */
type Loose = ReturnType<typeof JSON.parse>;

/** The text after a change of what it says. */
function edited(text: string, change: (data: Loose) => void): string {
  const data = structuredClone(plain(tomlData(text))) as Loose;
  change(data);
  return editToml(text, data);
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  return isTable(value) ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)])) : value;
}

const FILE = `# A gateway.
#:schema gateway.json

[basic]
name = "edge" # who we are

# The public one.
[servers.web]
# everywhere
addr = "0.0.0.0:80"
locations = [
  "api",  # first
  # the rest
  "site",
]
# tls_cert = "cert.pem"

# ---------- where it goes ----------

[locations.api]
path     = '/api'
upstream = "api"

# Everything else.
[locations.site]
upstream = "site" # for now
`;

test('a value is changed where it stands, and nothing else', () => {
  expect(edited(FILE, (data) => (data['locations'].site.upstream = 'other'))).toBe(
    FILE.replace('upstream = "site" # for now', 'upstream = "other" # for now'),
  );
  expect(edited(FILE, (data) => (data['basic'].name = 'a "b"\\c'))).toBe(FILE.replace('"edge"', `'a "b"\\c'`));
});

test('a new key comes behind the last one of its table', () => {
  expect(edited(FILE, (data) => (data['locations'].api.timeout = '3s'))).toBe(
    FILE.replace('upstream = "api"\n', 'upstream = "api"\ntimeout = "3s"\n'),
  );
  expect(edited('[a]\n  x = 1\n', (data) => (data['a'].y = 2))).toBe('[a]\n  x = 1\n  y = 2\n');
});

test('a key goes with the comment lines directly above it', () => {
  expect(edited(FILE, (data) => delete data['servers'].web.addr)).toBe(FILE.replace('# everywhere\naddr = "0.0.0.0:80"\n', ''));
});

test('items of a list come and go with their own comments', () => {
  expect(edited(FILE, (data) => (data['servers'].web.locations = ['site', 'new']))).toContain(
    'locations = [\n  # the rest\n  "site",\n  "new",\n]\n# tls_cert',
  );
  // What is put in another order takes its comments along.
  expect(edited(FILE, (data) => (data['servers'].web.locations = ['site', 'api']))).toContain(
    'locations = [\n  # the rest\n  "site",\n  "api",  # first\n]',
  );
  expect(edited(FILE, (data) => (data['servers'].web.locations = []))).toContain('locations = [\n]');
});

test('a new item stands behind the last one of its section, in a table of its own', () => {
  expect(edited(FILE, (data) => (data['servers'].inner = { addr: '127.0.0.1:1', locations: ['api'] }))).toBe(
    FILE.replace('# tls_cert = "cert.pem"\n', '# tls_cert = "cert.pem"\n\n[servers.inner]\naddr = "127.0.0.1:1"\nlocations = ["api"]\n'),
  );
  expect(edited(FILE, (data) => (data['upstreams'] = { 'a b': { addrs: ['x:1'] } }))).toBe(`${FILE}\n[upstreams."a b"]\naddrs = ["x:1"]\n`);
});

test('an item goes with what is said directly above it; what stands apart stays', () => {
  const without = edited(FILE, (data) => delete data['locations'].site);
  expect(without).toBe(`${FILE.slice(0, FILE.indexOf('# Everything else.')).trimEnd()}\n`);
  const other = edited(FILE, (data) => delete data['locations'].api);
  expect(other).toContain('# ---------- where it goes ----------\n\n# Everything else.\n[locations.site]');
  expect(edited('#:schema x\n[a.b]\nx = 1\n', (data) => delete data['a'])).toBe('#:schema x\n');
});

test.each([
  ['a.b.c = 1\n', (data: Loose) => (data.a.b.d = 2), 'a.b.c = 1\na.b.d = 2\n'],
  ['a.b.c = 1\n', (data: Loose) => delete data.a.b.c, 'a.b = {}\n'],
  ['[x]\na.b = 1\na.c = 2\n', (data: Loose) => delete data.x.a.b, '[x]\na.c = 2\n'],
  ['[x]\na = { b = 1, c = 2 }\n', (data: Loose) => (data.x.a.b = 3), '[x]\na = { b = 3, c = 2 }\n'],
  ['[x]\na = { b = 1, c = 2 }\n', (data: Loose) => (data.x.a.d = 'q'), '[x]\na = { b = 1, c = 2, d = "q" }\n'],
  ['[x]\na = {b=1,c=2}\n', (data: Loose) => delete data.x.a.b, '[x]\na = {c=2}\n'],
  ['[x]\na = {}\n', (data: Loose) => (data.x.a.d = 1), '[x]\na = { d = 1 }\n'],
  ['[x.y]\na = 1\n', (data: Loose) => (data.x.b = 2), '[x]\nb = 2\n\n[x.y]\na = 1\n'],
  ['[x.y]\na = 1\n', (data: Loose) => (data.x.y = {}), '[x.y]\n'],
  ['[x.y]\na = 1\n', (data: Loose) => (data.x = {}), '[x]\n'],
  ['[x]\ny = 1\n', (data: Loose) => (data.x.y = { z: 1 }), '[x]\ny = { z = 1 }\n'],
  ['[x.y]\nz = 1\n[x.y.w]\nq = 1\n', (data: Loose) => (data.x.y = 5), '[x]\ny = 5\n'],
  ['x = 1', (data: Loose) => (data.y = 2), 'x = 1\ny = 2'],
  ['[a]\r\nx = 1\r\n', (data: Loose) => (data.a.y = 'l1\nl2'), '[a]\r\nx = 1\r\ny = """\r\nl1\nl2"""\r\n'],
  ['# head\n\n[a]\nx = 1\n', (data: Loose) => (data.y = 2), '# head\n\ny = 2\n\n[a]\nx = 1\n'],
  ['[[a]]\nx = 1\n\n[[a]]\nx = 2 # two\n', (data: Loose) => data.a.shift(), '[[a]]\nx = 2 # two\n'],
  ['[[a]]\nx = 1\n[[a]]\nx = 2 # two\n', (data: Loose) => data.a.unshift({ x: 0 }), '[[a]]\nx = 0\n\n[[a]]\nx = 1\n[[a]]\nx = 2 # two\n'],
  ['[[a]]\nx = 1\n[a.b]\nc = 1\n', (data: Loose) => data.a.push({ x: 3 }), '[[a]]\nx = 1\n[a.b]\nc = 1\n\n[[a]]\nx = 3\n'],
  ['[[a]]\nx = 1\n[b]\n', (data: Loose) => (data.a = 1), 'a = 1\n\n[b]\n'],
  ['a = [1, 2, 3]\n', (data: Loose) => data.a.splice(1, 1), 'a = [1, 3]\n'],
  ['a = [1,2,3]\n', (data: Loose) => data.a.splice(0, 1), 'a = [2,3]\n'],
  ['a = [\n  1, 2, # both\n  3\n]\n', (data: Loose) => data.a.reverse(), 'a = [\n  3, 2, # both\n  1\n]\n'],
  ['a = [\n  { x = 1 }, # one\n  { x = 2 },\n]\n', (data: Loose) => (data.a[1].y = true), 'a = [\n  { x = 1 }, # one\n  { x = 2, y = true },\n]\n'],
])('%j', (text, change, expected) => {
  expect(edited(text, change)).toBe(expected);
});

test('long texts get a line for each of theirs, patterns stay readable, and what is odd is escaped', () => {
  const values = ['a\nb', '\n', '"""\n"', 'x\\\n', '^/(\\d+)"$', "it's", '\u0000\u007f', '\u{1F600}', '', '${A}'];
  for (const value of values) expect(tomlData(`a = ${valueText(value)}`)['a'], JSON.stringify(value)).toBe(value);
  expect(valueText('^/(\\d+)$')).toBe(`'^/(\\d+)$'`);
});

test('what TOML cannot say is refused with the key it is about', () => {
  expect(() => editToml('a = 1\n', { a: { b: null } })).toThrow(/a\.b is nothing/);
  expect(() => editToml('a = 1\n', { a: '\ud800' })).toThrow(TomlEditError);
});

test('comments in a value that would have to be written anew are not lost: that is refused', () => {
  const text = 'a = {\n  b.c = 1, # why\n}\n';
  expect(() => edited(text, (data) => (data['a'].b.c = 2))).toThrow(/comments in it/);
});

/** Writes data in one of many ways. What it wrote for a key, and the comments, are told. */
class Writer {
  readonly #draw: <T>(...choices: readonly T[]) => T;
  readonly comments: { readonly text: string; readonly path: readonly string[] }[] = [];
  readonly lines: { readonly text: string; readonly path: readonly string[] }[] = [];
  readonly #eol: string;
  #count = 0;

  constructor(draw: <T>(...choices: readonly T[]) => T) {
    this.#draw = draw;
    this.#eol = draw('\n', '\n', '\r\n');
  }

  file(data: Readonly<Record<string, unknown>>): string {
    const text = this.#table([], data, true);
    return this.#draw(true, true, false) ? text : text.replace(/\r?\n$/, '');
  }

  #comment(path: readonly string[]): string {
    const text = `# note ${this.#count++}.`;
    this.comments.push({ text, path });
    return text;
  }

  /** A comment above, or nothing. */
  #above(path: readonly string[]): string {
    return this.#draw('', '', '', 'x') === '' ? '' : `${this.#comment(path)}${this.#eol}`;
  }

  #apart(): string {
    return this.#draw('', '', '', 'x') === '' ? '' : `${this.#eol}${this.#comment([])}${this.#eol}${this.#eol}`;
  }

  #table(path: readonly string[], table: Readonly<Record<string, unknown>>, isBlock: boolean, prefix = ''): string {
    let pairs = '';
    let below = '';
    for (const [key, value] of Object.entries(table)) {
      const here = [...path, key];
      const name = `${prefix}${this.#draw(keyText(key), keyText(key), JSON.stringify(key))}`;
      const isTables = Array.isArray(value) && value.length > 0 && value.every(isTable);
      const way = this.#draw('header', 'header', 'dotted', 'inline');
      if (isBlock && isTable(value) && (way === 'header' || (way === 'dotted' && Object.keys(value).length === 0))) {
        const inner = this.#table(here, value, true);
        const isBare = !/^[^[#\s]/.test(inner) && Object.values(value).some(isTable) && !this.#ownsPairs(inner);
        if (isBare && this.#draw(true, false)) below += inner;
        else below += `${this.#apart()}${this.#above(here)}[${here.map(keyText).join(this.#draw('.', ' . '))}]${this.#tail(here)}${inner}`;
      } else if (isBlock && isTables && way === 'header') {
        for (const one of value)
          below += `${this.#above(here)}[[${here.map(keyText).join('.')}]]${this.#eol}${this.#table([...here, '*'], one, true).replaceAll('.*', '')}`;
      } else if (isTable(value) && way === 'dotted' && Object.keys(value).length > 0) {
        pairs += this.#table(here, value, false, `${name}.`);
      } else {
        const line = `${name}${this.#draw(' = ', '=', ' =  ')}${this.#value(value, here)}`;
        const above = this.#above(here);
        const indent = this.#draw('', '', '  ');
        this.lines.push({ text: line, path: here });
        pairs += `${above}${indent}${line}${this.#tail(here)}`;
      }
    }
    return pairs + below;
  }

  /** Are there keys before the first header? */
  #ownsPairs(text: string): boolean {
    const first = text.split(/\r?\n/).find((line) => line.trim() !== '' && !line.startsWith('#'));
    return first !== undefined && !first.trimStart().startsWith('[');
  }

  #tail(path: readonly string[]): string {
    return `${this.#draw('', '', 'x') === '' ? '' : ` ${this.#comment(path)}`}${this.#eol}${this.#draw('', '', this.#eol)}`;
  }

  #value(value: unknown, path: readonly string[]): string {
    if (Array.isArray(value) && value.length > 0 && this.#draw(true, false)) {
      const items = value.map((item) => this.#value(item, path));
      return `[${this.#eol}${items.map((item, i) => `  ${item}${i < items.length - 1 || this.#draw(true, false) ? ',' : ''}${this.#eol}`).join('')}]`;
    }
    if (isTable(value) && this.#draw(true, false)) {
      return `{${Object.entries(value)
        .map(([key, one]) => `${keyText(key)}=${this.#value(one, path)}`)
        .join(',')}}`;
    }
    if (typeof value === 'string' && !/['\p{Cc}]/u.test(value) && this.#draw(true, false)) return `'${value}'`;
    return valueText(value, '', this.#eol);
  }
}

function at(data: unknown, path: readonly string[]): unknown {
  let here = data;
  for (const name of path) here = isTable(here) && Object.hasOwn(here, name) ? here[name] : undefined;
  return here;
}

/** Is it a table, or something else, on the whole way? */
function isSameKind(a: unknown, b: unknown, path: readonly string[]): boolean {
  for (let n = 1; n <= path.length; n++) {
    const [one, other] = [at(a, path.slice(0, n)), at(b, path.slice(0, n))];
    if (other === undefined || isTable(one) !== isTable(other) || Array.isArray(one) !== Array.isArray(other)) return false;
    // Tables of a list that go take what is said of them along.
    if (Array.isArray(one) && one.some(isTable) && !sameData(one, other)) return false;
    // A table that is emptied is written anew, where only its keys made it.
    if (isTable(other) && Object.keys(other).length === 0) return false;
  }
  return true;
}

describe('whatever the file looks like and whatever is changed', () => {
  const name = fc
    .oneof(fc.constantFrom('a', 'b', 'c', 'web', 'x_y', 'a b', 'ä', '1'), fc.string({ minLength: 1, maxLength: 4 }))
    .filter((key) => !(key in Object.prototype) && key !== '*');
  const scalar = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.constantFrom('two\nlines', '${A}', '# no comment', '"', "'", '\\', ''),
    fc.integer(),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      scalar,
      fc.array(scalar, { maxLength: 4 }),
      fc.array(fc.dictionary(name, scalar, { maxKeys: 3 }), { maxLength: 3 }),
      tie('table'),
    ),
    table: fc.dictionary(name, tie('value'), { maxKeys: 4 }),
  }));
  const file = fc.dictionary(name, fc.oneof(value, fc.dictionary(name, fc.dictionary(name, value, { maxKeys: 4 }), { maxKeys: 3 })), { maxKeys: 4 });

  /** Some change of some table in it. */
  function mutate(data: Record<string, unknown>, gen: fc.GeneratorValue): void {
    const pick = <T>(choices: readonly T[]): T => choices[gen(fc.nat, choices.length - 1)]!;
    let table = data;
    while (true) {
      const below = Object.values(table).filter(isTable) as Record<string, unknown>[];
      if (below.length === 0 || pick([true, true, false])) {
        if (below.length === 0 || !pick([true, false])) break;
      }
      table = pick(below);
    }
    const keys = Object.keys(table);
    const action = pick(['set', 'add', 'remove']);
    if (action === 'add' || keys.length === 0) table[gen(() => name)] = gen(() => value);
    else if (action === 'remove') delete table[pick(keys)];
    else {
      const key = pick(keys);
      const now = table[key];
      if (Array.isArray(now) && now.length > 0 && pick([true, true, false])) {
        const items = [...now];
        if (pick([true, false])) items.splice(gen(fc.nat, items.length - 1), 1);
        if (pick([true, false]))
          items.splice(
            gen(fc.nat, items.length),
            0,
            gen(() => scalar),
          );
        if (pick([true, false])) items.reverse();
        table[key] = items;
      } else table[key] = gen(() => value);
    }
  }

  test('the text says what is wanted; what is not touched stays byte for byte, and so do comments whose keys remain', { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(file, fc.gen(), (given, gen) => {
        const writer = new Writer((...choices) => choices[gen(fc.nat, choices.length - 1)]!);
        const text = writer.file(given);
        let data: unknown;
        try {
          data = plain(tomlData(text));
        } catch {
          // Written in a way that TOML does not know: nothing to edit.
          return;
        }
        const wanted = structuredClone(data) as Record<string, unknown>;
        const changes = gen(fc.integer, { min: 1, max: 5 });
        for (let i = 0; i < changes; i++) mutate(wanted, gen);
        const result = editToml(text, wanted);
        expect(sameData(tomlData(result), wanted)).toBe(true);
        for (const { text: comment, path } of writer.comments)
          if (isSameKind(data, wanted, path)) expect(result, `${comment} of ${path.join('.')}`).toContain(comment);
        for (const { text: line, path } of writer.lines) {
          if (at(data, path) !== undefined && isSameKind(data, wanted, path) && sameData(at(data, path), at(wanted, path)))
            expect(result).toContain(line);
        }
        // Nothing to do is nothing done, and the way back leads back.
        expect(editToml(result, wanted)).toBe(result);
        expect(sameData(tomlData(editToml(result, data as Record<string, unknown>)), data)).toBe(true);
      }),
      { numRuns: 2000, endOnFailure: true },
    );
  });
});
