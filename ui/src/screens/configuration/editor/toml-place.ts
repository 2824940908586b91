/** What stands at a place of a TOML text, as far as somebody who writes there wants to know. */
export interface TomlPlace {
  /** Parts of the header above: `['servers', 'web']`; empty before the first. */
  readonly table: readonly string[];
  /** `header`: inside of the brackets of one; `none`: a comment, or text of several lines. */
  readonly at: 'header' | 'key' | 'value' | 'none';
  /** Of the value that is written; '' elsewhere. */
  readonly key: string;
  /** Inside of quotes: what is inserted needs none. */
  readonly quoted: boolean;
  /** Inside of a list. */
  readonly listed: boolean;
  /** Where the word begins that is being written. */
  readonly from: number;
  /** Keys of this table with their values as they stand there, to the end of their lines. */
  readonly keys: ReadonlyMap<string, string>;
}

/** Reads the text once from its beginning: where a line stands depends on all quotes and brackets above. */
export function tomlPlace(text: string, offset: number): TomlPlace {
  let table: readonly string[] = [];
  let keys = new Map<string, string>();
  let place: TomlPlace | null = null;
  let i = 0;
  while (i <= text.length) {
    const lineEnd = endOfLine(text, i);
    const line = text.slice(i, lineEnd);
    const header = /^\s*\[\[?([^\]]*)/.exec(line);
    if (header !== null) {
      if (place !== null) break;
      table = partsOf(header[1]!);
      keys = new Map();
      if (offset >= i && offset <= lineEnd) {
        const open = line.indexOf('[');
        const from = i + open + (line[open + 1] === '[' ? 2 : 1);
        place =
          offset >= from && offset <= i + header[0].length
            ? { table, at: 'header', key: '', quoted: false, listed: false, from, keys }
            : { table, at: 'none', key: '', quoted: false, listed: false, from: offset, keys };
      }
      i = lineEnd + 1;
      continue;
    }
    const found = /^\s*((?:"(?:[^"\\]|\\.)*"|'[^']*'|[\w.-])+)\s*=/.exec(line);
    if (found === null) {
      if (offset >= i && offset <= lineEnd) {
        const word = /[\w-]*$/.exec(text.slice(i, offset))![0];
        const isKey = /^\s*[\w-]*$/.test(text.slice(i, offset));
        place = { table, at: isKey ? 'key' : 'none', key: '', quoted: false, listed: false, from: offset - word.length, keys };
      }
      i = lineEnd + 1;
      continue;
    }
    const key = partsOf(found[1]!).join('.');
    const valueFrom = i + found[0].length;
    if (offset >= i && offset < valueFrom) {
      const word = /[\w-]*$/.exec(text.slice(i, offset))![0];
      place = { table, at: 'key', key: '', quoted: false, listed: false, from: offset - word.length, keys };
    }
    const { end, here } = valueFromTo(text, valueFrom, offset);
    keys.set(key, text.slice(valueFrom, end).trim());
    if (here !== null) place = { table, key, keys, ...here };
    i = endOfLine(text, end) + 1;
  }
  return place ?? { table, at: 'none', key: '', quoted: false, listed: false, from: offset, keys };
}

function endOfLine(text: string, from: number): number {
  const at = text.indexOf('\n', from);
  return at < 0 ? text.length : at;
}

/** `servers."a.b"` → servers, a.b */
function partsOf(path: string): readonly string[] {
  return [...path.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s."']+)/g)].map(([, double, single, bare]) => double ?? single ?? bare!);
}

type Here = Pick<TomlPlace, 'at' | 'quoted' | 'listed' | 'from'>;

/** Where a value ends, and what the offset stands in, if it does in this value. */
function valueFromTo(text: string, start: number, offset: number): { end: number; here: Here | null } {
  let depth = 0;
  let here: Here | null = null;
  let i = start;
  const inside = (from: number, to: number, of: Here): void => {
    if (here === null && offset >= from && offset <= to) here = of;
  };
  while (i < text.length) {
    const c = text[i]!;
    if (c === '"' || c === "'") {
      const triple = text.startsWith(c.repeat(3), i);
      const end = endOfText(text, i, c, triple);
      const quotes = triple ? 3 : 1;
      inside(i + quotes, Math.max(end - quotes, i + quotes), { at: triple ? 'none' : 'value', quoted: true, listed: depth > 0, from: i + quotes });
      i = end;
    } else if (c === '#') {
      const end = endOfLine(text, i);
      inside(i + 1, end, { at: 'none', quoted: false, listed: false, from: offset });
      i = end;
    } else if (c === '[' || c === '{') {
      depth++;
      i++;
    } else if (c === ']' || c === '}') {
      depth--;
      i++;
    } else if (c === '\n' && depth <= 0) break;
    else i++;
  }
  if (here === null && offset >= start && offset <= i) {
    const word = /[\w.$:{}-]*$/.exec(text.slice(start, offset))![0];
    here = { at: 'value', quoted: false, listed: isOpen(text.slice(start, offset)), from: offset - word.length };
  }
  return { end: i, here };
}

/** A text that does not end goes to the end of its line, or of everything when it may have several. */
function endOfText(text: string, from: number, quote: string, triple: boolean): number {
  const mark = triple ? quote.repeat(3) : quote;
  for (let i = from + mark.length; i < text.length; i++) {
    if (quote === '"' && text[i] === '\\') i++;
    else if (!triple && text[i] === '\n') return i;
    else if (text.startsWith(mark, i)) return i + mark.length;
  }
  return text.length;
}

function isOpen(value: string): boolean {
  const plain = value.replace(/"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/g, '');
  return plain.split('[').length > plain.split(']').length;
}
