import { expect, test } from 'vitest';
import { FakeSession } from '../../test/kit/fake-agents.ts';
import { parseSelector } from '../schema/selector.ts';
import { bind, factsOf, plainRoute } from './selector.ts';
import type { Captures } from './upstream.ts';

const agent = new FakeSession('a1', 1, {
  name: 'calm-otter',
  scopes: ['gpu', 'eu'],
  labels: new Map([
    ['gpu', 'NVIDIA A100'],
    ['route', 'images /video/'],
    ['host', 'Img.Example.com:443'],
    ['models', 'llama, qwen'],
    ['name', 'announced'],
  ]),
}).agent;

function selects(text: string, captures: Captures = null): boolean {
  const facts = factsOf(agent);
  return bind(parseSelector(text), captures)?.every((fact) => facts.has(fact)) ?? false;
}

test.each([
  '*',
  'name=calm-otter',
  'id=a1',
  'scope=gpu',
  'scope=gpu, scope=eu',
  'gpu="NVIDIA A100"',
  'label.gpu="NVIDIA A100" name=calm-otter',
  'route=/images',
  'route=images/',
  'route=video',
  'host=img.example.com',
  'models=qwen',
  'models="llama, qwen"',
  'label.name=announced',
])('%s selects an agent that is so', (text) => {
  expect(selects(text)).toBe(true);
});

test.each([
  'name=announced',
  'name=calm',
  'scope=g',
  'scope=gpu scope=us',
  'gpu=A100',
  'gpu=a100',
  'route=/image',
  'route=/',
  'models=lla',
  'zone=eu',
  'label.id=a1',
  'label.scope=gpu',
])('%s does not select an agent that is not so', (text) => {
  expect(selects(text)).toBe(false);
});

test('captures fill in values, and what they hold is never a pattern or a term', () => {
  const captures = (value: string): Captures => new Map([['1', value]]);
  expect(selects('route=$1', captures('images'))).toBe(true);
  expect(selects('route=${1}', captures('images'))).toBe(true);
  expect(
    selects(
      'models=$1 name=calm-$2',
      new Map([
        ['1', 'qwen'],
        ['2', 'otter'],
      ]),
    ),
  ).toBe(true);
  for (const word of ['*', '$1', 'images zone=eu', 'images,video', '@announced', '', 'ima%67es'])
    expect(selects('route=$1', captures(word))).toBe(false);
  expect(selects('route=$1')).toBe(false);
  expect(selects('route=$other', captures('images'))).toBe(false);
});

test('a route has a slash in front and none at its end', () => {
  expect(['a', '/a', 'a/', '/a/b/', '/', ''].map(plainRoute)).toEqual(['/a', '/a', '/a', '/a/b', '', '']);
});
