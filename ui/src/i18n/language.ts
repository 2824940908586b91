import { signal } from '@preact/signals';
import { storage } from '../storage.ts';

export const LANGUAGES = ['en', 'zh'] as const;
export type Language = (typeof LANGUAGES)[number];

/** The language of the page: what was chosen, else the first of the browser's that we speak. */
export const language = signal<Language>(chosen());

export function setLanguage(next: Language): void {
  language.value = next;
  storage.set('language', next);
  document.documentElement.lang = tagOf(next);
}

/** For Intl and `lang`. */
export function tagOf(spoken: Language): string {
  return spoken === 'zh' ? 'zh-CN' : 'en';
}

function chosen(): Language {
  const kept = storage.get('language');
  if (LANGUAGES.some((known) => known === kept)) return kept as Language;
  const wished = typeof navigator === 'undefined' ? [] : navigator.languages;
  for (const tag of wished) {
    const found = LANGUAGES.find((known) => tag.toLowerCase().startsWith(known));
    if (found !== undefined) return found;
  }
  return 'en';
}
