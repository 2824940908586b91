import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TransformOut } from '../../proxy/plugin.ts';
import { readFilter } from './filter.ts';
import { FilteredBody } from './filtered-body.ts';
import { stageOf } from './stage.ts';

class Taker implements TransformOut {
  readonly chunks: Uint8Array[] = [];
  full = false;
  isFullAfterEach = false;
  isEnded = false;
  readies = 0;

  write(chunk: Uint8Array): boolean {
    this.chunks.push(chunk);
    this.full = this.isFullAfterEach;
    return !this.full;
  }

  end(): void {
    this.isEnded = true;
  }

  abort(): void {}

  ready(): void {
    this.readies++;
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('utf8');
  }
}

/** The body in these chunks, through these filters. */
function filtered(chunks: readonly (string | Buffer)[], ...filters: string[]): string {
  const body = new FilteredBody(filters.map(readFilter));
  const out = new Taker();
  for (const chunk of chunks) body.write(Buffer.from(chunk), out);
  body.end(out);
  expect(out.isEnded).toBe(true);
  return out.text;
}

test.each([
  ["sub_filter 'a' 'b'", 'a a a', 'b a a'],
  ["sub_filter 'a' 'b' g", 'a a a', 'b b b'],
  ["sub_filter 'Ab' 'x' gi", 'ab AB aB b', 'x x x b'],
  ["sub_filter 'Ab' 'x' g", 'ab AB aB Ab', 'ab AB aB x'],
  ["sub_filter 'aa' 'a' g", 'aaaaa', 'aaa'],
  ["sub_filter 'a' '' g", 'banana', 'bnn'],
  ['sub_filter http: https: g', 'http://a', 'https://a'],
  [`sub_filter "it's" 'it\\'s \\\\ ok' g`, "it's", "it's \\ ok"],
  ["sub_filter 'é' 'ü' g", 'café é', 'cafü ü'],
  ["sub_filter '$1' '$2' g", '$1', '$2'],
  ["sub_filter 'a\nb' 'x' g", 'a\nb', 'x'],
  ["subs_filter '(\\d+)-(\\d+)' '$2/$1' g", '12-34 5-6', '34/12 6/5'],
  ["subs_filter '(?P<y>\\d{4})' '<${y}>$$' g", '2024 2025', '<2024>$ <2025>$'],
  ['subs_filter \'href="[^"]*"\' \'href="#"\'', 'href="a" href="b"', 'href="#" href="b"'],
  ["subs_filter 'hello' 'bye' gi", 'Hello HELLO', 'bye bye'],
  ["subs_filter '^a' 'b' g", 'aa\naa\r\na', 'ba\nba\r\nb'],
  ["subs_filter 'a$' 'b' g", 'aa\naa\r\na', 'ab\nab\r\nb'],
  ["subs_filter 'a.*z' 'x' g", 'a1z a2\na3z', 'x a2\nx'],
  ["subs_filter '\\bfoo\\b' 'bar' g", 'foo foobar foo', 'bar foobar bar'],
  ["subs_filter 'é+' 'e' g", 'caféé', 'cafe'],
])('%s makes of %j', (filter, body, made) => {
  expect(filtered([body], filter)).toBe(made);
});

test('filters feed each other, in their order', () => {
  expect(filtered(['a'], "sub_filter 'a' 'b'", "sub_filter 'b' 'c'", "subs_filter '(c)' '[$1]'")).toBe('[c]');
});

