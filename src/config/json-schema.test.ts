import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { expect, test } from 'vitest';
import type { JsonSchema } from '../schema/kind.ts';
import { tomlName } from '../schema/setting.ts';
import { fullExample, smallExample } from './example.ts';
import { jsonSchema } from './json-schema.ts';
import { builtInPlugins } from './plugin-definitions.ts';
import { pingapKeys } from './pingap-keys.ts';

/** Enough of a validator for the words that we use; an unknown word is an error, so that none passes unseen. */
function problems(schema: JsonSchema, value: unknown, at = ''): string[] {
  const found: string[] = [];
  for (const [word, of] of Object.entries(schema)) {
    const items = Array.isArray(value) ? (value as readonly unknown[]) : [];
    const entries = typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
    switch (word) {
      case '$schema':
      case 'title':
      case 'description':
      case 'default':
        break;
      case 'type': {
        const type = Array.isArray(value) ? 'array' : typeof value;
        const types = [of].flat();
        if (!types.includes(type) && !(types.includes('integer') && Number.isInteger(value))) found.push(`${at} is ${type}, not ${types.join('|')}`);
        break;
      }
      case 'enum':
        if (!(of as readonly unknown[]).includes(value)) found.push(`${at} is none of ${String(of)}`);
        break;
      case 'anyOf':
        if ((of as readonly JsonSchema[]).every((one) => problems(one, value).length > 0)) found.push(`${at} fits nothing of anyOf`);
        break;
      case 'allOf':
        found.push(...(of as readonly JsonSchema[]).flatMap((one) => problems(one, value, at)));
        break;
      case 'if':
        if (problems(of as JsonSchema, value).length === 0) found.push(...problems(schema['then'] as JsonSchema, value, at));
        break;
      case 'then':
        break;
      case 'pattern':
        if (typeof value === 'string' && !new RegExp(of as string).test(value)) found.push(`${at} does not match ${String(of)}`);
        break;
      case 'minimum':
        if (typeof value === 'number' && value < (of as number)) found.push(`${at} < ${String(of)}`);
        break;
      case 'maximum':
        if (typeof value === 'number' && value > (of as number)) found.push(`${at} > ${String(of)}`);
        break;
      case 'minLength':
        if (typeof value === 'string' && value.length < (of as number)) found.push(`${at} is too short`);
        break;
      case 'items':
        found.push(...items.flatMap((item, i) => problems(of as JsonSchema, item, `${at}[${i}]`)));
        break;
      case 'propertyNames':
        found.push(...entries.flatMap(([key]) => problems(of as JsonSchema, key, at)));
        break;
      case 'properties':
      case 'patternProperties':
      case 'additionalProperties':
        break;
      case 'required':
        found.push(...(of as readonly string[]).filter((key) => !entries.some(([one]) => one === key)).map((key) => `${at} lacks ${key}`));
        break;
      default:
        found.push(`${word} is a word that this test does not know`);
    }
    if (word !== 'properties' && word !== 'patternProperties' && word !== 'additionalProperties') continue;
    for (const [key, item] of entries) {
      const named = (schema['properties'] as Record<string, JsonSchema> | undefined)?.[key];
      const [, byPattern] =
        Object.entries((schema['patternProperties'] ?? {}) as Record<string, JsonSchema>).find(([form]) => new RegExp(form).test(key)) ?? [];
      const additional = schema['additionalProperties'];
      if (word === 'properties' && named !== undefined) found.push(...problems(named, item, `${at}.${key}`));
      else if (word === 'patternProperties' && byPattern !== undefined) found.push(...problems(byPattern, item, `${at}.${key}`));
      else if (word === 'additionalProperties' && named === undefined && byPattern === undefined) {
        if (additional === false) found.push(`${at}.${key} is not there`);
        else if (typeof additional === 'object') found.push(...problems(additional as JsonSchema, item, `${at}.${key}`));
      }
    }
  }
  return found;
}

const schema = jsonSchema();
const folder = new URL('../../test/config/', import.meta.url);

test.each([
  ...readdirSync(new URL('gateway/valid/', folder)).map((name) => `gateway/valid/${name}`),
  ...readdirSync(new URL('valid/', folder))
    .filter((name) => name !== 'spellings.toml')
    .map((name) => `valid/${name}`),
])('the schema takes a file that is valid: %s', (name) => {
  expect(problems(schema, parse(readFileSync(new URL(name, folder), 'utf8')))).toEqual([]);
});

test('the schema takes the examples, with everything in them commented in', () => {
  expect(problems(schema, parse(smallExample))).toEqual([]);
  const everything = fullExample()
    .replace(/^# (\[?[a-z_.]+\]?(?: = .*)?)$/gm, '$1')
    .split('\n')
    .filter((line) => line === '' || line.startsWith('#') || /^\[[a-z_.]+\]$/.test(line) || / = /.test(line))
    .join('\n');
  const data = parse(everything) as Record<string, unknown>;
  expect(Object.keys(data).length).toBeGreaterThanOrEqual(8);
  expect(problems(schema, data)).toEqual([]);
});

test.each([
  ['[servers.web]\nadr = "x"', '.servers.web.adr is not there'],
  ['[locations.api]\nweight = 70000', '.locations.api.weight > 65535'],
  ['[server.web]\naddr = "x"', '.server is not there'],
  ['[servers.web]\nhalf_close = "perhaps"', '.servers.web.half_close fits nothing of anyOf'],
  ['[servers.web]\nenable_server_timing = 1', '.servers.web.enable_server_timing is number, not string|boolean'],
  ['[plugins.p]\ncategory = "limit"\nmx = 1', '.plugins.p.mx is not there'],
  ['[plugins.p]\ncategory = "limit"\nmax = 0', '.plugins.p.max < 1'],
  ['[plugins.p]\ncategory = "ip-restriction"\nmax = 1', '.plugins.p.max is not there'],
  ['[plugins.p]\ncategory = "ping"\nstep = "response"', '.plugins.p.step fits nothing of anyOf'],
])('the schema shows what is wrong: %j', (text, problem) => {
  expect(problems(schema, parse(text))).toContainEqual(expect.stringContaining(problem));
});

test('the schema takes every plugin with its defaults, and anything of one that module names', () => {
  expect(problems(schema, parse('[plugins.p]\nmodule = "./mine.js"\nanything = [1]\nstep = "response"'))).toEqual([]);
  const sections = builtInPlugins().map(({ name, settings }) => {
    const lines = Object.entries(settings).map(([key]) => `${tomlName(key)} = ""`);
    return `[plugins.${name}]\ncategory = "${name}"\nremark = "x"\n${lines.join('\n')}`;
  });
  expect(problems(schema, parse(sections.join('\n')))).toEqual([]);
});

test('every key of Pingap, old or new, is known to the tables or said to be without use', () => {
  const sections = schema['properties'] as Record<string, { properties?: object; additionalProperties: { properties: object } }>;
  for (const [section, keys] of pingapKeys) {
    const { properties, additionalProperties } = sections[section]!;
    const names = Object.keys(properties ?? additionalProperties.properties);
    for (const [key, { old }] of keys) {
      expect(names, section).toContain(key);
      if (old !== undefined) expect(names, section).toContain(old);
    }
  }
});
