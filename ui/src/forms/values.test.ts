import { expect, test } from 'vitest';
import type { FormField, FormSection } from '../../../src/admin/model.ts';
import { deepEqual } from './deep-equal.ts';
import { editorOf, problemOf, rawText, rawValue, textOf, valueOfText } from './field-value.ts';
import { beginningOf, kindOf } from './kind-of.ts';
import { changesOf, otherKeys, spellingOf, withKey } from './values.ts';

function field(input: FormField['input'], of: Partial<FormField> = {}): FormField {
  return { key: 'x', help: '', input, choices: [], refersTo: '', many: false, required: false, fallback: '', example: '', ...of };
}

test('what was changed is told by key, whatever the order', () => {
  expect(changesOf({ a: 1, b: [1, { c: 2 }] }, { b: [1, { c: 2 }], a: 1 })).toEqual([]);
  expect(changesOf({ a: 1, b: 2 }, withKey(withKey({ a: 1, b: 2 }, 'a', undefined), 'c', 3))).toEqual([
    { key: 'a', before: 1, after: undefined },
    { key: 'c', before: undefined, after: 3 },
  ]);
  expect(deepEqual(['a', 'b'], ['b', 'a'])).toBe(false);
  expect(deepEqual([], {})).toBe(false);
  expect(deepEqual({ a: undefined }, { b: 1 })).toBe(false);
});

test('a key is found in whatever way the file spells it, and those without a field are told', () => {
  expect(spellingOf({ trustedProxies: [] }, 'trusted_proxies')).toBe('trustedProxies');
  expect(spellingOf({ 'trusted-proxies': [] }, 'trusted_proxies')).toBe('trusted-proxies');
  expect(spellingOf({}, 'addr')).toBe('addr');
  expect(otherKeys({ addr: 'x', threads: 2, maxBody: 1, modules: [] }, ['addr', 'max_body'])).toEqual(['threads', 'modules']);
});

test('a value is edited by its own input only where that shows all of it', () => {
  const cases: [FormField, unknown, string][] = [
    [field('duration'), '30s', 'duration'],
    [field('duration'), '1h30m', 'text'],
    [field('duration'), ['30s'], 'raw'],
    [field('switch'), true, 'switch'],
    [field('switch'), 'true', 'switch'],
    [field('switch'), '${FLAG}', 'text'],
    [field('text'), ['a'], 'raw'],
    [field('list'), [{ a: 1 }], 'raw'],
    [field('list'), [200], 'list'],
    [field('map'), { a: ['x'] }, 'raw'],
    [field('secret'), '********', 'secret'],
    [field('secret'), ['********'], 'secret'],
    [field('long_text'), '********', 'secret'],
    [field('tables'), [{ a: 1 }], 'tables'],
    [field('tables'), { a: 1 }, 'raw'],
    [field('reference'), ['a'], 'raw'],
    [field('reference', { many: true }), ['a'], 'reference'],
    [field('addresses'), ['a:1'], 'addresses'],
    [field('choice'), 'x', 'choice'],
    [field('choice', { many: true }), 'native,slime', 'list'],
  ];
  for (const [of, value, expected] of cases) expect(editorOf(of, value), `${of.input} ${JSON.stringify(value)}`).toBe(expected);
});

test('a text that was not changed is what it was, and a number stays a number', () => {
  expect(valueOfText('5', 'text', 5)).toBe(5);
  expect(valueOfText('6', 'text', 5)).toBe(6);
  expect(valueOfText('6', 'text', '5')).toBe('6');
  expect(valueOfText('6', 'number', undefined)).toBe(6);
  expect(valueOfText('${N}', 'number', 5)).toBe('${N}');
  expect(valueOfText('', 'text', 'x')).toBeUndefined();
  expect(valueOfText('true', 'text', true)).toBe(true);
  expect(textOf(undefined)).toBe('');
});

test('what cannot be right is said at once, and variables may be anything', () => {
  expect(problemOf(field('number', { min: 1, max: 9 }), 10)).toBe('tooLarge');
  expect(problemOf(field('number', { min: 1, max: 9 }), 0)).toBe('tooSmall');
  expect(problemOf(field('number'), 'many')).toBe('notNumber');
  expect(problemOf(field('number'), '${N}')).toBeNull();
  expect(problemOf(field('bytes'), '64KiB')).toBeNull();
  expect(problemOf(field('text', { required: true }), undefined)).toBe('required');
  expect(problemOf(field('text'), undefined)).toBeNull();
});

test('JSON is written and read back, and plain words are text', () => {
  for (const value of [['a', { b: 1 }], { a: { b: [1, 2, 3] } }, 'x', 5, true]) expect(rawValue(rawText(value))).toEqual({ value });
  expect(rawValue('plain words')).toEqual({ value: 'plain words' });
  expect(rawValue('[1,')).toBeNull();
  expect(rawValue('null')).toBeNull();
  expect(rawValue(' ')).toEqual({ value: undefined });
});

test('an item has the form of its kind', () => {
  const kind = (name: string): FormSection['kinds'][number] => ({ kind: name, says: '', groups: [] });
  const upstreams: FormSection = { section: 'upstreams', named: true, kinds: [kind('addresses'), kind('agents')] };
  const plugins: FormSection = { section: 'plugins', named: true, kinds: [kind('request_id'), kind('limit'), kind('module')] };
  expect(kindOf(upstreams, { agents: '*' })?.kind).toBe('agents');
  expect(kindOf(upstreams, {})?.kind).toBe('addresses');
  expect(kindOf(plugins, { category: 'request-id' })?.kind).toBe('request_id');
  expect(kindOf(plugins, { module: './mine.js', category: 'limit' })?.kind).toBe('module');
  expect(kindOf(plugins, { category: 'unheard_of' })?.kind).toBe('module');
  expect(kindOf({ section: 'basic', named: false, kinds: [kind('')] }, {})?.kind).toBe('');
  for (const section of [upstreams, plugins])
    for (const { kind: name } of section.kinds) expect(kindOf(section, beginningOf(section, name))?.kind).toBe(name);
});
