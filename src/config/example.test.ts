import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { afterAll, expect, test } from 'vitest';
import { tomlName } from '../schema/setting.ts';
import { fullExample, smallExample } from './example.ts';
import { loadGateway } from './gateway.ts';
import { builtInPlugins } from './plugin-definitions.ts';
import { sectionPages } from './section-pages.ts';

const folder = mkdtempSync(join(tmpdir(), 'windlass-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const fixtures = new URL('../../test/fixtures/', import.meta.url).pathname;
copyFileSync(join(fixtures, 'one.pem'), join(folder, 'cert.pem'));
copyFileSync(join(fixtures, 'one.key'), join(folder, 'key.pem'));
copyFileSync(join(fixtures, 'ca.pem'), join(folder, 'ca.pem'));
copyFileSync(join(fixtures, 'client-ca.pem'), join(folder, 'clients.pem'));
copyFileSync(join(fixtures, 'client-crl.pem'), join(folder, 'revoked.pem'));

test.each([
  ['small', smallExample],
  ['full', fullExample()],
])('the %s example can be used as it is', async (name, text) => {
  const path = join(folder, `${name}.toml`);
  writeFileSync(path, text);
  const { settings, warnings } = await loadGateway(path, {});
  expect(warnings).toEqual([]);
  expect(settings.locations.get('api')!.settings.upstream).toBe('api');
});

/** The text under a section's header, up to the next one. */
function partOf(text: string, header: string): string {
  const from = text.search(new RegExp(`^(?:# )?\\[${header.replace('.', '\\.')}\\]$`, 'm'));
  expect(from, header).toBeGreaterThan(0);
  return text.slice(from).split('\n\n')[0]!;
}

test('the full example has every key, with a value that can be used', () => {
  const text = fullExample();
  for (const { section, item, table } of sectionPages) {
    const part = partOf(text, item === null ? section : `${section}.${item}`);
    for (const [name, setting] of Object.entries(table)) {
      const key = tomlName(name);
      const [, line] = new RegExp(`^(?:# )?(${key} = .*)$`, 'm').exec(part) ?? [];
      expect(line, `${section}.${key}`).toBeDefined();
      const value = parse(line!)[key];
      if (value === '') expect(setting.fallbackText, `${section}.${key} shows nothing`).toBeDefined();
      expect(() => setting.kind.fromToml(value, folder), `${section}.${key}`).not.toThrow();
    }
  }
});

test('the full example has every plugin with all of its keys, and values that can be used', () => {
  const text = fullExample();
  for (const { name, settings } of builtInPlugins()) {
    const part = partOf(text, `plugins.${name}`);
    expect(part).toContain(`# category = "${name}"`);
    for (const [key, setting] of Object.entries(settings)) {
      const line = new RegExp(`^# (${tomlName(key)} = .*)$`, 'm').exec(part)?.[1];
      expect(line, `${name}.${key}`).toBeDefined();
      const value = parse(line!)[tomlName(key)];
      // Nothing, where nothing is the default.
      if (value === '')
        expect('fallback' in setting || setting.secret !== undefined, `${name}.${key} needs a hint such as: write ${key} = 1`).toBe(true);
      else expect(() => setting.kind.fromToml(value, folder), `${name}.${key}`).not.toThrow();
    }
  }
});
