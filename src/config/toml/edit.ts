import { isDeepStrictEqual } from 'node:util';
import { parse, TomlError } from 'smol-toml';
import { isTable } from '../expand.ts';
import { configLimits } from '../limits.ts';
import { fitsLine, headerText, keyText, valueText } from './format.ts';
import { isSimple, nodesOf, partsOf, type TomlNode, type TomlNodes, type TomlTable, type TomlTables } from './nodes.ts';
import { type Planned, resequence } from './sequence.ts';
import type { BlockSpan, PairSpan, Span, ValueSpan } from './spans.ts';

export type TomlData = Readonly<Record<string, unknown>>;

/** A change that cannot be made in this text without losing something of it; the message is for people. */
export class TomlEditError extends Error {}

/** What a TOML text says. @throws TomlError */
export function tomlData(text: string): TomlData {
  return parse(text, { integersAsBigInt: 'asNeeded', maxDepth: configLimits.depth });
}

/**
 * The text changed so that it says `wanted`. What is not changed stays as it stands, byte for byte: comments, order, spaces, the way values are written.
 * What goes takes the comment lines directly above it along. The result is read again and compared.
 * @throws TomlError when the text is no TOML, TomlEditError when it cannot be changed like that
 */
export function editToml(text: string, wanted: TomlData): string {
  const was = tomlData(text);
  if (sameData(was, wanted)) return text;
  refuseNulls(wanted, []);
  const edited = new Edit(text).to(was, wanted);
  let now: TomlData;
  try {
    now = tomlData(edited);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new TomlEditError(`the change cannot be put into the text as it is written: ${error.message.split('\n')[0]}; edit the text itself`);
  }
  if (!sameData(now, wanted)) throw new TomlEditError('the change cannot be put into the text as it is written; edit the text itself');
  return edited;
}

/** Do they say the same? The order of keys does not count. */
export function sameData(a: unknown, b: unknown): boolean {
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => sameData(item, b[i]));
  if (a instanceof Date) return b instanceof Date && a.toISOString() === b.toISOString();
  if (isTable(a)) {
    if (!isTable(b)) return false;
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameData(a[key], b[key]));
  }
  if (typeof a === 'bigint' || typeof b === 'bigint') return isNumber(a) && isNumber(b) && BigInt(a) === BigInt(b);
  // A zero is a zero, whatever its sign.
  return typeof a === 'number' && typeof b === 'number' ? a === b || isDeepStrictEqual(a, b) : a === b;
}

/** A whole one. */
function isNumber(value: unknown): value is number | bigint {
  return typeof value === 'bigint' || Number.isInteger(value);
}

function refuseNulls(value: unknown, path: readonly string[]): void {
  if (value === null || value === undefined) throw new TomlEditError(`${path.join('.')} is nothing: TOML has no null; leave the key out`);
  if (Array.isArray(value)) value.forEach((item, i) => refuseNulls(item, [...path, String(i)]));
  else if (isTable(value)) for (const [key, one] of Object.entries(value)) refuseNulls(one, [...path, key]);
}

interface Splice {
  readonly from: number;
  readonly to: number;
  readonly text: string;
  /** Begins a table: what belongs to the one before comes first. */
  readonly isBlock?: true;
}

/** One change of one text. */
class Edit {
  readonly #text: string;
  readonly #eol: string;
  /** The text lacked its last line end, which was put there. */
  readonly #isOpen: boolean;
  readonly #nodes: TomlNodes;
  readonly #splices: Splice[] = [];

  constructor(text: string) {
    this.#eol = text.includes('\r\n') ? '\r\n' : '\n';
    this.#isOpen = text !== '' && !text.endsWith('\n');
    this.#text = this.#isOpen ? text + this.#eol : text;
    this.#nodes = nodesOf(this.#text);
  }

