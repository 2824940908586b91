import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import zlib from 'node:zlib';
import { expect, test } from 'vitest';
import { ask, fileWithPlugins } from '../kit/ask.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { turns, until } from '../kit/until.ts';

const made = kit();
const { startOrigin, rawClient } = made;

const TEXT = 'All happy families are alike. '.repeat(200);
type Fields = Record<string, string | string[]>;

/** A gateway that compresses, and an origin whose answers are as told. */
async function behind(settings: string, body: string | Buffer, headers: Fields, status = 200) {
  const answer = { body, headers, status };
  const origin = await startOrigin((_request, response) => {
    response.writeHead(answer.status, { ...answer.headers, 'Content-Length': Buffer.byteLength(answer.body) });
    response.end(answer.body);
  });
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, `[plugins.small]\ncategory = "compression"\n${settings}\n`));
  const get = (accept: string | null, more: Record<string, string> = {}, method = 'GET') =>
    ask(gateway.port(), { method, headers: { ...(accept === null ? {} : { 'Accept-Encoding': accept }), ...more } });
  return { origin, gateway, answer, get };
}

const PLAIN = { 'Content-Type': 'text/html; charset=utf-8', ETag: '"v1"', 'Accept-Ranges': 'bytes' };

test('answers are packed as the client likes best, and their fields tell the truth', async () => {
  const { get } = await behind('', TEXT, PLAIN);
  const br = await get('gzip, deflate, br');
  expect(br.headers['content-encoding']).toBe('br');
  expect(br.headers.vary).toBe('Accept-Encoding');
  expect(br.headers.etag).toBe('W/"v1"');
  expect(br.headers['accept-ranges']).toBeUndefined();
  expect(br.headers['content-length']).toBeUndefined();
  expect(zlib.brotliDecompressSync(br.body).toString()).toBe(TEXT);
  const gzip = await get('gzip, br;q=0.5');
  expect(gzip.headers['content-encoding']).toBe('gzip');
  expect(zlib.gunzipSync(gzip.body).toString()).toBe(TEXT);
  const head = await get('gzip', {}, 'HEAD');
  expect({ ...head.headers, date: '' }).toEqual({ ...gzip.headers, date: '', 'transfer-encoding': undefined });
  expect(head.body.length).toBe(0);
  for (const accept of [null, 'identity', 'gzip;q=0, br;q=0', 'deflate']) {
    const plain = await get(accept);
    expect(plain.headers['content-encoding']).toBeUndefined();
    expect(plain.headers.vary).toBe('Accept-Encoding');
    expect(plain.headers.etag).toBe('"v1"');
    expect(plain.headers['accept-ranges']).toBe('bytes');
    expect(plain.text).toBe(TEXT);
  }
});

test.each([
  ['is packed already', { ...PLAIN, 'Content-Encoding': 'gzip' }, 200, TEXT],
  ['must not be transformed', { ...PLAIN, 'Cache-Control': 'public, no-transform' }, 200, TEXT],
  ['is a part', { ...PLAIN, 'Content-Range': 'bytes 0-5999/9000' }, 206, TEXT],
  ['is a stream of events', { 'Content-Type': 'text/event-stream' }, 200, TEXT],
  ['says no type', {}, 200, TEXT],
  ['is a picture', { 'Content-Type': 'image/png' }, 200, TEXT],
  ['is a call of gRPC', { 'Content-Type': 'application/grpc+proto' }, 200, TEXT],
  ['is short', PLAIN, 200, 'short'],
  ['is empty', PLAIN, 200, ''],
])('a body that %s is left alone', async (_why, headers, status, body) => {
  const { get } = await behind('', body, headers as Fields, status);
  const answer = await get('gzip, br');
  expect(answer.headers['content-encoding']).toBe((headers as Record<string, string>)['Content-Encoding']);
  expect(answer.headers['content-length']).toBe(String(body.length));
  expect(answer.text).toBe(body);
});

test('[threat 57] answers with secrets beside what others may choose are not compressed, unless that is asked for', async () => {
  const { get, answer } = await behind('', TEXT, { ...PLAIN, 'Set-Cookie': 'session=secret' });
  expect((await get('gzip')).headers['content-encoding']).toBeUndefined();
  answer.headers = PLAIN;
  expect((await get('gzip', { Authorization: 'Bearer x' })).headers['content-encoding']).toBeUndefined();
  expect((await get('gzip')).headers['content-encoding']).toBe('gzip');
  const bold = await behind('compress_secrets = true', TEXT, { ...PLAIN, 'Set-Cookie': 'session=secret' });
  expect((await bold.get('gzip', { Authorization: 'Bearer x' })).headers['content-encoding']).toBe('gzip');
});

