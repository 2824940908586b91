#!/usr/bin/env node
// Lists the rows of docs/reliability.md that no test names in its title. Exit code 1 when there are any.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const SECTIONS = { Rules: 'rule', Threats: 'threat', Faults: 'fault' };

const rows = [];
let kind;
for (const line of readFileSync(join(root, 'docs', 'reliability.md'), 'utf8').split('\n')) {
  if (line.startsWith('## ')) kind = SECTIONS[line.slice(3)];
  const [, id, text] = /^\| (R?\d+) \| ([^|]+) \|/.exec(line) ?? [];
  if (kind !== undefined && id !== undefined) rows.push({ name: `${kind} ${id}`, text });
}

const proven = new Set();
for (const folder of ['src', 'test']) {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.test.ts')) continue;
    const text = readFileSync(join(entry.parentPath ?? entry.path, entry.name), 'utf8');
    // Several in one pair of brackets are fine: [threat 39, fault 6].
    for (const [, inside] of text.matchAll(/\[((?:(?:threat|fault|rule) R?\d+(?:, )?)+)\]/g)) for (const name of inside.split(', ')) proven.add(name);
  }
}

const missing = rows.filter(({ name }) => !proven.has(name));
for (const { name, text } of missing) console.log(`${name.padEnd(10)}  ${text}`);
const unknown = [...proven].filter((name) => !rows.some((row) => row.name === name));
for (const name of unknown) console.log(`${name.padEnd(10)}  stands in a test but not in docs/reliability.md`);
console.log(`${rows.length} rows, ${rows.length - missing.length} with a test`);
process.exitCode = missing.length + unknown.length > 0 ? 1 : 0;
