import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { readGateway } from '../../src/config/gateway.ts';
import { builtInPlugins } from '../../src/config/plugin-definitions.ts';

const pages = fileURLToPath(new URL('../../docs/plugins/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'windlass-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('every plugin has a page with an example, and every page a plugin', () => {
  const names = builtInPlugins().map(({ name }) => `${name.replaceAll('_', '-')}.md`);
  expect(names.filter((name) => !existsSync(join(pages, name)))).toEqual([]);
  expect(readdirSync(pages).filter((name) => !names.includes(name))).toEqual([]);
  expect(names.filter((name) => !/```toml\n/.test(readFileSync(join(pages, name), 'utf8')))).toEqual([]);
});

/** Examples that are whole files. */
const examples = readdirSync(pages).flatMap((page) =>
  [...readFileSync(join(pages, page), 'utf8').matchAll(/```toml\n([^]*?)```/g)]
    .map(([, text]) => text!)
    .filter((text) => text.includes('[servers.'))
    .map((text, i): [string, string] => [`${page} ${i + 1}`, text]),
);

test.each(examples)('the example of %s has no mistakes', async (_, text) => {
  const file = join(folder, 'windlass.toml');
  writeFileSync(file, text);
  const { report } = await readGateway(file, {});
  // Files with secrets, and variables, are each reader's own.
  expect(report.errors().filter((line) => !/does not exist|is not set/.test(line))).toEqual([]);
});

test.each(examples)('the plugins of %s may stand in a file twice, under two names', async (_, text) => {
  const file = join(folder, 'windlass.toml');
  const sections = text.split(/^(?=\[)/m).filter((section) => /^\[+plugins\./.test(section));
  writeFileSync(file, text + sections.map((section) => section.replace(/^(\[+plugins\.[\w-]+)/, '$1-again')).join(''));
  const { report } = await readGateway(file, {}, file, true);
  expect(report.errors().filter((line) => !/does not exist|is not set/.test(line))).toEqual([]);
});
