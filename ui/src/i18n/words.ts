import { type Language, language } from './language.ts';

/** The same keys with other texts: what a dictionary in another language must be. */
export type SameKeys<T> = {
  readonly [K in keyof T]: T[K] extends string ? string : T[K] extends (...args: infer A) => string ? (...args: A) => string : SameKeys<T[K]>;
};

/** The texts of one part of the page, in the language of the page; `all` has them in each. */
export type Words<T> = (() => SameKeys<T>) & { readonly all: Readonly<Record<Language, SameKeys<T>>> };

/** The texts of one part of the page: `const t = words(en, zh)`, then `t().title`. What reads it is drawn anew when the language changes. */
export function words<T>(en: T, zh: SameKeys<T>): Words<T> {
  const all: Record<Language, SameKeys<T>> = { en: en as SameKeys<T>, zh };
  return Object.assign(() => all[language.value], { all });
}
