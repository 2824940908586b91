import type { FormField, FormSection } from '../../../src/admin/model.ts';
import { language } from '../i18n/language.ts';

type Dictionary = Readonly<Record<string, string>>;

/** The schema of the forms with its explanations in the language of the page. The dictionary comes only where it is wanted: it is larger than a screen. */
export async function spokenSchema(sections: readonly FormSection[]): Promise<readonly FormSection[]> {
  if (language.peek() === 'en') return sections;
  const [{ sectionsZh }, { pluginsZh }] = await Promise.all([import('./sections-zh.ts'), import('./plugins-zh.ts')]);
  return translated(sections, { ...sectionsZh, ...pluginsZh });
}

/** What the dictionary does not have stays as it is. */
export function translated(sections: readonly FormSection[], dictionary: Dictionary): readonly FormSection[] {
  const say = (text: string): string => (Object.hasOwn(dictionary, text) ? dictionary[text]! : text);
  const field = (one: FormField): FormField => ({
    ...one,
    help: say(one.help),
    fallback: say(one.fallback),
    ...(one.columns === undefined ? {} : { columns: one.columns.map(field) }),
  });
  return sections.map((section) => ({
    ...section,
    kinds: section.kinds.map((kind) => ({
      ...kind,
      says: say(kind.says),
      groups: kind.groups.map(({ title, fields }) => ({ title: say(title), fields: fields.map(field) })),
    })),
  }));
}
