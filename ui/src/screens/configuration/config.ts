import { signal } from '@preact/signals';
import type { ConfigChange, ConfigInfo, ConfigItem, ConfigProblem, FormSection } from '../../../../src/admin/model.ts';
import type { Named } from '../../forms/list-inputs.tsx';
import type { Surroundings } from '../../forms/field-input.tsx';
import { splitAtCommas } from '../../forms/rows.ts';
import type { Values } from '../../forms/values.ts';
import { href } from '../../router.ts';

/** The configuration as it was when it was last fetched, and what forms are made of. */
export interface Config {
  readonly info: ConfigInfo;
  readonly sections: readonly FormSection[];
  reload(): void;
}

/** What has been changed and not saved, for people; '' = nothing. */
export const unsaved = signal('');

/** Places of this screen that are no sections. */
export const PAGES = ['files', 'history', 'transfer'] as const;

export function itemOf({ sections }: ConfigInfo, section: string, name: string): ConfigItem | null {
  return sections[section]?.find((item) => item.name === name) ?? null;
}

/** `locations.api`, or `basic`. */
export function subjectOf(section: string, name: string): string {
  return name === '' ? section : `${section}.${name}`;
}

/** Problems that name an item or one of its keys. */
export function problemsOf(problems: readonly ConfigProblem[], section: string, name: string): readonly ConfigProblem[] {
  const subject = subjectOf(section, name);
  return problems.filter((problem) => problem.subject === subject || problem.subject.startsWith(`${subject}.`));
}

/** Where a problem is put right. */
export function problemHref({ file, line, column }: ConfigProblem): string {
  return href('configuration', file === '' ? ['files'] : ['files', file], {
    line: line > 0 ? String(line) : undefined,
    column: column > 0 ? String(column) : undefined,
  });
}

/** Where an item is shown. */
export function itemHref(section: string, name: string): string {
  return href('configuration', name === '' ? [section] : [section, name]);
}

/** What forms know of the rest. */
export function surroundings({ info }: Config): Surroundings {
  return {
    named: (section) => (info.sections[section] ?? []).map(({ name, values }): Named => ({ name, says: wordAbout(section, values) })),
    link: itemHref,
  };
}

function wordAbout(section: string, values: Values): string {
  const { category, agents, path } = values;
  if (section === 'plugins') return typeof category === 'string' ? category : '';
  if (section === 'upstreams') return agents === undefined ? '' : 'agents';
  return section === 'locations' && typeof path === 'string' ? path : '';
}

/** A key that holds names, as a list. */
export function namesIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return splitAtCommas(value);
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}

/** Changes of servers by which a location answers at these and at no others. */
export function serverChanges({ sections }: ConfigInfo, location: string, servers: ReadonlySet<string>): readonly ConfigChange[] {
  return (sections['servers'] ?? []).flatMap(({ name, values }): ConfigChange[] => {
    const listed = namesIn(values['locations']);
    if (listed.includes(location) === servers.has(name)) return [];
    const next = servers.has(name) ? [...listed, location] : listed.filter((one) => one !== location);
    return [{ section: 'servers', name, values: { ...values, locations: next } }];
  });
}

/** Servers that list a location. */
export function serversOf({ sections }: ConfigInfo, location: string): ReadonlySet<string> {
  return new Set((sections['servers'] ?? []).filter(({ values }) => namesIn(values['locations']).includes(location)).map(({ name }) => name));
}

/** Why this can be no name; null = it can. */
export function nameProblem(name: string, taken: readonly string[]): 'nameMissing' | 'nameBad' | 'nameTaken' | null {
  if (name === '') return 'nameMissing';
  if (name.trim() !== name || name.startsWith('$') || /[/\\\p{C}]/u.test(name) || name.length > 100) return 'nameBad';
  return taken.includes(name) ? 'nameTaken' : null;
}
