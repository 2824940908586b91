import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { stringify } from 'smol-toml';
import { afterAll, expect, test } from 'vitest';
import { tomlName } from '../schema/setting.ts';
import { loadGateway } from './gateway.ts';
import { sectionPages } from './section-pages.ts';
import { SettingsError } from './settings-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'windlass-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a person, a script or somebody with bad intentions may put where a setting belongs, as TOML. */
const ODD: readonly string[] = [
  '-1',
  '0',
  '1.5',
  'nan',
  '-inf',
  '9223372036854775807',
  'true',
  '1979-05-27T07:32:00Z',
  '07:32:00',
  '""',
  '" "',
  '"\\u0000"',
  '"a\\r\\nb"',
  '"\\u202e"',
  '"$"',
  '"$${"',
  '"~"',
  '"="',
  '","',
  '"://@"',
  '"[::"',
  '"%"',
  '"☃"',
  `"${'x'.repeat(5000)}"`,
  '[]',
  '[[]]',
  '[""]',
  '[{}]',
  '["a", 1, true]',
  '{}',
  '{ a = {} }',
  '{ a = [1] }',
];

test.each(sectionPages.map((page) => [`${page.section}${page.item === null ? '' : `.${page.item}`}`, page] as const))(
  'every key of [%s] takes an odd value or refuses it with a line, and nothing else happens',
  async (header, { table }) => {
    const path = join(folder, `${header}.toml`);
    for (const [name, setting] of Object.entries(table)) {
      const keys = [tomlName(name), ...(setting.secret === undefined ? [] : [`${tomlName(name)}_file`])];
      for (const key of keys) {
        for (const value of ODD) {
          writeFileSync(path, `[${header}]\n${header === 'upstreams.gpu' && key !== 'agents' ? 'agents = "*"\n' : ''}${key} = ${value}\n`);
          const error = await loadGateway(path, {}).then(
            () => null,
            (reason: unknown) => reason,
          );
          if (error !== null && !(error instanceof SettingsError)) throw new Error(`${key} = ${value}`, { cause: error });
          for (const line of (error?.lines ?? []).filter((one) => one.includes(`.${key} `))) {
            expect(line.slice(0, 1000), value.slice(0, 100)).toMatch(/[;?]|cannot be loaded: /);
            expect(line.length, `${key}: ${value.slice(0, 100)}`).toBeLessThan(1000);
          }
        }
      }
    }
  },
  60_000,
);

test('whatever TOML a file holds, it is settings or a SettingsError', async () => {
  const path = join(folder, 'random.toml');
  const keys = fc.constantFrom(
    'servers',
    'locations',
    'upstreams',
    'plugins',
    'proxy_plugins',
    'certificates',
    'storages',
    'basic',
    'agents',
    'includes',
    'value',
    'category',
    'locations',
    'upstream',
    'addr',
    'addrs',
    'algo',
    'x',
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.dictionary(keys, fc.oneof({ depthSize: 'small' }, tie('leaf'), tie('tree')), { maxKeys: 5 }),
    leaf: fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.string(), { maxLength: 3 }), fc.constant(new Date(0))),
  }));
  await fc.assert(
    fc.asyncProperty(tree, async (data) => {
      writeFileSync(path, `# made at random\n${stringify(data)}`);
      const error = await loadGateway(path, {}).then(
        () => null,
        (reason: unknown) => reason,
      );
      expect(error === null || error instanceof SettingsError, String((error as Error)?.stack)).toBe(true);
    }),
    { numRuns: 200 },
  );
});
