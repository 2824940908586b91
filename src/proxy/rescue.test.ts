import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Heard, requestHead } from '../../test/kit/tunnel.ts';
import { Failure, type FailureCode, failures } from '../http/failure.ts';
import { ErrorPages, type ErrorTemplates } from './error-pages.ts';
import { rescue, type Wish, wishOf } from './rescue.ts';

interface Answer {
  readonly status: number;
  readonly fields: Record<string, string>;
  readonly body: string;
}

function answerTo(failure: Failure, wish: Wish = 'any', templates?: ErrorTemplates, requestId = ''): Answer {
  const heard = new Heard();
  rescue(failure, heard, { wish, pages: new ErrorPages('edge-1', templates), requestId, entry: null });
  const list = heard.fields;
  const fields: Record<string, string> = {};
  for (let i = 0; i < list.length; i += 2) fields[list[i]!] = list[i + 1]!;
  expect(heard.length).toBe(heard.bytes);
  return { status: heard.status, fields, body: Buffer.concat(heard.chunks).toString('utf8') };
}

function templates(general: string | readonly string[], byStatus: Record<string, string | readonly string[]> = {}): ErrorTemplates {
  const listed = (given: string | readonly string[]): readonly string[] => (typeof given === 'string' ? [given] : given);
  return { general: general === '' ? [] : listed(general), byStatus: new Map(Object.entries(byStatus).map(([key, one]) => [key, listed(one)])) };
}

const FAILURE = new Failure('queue_full', 'a <b> & "c" \'d\' \\ `e`', 7);

describe('the answer to a failure', () => {
  test.each(Object.keys(failures) as FailureCode[])('%s: a problem by RFC 9457, a Proxy-Status by RFC 9209', (code) => {
    const { status, fields, body } = answerTo(new Failure(code, 'what happened'));
    const [inTable, , error] = failures[code];
    expect(status).toBe(inTable === 499 ? 400 : inTable);
    expect(fields).toMatchObject({
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      'proxy-status': `edge-1; error=${error}; details="${code}"`,
    });
    expect(JSON.parse(body)).toEqual({ type: 'about:blank', title: expect.any(String), status, code, detail: 'what happened' });
    expect(fields).not.toHaveProperty('retry-after');
  });

  test('Retry-After when there is one', () => {
    expect(answerTo(FAILURE).fields['retry-after']).toBe('7');
  });

  test('HTML for those who like it better, with everything in it escaped', () => {
    const { fields, body } = answerTo(FAILURE, 'html');
    expect(fields['content-type']).toBe('text/html; charset=utf-8');
    expect(body).toContain('a &#60;b&#62; &#38; &#34;c&#34; &#39;d&#39; \\ &#96;e&#96;');
    expect(body).not.toContain('<b>');
  });
});

describe('[rule R3] the answer to a failure of a gRPC request', () => {
  test.each(Object.keys(failures) as FailureCode[])('%s: HTTP 200, its gRPC status, no body, and the same Proxy-Status', (code) => {
    const { status, fields, body } = answerTo(new Failure(code, 'größer als 100%'), 'grpc');
    const [, grpc, error] = failures[code];
    expect([status, body]).toEqual([200, '']);
    expect(fields).toEqual({
      'content-type': 'application/grpc',
      'grpc-status': String(grpc),
      'grpc-message': 'gr%C3%B6%C3%9Fer als 100%25',
      date: expect.any(String),
      'proxy-status': `edge-1; error=${error}; details="${code}"`,
    });
  });

  test('a time to try again is a pushback', () => {
    expect(answerTo(FAILURE, 'grpc').fields).toMatchObject({ 'grpc-status': '8', 'grpc-retry-pushback-ms': '7000' });
  });

  test('templates of the operator are for people', () => {
    expect(answerTo(FAILURE, 'grpc', templates('{"a": 1}')).body).toBe('');
  });

  test('is wished for by the content type, whatever Accept says', () => {
    const head = (type: string) => requestHead(`POST /a.B/C HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nContent-Type: ${type}\r\n\r\n`);
    expect(wishOf(head('application/grpc+proto'))).toBe('grpc');
    expect(wishOf(head('application/grpc-web'))).toBe('html');
  });
});

describe('which page does Accept ask for', () => {
  test.each<[string | null, Wish]>([
    [null, 'any'],
    ['*/*', 'any'],
    ['text/html', 'html'],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8', 'html'],
    ['TEXT/HTML;q=0.9', 'html'],
    ['application/json', 'json'],
    ['application/json, text/plain, */*', 'json'],
    ['text/plain', 'json'],
    ['image/avif,image/webp,*/*;q=0.8', 'json'],
    ['text/html;q=0.5, application/json', 'json'],
    ['application/json;q=0.5, text/html', 'html'],
    ['application/json, text/html', 'json'],
    ['application/problem+json;q=0.8, text/html;q=0.7', 'json'],
    ['text/*;q=0.6, application/json;q=0.5', 'html'],
    ['text/*, */*;q=0.1', 'html'],
    ['text/html;q=0, */*', 'json'],
    ['text/html;q=0', 'json'],
    ['application/*;q=0.4, text/html;q=0.5', 'html'],
    ['text/html;level=1;q=0.4, application/json;q=0.3', 'html'],
    ['text/html;q=2, application/json;q=0.1', 'json'],
    ['text/htmlx', 'json'],
  ])('%s: %s', (accept, wish) => {
    expect(wishOf(requestHead(`GET / HTTP/1.1\r\nHost: a\r\n${accept === null ? '' : `Accept: ${accept}\r\n`}\r\n`))).toBe(wish);
  });

  test('whatever it says, there is an answer', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'texhml/*;q=0.5, ajson'.split('')), maxLength: 40 }), (accept) => {
        expect(['html', 'json', 'any']).toContain(wishOf(requestHead(`GET / HTTP/1.1\r\nHost: a\r\nAccept: ${accept}\r\n\r\n`)));
      }),
    );
  });
});