  to(was: TomlData, wanted: TomlData): string {
    this.#editTable(this.#nodes.root, [], was, wanted);
    let edited = this.#spliced();
    // Where tables have gone no empty lines are left at either end.
    if (!/^[ \t]*\r?\n/.test(this.#text)) edited = edited.replace(/^(?:[ \t]*\r?\n)+/, '');
    if (!/\n[ \t]*\r?\n$/.test(this.#text)) edited = edited.replace(/(\n)(?:[ \t]*\r?\n)+$/, '$1');
    return this.#isOpen && edited.endsWith(this.#eol) ? edited.slice(0, -this.#eol.length) : edited;
  }

  #editTable(table: TomlTable, path: readonly string[], was: TomlData, wanted: TomlData): void {
    for (const key of Object.keys(was)) if (!Object.hasOwn(wanted, key)) this.#remove(table.children.get(key)!);
    const added: [string, unknown][] = [];
    for (const [key, value] of Object.entries(wanted)) {
      if (!Object.hasOwn(was, key)) added.push([key, value]);
      else if (!sameData(was[key], value) && !this.#change(table.children.get(key)!, [...path, key], was[key], value)) {
        this.#remove(table.children.get(key)!);
        added.push([key, value]);
      }
    }
    if (added.length > 0) this.#insert(table, path, added);
  }

  /** False when what stands there cannot become that: it has to go, and the other to come. */
  #change(node: TomlNode, path: readonly string[], was: unknown, wanted: unknown): boolean {
    if (node.of === 'leaf') this.#replace(node.pair.value, was, wanted);
    else if (node.of === 'tables') {
      if (!Array.isArray(wanted) || wanted.length === 0 || !wanted.every(isTable)) return false;
      this.#editTables(node, path, was as readonly TomlData[], wanted);
    } else if (node.inline !== null) this.#replace(node.inline.value, was, wanted);
    else {
      // A table without keys needs a place where it is written.
      if (!isTable(wanted) || (Object.keys(wanted).length === 0 && node.block === null)) return false;
      this.#editTable(node, path, was as TomlData, wanted);
    }
    return true;
  }

  #replace(value: ValueSpan, was: unknown, wanted: unknown): void {
    this.#splices.push({ from: value.from, to: value.to, text: this.#valueText(value, was, wanted) });
  }

  /** The text of a value after a change. */
  #valueText(span: ValueSpan, was: unknown, wanted: unknown): string {
    const text = this.#text.slice(span.from, span.to);
    if (sameData(was, wanted)) return text;
    if (span.of === 'list' && Array.isArray(was) && Array.isArray(wanted)) {
      return resequence(this.#text, span, span.items, this.#planOfItems(span, was, wanted), false);
    }
    if (span.of === 'table' && isTable(was) && isTable(wanted) && isSimple(span)) {
      const plan: Planned[] = [];
      for (const [i, { key, value, from }] of span.pairs.entries()) {
        const { name } = key[0]!;
        if (!Object.hasOwn(wanted, name)) continue;
        plan.push({ keep: i, text: this.#text.slice(from, value.from) + this.#valueText(value, was[name], wanted[name]) });
      }
      for (const [key, value] of Object.entries(wanted))
        if (!Object.hasOwn(was, key)) plan.push({ add: `${keyText(key)} = ${valueText(value, '', this.#eol)}` });
      return resequence(this.#text, span, span.pairs, plan, true);
    }
    if (span.of === 'table' && isTable(wanted) && hasComments(text, span))
      throw new TomlEditError('a value with comments in it would be written anew; edit the text itself');
    return valueText(wanted, indentAt(this.#text, span.from), this.#eol);
  }

  /** What stays what it is keeps its comment, wherever it goes; of the others each takes the place of one that goes. */
  #planOfItems(span: ValueSpan, was: readonly unknown[], wanted: readonly unknown[]): readonly Planned[] {
    const free = new Set(was.keys());
    const matched = wanted.map((value) => {
      for (const i of free) {
        if (!sameData(was[i], value)) continue;
        free.delete(i);
        return i;
      }
      return -1;
    });
    return wanted.map((value, at): Planned => {
      const same = matched[at]!;
      const keep = same >= 0 ? same : free.has(at) ? at : -1;
      if (keep < 0) return { add: valueText(value, indentAt(this.#text, span.from), this.#eol) };
      free.delete(keep);
      return { keep, text: this.#valueText(span.items[keep]!, was[keep], value) };
    });
  }

  #editTables({ items }: TomlTables, path: readonly string[], was: readonly TomlData[], wanted: readonly TomlData[]): void {
    let head = 0;
    while (head < was.length && head < wanted.length && sameData(was[head], wanted[head])) head++;
    let tail = 0;
    while (tail < was.length - head && tail < wanted.length - head && sameData(was.at(-1 - tail), wanted.at(-1 - tail))) tail++;
    const shared = Math.min(was.length, wanted.length) - head - tail;
    for (let i = head; i < head + shared; i++) this.#editTable(items[i]!, path, was[i]!, wanted[i]!);
    for (let i = head + shared; i < was.length - tail; i++) this.#remove({ of: 'tables', items: [items[i]!] });
    const added = wanted.slice(head + shared, wanted.length - tail);
    const before = items[head + shared - 1]?.last ?? items[0]!.last!;
    const at = head + shared === 0 ? this.#leadOf(before) : this.#endOf(before);
    if (added.length > 0) this.#addBlocks(at, added.map((table) => this.#blockText(path, table, true)).join(this.#eol));
  }

  #remove(node: TomlNode): void {
    const { pairs, blocks } = partsOf(node);
    for (const pair of pairs) {
      const lineAt = this.#lineAt(pair.from);
      this.#splices.push({ from: this.#commentsAbove(lineAt, this.#floorOf(pair)), to: this.#nextLine(pair.to), text: '' });
    }
    for (const block of blocks) {
      const from = this.#leadOf(block);
      let to = this.#endOf(block);
      // The empty lines behind it go with it.
      while (to < this.#text.length && this.#text.slice(to, this.#nextLine(to)).trim() === '') to = this.#nextLine(to);
      this.#splices.push({ from, to, text: '' });
    }
  }

  #insert(table: TomlTable, path: readonly string[], added: readonly (readonly [string, unknown])[]): void {
    const { block, dotted, last } = table;
    const asBlocks: (readonly [string, TomlData])[] = [];
    const asPairs: (readonly [string, unknown])[] = [];
    for (const [key, value] of added) {
      if (dotted === null && isTable(value) && (path.length < 2 || !fitsLine(value))) asBlocks.push([key, value]);
      else asPairs.push([key, value]);
    }
    if (asPairs.length > 0) {
      if (block !== null) this.#addPairs(block, asPairs, '');
      else if (dotted !== null) {
        const { pair, names } = dotted;
        const prefix = `${pair.key
          .slice(0, names)
          .map(({ name }) => keyText(name))
          .join('.')}.`;
        this.#addLines(this.#nextLine(pair.to), indentAt(this.#text, pair.from), asPairs, prefix);
      } else {
        // Only headers below it make this table.
        const first = this.#nodes.blocks.find((one) => one.header !== null && path.every((name, i) => one.header!.path[i]?.name === name));
        const at = first === undefined ? this.#text.length : this.#leadOf(first);
        this.#addBlocks(at, this.#blockText(path, Object.fromEntries(asPairs), false));
      }
    }
    if (asBlocks.length === 0) return;
    const at = path.length === 0 || last === null ? this.#text.length : this.#endOf(last);
    this.#addBlocks(at, asBlocks.map(([key, value]) => this.#blockText([...path, key], value, false)).join(this.#eol));
  }

  #addPairs(block: BlockSpan, pairs: readonly (readonly [string, unknown])[], prefix: string): void {
    const last = block.pairs.at(-1);
    if (last !== undefined) return this.#addLines(this.#nextLine(last.to), indentAt(this.#text, last.from), pairs, prefix);
    if (block.header !== null) return this.#addLines(this.#nextLine(block.header.to), indentAt(this.#text, block.header.from), pairs, prefix);
    // The first keys of a file stand in front of all headers, below what is said of the file as a whole.
    const next = this.#nodes.blocks[1];
    const at = next === undefined ? this.#text.length : this.#leadOf(next);
    this.#addLines(at, '', pairs, prefix);
    if (next !== undefined) this.#splices.push({ from: at, to: at, text: this.#eol });
  }

  #addLines(at: number, indent: string, pairs: readonly (readonly [string, unknown])[], prefix: string): void {
    const lines = pairs.map(([key, value]) => `${indent}${prefix}${keyText(key)} = ${valueText(value, indent, this.#eol)}${this.#eol}`);
    this.#splices.push({ from: at, to: at, text: lines.join('') });
  }

  /** Tables with their headers, with an empty line in front of them and behind. */
  #addBlocks(at: number, blocks: string): void {
    const before = this.#text.slice(0, at);
    const isApart = before === '' || /(?:^|\n)[ \t]*\r?\n$/.test(before);
    const isLast = at === this.#text.length || /^[ \t]*\r?\n/.test(this.#text.slice(at, this.#nextLine(at)));
    this.#splices.push({ from: at, to: at, text: `${isApart ? '' : this.#eol}${blocks}${isLast ? '' : this.#eol}`, isBlock: true });
  }

  #blockText(path: readonly string[], table: TomlData, isArray: boolean): string {
    const pairs: string[] = [];
    const below: string[] = [];
    for (const [key, value] of Object.entries(table)) {
      if (isTable(value) && (path.length < 2 || !fitsLine(value))) below.push(this.#blockText([...path, key], value, false));
      else pairs.push(`${keyText(key)} = ${valueText(value, '', this.#eol)}${this.#eol}`);
    }
    const header = isArray ? `[${headerText(path)}]` : headerText(path);
    const own = pairs.length > 0 || below.length === 0 || isArray ? [`${header}${this.#eol}${pairs.join('')}`] : [];
    return [...own, ...below].join(this.#eol);
  }

  /** Where the line begins that this stands in. */
  #lineAt(offset: number): number {
    return this.#text.lastIndexOf('\n', offset - 1) + 1;
  }

  #nextLine(offset: number): number {
    const end = this.#text.indexOf('\n', offset);
    return end < 0 ? this.#text.length : end + 1;
  }

  /** Where the comment lines directly above a line begin; not above `floor`. A directive for editors is no comment of what follows it. */
  #commentsAbove(lineAt: number, floor: number): number {
    let from = lineAt;
    while (from > floor) {
      const before = this.#lineAt(from - 1);
      const line = this.#text.slice(before, from).trim();
      if (before < floor || !line.startsWith('#') || line.startsWith('#:')) break;
      from = before;
    }
    return from;
  }

  /** What a pair's comments cannot stand above: what is in front of it. */
  #floorOf(pair: PairSpan): number {
    const block = this.#nodes.blocks.find(({ pairs }) => pairs.includes(pair))!;
    const before = block.pairs[block.pairs.indexOf(pair) - 1];
    return before !== undefined ? this.#nextLine(before.to) : block.header === null ? 0 : this.#nextLine(block.header.to);
  }

  /** Where a block begins, the comments directly above its header included. */
  #leadOf(block: BlockSpan): number {
    const before = this.#nodes.blocks[this.#nodes.blocks.indexOf(block) - 1]!;
    const floor = before.pairs.at(-1)?.to ?? before.header?.to;
    return this.#commentsAbove(this.#lineAt(block.header!.from), floor === undefined ? 0 : this.#nextLine(floor));
  }

