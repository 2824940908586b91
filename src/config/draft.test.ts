import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ConfigItem } from '../admin/model.ts';
import { Problem } from '../admin/route.ts';
import { tomlName } from '../schema/setting.ts';
import { Draft } from './draft.ts';
import { fullExample } from './example.ts';
import { builtInPlugins } from './plugin-definitions.ts';
import { SecretKeys } from './secret-keys.ts';
import { sectionPages } from './section-pages.ts';
import { sameData, tomlData } from './toml/edit.ts';

const keys = new SecretKeys();

/** The full example with all that is commented out. */
const EVERY_KEY = fullExample().replaceAll(/^# (?=\[\w+[.\]]|\w+ = )/gm, '');

const gateway = new URL('../../test/config/gateway/', import.meta.url);
const FILES: [string, string][] = [
  ['every key', EVERY_KEY],
  ...['valid', 'invalid'].flatMap((kind) =>
    readdirSync(new URL(`${kind}/`, gateway)).map((name): [string, string] => [name, readFileSync(new URL(`${kind}/${name}`, gateway), 'utf8')]),
  ),
];
const VALID_TOML = FILES.filter(([, text]) => isToml(text));

function isToml(text: string): boolean {
  try {
    tomlData(text);
    return true;
  } catch {
    return false;
  }
}

async function itemsOf(text: string): Promise<readonly (ConfigItem & { readonly section: string })[]> {
  const sections = await new Draft([{ name: 'a.toml', text }], false).sections(keys);
  // What is there twice cannot be meant.
  const isOne = ({ name }: ConfigItem, items: readonly ConfigItem[]): boolean => items.filter((item) => item.name === name).length === 1;
  return Object.entries(sections).flatMap(([section, items]) => items.filter((item) => isOne(item, items)).map((item) => ({ ...item, section })));
}

/** The text after changes. */
function changed(text: string, ...changes: Parameters<Draft['apply']>[0]): string {
  const draft = new Draft([{ name: 'a.toml', text }], false);
  draft.apply(changes);
  return draft.files[0]!.text;
}

test('the file with every key has every key of every section and plugin', async () => {
  const items = await itemsOf(EVERY_KEY);
  for (const { section, table } of sectionPages) {
    const used = new Set(items.filter((item) => item.section === section).flatMap(({ values }) => Object.keys(values)));
    for (const [name, { inFile }] of Object.entries(table))
      if (inFile !== false && section !== 'plugins') expect(used, section).toContain(tomlName(name));
  }
  for (const { name, settings } of builtInPlugins()) {
    const item = items.find(({ section, name: plugin }) => section === 'plugins' && plugin === name)!;
    for (const key of Object.keys(settings)) expect(Object.keys(item.values), name).toContain(tomlName(key));
  }
});

test.each(VALID_TOML)('an item that is saved as it was shown changes no byte of its file: %s', async (_, text) => {
  for (const { section, name, values } of await itemsOf(text)) expect(changed(text, { section, name, values }), `${section}.${name}`).toBe(text);
});

test.each(VALID_TOML)('one key of an item is changed, and no other key of the file is lost or altered: %s', async (_, text) => {
  for (const { section, name, values } of await itemsOf(text)) {
    const once = changed(text, { section, name, values: { ...values, remark: 'changed "here"' } });
    expect(once).not.toBe(text);
    const back = changed(once, { section, name, values });
    expect(sameData(tomlData(back), tomlData(text)), `${section}.${name}`).toBe(true);
    // Comments all stay.
    const comments = (of: string): number => of.split('\n').filter((line) => line.startsWith('#')).length;
    expect(comments(once)).toBe(comments(text));
  }
});

test('secrets are hidden, and saving what was shown keeps them; variables stay as they are written', async () => {
  const text = '[plugins.door]\ncategory = "key_auth"\nkeys = ["canary", "${KEY}"]\nheader = "X-Key"\n';
  const [item] = await itemsOf(text);
  expect(item!.values).toEqual({ category: 'key_auth', keys: ['******** (1)', '${KEY}'], header: 'X-Key' });
  expect(changed(text, { section: 'plugins', name: 'door', values: { ...item!.values, header: 'X-Other' } })).toBe(text.replace('X-Key', 'X-Other'));
  expect(() => changed(text, { section: 'plugins', name: 'new', values: { category: 'csrf', key: '********' } })).toThrow(
    /plugins\.new\.key is hidden/,
  );
});

test('a new name is followed wherever it is named: lists, texts, maps, stored pieces, other files', async () => {
  const draft = new Draft(
    [
      { name: 'a.toml', text: '[upstreams.old] # the one\naddrs = ["a:1"]\n[locations.x]\nupstream = "old" # here\n' },
      {
        name: 'b/c.toml',
        text: '[plugins.models]\ncategory = "model_router"\nmodels = { m = "old", n = "older" }\ndefault = "old"\n[storages.p]\nvalue = """\nupstream = "old"\n"""\n[proxy_plugins.more]\ncategory = "model_router"\nmodels = ["m=old", "n=older"]\n',
      },
    ],
    true,
  );
  expect((await draft.sections(keys))['upstreams']![0]!.usedBy).toEqual(['locations.x', 'plugins.models', 'plugins.more']);
  draft.apply([{ section: 'upstreams', name: 'old', values: { addrs: ['a:2'] }, rename: 'new one' }]);
  expect(draft.files).toEqual([
    { name: 'a.toml', text: '[upstreams."new one"] # the one\naddrs = ["a:2"]\n[locations.x]\nupstream = "new one" # here\n' },
    {
      name: 'b/c.toml',
      text: '[plugins.models]\ncategory = "model_router"\nmodels = { m = "new one", n = "older" }\ndefault = "new one"\n[storages.p]\nvalue = """\nupstream = "new one"\n"""\n[proxy_plugins.more]\ncategory = "model_router"\nmodels = ["m=new one", "n=older"]\n',
    },
  ]);
});

test('new items go where their section lives; others come and go with their files', () => {
  const files = [
    { name: 'a.toml', text: '[servers.web]\naddr = ":1"\n' },
    { name: 'upstreams.toml', text: '# none yet\n' },
    { name: 'z.toml', text: '[locations.one]\nupstream = "one"\n' },
  ];
  const draft = new Draft(files, true);
  draft.apply([
    { section: 'locations', name: 'two', values: { upstream: 'one' } },
    { section: 'upstreams', name: 'one', values: { addrs: ['a:1'] } },
    { section: 'basic', name: '', values: { name: 'edge' } },
    { section: 'servers', name: 'web', values: null },
    { file: 'sub/new.toml', text: '[plugins.p]\n' },
  ]);
  expect(draft.files).toEqual([
    { name: 'a.toml', text: '[basic]\nname = "edge"\n' },
    { name: 'sub/new.toml', text: '[plugins.p]\n' },
    { name: 'upstreams.toml', text: '# none yet\n\n[upstreams.one]\naddrs = ["a:1"]\n' },
    { name: 'z.toml', text: '[locations.one]\nupstream = "one"\n\n[locations.two]\nupstream = "one"\n' },
  ]);
});

test('a section of one table may stand in several files, and outside of any section as in April 2024', async () => {
  const draft = new Draft(
    [
      { name: 'a.toml', text: 'log_level = "info" # old\n\n[servers.web]\naddr = ":1"\n' },
      { name: 'b.toml', text: '[basic]\nname = "edge"\ndrainTimeout = "1s"\n' },
    ],
    true,
  );
  const [basic] = (await draft.sections(keys))['basic']!;
  expect(basic!.values).toEqual({ log_level: 'info', name: 'edge', drain_timeout: '1s' });
  draft.apply([{ section: 'basic', name: '', values: { log_level: 'warn', drain_timeout: '2s', drain_delay: '3s' } }]);
  expect(draft.files.map(({ text }) => text)).toEqual([
    'log_level = "warn" # old\n\n[servers.web]\naddr = ":1"\n',
    '[basic]\ndrainTimeout = "2s"\ndrain_delay = "3s"\n',
  ]);
});

test.each([
  [{ file: 'other.toml', text: '' }, /one file; its name is fixed/],
  [{ file: 'a.toml', text: null }, null],
  [{ file: '../x.toml', text: null }, /no file/],
  [{ section: 'hosts', name: 'x', values: {} }, /no section "hosts"/],
  [{ section: 'servers', name: 'none', values: null }, /no servers\.none/],
  [{ section: 'servers', name: 'web', values: { addr: null } }, /servers\.web\.addr is nothing/],
  [{ section: 'servers', name: 'web', values: {}, rename: 'two' }, /servers\.two already/],
] as const)('%j', (change, message) => {
  const text = '[servers.web]\naddr = ":1"\n[servers.two]\n';
  if (message === null) expect(() => changed(text, change)).toThrow();
  else expect(() => changed(text, change)).toThrow(message);
});

test.each(['../x.toml', '.x.toml', 'x', 'a/../b.toml', '/etc/x.toml', 'a\\b.toml', 'a//b.toml', '..data/x.toml'])(
  '[threat 71] no file is called %j',
  (name) => {
    expect(() => new Draft([{ name: 'a.toml', text: '' }], true).apply([{ file: name, text: 'x = 1' }])).toThrow(/can be no file/);
  },
);

test('whatever is asked for, it is done or refused with a reason, and never half', { timeout: 60_000 }, () => {
  const json = fc.jsonValue({ maxDepth: 3 });
  const name = fc.oneof(fc.constantFrom('web', 'api', 'gpu', '', 'constructor', 'a.b', '"', 'x\ny'), fc.string({ maxLength: 8 }));
  const values = fc.option(
    fc.dictionary(fc.oneof(fc.constantFrom('addr', 'locations', 'upstream', 'plugins', 'category', 'keys'), fc.string({ maxLength: 5 })), json),
  );
  const change = fc.oneof(
    fc.record({ section: fc.constantFrom('basic', 'servers', 'locations', 'upstreams', 'plugins', 'admins', 'hub', 'toString'), name, values }),
    fc.record({ section: fc.constantFrom('upstreams', 'plugins'), name, values, rename: name }),
    fc.record({
      file: fc.constantFrom('a.toml', 'b.toml'),
      text: fc.option(fc.constantFrom('[servers.x]', 'servers = 5', '[[upstreams]]', '[', '')),
    }),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(EVERY_KEY, '', 'locations = 1\n[[servers]]\n', '[broken'),
      fc.array(change, { minLength: 1, maxLength: 3 }),
      (text, changes) => {
        const draft = new Draft([{ name: 'a.toml', text }], true);
        try {
          draft.apply(changes);
        } catch (error) {
          expect(error).toBeInstanceOf(Problem);
          return;
        }
        // An item that was put in is there.
        const last = changes.at(-1)!;
        if (!('section' in last) || last.values === null || last.section === 'basic') return;
        const all = draft.files.map((file) => tomlData(file.text) as Record<string, Record<string, unknown>>);
        expect(all.some((data) => Object.hasOwn(data[last.section] ?? {}, 'rename' in last ? last.rename : last.name))).toBe(true);
      },
    ),
    { numRuns: 500 },
  );
});
