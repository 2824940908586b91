import { type BlockSpan, type PairSpan, spansOf, type ValueSpan } from './spans.ts';

/** What stands under a key, and where in the text. */
export type TomlNode = TomlLeaf | TomlTable | TomlTables;

/** A value that is no table of its own. */
export interface TomlLeaf {
  readonly of: 'leaf';
  readonly pair: PairSpan;
}

/** A table, in whatever way it is written: under a header, in braces, by dotted keys, or only by the headers below it. */
export interface TomlTable {
  readonly of: 'table';
  readonly children: Map<string, TomlNode>;
  /** With a header of its own. Of the whole file: its first block. */
  block: BlockSpan | null;
  /** In braces. */
  inline: PairSpan | null;
  /** The last of the pairs with dotted keys that made it, and how many names of its key lead here. */
  dotted: { readonly pair: PairSpan; readonly names: number } | null;
  /** The last block of it and what is in it; null = there is none. */
  last: BlockSpan | null;
}

/** `[[a]]` */
export interface TomlTables {
  readonly of: 'tables';
  readonly items: TomlTable[];
}

/** A text, its blocks in order, and what they amount to. */
export interface TomlNodes {
  readonly blocks: readonly BlockSpan[];
  readonly root: TomlTable;
}

/** The text is known to be valid. */
export function nodesOf(text: string): TomlNodes {
  const blocks = spansOf(text);
  const root = newTable();
  root.block = blocks[0]!;
  for (const block of blocks) {
    const table = block.header === null ? root : tableOf(root, block);
    for (const pair of block.pairs) addPair(table, pair);
  }
  return { blocks, root };
}

function newTable(): TomlTable {
  return { of: 'table', children: new Map(), block: null, inline: null, dotted: null, last: null };
}

function tableOf(root: TomlTable, block: BlockSpan): TomlTable {
  const { path, isArray } = block.header!;
  let table = root;
  for (const [i, { name }] of path.entries()) {
    let child = table.children.get(name);
    if (isArray && i === path.length - 1) {
      if (child?.of !== 'tables') table.children.set(name, (child = { of: 'tables', items: [] }));
      child.items.push(newTable());
    }
    if (child === undefined || child.of === 'leaf') table.children.set(name, (child = newTable()));
    table = child.of === 'tables' ? child.items.at(-1)! : child;
    table.last = block;
  }
  table.block = block;
  return table;
}

function addPair(table: TomlTable, pair: PairSpan): void {
  let into = table;
  const names = pair.key.length;
  for (let i = 0; i < names - 1; i++) {
    const { name } = pair.key[i]!;
    let child = into.children.get(name);
    if (child?.of !== 'table') into.children.set(name, (child = newTable()));
    child.dotted = { pair, names: i + 1 };
    into = child;
  }
  into.children.set(pair.key.at(-1)!.name, nodeOf(pair));
}

function nodeOf(pair: PairSpan): TomlNode {
  if (pair.value.of !== 'table') return { of: 'leaf', pair };
  const table = newTable();
  table.inline = pair;
  for (const inner of pair.value.pairs) addPair(table, inner);
  return table;
}

/** Everything that makes a node: pairs outside of other pairs, and blocks. */
export function partsOf(node: TomlNode): { readonly pairs: readonly PairSpan[]; readonly blocks: readonly BlockSpan[] } {
  if (node.of === 'leaf') return { pairs: [node.pair], blocks: [] };
  if (node.of === 'tables') {
    const parts = node.items.map(partsOf);
    return { pairs: parts.flatMap(({ pairs }) => pairs), blocks: parts.flatMap(({ blocks }) => blocks) };
  }
  if (node.inline !== null) return { pairs: [node.inline], blocks: [] };
  const parts = [...node.children.values()].map(partsOf);
  return {
    pairs: parts.flatMap(({ pairs }) => pairs).filter((pair) => node.block?.pairs.includes(pair) !== true),
    blocks: [...(node.block === null ? [] : [node.block]), ...parts.flatMap(({ blocks }) => blocks)],
  };
}

/** Of a value in braces or brackets: may what is in it be edited one by one? Dotted keys within braces may not. */
export function isSimple(value: ValueSpan): boolean {
  return value.pairs.every(({ key }) => key.length === 1);
}