  /** Where a block ends, comments that follow its last key at once included. */
  #endOf(block: BlockSpan): number {
    const next = this.#nodes.blocks[this.#nodes.blocks.indexOf(block) + 1];
    const limit = next === undefined ? this.#text.length : this.#leadOf(next);
    let to = this.#nextLine(block.pairs.at(-1)?.to ?? block.header!.to);
    while (to < limit && this.#text.slice(to, this.#nextLine(to)).trim().startsWith('#')) to = this.#nextLine(to);
    return to;
  }

  #spliced(): string {
    const gone = union(this.#splices.filter(({ from, to, text }) => to > from && text === ''));
    const rest = this.#splices
      .filter(({ text }) => text !== '')
      .filter(({ from, to }) => to === from || !gone.some((one) => one.from <= from && to <= one.to))
      // What comes into what goes comes behind it.
      .map((one) => {
        const over = one.to === one.from ? gone.find(({ from, to }) => from < one.from && one.from < to) : undefined;
        return over === undefined ? one : { ...one, from: over.to, to: over.to };
      });
    const ordered = [...gone, ...rest].toSorted(
      (one, other) => one.from - other.from || one.to - other.to || Number(one.isBlock === true) - Number(other.isBlock === true),
    );
    let out = '';
    let at = 0;
    for (const one of ordered) {
      out += this.#text.slice(at, one.from) + one.text;
      at = Math.max(at, one.to);
    }
    return out + this.#text.slice(at);
  }
}

/** Stretches that touch or overlap become one. */
function union(splices: readonly Splice[]): readonly Splice[] {
  const merged: Splice[] = [];
  for (const one of splices.toSorted((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last !== undefined && one.from <= last.to) merged[merged.length - 1] = { ...last, to: Math.max(last.to, one.to) };
    else merged.push(one);
  }
  return merged;
}

function indentAt(text: string, offset: number): string {
  return /^[ \t]*/.exec(text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset))![0];
}

/** Is there a comment between the values, as opposed to a # in a text? */
function hasComments(text: string, span: ValueSpan): boolean {
  let between = text;
  const plain: Span[] = [];
  const walk = (value: ValueSpan): void => {
    if (value.of === 'plain') plain.push(value);
    value.items.forEach(walk);
    for (const pair of value.pairs) {
      plain.push(...pair.key);
      walk(pair.value);
    }
  };
  walk(span);
  for (const { from, to } of plain.toSorted((a, b) => b.from - a.from)) between = between.slice(0, from - span.from) + between.slice(to - span.from);
  return between.includes('#');
}
