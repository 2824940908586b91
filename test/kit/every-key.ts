import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import type { ConfigInfo, ConfigItem } from '../../src/admin/model.ts';
import { fullExample } from '../../src/config/example.ts';
import { formSchema } from '../../src/config/form-schema.ts';

type Values = ConfigItem['values'];

/** A text of a gateway with every key that there is in it: it need not make sense, only be read and written back. */
export function everyKeyText(): string {
  return fullExample()
    .split('\n')
    .map((line) => line.replace(/^# (\[[\w.]+\]|\w+ = .+)$/, '$1'))
    .join('\n');
}

/** Files as Pingap has them, with every key of its own. */
export function pingapText(name: 'today' | 'today-plugins'): string {
  return readFileSync(new URL(`../config/gateway/valid/${name}.toml`, import.meta.url), 'utf8');
}

/** What the admin API says of such a text, secrets aside. */
export function configInfo(text: string): ConfigInfo {
  const data = parse(text) as Record<string, Record<string, Values>>;
  const sections: Record<string, ConfigItem[]> = {};
  for (const { section, named } of formSchema()) {
    const items = data[section] ?? {};
    sections[section] = (named ? Object.entries(items) : [['', items] as const]).map(([name, values]) => ({
      name,
      file: 'windlass.toml',
      line: 1,
      values: values as Values,
      usedBy: [],
    }));
  }
  return {
    etag: 'e1',
    appliedEtag: 'e1',
    appliedAtMs: Date.now(),
    ok: true,
    problems: [],
    fixed: '',
    files: [{ name: 'windlass.toml', bytes: text.length }],
    sections,
  };
}
