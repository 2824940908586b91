import { readFileSync } from 'node:fs';
import zlib from 'node:zlib';
import { expect, test } from 'vitest';
import { ask, fileWithPlugins } from '../kit/ask.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import type { Answerer } from '../kit/http-origin.ts';
import { kit } from '../kit/kit.ts';

const made = kit();
const { startOrigin, rawClient } = made;

async function with_(answer: Answerer | undefined, sections: string) {
  const origin = await startOrigin(answer);
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, sections));
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET') => ask(gateway.port(), { path, headers, method });
  return { origin, gateway, get };
}

const page =
  (headers: Record<string, string>, body: string | Buffer, status = 200): Answerer =>
  (_request, response) => {
    response.writeHead(status, { 'Content-Length': Buffer.byteLength(body), ...headers });
    response.end(body);
  };

const FILTER = `[plugins.replace]\ncategory = "sub_filter"\nfilters = ["sub_filter 'http:' 'https:' g", "subs_filter '<b>(.*?)</b>' '<i>$1</i>' gi"]\n`;
const HTML = { 'Content-Type': 'text/html', ETag: '"v1"', 'Accept-Ranges': 'bytes' };

test('text and patterns are replaced in an answer, and its fields tell the truth', async () => {
  const { get, origin } = await with_(page(HTML, '<a href="http://x">http:</a> <B>bold</B>'), FILTER);
  const answer = await get('/', { 'Accept-Encoding': 'gzip', Range: 'bytes=0-3' });
  expect(answer.text).toBe('<a href="https://x">https:</a> <i>bold</i>');
  expect(answer.headers).toMatchObject({ etag: 'W/"v1"', 'transfer-encoding': 'chunked' });
  expect([answer.headers['content-length'], answer.headers['accept-ranges']]).toEqual([undefined, undefined]);
  // The upstream is asked for the whole, as it is.
  expect([origin.only.headers['accept-encoding'], origin.only.headers.range]).toEqual([undefined, undefined]);
  const head = await get('/', {}, 'HEAD');
  expect([head.status, head.headers.etag, head.headers['content-length']]).toEqual([200, 'W/"v1"', undefined]);
});

test.each([
  ['is packed', { ...HTML, 'Content-Encoding': 'gzip' }, 200, '/'],
  ['is a picture', { 'Content-Type': 'image/png' }, 200, '/'],
  ['says no type', {}, 200, '/'],
  ['is UTF-16', { 'Content-Type': 'text/plain; charset=utf-16' }, 200, '/'],
  ['is a part', { ...HTML, 'Content-Range': 'bytes 0-4/10' }, 206, '/'],
  ['has another status', HTML, 404, '/'],
  ['has another path', HTML, 200, '/raw/x'],
])('an answer that %s is left alone', async (_why, headers, status, path) => {
  const only = FILTER.replace('[plugins.replace]', '[plugins.replace]\npath = "^/(?:$|x)"\nstatus_codes = [200, 206]');
  const { get } = await with_(page(headers as Record<string, string>, 'http:', status), only);
  const answer = await get(path);
  expect([answer.text, answer.headers['content-length']]).toEqual(['http:', '5']);
});

test('what is replaced can be packed by a plugin before it in the list', async () => {
  const { get } = await with_(page(HTML, 'http:'.repeat(500)), `[plugins.small]\ncategory = "compression"\n${FILTER}`);
  const answer = await get('/', { 'Accept-Encoding': 'gzip' });
  expect(zlib.gunzipSync(answer.body).toString()).toBe('https:'.repeat(500));
});

test('events and lines pass as they come; only what may be the beginning of a match waits', async () => {
  let send = (_text: string): void => {};
  const { gateway } = await with_((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    send = (text) => response.write(text);
    send('data: http://one\n\n');
  }, FILTER);
  const client = await rawClient({ port: gateway.port() });
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.until(() => client.text.includes('data: https://one\n\n'), 'the first event');
  send('data: ht');
  send('tp://two\n\n');
  await client.until(() => client.text.replaceAll(/\r\n[\da-f]+\r\n/g, '').includes('data: https://two\n\n'), 'the second event');
});

test('an answer that must not be changed is not, whatever it says beside', async () => {
  const headers = { ...HTML, 'Cache-Control': 'max-age=60, No-Transform' };
  const { get } = await with_(page(headers, 'http: <b>x</b>'), FILTER);
  const answer = await get('/');
  expect([answer.text, answer.headers.etag, answer.headers['accept-ranges']]).toEqual(['http: <b>x</b>', '"v1"', 'bytes']);
});