test('the access log says how much smaller an answer became, and how long that took', async () => {
  const log = join(made.folder(), 'access.log');
  const origin = await startOrigin((_request, response) => response.writeHead(200, PLAIN).end(TEXT));
  const file = fileWithPlugins(origin.port, '[plugins.small]\ncategory = "compression"\n');
  const line = `access_log = '${log} {size} {compression_ratio} {compression_time}'`;
  const gateway = await startGatewayOf(made, file.replace('[servers.main]', `[servers.main]\n${line}`));
  const packed = await ask(gateway.port(), { headers: { 'Accept-Encoding': 'gzip' } });
  await ask(gateway.port());
  const lines = await until('two lines', () => {
    const text = existsSync(log) ? readFileSync(log, 'latin1').trim().split('\n') : [];
    return text.length === 2 ? text : null;
  });
  const ratio = Math.round((TEXT.length / packed.body.length) * 100) / 100;
  expect(lines[0]).toMatch(new RegExp(`^${packed.body.length} ${String(ratio).replace('.', '\\.')} \\d+(?:\\.\\d)?$`));
  expect(lines[1]).toBe(`${TEXT.length} - -`);
});

test('the tag of a packed answer is good for asking whether it changed', async () => {
  const { get, answer } = await behind('', TEXT, { ...PLAIN, Vary: 'Accept-Language' });
  const { etag, vary } = (await get('gzip')).headers;
  expect(vary).toBe('Accept-Language, Accept-Encoding');
  answer.status = 304;
  answer.body = '';
  const again = await get('gzip', { 'If-None-Match': etag! });
  expect([again.status, again.headers.etag]).toEqual([304, 'W/"v1"']);
});

test('levels choose what is offered; Pingap switches off what it does not name', async () => {
  const { get } = await behind('gzip_level = 1', TEXT, PLAIN);
  expect((await get('br, gzip')).headers['content-encoding']).toBe('gzip');
  const other = await behind('gzip_level = 0\nbr_level = 11\nmin_length = "10KB"', TEXT, PLAIN);
  expect((await other.get('br, gzip')).headers['content-encoding']).toBeUndefined();
  other.answer.body = TEXT.repeat(2);
  expect((await other.get('br, gzip')).headers['content-encoding']).toBe('br');
  const narrow = await behind('mode = "upstream"', TEXT, { 'Content-Type': 'text/css' });
  narrow.answer.headers = { 'Content-Type': 'font/ttf' };
  expect((await narrow.get('gzip')).headers['content-encoding']).toBeUndefined();
  narrow.answer.headers = { 'Content-Type': 'application/json' };
  expect((await narrow.get('gzip')).headers['content-encoding']).toBe('gzip');
});

test('settings that offer nothing are refused', async () => {
  const origin = await startOrigin();
  const file = (settings: string) => fileWithPlugins(origin.port, `[plugins.small]\ncategory = "compression"\n${settings}\n`);
  await expect(startGatewayOf(made, file('gzip_level = 0'))).rejects.toThrow('offers nothing: all its levels are 0; set gzip_level');
  await expect(startGatewayOf(made, file('gzip_level = 10'))).rejects.toThrow('is out of range');
});

test('lines of a body without a length arrive packed, each as it was sent', async () => {
  let next = (_line: string | null): void => {};
  const origin = await startOrigin((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    next = (line) => (line === null ? response.end() : response.write(line));
    next('{"n":1}\n');
  });
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, '[plugins.small]\ncategory = "compression"\n'));
  const client = await rawClient({ port: gateway.port() });
  client.send('GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n');
  const bodyOf = (): Buffer => {
    const parts: Buffer[] = [];
    const { stream } = client;
    let at = stream.indexOf('\r\n\r\n') + 4;
    for (;;) {
      const end = stream.indexOf('\r\n', at);
      const size = end < 0 ? NaN : Number.parseInt(stream.toString('latin1', at, end), 16);
      if (!(size > 0) || end + 2 + size > stream.length) return Buffer.concat(parts);
      parts.push(stream.subarray(end + 2, end + 2 + size));
      at = end + 4 + size;
    }
  };
  const seen = (): string => (bodyOf().length < 18 ? '' : zlib.gunzipSync(bodyOf(), { finishFlush: zlib.constants.Z_SYNC_FLUSH }).toString());
  await client.until(() => seen() === '{"n":1}\n', 'the first line');
  next('{"n":2}\n');
  await client.until(() => seen() === '{"n":1}\n{"n":2}\n', 'the second line');
  next(null);
  await client.until(() => client.text.endsWith('0\r\n\r\n'));
});

