import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** Who may import whom: a file imports from its own folder or from folders further left. Rooms of one place never import each other. */
const LADDER = [
  'std',
  'schema',
  'observe',
  'store',
  'certs',
  'http',
  'tunnel',
  'upstream',
  'proxy',
  'plugins',
  'admin',
  'config',
  'agent|hub',
  'cli',
];
const RANK = new Map(LADDER.flatMap((rooms, rank) => rooms.split('|').map((room) => [room, rank] as const)));

/** Files that stand above all rooms but cli/: what others import when they use us as a library. */
const PUBLIC = new Set(['agent.ts', 'index.ts', 'plugin.ts']);
/** The only files that may do nothing but pass on what others export. */
const BARRELS = new Set(['agent.ts', 'index.ts', 'plugin.ts', join('plugins', 'index.ts')]);

const LONGEST_FILE_LINES = 600;
/** Longer files, each with the reason why cutting it would hide more than it shows. */
const LONG_FILES = new Map<string, string>([]);

const root = fileURLToPath(new URL('..', import.meta.url));
const src = join(root, 'src');

interface Import {
  readonly to: string;
  readonly typeOnly: boolean;
}

function filesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.includes(`${sep}node_modules${sep}`));
}

/** Relative imports of a source text, as they stand there. */
function importsOf(text: string): Import[] {
  const found: Import[] = [];
  for (const [, kind, to] of text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[\w*{][^;'"]*?\sfrom\s+)?'(\.[^']+)'/gm)) {
    found.push({ to: to!, typeOnly: kind !== undefined });
  }
  for (const [, to] of text.matchAll(/\bimport\(\s*'(\.[^']+)'\s*\)/g)) found.push({ to: to!, typeOnly: false });
  return found;
}

const sources = filesIn('src')
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  .map((file) => {
    const text = readFileSync(file, 'utf8');
    const imports = importsOf(text).map(({ to, typeOnly }) => ({ to: relative(src, resolve(dirname(file), to)), typeOnly }));
    return { file: relative(src, file), text, imports };
  });

function roomOf(file: string): string {
  return file.includes(sep) ? file.slice(0, file.indexOf(sep)) : '';
}

/** What is wrong with an import, or null. */
function wrong(from: string, to: string): string | null {
  if (to.startsWith('..')) return `${from} imports ${to}, outside src/`;
  const [room, target] = [roomOf(from), roomOf(to)];
  if (target === '') return `${from} imports ${to}, which is for others`;
  const targetRank = RANK.get(target);
  if (targetRank === undefined) return `${from} imports ${to}, whose room is not on the ladder`;
  if (room === '') return PUBLIC.has(from) && target !== 'cli' ? null : `${from} may not import ${to}`;
  const rank = RANK.get(room);
  if (rank === undefined) return `${from} lies in a room that is not on the ladder`;
  return room === target || targetRank < rank ? null : `${from} imports ${to}: rightward`;
}

test('imports only go to the own room or to the left', () => {
  expect(sources.flatMap(({ file, imports }) => imports.flatMap(({ to }) => wrong(file, to) ?? []))).toEqual([]);
  expect(sources.length).toBeGreaterThan(10);
});

test('the ladder check sees a rightward import, a sibling, and one that leaves src/', () => {
  expect(wrong(join('std', 'a.ts'), join('http', 'b.ts'))).toContain('rightward');
  expect(wrong(join('hub', 'a.ts'), join('agent', 'b.ts'))).toContain('rightward');
  expect(wrong(join('hub', 'a.ts'), join('..', 'test', 'kit.ts'))).toContain('outside');
  expect(wrong(join('hub', 'a.ts'), 'index.ts')).toContain('for others');
  expect(wrong(join('hub', 'a.ts'), join('std', 'b.ts'))).toBeNull();
  expect(wrong('index.ts', join('cli', 'main.ts'))).toContain('may not');
  const text =
    "import type { A } from './a.ts';\nimport {\n  b,\n} from '../b.ts';\nexport * from './c.ts';\nimport './d.ts';\nawait import('./e.ts');\n";
  expect(importsOf(text)).toEqual([
    { to: './a.ts', typeOnly: true },
    { to: '../b.ts', typeOnly: false },
    { to: './c.ts', typeOnly: false },
    { to: './d.ts', typeOnly: false },
    { to: './e.ts', typeOnly: false },
  ]);
});

test('files never import each other in a circle', () => {
  const graph = new Map(sources.map(({ file, imports }) => [file, imports.filter(({ typeOnly }) => !typeOnly).map(({ to }) => to)]));
  expect(cyclesIn(graph)).toEqual([]);
  expect(cyclesIn(new Map(Object.entries({ a: ['b'], b: ['c'], c: ['a'], d: ['a'] })))).toEqual(['a > b > c > a']);
});

function cyclesIn(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const walk = (file: string, path: string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) cycles.push([...path.slice(at), file].join(' > '));
    if (at >= 0 || done.has(file)) return;
    for (const to of graph.get(file) ?? []) walk(to, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) walk(file, []);
  return cycles;
}

test('every imported file exists under exactly that name', () => {
  const all = new Set(filesIn('src').map((file) => relative(src, file)));
  expect(sources.flatMap(({ file, imports }) => imports.filter(({ to }) => !all.has(to)).map(({ to }) => `${file}: ${to}`))).toEqual([]);
});

test('no file only passes on what others export, but the public ones', () => {
  const barrels = sources.filter(({ file, text }) => {
    const code = text.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '').trim();
    return code !== '' && code.replaceAll(/^export\s+(?:type\s+)?(?:\*|\{)[^;]*?\sfrom\s+'[^']+';\s*/gm, '') === '' && !BARRELS.has(file);
  });
  expect(barrels.map(({ file }) => file)).toEqual([]);
});

test('no file is called after what it is not', () => {
  expect(sources.map(({ file }) => file).filter((file) => /^(?:utils?|helpers?|misc)\.ts$/.test(basename(file)))).toEqual([]);
});

test('no file is longer than a state machine may be, unless it says why', () => {
  const lines = new Map(sources.map(({ file, text }) => [file, text.split('\n').length - 1]));
  expect([...lines].filter(([file, count]) => count > LONGEST_FILE_LINES && !LONG_FILES.has(file))).toEqual([]);
  expect([...LONG_FILES.keys()].filter((file) => (lines.get(file) ?? 0) <= LONGEST_FILE_LINES)).toEqual([]);
});

test('hot files use no Node streams and no asynchronous iteration', () => {
  const hot = sources.filter(({ text }) => text.startsWith('// HOT'));
  expect(hot.length).toBeGreaterThan(3);
  expect(hot.filter(({ text }) => /from 'node:stream|for await/.test(text)).map(({ file }) => file)).toEqual([]);
  expect(sources.filter(({ text }) => /^\/\/ HOT\b/m.test(text) && !text.startsWith('// HOT')).map(({ file }) => file)).toEqual([]);
});

test('nothing is left for later in the text', () => {
  const marks = new RegExp(`\\b(?:${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')}|${['X', 'XX'].join('')})\\b`);
  const texts = ['src', 'test', 'scripts', 'docs', 'decisions'].flatMap(filesIn).filter((file) => /\.(?:ts|mjs|md)$/.test(file));
  expect(texts.filter((file) => marks.test(readFileSync(file, 'utf8'))).map((file) => relative(root, file))).toEqual([]);
});

test('tests are neither focused nor skipped', () => {
  const tests = [...filesIn('src'), ...filesIn('test')].filter((file) => file.endsWith('.test.ts') && basename(file) !== 'tidy.test.ts');
  const odd = /\b(?:test|describe|it)\.(?:only|skip|todo|fails)\b/;
  expect(tests.filter((file) => odd.test(readFileSync(file, 'utf8'))).map((file) => relative(root, file))).toEqual([]);
});

test('the lock file names no place to fetch from, and every package has a hash', () => {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
  expect(lock).not.toContain('"resolved"');
  const { packages } = JSON.parse(lock) as { packages: Record<string, { integrity?: string; link?: boolean }> };
  const bare = Object.entries(packages).filter(([path, { integrity }]) => path !== '' && integrity === undefined);
  expect(bare.map(([path]) => path)).toEqual([]);
});

test('every dependency is wrapped by few files and has a reason in decisions/', () => {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
  const reasons = readFileSync(join(root, 'decisions', '004-dependencies.md'), 'utf8');
  expect(Object.keys(dependencies).filter((name) => !reasons.includes(`\`${name}\``))).toEqual([]);
  expect(Object.keys(dependencies).length).toBeLessThanOrEqual(10);
});