describe("an operator's template", () => {
  const html = '<h1 title="{{content}}">{{status}} {{title}}</h1>{{content}} {{code}} {{error_type}} {{request-id}} {{ version }}';
  const json = '{"status":{{status}},"message":"{{content}}","id":"{{request_id}}"}';

  test('is filled in, escaped for HTML', () => {
    const { fields, body } = answerTo(FAILURE, 'html', templates(html), '<r1>');
    expect(fields['content-type']).toBe('text/html; charset=utf-8');
    const detail = 'a &#60;b&#62; &#38; &#34;c&#34; &#39;d&#39; \\ &#96;e&#96;';
    expect(body).toContain(`<h1 title="${detail}">503 Service Unavailable</h1>${detail} queue_full connection_limit_reached &#60;r1&#62; `);
  });

  test('is filled in, escaped for JSON when it begins with a brace', () => {
    const { fields, body } = answerTo(FAILURE, 'json', templates(json), 'r"1');
    expect(fields['content-type']).toBe('application/json');
    expect(JSON.parse(body)).toEqual({ status: 503, message: FAILURE.detail, id: 'r"1' });
    expect(body).not.toContain('<');
  });

  test('whatever the detail says, JSON stays JSON and HTML holds no tag of it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (detail) => {
        const failure = new Failure('bad_request', detail);
        expect(JSON.parse(answerTo(failure, 'json', templates(json)).body)).toMatchObject({ message: detail });
        expect(answerTo(failure, 'html', templates('<p>{{content}}</p>')).body.slice(3, -4)).not.toMatch(/[<>"'`]/);
      }),
    );
  });

  test('who asks for the other kind gets our own page; who does not care gets the template', () => {
    expect(answerTo(FAILURE, 'json', templates(html)).fields['content-type']).toBe('application/problem+json');
    expect(answerTo(FAILURE, 'html', templates(json)).body).toMatch(/^<!doctype html>/);
    expect(answerTo(FAILURE, 'any', templates(html)).body).toContain('<h1 title=');
    expect(answerTo(FAILURE, 'any', templates([html, json])).fields['content-type']).toBe('application/json');
  });

  test('of a status goes before that of its kind, and that before the general one', () => {
    const all = templates('general', { 503: 'this', '5xx': 'kind' });
    expect(answerTo(FAILURE, 'html', all).body).toBe('this');
    expect(answerTo(new Failure('refused', ''), 'html', all).body).toBe('kind');
    expect(answerTo(new Failure('no_location', ''), 'html', all).body).toBe('general');
    expect(answerTo(FAILURE, 'html', templates([html], { 503: '{"only":"json"}' })).body).toContain('<h1 title=');
  });

  test('says whether it shows request ids, so that they are kept', () => {
    expect(new ErrorPages('x').showsRequestId).toBe(false);
    expect(new ErrorPages('x', templates('{{content}}')).showsRequestId).toBe(false);
    expect(new ErrorPages('x', templates('', { 503: '{{request_id}}' })).showsRequestId).toBe(true);
  });

  test.each<[string, ErrorTemplates, object]>([
    ['an unknown placeholder', templates('{{contents}}'), { fix: 'did you mean {{content}}?' }],
    ['one of a prototype', templates('{{constructor}}'), { message: 'has a placeholder {{constructor}} that is not known' }],
    ['JSON that is none', templates('{"a":"{{content}}",}'), { message: 'begins with a brace and is no JSON' }],
    ['text outside the quotes of JSON', templates('{"a":{{content}}}'), { message: 'begins with a brace and is no JSON' }],
    ['a placeholder in a script', templates('<script>x = "{{content}}"</script>'), { message: 'has {{content}} inside a script or style' }],
    ['a placeholder in a style', templates('<STYLE media=all>{{title}}</STYLE>'), { message: 'has {{title}} inside a script or style' }],
    ['a value without quotes', templates('<p class={{code}}>'), { fix: 'write it as "{{code}}"' }],
    ['two of a kind', templates(['<p>', '<b>']), { message: 'has two HTML templates' }],
    ['a key that is no status', templates('', { 200: 'x' }), { part: '200' }],
    ['a wrong one for a status', templates('', { 404: '{{oops}}' }), { part: '404' }],
    ['one that is too long', templates('x'.repeat(70_000)), { message: 'is too long' }],
  ])('%s is refused at load', (_, wrong, expected) => {
    expect(() => new ErrorPages('x', wrong)).toThrow(expect.objectContaining({ name: 'Wrong', ...expected }) as Error);
  });

  test('a placeholder behind a script is fine', () => {
    expect(answerTo(FAILURE, 'html', templates('<script>1</script><style>p{}</style><p>{{code}}</p>')).body).toContain('<p>queue_full</p>');
  });
});