test('large bodies pass whole, also to a reader who is slow at first', async () => {
  const piece = randomBytes(256 * 1024).toString('base64');
  const origin = await startOrigin((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    for (let i = 0; i < 10; i++) response.write(piece);
    response.end();
  });
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, '[plugins.small]\ncategory = "compression"\ngzip_level = 1\n'));
  const client = await rawClient({ port: gateway.port() });
  client.pause();
  client.send('GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n');
  await origin.decided();
  await turns(50);
  client.resume();
  const answer = await client.answer();
  expect(zlib.gunzipSync(answer.body).equals(Buffer.from(piece.repeat(10)))).toBe(true);
});

test('an answer that breaks off is not made to look whole', async () => {
  const origin = await startOrigin((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    response.write(TEXT);
    setImmediate(() => response.destroy());
  });
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, '[plugins.small]\ncategory = "compression"\n'));
  expect((await ask(gateway.port(), { headers: { 'Accept-Encoding': 'gzip' } })).complete).toBe(false);
});

test('unpacking is for those who cannot do it themselves', async () => {
  const { get, answer } = await behind('decompression = true\ngzip_level = 6', zlib.gzipSync(TEXT), { ...PLAIN, 'Content-Encoding': 'gzip' });
  const plain = await get(null);
  expect(plain.text).toBe(TEXT);
  expect([plain.headers['content-encoding'], plain.headers.etag, plain.headers.vary]).toEqual([undefined, 'W/"v1"', 'Accept-Encoding']);
  const packed = await get('gzip');
  expect(zlib.gunzipSync(packed.body).toString()).toBe(TEXT);
  answer.body = zlib.brotliCompressSync(TEXT);
  answer.headers = { ...PLAIN, 'Content-Encoding': 'br' };
  expect((await get('gzip')).text).toBe(TEXT);
  answer.headers = { ...PLAIN, 'Content-Encoding': 'compress' };
  expect((await get('gzip')).headers['content-encoding']).toBe('compress');
});

test('[threat 56] a bomb is not unpacked: the answer breaks off', async () => {
  const bomb = zlib.gzipSync(Buffer.alloc(64 * 1024 * 1024));
  const { get } = await behind('decompression = true\ngzip_level = 0', bomb, { ...PLAIN, 'Content-Encoding': 'gzip' });
  const answer = await get(null);
  expect(answer.complete).toBe(false);
  expect(answer.body.length).toBeLessThan(8 * 1024 * 1024);
  // Unpacking is off unless asked for.
  const other = await behind('', bomb, { ...PLAIN, 'Content-Encoding': 'gzip' });
  expect((await other.get(null)).body.length).toBe(bomb.length);
});

test("Pingap's plugins that need no section compress, in both places, and ask the upstream for one coding", async () => {
  const origin = await startOrigin((_request, response) => {
    response.writeHead(200, { ...PLAIN, 'Cache-Control': 'max-age=60' });
    response.end(TEXT);
  });
  for (const plugins of [['pingap:compression'], ['pingap:acceptEncodingAdjustment', 'kept', 'pingap:compressionUpstream']]) {
    const text = fileWithPlugins(origin.port, '[plugins.kept]\ncategory = "cache"\n').replace(
      'plugins = ["kept"]',
      `plugins = ${JSON.stringify(plugins)}`,
    );
    const gateway = await startGatewayOf(made, text);
    for (let i = 0; i < 2; i++) {
      const { headers, body } = await ask(gateway.port(), { headers: { 'Accept-Encoding': 'gzip, deflate, br' } });
      expect([headers['content-encoding'], headers['x-cache-status']]).toEqual(['br', plugins.length === 1 ? undefined : i === 0 ? 'miss' : 'hit']);
      expect(zlib.brotliDecompressSync(body).toString()).toBe(TEXT);
    }
    expect(origin.requests.at(-1)!.headers['accept-encoding']).toBe(plugins.length === 1 ? 'gzip, deflate, br' : 'br');
  }
});

test('the example of its page runs', async () => {
  const page = readFileSync(new URL('../../docs/plugins/compression.md', import.meta.url), 'utf8');
  const [, example] = /^```toml\n([^]*?)^```$/m.exec(page)!;
  const origin = await startOrigin((_request, response) => {
    response.writeHead(200, PLAIN);
    response.end(TEXT);
  });
  const gateway = await startGatewayOf(made, example!.replace('127.0.0.1:3000', `127.0.0.1:${origin.port}`).replace('0.0.0.0:8080', '127.0.0.1:0'));
  expect((await ask(gateway.port(), { headers: { 'Accept-Encoding': 'gzip' } })).headers['content-encoding']).toBe('gzip');
});
