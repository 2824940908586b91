import { expect, test } from 'vitest';
import type { FormField, FormSection } from '../../src/admin/model.ts';
import { formSchema } from '../../src/config/form-schema.ts';
import { pluginsZh } from '../../ui/src/forms/plugins-zh.ts';
import { sectionsZh } from '../../ui/src/forms/sections-zh.ts';
import { translated } from '../../ui/src/forms/spoken-schema.ts';

const CHINESE = { ...sectionsZh, ...pluginsZh };
const SECTIONS = formSchema() as readonly FormSection[];

/** Everything of a schema that people read. A default is a sentence when it has a space in it; else it is a value. */
function textsOf(sections: readonly FormSection[]): Set<string> {
  const found = new Set<string>();
  const field = ({ help, fallback, columns }: FormField): void => {
    found.add(help);
    if (fallback.includes(' ') || fallback === 'none') found.add(fallback);
    for (const column of columns ?? []) field(column);
  };
  for (const { kinds } of sections) {
    for (const { says, groups } of kinds) {
      found.add(says);
      for (const { title, fields } of groups) {
        found.add(title);
        for (const one of fields) field(one);
      }
    }
  }
  found.delete('');
  return found;
}

test('what every key, section and plugin is for is said in Chinese too, and nothing is kept that is not said any more', () => {
  const texts = textsOf(SECTIONS);
  // Write the Chinese of a new or changed help text into sections-zh.ts or plugins-zh.ts.
  expect([...texts].filter((text) => !Object.hasOwn(CHINESE, text))).toEqual([]);
  expect(Object.keys(CHINESE).filter((text) => !texts.has(text))).toEqual([]);
});

test('the Chinese has Chinese in it, but for what is only names', () => {
  expect(
    Object.entries(CHINESE)
      .filter(([, text]) => !/[\u4e00-\u9fff]/.test(text))
      .map(([english]) => english),
  ).toEqual(['TLS', 'private, no-cache']);
});

test('a schema in another language has the same keys, kinds and values', () => {
  const chinese = translated(SECTIONS, CHINESE);
  const bare = (sections: readonly FormSection[]): string =>
    JSON.stringify(sections, (key, value: unknown) =>
      key === 'help' || key === 'says' || key === 'title' || (key === 'fallback' && String(value) in CHINESE) ? undefined : value,
    );
  expect(bare(translated(SECTIONS, {}))).toBe(bare(SECTIONS));
  expect(
    chinese.map(({ section, kinds }) => [
      section,
      kinds.map(({ kind, groups }) => [kind, groups.flatMap(({ fields }) => fields.map(({ key }) => key))]),
    ]),
  ).toEqual(
    SECTIONS.map(({ section, kinds }) => [
      section,
      kinds.map(({ kind, groups }) => [kind, groups.flatMap(({ fields }) => fields.map(({ key }) => key))]),
    ]),
  );
  expect(textsOf(chinese).has('监听的地址')).toBe(true);
});
