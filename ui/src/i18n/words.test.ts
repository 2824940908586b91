import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import type { Words } from './words.ts';

const SRC = fileURLToPath(new URL('..', import.meta.url));
const FILES = readdirSync(SRC, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
  .map((entry) => join(entry.parentPath, entry.name))
  .filter((file) => /^(?:export )?const \w+ = words\(/m.test(readFileSync(file, 'utf8')));

test('every screen has words, and the shell, and what is common', () => {
  const places = FILES.map((file) => relative(SRC, file));
  const screens = readdirSync(join(SRC, 'screens'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(screens.filter(({ name }) => !places.some((place) => place.startsWith(join('screens', name)))).map(({ name }) => name)).toEqual([]);
  expect(places).toEqual(expect.arrayContaining([join('shell', 'texts.ts'), join('i18n', 'common.ts')]));
});

test.each(FILES.map((file) => [relative(SRC, file), file]))(
  '%s has the same keys in both languages, and no sentence is left in English',
  async (_place, file) => {
    const found = Object.values((await import(pathToFileURL(file!).href)) as object).filter(
      (value): value is Words<object> => typeof value === 'function' && 'all' in value,
    );
    expect(found).toHaveLength(1);
    const { en, zh } = found[0]!.all;
    const [english, chinese] = [textsOf(en), textsOf(zh)];
    expect([...chinese.keys()].toSorted()).toEqual([...english.keys()].toSorted());
    expect(
      [...english].filter(([key, text]) => typeof text !== typeof chinese.get(key) || (text !== '' && chinese.get(key) === '')).map(([key]) => key),
    ).toEqual([]);
    expect([...chinese].flatMap(([key, text]) => englishIn(text).map((word) => `${key}: ${word}`))).toEqual([]);
    // Names and units may be the same in both; whole sentences never are.
    expect([...english].filter(([key, text]) => typeof text === 'string' && text === chinese.get(key) && text.split(' ').length > 3)).toEqual([]);
  },
);

/** What is called the same in Chinese: names of things, of settings and commands, units and keys of the keyboard. */
const NAMES = new Set(
  'Windlass Node English API URL CPU GPU TLS ACME SHA-256 TOML JSON HTTP HTTPS WebSocket gRPC Traefik Pingap PI slime Cranker cURL curl Authorization Bearer Cookie Ctrl Alt Esc Escape Enter Tab Shift Space Home End id IP ID ms KiB MB hash-password X-Beta copy deploy grafana'
    .toLowerCase()
    .split(' '),
);

/** Words of a Chinese text that are neither names nor code. Sentences with gaps get a figure for each. */
function englishIn(text: unknown): string[] {
  const said = typeof text === 'function' ? String((text as (...gaps: string[]) => string)('7', '7', '7', '7')) : String(text);
  // Addresses, sections of the file, classes of statuses and keys pressed together are code; who wants English looks for English.
  const prose = said.replaceAll(/https?:\/\/\S+|\bexample\.com\b|\[[\w.]+\]|\b\dxx\b|Ctrl-\w+|SHA-\d+|Switch to English/g, '');
  return (prose.match(/[A-Za-z][A-Za-z-]+/g) ?? []).filter((word) => !NAMES.has(word.toLowerCase()));
}

function textsOf(tree: object, path = ''): Map<string, unknown> {
  return new Map(
    Object.entries(tree).flatMap(([key, value]): [string, unknown][] =>
      typeof value === 'object' && value !== null ? [...textsOf(value as object, `${path}${key}.`)] : [[`${path}${key}`, value]],
    ),
  );
}
