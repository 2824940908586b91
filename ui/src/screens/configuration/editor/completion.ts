import type { FormSection } from '../../../../../src/admin/model.ts';
import type { TomlPlace } from './toml-place.ts';

/** A piece of JSON Schema, as GET /config/json-schema has it. */
export type Schema = { readonly [keyword: string]: unknown };

/** What completion knows. */
export interface Vocabulary {
  readonly schema: Schema;
  readonly sections: readonly FormSection[];
  /** Names of items by section. */
  readonly names: Readonly<Record<string, readonly string[]>>;
}

/** One thing that may be written. */
export interface Suggestion {
  readonly label: string;
  /** What is inserted; `from` of the place is where it begins. */
  readonly insert: string;
  /** A word beside it: what kind it is. */
  readonly detail: string;
  /** A sentence about it. */
  readonly info: string;
  readonly kind: 'section' | 'key' | 'value' | 'name';
}

/** What may be written at a place. */
export function suggestions(place: TomlPlace, vocabulary: Vocabulary): readonly Suggestion[] {
  if (place.at === 'header') return sectionSuggestions(vocabulary.schema);
  if (place.at === 'key') return keySuggestions(place, vocabulary);
  return place.at === 'value' ? valueSuggestions(place, vocabulary) : [];
}

/** What a key of a table means; null when nobody knows it. */
export function meaningOf(place: TomlPlace, key: string, { schema }: Vocabulary): string | null {
  const property = propertiesOf(schema, place)[key];
  return property === undefined ? null : textIn(property, 'description');
}

function sectionSuggestions(schema: Schema): Suggestion[] {
  return Object.entries(objectIn(schema, 'properties'))
    .filter(([, of]) => of['type'] === 'object')
    .map(([section, of]) => {
      const isNamed = typeof of['additionalProperties'] === 'object';
      return {
        label: isNamed ? `${section}.` : section,
        insert: isNamed ? `${section}.` : section,
        detail: '',
        info: textIn(of, 'description'),
        kind: 'section',
      };
    });
}

function keySuggestions(place: TomlPlace, { schema }: Vocabulary): Suggestion[] {
  return Object.entries(propertiesOf(schema, place))
    .filter(([key, of]) => !place.keys.has(key) && !/^(?:Of Pingap;|The same as )/.test(textIn(of, 'description')))
    .map(([key, of]) => ({
      label: key,
      insert: `${key} = ${beginningOf(of)}`,
      detail: typesOf(of).join(' | '),
      info: textIn(of, 'description'),
      kind: 'key',
    }));
}

function valueSuggestions(place: TomlPlace, { schema, sections, names }: Vocabulary): Suggestion[] {
  const property = propertiesOf(schema, place)[place.key];
  if (property === undefined) return [];
  const quote = (text: string): string => (place.quoted ? text : JSON.stringify(text));
  const choices = choicesOf(property).map((choice): Suggestion => ({
    label: String(choice),
    insert: typeof choice === 'string' ? quote(choice) : String(choice),
    detail: '',
    info: '',
    kind: 'value',
  }));
  const flags = !place.quoted && typesOf(property).includes('boolean') ? ['true', 'false'] : [];
  const refersTo = fieldOf(sections, place)?.refersTo ?? '';
  return [
    ...choices.filter(({ insert }) => !flags.includes(insert)),
    ...flags.map((label): Suggestion => ({ label, insert: label, detail: '', info: '', kind: 'value' })),
    ...(names[refersTo] ?? []).map((name): Suggestion => ({ label: name, insert: quote(name), detail: `[${refersTo}]`, info: '', kind: 'name' })),
  ];
}

function fieldOf(
  sections: readonly FormSection[],
  { table, key }: TomlPlace,
): FormSection['kinds'][number]['groups'][number]['fields'][number] | null {
  const section = sections.find((one) => one.section === table[0]);
  for (const { groups } of section?.kinds ?? [])
    for (const { fields } of groups) for (const field of fields) if (field.key === key && field.refersTo !== '') return field;
  return null;
}

/** Keys of the table that a place stands in: those of a plugin depend on its category. */
function propertiesOf(schema: Schema, { table, keys }: TomlPlace): Readonly<Record<string, Schema>> {
  const sections = objectIn(schema, 'properties');
  const [section] = table;
  if (section === undefined) return sections;
  const of = sections[section];
  if (of === undefined) return {};
  const item = of['additionalProperties'];
  const own = typeof item === 'object' && item !== null ? (table.length < 2 ? null : (item as Schema)) : of;
  if (own === null || table.length > 2) return {};
  const category = /^["'](.*?)["']/.exec(keys.get('category') ?? '')?.[1];
  const rules = Array.isArray(own['allOf']) ? (own['allOf'] as Schema[]) : [];
  const rule =
    category === undefined ? undefined : rules.find((one) => enumIn(objectIn(one['if'] as Schema, 'properties')['category']).includes(category));
  return objectIn((rule?.['then'] as Schema | undefined) ?? own, 'properties');
}

function objectIn(schema: Schema | undefined, key: string): Readonly<Record<string, Schema>> {
  const value = schema?.[key];
  return typeof value === 'object' && value !== null ? (value as Record<string, Schema>) : {};
}

function textIn(schema: Schema, key: string): string {
  const value = schema[key];
  return typeof value === 'string' ? value : '';
}

function enumIn(schema: Schema | undefined): readonly unknown[] {
  const value = schema?.['enum'];
  return Array.isArray(value) ? value : [];
}

/** What may be written, of a value or of an item of a list. */
function choicesOf(schema: Schema): readonly unknown[] {
  const inner = [...(Array.isArray(schema['anyOf']) ? (schema['anyOf'] as Schema[]) : []), ...(isSchema(schema['items']) ? [schema['items']] : [])];
  return [...new Set([...enumIn(schema), ...inner.flatMap(choicesOf)])].filter((choice) => choice !== '');
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function typesOf(schema: Schema): readonly string[] {
  const own = schema['type'];
  const types = typeof own === 'string' ? [own] : Array.isArray(own) ? (own as string[]) : [];
  const inner = Array.isArray(schema['anyOf']) ? (schema['anyOf'] as Schema[]).flatMap(typesOf) : [];
  return [...new Set([...types, ...inner])];
}

/** With what a value of this kind begins. */
function beginningOf(schema: Schema): string {
  const types = typesOf(schema);
  const plain = schema['default'];
  if (types.includes('array')) return '[]';
  if (types.includes('boolean') && typeof plain === 'boolean') return String(!plain);
  if (types.includes('integer') && typeof plain === 'number') return String(plain);
  return types.includes('boolean') ? 'true' : '""';
}
