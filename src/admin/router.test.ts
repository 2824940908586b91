import { expect, test } from 'vitest';
import type { AdminRoute } from './route.ts';
import { Router } from './router.ts';

const route = (method: AdminRoute['method'], path: string): AdminRoute => ({
  method,
  path,
  role: 'read',
  summary: path,
  handle: () => ({ json: null }),
});

const router = new Router([
  route('GET', '/agents'),
  route('GET', '/agents/{id}'),
  route('PATCH', '/agents/{name}'),
  route('POST', '/agents/{id}/drain'),
  route('GET', '/traffic/events'),
  route('GET', '/traffic/{id}'),
  route('GET', '/a/{x}/b/{y}'),
  route('DELETE', '/traffic/{id}/x'),
]);

const found = (method: string, path: string): unknown => {
  const at = router.find(method, path);
  if (at === null) return null;
  return 'allow' in at ? at.allow.join(', ') : [at.route.path, at.parameters];
};

test.each<[string, string, unknown]>([
  ['GET', '/agents', ['/agents', {}]],
  ['GET', '/agents/x', ['/agents/{id}', { id: 'x' }]],
  ['PATCH', '/agents/x', ['/agents/{name}', { name: 'x' }]],
  ['GET', '/agents/a%2Fb%20c', ['/agents/{id}', { id: 'a/b c' }]],
  ['GET', '/traffic/events', ['/traffic/events', {}]],
  ['GET', '/traffic/event', ['/traffic/{id}', { id: 'event' }]],
  // Written out goes first, but is not a dead end.
  ['DELETE', '/traffic/events/x', ['/traffic/{id}/x', { id: 'events' }]],
  ['GET', '/a/1/b/2', ['/a/{x}/b/{y}', { x: '1', y: '2' }]],
  ['POST', '/agents', 'GET, HEAD'],
  ['GET', '/agents/x/drain', 'POST'],
  ['PUT', '/agents/x', 'GET, HEAD, PATCH'],
  ['GET', '/agents/', null],
  ['GET', '/', null],
  ['GET', '', null],
  ['GET', '/nothing', null],
  ['GET', '/agents/%ff', null],
  ['GET', '/agents/a%00b', null],
  ['GET', '/agents/%0d%0a', null],
  ['GET', '/constructor', null],
  ['GET', '/agents//drain', null],
])('%s %s is %j', (method, path, wanted) => {
  expect(found(method, path)).toEqual(wanted);
});

test('the same route twice is a mistake of ours that shows at the start', () => {
  expect(() => new Router([route('GET', '/x/{a}'), route('GET', '/x/{b}')])).toThrow('GET /x/{b} is there twice');
});
