import { describe, expect, test } from 'vitest';
import { LOG_FORMATS, LOG_TAGS, type LogPart, parseLogTemplate } from './log-template.ts';
import { Wrong } from './wrong.ts';

const parse = (text: string): readonly LogPart[] => parseLogTemplate(text, { REGION: 'eu-1', QUOTES: 'a"b\n' }, 'box').parts;
const wrong = (text: string): string => {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof Wrong) return `${error.part ?? ''}|${error.message}|${error.fix}`;
    throw error;
  }
  throw new Error(`${text} was taken`);
};

test('every tag may be written with dashes or underscores, with a colon or without', () => {
  for (const tag of Object.keys(LOG_TAGS)) {
    for (const spelled of [tag, tag.replaceAll('_', '-'), `:${tag}`, `:${tag.replaceAll('_', '-')}`])
      expect(parse(`{${spelled}}`)).toEqual([{ kind: 'tag', tag, human: false, place: 'bare' }]);
  }
});

test('every duration may be written for people', () => {
  for (const [tag, { type }] of Object.entries(LOG_TAGS)) {
    if (type === 'time') expect(parse(`{:${tag}_human}`)).toEqual([{ kind: 'tag', tag, human: true, place: 'bare' }]);
    else if (!tag.endsWith('size')) expect(() => parse(`{${tag}_human}`)).toThrow(Wrong);
  }
});

test('the names of the first Pingap are known', () => {
  expect(parse('{:reused} {:upstream-address} {client-ip}').filter(({ kind }) => kind === 'tag')).toMatchObject([
    { tag: 'upstream_reused' },
    { tag: 'upstream_addr' },
    { tag: 'client_ip' },
  ]);
});

test('cookies, fields of request and answer, the environment and the host name', () => {
  expect(parse('{~Device_Id} {>X-B3-TraceId} {<X-Cache2} {$REGION} {$hostname} {$ABSENT}')).toEqual([
    { kind: 'cookie', name: 'Device_Id', place: 'bare' },
    { kind: 'text', text: ' ' },
    { kind: 'request', name: 'x-b3-traceid', place: 'bare' },
    { kind: 'text', text: ' ' },
    { kind: 'reply', name: 'x-cache2', place: 'bare' },
    { kind: 'text', text: ' eu-1 box -' },
  ]);
});

test('what the environment says breaks neither the line nor its JSON', () => {
  expect(parse('{$QUOTES} {uri}')[0]).toEqual({ kind: 'text', text: 'a"b? ' });
  expect(parse('{"a":{$QUOTES},"b":"{$QUOTES}","c":{uri}}')[0]).toEqual({ kind: 'text', text: String.raw`{"a":"a\"b\n","b":"a\"b\n","c":` });
});

test('a value between quotes is known to be there, in text and in JSON', () => {
  const places = (text: string): unknown[] => parse(text).flatMap((part) => (part.kind === 'text' ? [] : [part.place]));
  expect(places('{uri} "{uri} {uri}" {uri}')).toEqual(['bare', 'quoted', 'quoted', 'bare']);
  expect(places(String.raw`{"a\"b":{uri},"c":"{uri}\" {uri}","d":{uri}}`)).toEqual(['json-bare', 'json-quoted', 'json-quoted', 'json-bare']);
});

test('braces that hold no tag are text', () => {
  expect(parse('{ } {} {a b} {"x"} {uri}')[0]).toEqual({ kind: 'text', text: '{ } {} {a b} {"x"} ' });
});

test('the named formats are templates themselves', () => {
  for (const [name, text] of LOG_FORMATS) expect(parse(name)).toEqual(parse(text));
});

describe('refused, with the fix', () => {
  test.each([
    ['{client_pi}', '{client_pi}|has a tag that is not known|did you mean {client_ip}?'],
    ['{uri} {:upstream_conect_time}', '{:upstream_conect_time}|has a tag that is not known|did you mean {upstream_connect_time}?'],
    ['{status_human}', '{status_human}|has a tag that is not known|'],
    ['{nothing-like-it}', '{nothing-like-it}|has a tag that is not known|docs/access-log.md lists the tags'],
    ['{__proto__}', '{__proto__}|has a tag that is not known|'],
    ['{constructor}', '{constructor}|has a tag that is not known|'],
    ['combind', '|is no named format|did you mean combined?'],
    ['qwertz', '|is no named format|use tiny, short, common, combined, json, or a template'],
    ['no tag at all', '|has no tag in it|'],
    ['{uri}\n{status}', '|has control characters in it|'],
    ['{"a":{uri}', '|begins as JSON and is none|'],
    ['{"a":{uri},}', '|begins as JSON and is none|'],
    [`{uri}${'x'.repeat(20_000)}`, '|is too long|'],
  ])('%s', (text, expected) => {
    expect(wrong(text)).toContain(expected);
  });
});