test('upgraded bytes and answers to other requests pass untouched', async () => {
  const origin = await made.startScript(async (connection) => {
    await connection.head();
    connection.send(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nContent-Type: text/html\r\n\r\nhttp:',
    );
  });
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, FILTER));
  const client = await rawClient({ port: gateway.port() });
  client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
  await client.until(() => client.text.endsWith('http:'));
});

test('a body of many mebibytes passes whole', async () => {
  const line = `${'x'.repeat(900)} http: <b>y</b>\n`;
  const { get } = await with_((_request, response) => {
    response.writeHead(200, HTML);
    for (let i = 0; i < 5; i++) response.write(line.repeat(1000));
    response.end();
  }, FILTER);
  const { body, complete } = await get('/');
  expect([complete, body.length, body.toString('latin1').split('https: <i>y</i>').length - 1]).toEqual([true, 5000 * (line.length + 1), 5000]);
});

test('patterns that explode elsewhere are linear here', async () => {
  const bad = `[plugins.replace]\ncategory = "sub_filter"\nfilters = ["subs_filter '(a+)+b' 'x' g"]\n`;
  const { get } = await with_(page(HTML, 'a'.repeat(20_000)), bad);
  expect((await get('/')).text).toBe('a'.repeat(20_000));
});

test('wrong filters are refused with the fix', async () => {
  const origin = await startOrigin();
  const file = (filters: string) => fileWithPlugins(origin.port, `[plugins.replace]\ncategory = "sub_filter"\nfilters = ${filters}\n`);
  await expect(startGatewayOf(made, file(`["sub_filter 'a' 'b' z"]`))).rejects.toThrow('flags are g (all) and i (in any case)');
  await expect(startGatewayOf(made, file('[]'))).rejects.toThrow('names nothing');
  const many = Array.from({ length: 33 }, () => `"sub_filter 'a' 'b'"`).join();
  await expect(startGatewayOf(made, file(`[${many}]`))).rejects.toThrow('write 1 to 32');
});

test.each([
  ['encodings = ["zstd", "br", "gzip"]', 'gzip, deflate, br', 'br, gzip'],
  ['encodings = "zstd, br, gzip"', 'GZIP;q=0.5, BR;q=0', 'gzip'],
  ['encodings = ["br", "gzip"]', '*', 'br, gzip'],
  ['encodings = ["br", "gzip"]', 'br;q=0, *;q=0.1', 'gzip'],
  ['encodings = ["br", "gzip"]\nonly_one_encoding = true', 'gzip, br', 'br'],
  ['encodings = ["br"]', 'gzip, deflate', undefined],
  ['encodings = ["br"]', '', undefined],
  ['encodings = ["br"]', undefined, undefined],
])('accept_encoding with %s makes of %j', async (settings, accept, asked) => {
  const { get, origin } = await with_(undefined, `[plugins.few]\ncategory = "accept_encoding"\n${settings}\n`);
  for (let i = 0; i < 2; i++) await get('/', accept === undefined ? {} : { 'Accept-Encoding': accept });
  expect(origin.requests.map(({ headers }) => headers['accept-encoding'])).toEqual([asked, asked]);
});

test('accept_encoding without a list, or with names that are none, is refused', async () => {
  const origin = await startOrigin();
  const file = (settings: string) => fileWithPlugins(origin.port, `[plugins.few]\ncategory = "accept_encoding"\n${settings}\n`);
  await expect(startGatewayOf(made, file(''))).rejects.toThrow('encodings');
  await expect(startGatewayOf(made, file('encodings = ["g zip"]'))).rejects.toThrow('write names such as br and gzip');
});

test.each(['sub_filter', 'accept_encoding'])('the example of the page of %s runs', async (name) => {
  const text = readFileSync(new URL(`../../docs/plugins/${name.replace('_', '-')}.md`, import.meta.url), 'utf8');
  const [, example] = /^```toml\n([^]*?)^```$/m.exec(text)!;
  const origin = await startOrigin(page(HTML, 'http://internal:3000/x'));
  const gateway = await startGatewayOf(made, example!.replace('127.0.0.1:3000', `127.0.0.1:${origin.port}`).replace('0.0.0.0:8080', '127.0.0.1:0'));
  const answer = await ask(gateway.port(), { headers: { 'Accept-Encoding': 'gzip, deflate, br' } });
  expect(name === 'sub_filter' ? answer.text : origin.only.headers['accept-encoding']).toBe(name === 'sub_filter' ? 'https://example.com/x' : 'br');
});