test('however a body is cut into chunks, the same becomes of it', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'A', '\n', '\r', 'é'), maxLength: 60 });
  const filters = [
    ["sub_filter 'abab' 'x' g"],
    ["sub_filter 'aab' 'b' gi", "sub_filter 'bb' 'a'"],
    ["subs_filter 'a+b' '<$0>' g"],
    ["subs_filter '(a|é)b*$' '[$1]' gi", "sub_filter ']' ''"],
    ["subs_filter 'ba'  'ab'"],
  ];
  fc.assert(
    fc.property(letters, fc.array(fc.nat(80), { maxLength: 8 }), fc.constantFrom(...filters), (text, cuts, some) => {
      const bytes = Buffer.from(text);
      const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b), bytes.length];
      const chunks = places.slice(1).map((end, i) => bytes.subarray(places[i], end));
      expect(filtered(chunks, ...some)).toBe(filtered([bytes], ...some));
    }),
  );
});

test('bytes that are no text pass unchanged', () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const body = new FilteredBody([readFilter("sub_filter 'nothing' 'x' g"), readFilter("subs_filter 'noth.ng' 'x' g")]);
  const out = new Taker();
  body.write(bytes, out);
  body.end(out);
  expect(Buffer.concat(out.chunks).equals(bytes)).toBe(true);
});

describe('memory is bounded', () => {
  test('a match is found wherever it stands in a line of a mebibyte, and little of it is held', () => {
    const line = 'x'.repeat(999);
    for (const filter of ["subs_filter 'k(e)y' '[$1]' g", "subs_filter 'k[e]+y+?' '[e]' g", "sub_filter 'key' '[e]' g"]) {
      const stage = stageOf(readFilter(filter));
      let sent = 0;
      let out = 0;
      let most = 0;
      let text = '';
      for (let i = 0; i < 1000; i++) {
        const piece = `${line.slice(0, 500 + (i % 400))}key`;
        sent += piece.length;
        const made = stage.push(piece);
        text += made;
        out += made.length;
        most = Math.max(most, sent - out);
      }
      text += stage.flush();
      expect(text.split('[e]').length - 1).toBe(1000);
      expect(text).not.toContain('key');
      expect(most).toBeLessThan(70 * 1024);
    }
  });

  test('a slow reader stops it between two slices', () => {
    const body = new FilteredBody([readFilter("sub_filter 'a' 'bb' g")]);
    const out = new Taker();
    out.isFullAfterEach = true;
    expect(body.write(Buffer.alloc(64 * 1024, 'a'), out)).toBe(false);
    expect(out.chunks.length).toBe(1);
    body.end(out);
    for (let i = 2; i <= 4; i++) {
      expect(out.isEnded).toBe(false);
      out.full = false;
      body.drained(out);
      expect(out.chunks.length).toBe(i);
    }
    out.full = false;
    body.drained(out);
    expect(out.isEnded).toBe(true);
    expect(out.text).toBe('b'.repeat(128 * 1024));
  });

  test('filters that feed each other without end break off', () => {
    const grow = `sub_filter 'a' '${'a'.repeat(4000)}' g`;
    expect(() => filtered(['a'.repeat(100)], grow, grow, grow)).toThrow(RangeError);
  });
});

test.each([
  ["sub_filter 'a'", 'is no filter'],
  ["replace 'a' 'b'", 'is no filter'],
  ["sub_filter 'a' 'b' g more", 'is no filter'],
  ["sub_filter 'a' 'b", 'has a quote that does not end'],
  ["sub_filter 'a''b' c", 'has a quote that does not end'],
  ["sub_filter '' 'b'", 'looks for nothing'],
  ["sub_filter 'a' 'b' x", 'has a flag x'],
  ["subs_filter '(' 'b'", 'is no pattern'],
  ["subs_filter '(?=a)' 'b'", 'is no pattern'],
  ["subs_filter 'a*' 'b'", 'matches nothing at all'],
  ["subs_filter '[aé]' 'b'", 'has é in a class'],
  ["subs_filter '(a)' '$2'", 'has no group 2'],
  ["subs_filter '(a)' '${name}'", 'has no group name'],
  [`sub_filter '${'a'.repeat(5000)}' 'b'`, 'is too long'],
])('%s is refused', (line, why) => {
  expect(() => readFilter(line)).toThrow(why);
});
