import { expect, test } from 'vitest';
import { labelItems, labelsWithin } from './labels.ts';

const map = (labels: Record<string, string>) => new Map(Object.entries(labels));

test('route, host and models may have several values, others have one', () => {
  expect(labelItems('route', ' /a, /b /c ')).toEqual(['/a', '/b', '/c']);
  expect(labelItems('gpu', 'NVIDIA A100')).toEqual(['NVIDIA A100']);
  expect(labelItems('models', Array.from({ length: 50 }, (_, i) => `m${i}`).join(','))).toHaveLength(32);
});

test('a token without labels lets its agent announce what it likes', () => {
  const announced = map({ route: '/a', zone: 'eu' });
  expect(labelsWithin(announced, new Map())).toBe(announced);
});

test('what the token names is the agent’s even when it does not announce it', () => {
  expect(labelsWithin(map({ zone: 'eu' }), map({ route: '/a' }))).toEqual(map({ zone: 'eu', route: '/a' }));
});

test('an agent may announce less than its token, never more [threat 37]', () => {
  const allowed = map({ route: '/a /b', gpu: 'a100' });
  expect(labelsWithin(map({ route: '/b', gpu: 'a100' }), allowed)).toEqual(map({ route: '/b', gpu: 'a100' }));
  expect(labelsWithin(map({ route: '/a,/b' }), allowed)).toEqual(map({ route: '/a,/b', gpu: 'a100' }));
  expect(labelsWithin(map({ route: '/a /c' }), allowed)).toBe('route');
  expect(labelsWithin(map({ route: '' }), allowed)).toBe('route');
  expect(labelsWithin(map({ gpu: 'h100' }), allowed)).toBe('gpu');
  expect(labelsWithin(map({ gpu: '' }), allowed)).toBe('gpu');
});
