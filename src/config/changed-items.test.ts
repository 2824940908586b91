import { expect, test } from 'vitest';
import { changedItems } from './changed-items.ts';

const file = (text: string, name = 'a.toml') => [{ name, text }];
const BEFORE = '[basic]\nname = "a"\n\n[servers.web]\naddr = ":80"\n\n[locations.old]\npath = "/"\n';

test('items that came, went or are others now are named; comments and order change nothing', () => {
  const after = '# mine\n[servers.web]\naddr = ":81"\n\n[basic]\nname = "a"\n\n[locations.new]\npath = "/"\n';
  expect(changedItems(file(BEFORE), file(after))).toEqual(['servers.web', 'locations.new', 'locations.old']);
  expect(changedItems(file(BEFORE), file(BEFORE.replace('"a"', '"b"')))).toEqual(['basic']);
  expect(changedItems(file(BEFORE), file(`# a comment\n${BEFORE}`))).toEqual([]);
});

test('an item that moved to another file is the same', () => {
  const [first, second] = BEFORE.split('[locations.old]');
  expect(changedItems(file(BEFORE), [...file(first!), ...file(`[locations.old]${second}`, 'b.toml')])).toEqual([]);
});

test('nothing is told of what is no TOML or very large, and not more than twenty names', () => {
  expect(changedItems(file(BEFORE), file('[broken'))).toEqual([]);
  expect(changedItems(file(BEFORE), file(`${BEFORE}#${'x'.repeat(300_000)}\n[locations.more]\n`))).toEqual([]);
  const many = Array.from({ length: 50 }, (_, i) => `[locations.l${i}]\npath = "/${i}"\n`).join('');
  expect(changedItems(file(BEFORE), file(BEFORE + many))).toHaveLength(20);
});
