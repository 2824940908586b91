import { expect, test } from 'vitest';
import { Notes } from '../http/exchange.ts';
import { ResponseHead } from '../http/head.ts';
import { parseFieldText } from './field-edits.ts';
import { compileReplyEdits, type ReplyEditSettings } from './reply-edits.ts';

function edited(fields: readonly string[], { set = [], add = [], remove = [] }: { set?: string[]; add?: string[]; remove?: string[] }): string[] {
  const settings: ReplyEditSettings = { set: set.map(parseFieldText), add: add.map(parseFieldText), remove };
  const head = ResponseHead.make(200, fields, 0);
  compileReplyEdits(settings, { env: { WHERE: 'eu' }, captures: new Set() })?.apply(head, null, new Notes(0));
  return head.list();
}

test.each([
  [['X-A', '1'], { set: ['X-A: 2'] }, ['x-a', '2']],
  [['X-A', '1'], { add: ['X-A: 2'] }, ['x-a', '1', 'x-a', '2']],
  [['X-A', '1', 'x-a', '3', 'X-B', '2'], { remove: ['x-A'] }, ['x-b', '2']],
  [['Server', 'old'], { remove: ['Server'], add: ['X-Region: $WHERE'] }, ['x-region', 'eu']],
  [['Cache-Control', 'no-store'], { set: ['Cache-Control: max-age=60'] }, ['cache-control', 'max-age=60']],
  [['X-A', '1'], {}, ['x-a', '1']],
])('%j with %j goes on as %j', (fields, settings, goes) => {
  expect(edited(fields, settings)).toEqual(goes);
});

test('a variable of the request is refused at load', () => {
  expect(() => edited([], { set: ['X-Host: $host'] })).toThrow('variable of the request');
});

test('what host, path or rewrite captured may be in a value, line breaks left out; a value that comes out empty is not sent', () => {
  const set = ['X-Tenant: <$tenant>', 'X-First: $1', 'X-Fixed: 1'].map(parseFieldText);
  const edits = compileReplyEdits({ set, add: [], remove: [] }, { env: {}, captures: new Set(['tenant', '1']) });
  const answer = (captures: readonly [string, string][]): string[] => {
    const head = ResponseHead.make(200, ['X-Tenant', 'theirs'], 0);
    edits?.apply(head, new Map(captures), new Notes(0));
    return head.list();
  };
  expect(
    answer([
      ['tenant', 'acme\r\nX-Evil: 1'],
      ['1', 'one'],
    ]),
  ).toEqual(['x-fixed', '1', 'x-tenant', '<acmeX-Evil: 1>', 'x-first', 'one']);
  expect(answer([['tenant', 'acme']])).toEqual(['x-fixed', '1', 'x-tenant', '<acme>']);
});
