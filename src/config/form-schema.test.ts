import { expect, test } from 'vitest';
import type { FormField } from '../admin/model.ts';
import { fileTwin, tomlName } from '../schema/setting.ts';
import { formSchema } from './form-schema.ts';
import { builtInPlugins } from './plugin-definitions.ts';
import { sectionPages } from './section-pages.ts';

const sections = formSchema();

function fieldsOf(section: string, kind: string): ReadonlyMap<string, FormField> {
  const found = sections.find((one) => one.section === section)!.kinds.find((one) => one.kind === kind)!;
  const fields = found.groups.flatMap((group) => group.fields);
  expect(new Set(fields.map(({ key }) => key)).size, `${section} ${kind}`).toBe(fields.length);
  return new Map(fields.map((field) => [field.key, field]));
}

const PAGES = [
  ...sectionPages
    .filter(({ section }) => section !== 'plugins')
    .map(({ section, table }) => ({ section, kind: section === 'upstreams' ? (table['agents'] === undefined ? 'addresses' : 'agents') : '', table })),
  ...builtInPlugins().map(({ name, settings }) => ({ section: 'plugins', kind: name, table: settings })),
];

test.each(PAGES)('the form of $section $kind has every key that its table reads, and no other', ({ section, kind, table }) => {
  const fields = fieldsOf(section, kind);
  const wanted = Object.entries(table).flatMap(([name, { inFile, secret }]) =>
    inFile === false ? [] : [tomlName(name), ...(secret === undefined ? [] : [tomlName(fileTwin(name))])],
  );
  const named = sections.find((one) => one.section === section)!.named;
  const others = [
    ...(named ? ['remark'] : []),
    ...(named && section !== 'storages' ? ['includes'] : []),
    ...(section === 'plugins' ? ['category'] : []),
  ];
  const optional = section === 'plugins' ? ['step'] : [];
  expect([...fields.keys()].filter((key) => !optional.includes(key)).toSorted()).toEqual([...wanted, ...others].toSorted());
  for (const [name, setting] of Object.entries(table)) {
    const field = fields.get(tomlName(name));
    if (setting.secret !== undefined && field !== undefined) expect(['secret', 'tables'], name).toContain(field.input);
    if (field !== undefined) expect(field.help, name).not.toBe('');
  }
});

test.each([
  ['servers', '', 'addr', { input: 'list', many: true, required: true }],
  ['servers', '', 'locations', { input: 'reference', refersTo: 'locations', many: true }],
  ['servers', '', 'accepts', { input: 'choice', many: true, choices: ['native', 'slime', 'cranker'] }],
  ['servers', '', 'self_signed', { input: 'switch', fallback: 'false' }],
  ['servers', '', 'tls_key', { input: 'long_text' }],
  ['servers', '', 'no_match_status', { input: 'number', min: 400, max: 599 }],
  ['basic', '', 'error_templates', { input: 'map' }],
  ['locations', '', 'upstream', { input: 'reference', refersTo: 'upstreams', many: false }],
  ['locations', '', 'plugins', { input: 'reference', refersTo: 'plugins', many: true, example: 'auth' }],
  ['locations', '', 'timeout', { input: 'duration', example: '60s', required: false }],
  ['locations', '', 'client_max_body_size', { input: 'bytes' }],
  ['upstreams', 'addresses', 'alpn', { input: 'choice', choices: ['H1', 'H2', 'H2H1'], fallback: 'H1' }],
  ['upstreams', 'agents', 'agents', { input: 'text', required: true }],
  ['plugins', 'model_router', 'models', { input: 'map', refersTo: 'upstreams' }],
  ['plugins', 'mock', 'data', { input: 'long_text' }],
  ['plugins', 'csrf', 'key', { input: 'secret', many: false }],
  ['plugins', 'key_auth', 'keys', { input: 'secret', many: true }],
  ['plugins', 'module', 'module', { input: 'text' }],
  ['storages', '', 'value', { input: 'long_text' }],
] as const)('%s %s: %s', (section, kind, key, wanted) => {
  expect(fieldsOf(section, kind).get(key)).toMatchObject(wanted);
});

test('addresses and other lists of tables say what their tables have', () => {
  const addrs = fieldsOf('upstreams', 'addresses').get('addrs')!;
  expect(addrs.input).toBe('addresses');
  expect(addrs.columns!.map(({ key, input }) => `${key}: ${input}`)).toEqual([
    'addr: text',
    'weight: number',
    'priority: number',
    'backup: switch',
    'load: number',
  ]);
  const apps = fieldsOf('plugins', 'combined_auth').get('authorizations')!;
  expect(apps.input).toBe('tables');
  expect(apps.columns!.find(({ key }) => key === 'secret')).toMatchObject({ input: 'secret', required: true });
});
