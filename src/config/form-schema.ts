import { parse } from 'smol-toml';
import type { FormField, FormSection } from '../admin/model.ts';
import type { JsonSchema, Kind } from '../schema/kind.ts';
import { fileTwin, type Setting, tomlName } from '../schema/setting.ts';
import { exampleOf, pluginPage } from './example.ts';
import { isTable } from './expand.ts';
import { builtInPlugins } from './plugin-definitions.ts';
import { defaultText, groupsOf } from './reference.ts';
import { referenceKeys } from './references.ts';
import { sectionPages, type SectionPage } from './section-pages.ts';
import { pluginTable } from './sections/plugin.ts';

type FormKind = FormSection['kinds'][number];

/** What forms are made of: every key of every section and plugin, from the tables that read the file. */
export function formSchema(): readonly FormSection[] {
  return [...new Set(sectionPages.map(({ section }) => section))].map((section) => {
    const pages = sectionPages.filter((page) => page.section === section);
    const named = pages[0]!.item !== null;
    const kinds = section === 'plugins' ? pluginKinds() : pages.map((page) => kindOf(page, pages.length === 1 ? '' : kindName(page)));
    return { section, named, kinds };
  });
}

/** Upstreams are made of addresses or of agents. */
function kindName({ table }: SectionPage): string {
  return table['agents'] === undefined ? 'addresses' : 'agents';
}

function kindOf(page: SectionPage, kind: string): FormKind {
  const groups = [...groupsOf(page.table)].map(([title, names]) => ({
    title,
    fields: names.flatMap((name) => fieldsOf(page, name, page.table[name]!)),
  }));
  return { kind, says: page.says.replaceAll('`', ''), groups: page.item === null ? groups : [...groups, commonGroup(page.section)] };
}

/** Each category, and last the plugins of somebody's own, whose further keys nobody knows. */
function pluginKinds(): readonly FormKind[] {
  const own = sectionPages.find(({ section }) => section === 'plugins')!;
  const ours = builtInPlugins().map((definition): FormKind => {
    const page = pluginPage(definition);
    const { kind, says, groups } = kindOf({ ...page, item: definition.name }, definition.name);
    const step = definition.steps === undefined ? [] : [{ ...fieldsOf(own, 'step', pluginTable.step)[0]!, choices: definition.steps }];
    const category: FormField = {
      ...fieldsOf(own, 'category', pluginTable.category)[0]!,
      input: 'choice',
      choices: builtInPlugins().map(({ name }) => name),
      required: true,
      fallback: '',
      example: definition.name,
    };
    return { kind, says, groups: [{ title: 'Plugin', fields: [category, ...step] }, ...groups] };
  });
  return [...ours, kindOf({ ...own, says: 'A plugin of your own: a file or a package whose default export it is.' }, 'module')];
}

/** What every item may have. */
function commonGroup(section: string): FormKind['groups'][number] {
  const remark: FormField = { ...PLAIN, key: 'remark', help: 'a note for people', example: 'why it is here' };
  const includes: FormField = {
    ...PLAIN,
    key: 'includes',
    help: 'pieces of [storages] to take in',
    input: 'reference',
    refersTo: 'storages',
    many: true,
    fallback: 'none',
    example: 'timeouts',
  };
  return { title: 'Notes and pieces', fields: section === 'storages' ? [remark] : [includes, remark] };
}

const PLAIN: FormField = { key: '', help: '', input: 'text', choices: [], refersTo: '', many: false, required: false, fallback: '', example: '' };

