import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { builtInPlugins } from './plugin-definitions.ts';
import { pluginReference } from './plugin-reference.ts';

const hasPage = (name: string): boolean => existsSync(new URL(`../../docs/plugins/${name.replaceAll('_', '-')}.md`, import.meta.url));

test('docs/reference/plugins.md says what the tables say (npx vitest run src/config/plugin-reference.test.ts -u writes it anew)', async () => {
  await expect(pluginReference(hasPage)).toMatchFileSnapshot('../../docs/reference/plugins.md');
});

test('every plugin has a name that can stand in a file, a summary of one line, and help for each of its settings', () => {
  for (const { name, summary, settings } of builtInPlugins()) {
    expect(name).toMatch(/^[a-z]+(?:_[a-z]+)*$/);
    expect(summary, name).toMatch(/^[^\n]{10,160}[^.\n]$/);
    for (const [key, { help, group }] of Object.entries(settings)) {
      expect(help, `${name}.${key}`).toMatch(/^[^\n]{3,300}$/);
      expect(group, `${name}.${key}`).not.toBe('');
    }
  }
});