/** The key, and the one that names a file with the secret. */
function fieldsOf(page: SectionPage, name: string, setting: Setting<unknown>): readonly FormField[] {
  const { kind, secret, help } = setting;
  const key = tomlName(name);
  const refersTo = referenceKeys(page.section, { category: page.item ?? '' }).find((one) => one.key === key)?.to ?? setting.refersTo ?? '';
  const input = inputOf(setting, refersTo);
  const json = numbersOf(kind.json);
  const columns = columnsOf(kind.json);
  const field: FormField = {
    key,
    help,
    input,
    choices: input === 'switch' ? [] : kind.choices,
    refersTo,
    many: kind.many || secret === 'lines',
    required: !('fallback' in setting) && secret === undefined,
    fallback: 'fallback' in setting || setting.fallbackText !== undefined ? defaultText(setting).replaceAll('`', '') : '',
    example: exampleText(exampleOf(page, key, setting)),
    ...(json.minimum === undefined ? {} : { min: json.minimum }),
    ...(json.maximum === undefined ? {} : { max: json.maximum }),
    ...(columns === null ? {} : { columns }),
  };
  if (secret === undefined) return [field];
  const twin: FormField = { ...PLAIN, key: tomlName(fileTwin(name)), help: `file that holds ${key}`, example: `${key.replaceAll('_', '-')}.txt` };
  return [field, twin];
}

function inputOf({ kind, secret }: Setting<unknown>, refersTo: string): FormField['input'] {
  const columns = columnsOf(kind.json);
  if (columns !== null) return columns.some(({ key }) => key === 'addr') ? 'addresses' : 'tables';
  if (secret !== undefined) return 'secret';
  if (isMap(kind.json)) return 'map';
  if (refersTo !== '') return 'reference';
  if (kind.word === 'BOOL') return 'switch';
  if (kind.word === 'TIME') return 'duration';
  if (kind.word === 'SIZE') return 'bytes';
  if (kind.choices.length > 0) return 'choice';
  if (kind.many) return 'list';
  if (Array.isArray(kind.json['type']) && kind.json['type'][0] === 'integer') return 'number';
  return takesLines(kind) ? 'long_text' : 'text';
}

/** Schemas of the ways in which a value may be written. */
function waysOf(json: JsonSchema): readonly JsonSchema[] {
  const { anyOf } = json;
  return Array.isArray(anyOf) ? (anyOf as JsonSchema[]).flatMap(waysOf) : [json];
}

function isMap(json: JsonSchema): boolean {
  return waysOf(json).some(({ type, properties }) => type === 'object' && properties === undefined);
}

/** Keys of the tables in a list; null when it is none of tables. */
function columnsOf(json: JsonSchema): readonly FormField[] | null {
  for (const { type, items } of waysOf(json)) {
    if (type !== 'array' || !isTable(items)) continue;
    const table = waysOf(items).find((way) => way['type'] === 'object');
    if (table === undefined || !isTable(table['properties'])) continue;
    const required = Array.isArray(table['required']) ? (table['required'] as string[]) : [];
    return Object.entries(table['properties']).map(([key, of]) => columnOf(key, of as JsonSchema, required.includes(key)));
  }
  return null;
}

function columnOf(key: string, json: JsonSchema, required: boolean): FormField {
  const types = [json['type']].flat();
  const { minimum, maximum } = numbersOf(json);
  return {
    ...PLAIN,
    key,
    help: key.replaceAll('_', ' '),
    input:
      key === 'secret'
        ? 'secret'
        : types.includes('boolean')
          ? 'switch'
          : types.includes('array')
            ? 'list'
            : types.includes('integer') || types.includes('number')
              ? 'number'
              : 'text',
    many: types.includes('array'),
    required,
    ...(minimum === undefined ? {} : { min: minimum }),
    ...(maximum === undefined ? {} : { max: maximum }),
  };
}

function numbersOf(json: JsonSchema): { readonly minimum?: number; readonly maximum?: number } {
  const { minimum, maximum } = json;
  return { ...(typeof minimum === 'number' ? { minimum } : {}), ...(typeof maximum === 'number' ? { maximum } : {}) };
}

/** May a value have several lines? PEM may; whatever refuses this text for another reason has one. */
function takesLines(kind: Kind<unknown>): boolean {
  if (kind.word === 'PEM') return true;
  if (kind.word !== 'TEXT') return false;
  try {
    kind.parse(['a\nb']);
    return true;
  } catch {
    return false;
  }
}

/** As people write it into a field, where it is no table. */
function exampleText(toml: string): string {
  const { value } = parse(`value = ${toml}`);
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object')) return value.join(', ');
  return typeof value === 'object' ? toml : String(value);
}
