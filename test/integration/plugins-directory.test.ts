import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, readlinkSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import zlib from 'node:zlib';
import { expect, test } from 'vitest';
import { ask, type Asked, fileWithPlugins, type Question } from '../kit/ask.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const made = kit();
const { startOrigin, folder, rawClient } = made;

type Files = Record<string, string | Buffer>;

/** A folder with these files, all a day old. */
function folderWith(files: Files): string {
  const root = folder();
  const dayAgo = Date.now() / 1000 - 86_400;
  for (const [name, content] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, content);
    utimesSync(path, dayAgo, dayAgo);
  }
  return root;
}

async function serving(files: Files, settings = '') {
  const root = folderWith(files);
  const origin = await startOrigin((_request, response) => response.end('from upstream'));
  const gateway = await startGatewayOf(
    made,
    fileWithPlugins(origin.port, `[plugins.files]\ncategory = "directory"\npath = "${root}"\n${settings}\n`),
  );
  const get = (path: string, question: Question = {}): Promise<Asked> => ask(gateway.port(), { path, ...question });
  const with_ = (path: string, headers: Record<string, string>): Promise<Asked> => get(path, { headers });
  return { root, gateway, origin, get, with_ };
}

/** Files below a folder that this process has open. */
function openFiles(root: string): number {
  let count = 0;
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith(root)) count++;
    } catch {
      // The one that the folder itself was read with.
    }
  }
  return count;
}

test('files come with type, length, validators and what caches may do', async () => {
  const { get } = await serving({ 'a.html': '<p>', 'b.css': 'p{}', 'c.bin': 'x', 'no-type': 'x', 'd.woff2': 'x' });
  const page = await get('/a.html');
  expect(page).toMatchObject({ status: 200, text: '<p>' });
  expect(page.headers).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'content-length': '3',
    'cache-control': 'private, no-cache',
    'accept-ranges': 'bytes',
    'x-content-type-options': 'nosniff',
  });
  expect(page.headers.etag).toMatch(/^"3-[\da-f]+"$/);
  expect(page.headers['last-modified']).toMatch(/GMT$/);
  const types = await Promise.all(['/b.css', '/c.bin', '/no-type', '/d.woff2'].map(async (path) => (await get(path)).headers['content-type']));
  expect(types).toEqual(['text/css; charset=utf-8', 'application/octet-stream', 'application/octet-stream', 'font/woff2']);
});

test('how long files may be kept, how they are shown and what else is said is set', async () => {
  const settings = 'max_age = "1h"\nprivate = true\ndownload = true\ncharset = "iso-8859-1"\nheaders = ["X-Frame-Options: DENY"]';
  const { get } = await serving({ 'a.txt': 'a', 'b.html': 'b', 'é "1".txt': 'c' }, settings);
  const { headers } = await get('/a.txt');
  expect(headers).toMatchObject({
    'cache-control': 'private, max-age=3600',
    'x-frame-options': 'DENY',
    'content-type': 'text/plain; charset=iso-8859-1',
  });
  expect((await get('/b.html')).headers['cache-control']).toBe('private, no-cache');
  expect((await get('/%C3%A9%20%221%22.txt')).headers['content-disposition']).toBe(
    `attachment; filename="_ _1_.txt"; filename*=UTF-8''%C3%A9%20%221%22.txt`,
  );
});

test('who has it already is not sent it again; a precondition that fails is 412', async () => {
  const { get, with_ } = await serving({ 'a.txt': 'hello' });
  const { etag, 'last-modified': modified } = (await get('/a.txt')).headers;
  for (const headers of [{ 'If-None-Match': etag! }, { 'If-None-Match': `W/${etag}, "x"` }, { 'If-Modified-Since': modified! }]) {
    const answer = await with_('/a.txt', headers as Record<string, string>);
    expect([answer.status, answer.headers.etag, answer.headers['cache-control'], answer.text]).toEqual([304, etag, 'private, no-cache', '']);
  }
  expect((await with_('/a.txt', { 'If-None-Match': '"x"', 'If-Modified-Since': modified! })).status).toBe(200);
  const refused = await with_('/a.txt', { 'If-Match': '"x"' });
  expect([refused.status, refused.headers['cache-control']]).toEqual([412, 'no-store']);
  expect((await with_('/a.txt', { 'If-Match': etag! })).status).toBe(200);
});

test('a file that has just changed has a weak tag', async () => {
  const { get, root } = await serving({});
  writeFileSync(join(root, 'now.txt'), 'now');
  expect((await get('/now.txt')).headers.etag).toMatch(/^W\/"/);
});

test.each([
  ['bytes=0-4', 206, '01234', 'bytes 0-4/10'],
  ['bytes=8-', 206, '89', 'bytes 8-9/10'],
  ['bytes=-3', 206, '789', 'bytes 7-9/10'],
  ['bytes=5-100', 206, '56789', 'bytes 5-9/10'],
  ['bytes=10-', 416, '', 'bytes */10'],
  ['bytes=-0', 416, '', 'bytes */10'],
  ['bytes=0-1,3-4', 200, '0123456789', undefined],
  ['bytes=4-2', 200, '0123456789', undefined],
  ['bytes=18446744073709551616-', 200, '0123456789', undefined],
  ['lines=0-1', 200, '0123456789', undefined],
])('Range: %s', async (range, status, text, contentRange) => {
  const { with_ } = await serving({ 'a.txt': '0123456789' });
  const answer = await with_('/a.txt', { Range: range });
  expect([answer.status, answer.text, answer.headers['content-range'], answer.headers['content-length']]).toEqual([
    status,
    text,
    contentRange,
    String(text.length),
  ]);
});

test('If-Range gives the whole when the file is another', async () => {
  const { get, with_ } = await serving({ 'a.txt': '0123456789' });
  const { etag } = (await get('/a.txt')).headers;
  expect((await with_('/a.txt', { Range: 'bytes=0-1', 'If-Range': etag! })).text).toBe('01');
  expect((await with_('/a.txt', { Range: 'bytes=0-1', 'If-Range': '"x"' })).text).toBe('0123456789');
});

test('HEAD says what GET says; other methods are refused', async () => {
  const { get, origin } = await serving({ 'a.txt': 'hello' });
  const [head, whole] = [await get('/a.txt', { method: 'HEAD' }), await get('/a.txt')];
  expect({ ...head.headers, date: '' }).toEqual({ ...whole.headers, date: '' });
  expect(head.body.length).toBe(0);
  for (const method of ['POST', 'PUT', 'DELETE']) {
    const refused = await get('/a.txt', { method });
    expect([refused.status, refused.headers.allow]).toEqual([405, 'GET, HEAD']);
  }
  expect(origin.requests.length).toBe(0);
});

test('folders have an index, or a listing, or nothing; their address ends with a slash', async () => {
  const { get } = await serving({ 'index.html': 'top', 'sub/index.html': 'sub', 'bare/x': 'x' });
  expect((await get('/')).text).toBe('top');
  expect((await get('/sub/')).text).toBe('sub');
  const moved = await get('/sub?a=b');
  expect([moved.status, moved.headers.location]).toEqual([301, './sub/?a=b']);
  expect((await get('/bare/')).status).toBe(404);
  expect((await get('/index.html/')).status).toBe(404);
});

test('[threat 19] the address of a folder never leads to another host', async () => {
  const { get } = await serving({ 'evil.example/x': 'x', 'a:b/x': 'x', 'ü/x': 'x' });
  expect((await get('//evil.example')).headers.location).toBe('./evil.example/');
  expect((await get('/a:b')).headers.location).toBe('./a%3Ab/');
  expect((await get('/%C3%BC')).headers.location).toBe('./%C3%BC/');
});

test('[threat 19] a listing escapes names, and leaves out what begins with a dot or cannot be had', async () => {
  const { get, root } = await serving(
    { 'd/<img src=x>.txt': 'x', 'd/\'q" &.txt': 'x', 'd/.hidden': 'x', 'd/sub/y': 'y', 'd/a%2fb': 'x' },
    'autoindex = true',
  );
  symlinkSync('/etc/hostname', join(root, 'd', 'out'));
  const { text, headers } = await get('/d/');
  expect(headers['content-type']).toBe('text/html; charset=utf-8');
  expect(headers['content-security-policy']).toContain("default-src 'none'");
  expect(text).not.toContain('<img');
  expect(text).toContain('<a href="./%3Cimg%20src%3Dx%3E.txt">&lt;img src=x&gt;.txt</a>');
  expect(text).toContain('&#39;q&quot; &amp;.txt');
  expect(text).toContain('<a href="./sub/">sub/</a>');
  expect(text).toContain('href="./a%252fb"');
  expect(text.indexOf('sub/')).toBeLessThan(text.indexOf('&lt;img'));
  for (const name of ['hidden', 'out', 'hostname']) expect(text).not.toContain(name);
  expect((await get('/')).text).toContain('<a href="./d/">');
});

test('[threat 28] [threat 71] nothing outside the folder is given out, however it is asked for', async () => {
  const { get, root, gateway } = await serving({ 'a.txt': 'a', '.env': 'SECRET', 'sub/.git/config': 'SECRET' });
  const secret = join(root, '..', 'windlass-secret-of-a-test');
  writeFileSync(secret, 'SECRET');
  symlinkSync(secret, join(root, 'link'));
  symlinkSync('..', join(root, 'up'));
  const paths = [
    '/../windlass-secret-of-a-test',
    '/%2e%2e/windlass-secret-of-a-test',
    '/..%2fwindlass-secret-of-a-test',
    '/sub/..%5c..%5cwindlass-secret-of-a-test',
    '/a.txt%00',
    '/.env',
    '/%2eenv',
    '/sub/.git/config',
    '/link',
    '/up/windlass-secret-of-a-test',
    '/%252e%252e/windlass-secret-of-a-test',
    '//etc/passwd',
    '/a.txt/../../windlass-secret-of-a-test',
  ];
  for (const path of paths) {
    const client = await rawClient({ port: gateway.port() });
    client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    const answer = await client.answer();
    expect([path, [400, 403, 404].includes(answer.status), answer.body.includes('SECRET')]).toEqual([path, true, false]);
  }
  expect((await get('/link')).status).toBe(403);
});

test('what is compressed beforehand is given to those who take it, unless it is older', async () => {
  const plain = 'hello '.repeat(100);
  const { with_, get, root } = await serving(
    { 'a.js': plain, 'a.js.gz': zlib.gzipSync(plain), 'a.js.br': zlib.brotliCompressSync(plain), 'old.js': plain, 'lonely.js': 'x' },
    'precompressed = true',
  );
  writeFileSync(join(root, 'old.js.gz'), 'old');
  utimesSync(join(root, 'old.js.gz'), 1000, 1000);
  const br = await with_('/a.js', { 'Accept-Encoding': 'gzip, br' });
  expect(br.headers).toMatchObject({ 'content-encoding': 'br', vary: 'Accept-Encoding', 'content-type': 'text/javascript; charset=utf-8' });
  expect(zlib.brotliDecompressSync(br.body).toString()).toBe(plain);
  const gzip = await with_('/a.js', { 'Accept-Encoding': 'zstd, gzip;q=0.5' });
  expect(zlib.gunzipSync(gzip.body).toString()).toBe(plain);
  const none = await get('/a.js');
  expect([none.text, none.headers['content-encoding'], none.headers.vary]).toEqual([plain, undefined, 'Accept-Encoding']);
  expect(new Set([br.headers.etag, gzip.headers.etag, none.headers.etag]).size).toBe(3);
  expect((await with_('/a.js', { 'Accept-Encoding': 'br', 'If-None-Match': br.headers.etag! })).status).toBe(304);
  expect((await with_('/old.js', { 'Accept-Encoding': 'gzip' })).text).toBe(plain);
  expect((await with_('/lonely.js', { 'Accept-Encoding': 'gzip' })).text).toBe('x');
});

test('an application that routes in the browser gets its page for what is not there, but not for files', async () => {
  const { get } = await serving({ 'app/index.html': 'app', 'a.js': 'x' }, 'spa_fallback = "app/index.html"');
  expect((await get('/users/42')).text).toBe('app');
  expect((await get('/users/42')).headers['content-type']).toBe('text/html; charset=utf-8');
  expect((await get('/a.js')).text).toBe('x');
  expect((await get('/gone.js')).status).toBe(404);
});

test('what is not there may be left to the upstream', async () => {
  const { get } = await serving({ 'a.txt': 'a' }, 'fallthrough = true');
  expect((await get('/a.txt')).text).toBe('a');
  expect((await get('/b.txt')).text).toBe('from upstream');
  expect((await get('/a.txt', { method: 'POST', body: 'x' })).text).toBe('from upstream');
});

test('large files pass whole to slow readers, parts too, and many at a time share their buffers', async () => {
  const large = randomBytes(3_000_001);
  const { get, gateway } = await serving({ 'large.bin': large, empty: '' }, 'chunk_size = 4096');
  const client = await rawClient({ port: gateway.port() });
  client.pause();
  client.send('GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n');
  const others = await Promise.all(
    Array.from({ length: 5 }, (_, i) => get('/large.bin', { headers: { Range: `bytes=${i * 1000}-${2_000_000 + i}` } })),
  );
  others.forEach((answer, i) => {
    expect([answer.status, answer.body.equals(large.subarray(i * 1000, 2_000_001 + i))]).toEqual([206, true]);
  });
  client.resume();
  const answer = await client.answer();
  expect(answer.body.equals(large)).toBe(true);
  expect(answer.framing).toBe('length');
  expect((await get('/empty')).status).toBe(200);
});

test('a file that becomes shorter while it is sent breaks off', async () => {
  const { gateway, root } = await serving({ 'large.bin': Buffer.alloc(20_000_000) });
  const client = await rawClient({ port: gateway.port() });
  client.send('GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.until(() => client.heardBytes > 1000);
  client.pause();
  truncateSync(join(root, 'large.bin'), 1000);
  client.resume();
  await client.ended();
  expect((await client.answer()).complete).toBe(false);
});

test('files are closed when a client leaves, when only HEAD is asked, and when nothing changed', async () => {
  const { gateway, root, get } = await serving({ 'large.bin': Buffer.alloc(20_000_000) });
  const open = () => openFiles(root);
  const client = await rawClient({ port: gateway.port() });
  client.send('GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.until(() => client.heardBytes > 1000);
  client.pause();
  expect(open()).toBe(1);
  client.reset();
  await get('/large.bin', { method: 'HEAD' });
  const { etag } = (await get('/large.bin', { method: 'HEAD' })).headers;
  await get('/large.bin', { headers: { 'If-None-Match': etag! } });
  await get('/large.bin', { headers: { Range: 'bytes=99999999-' } });
  await until('all files to be closed', () => open() === 0);
});

test('settings that cannot work are refused', async () => {
  const origin = await startOrigin();
  const file = (settings: string) => fileWithPlugins(origin.port, `[plugins.files]\ncategory = "directory"\n${settings}\n`);
  await expect(startGatewayOf(made, file('path = "/does/not/exist"'))).rejects.toThrow('has no folder at /does/not/exist');
  await expect(startGatewayOf(made, file(`path = "${folder()}"\nchunk_size = 1`))).rejects.toThrow('use 4096 to 16MiB');
  await expect(startGatewayOf(made, file(`path = "${folder()}"\nheaders = ["no colon"]`))).rejects.toThrow('write NAME: VALUE');
  await expect(startGatewayOf(made, file(''))).rejects.toThrow('path');
});

test('the example of its page runs', async () => {
  const page = readFileSync(new URL('../../docs/plugins/directory.md', import.meta.url), 'utf8');
  const [, example] = /^```toml\n([^]*?)^```$/m.exec(page)!;
  const root = folderWith({ 'index.html': 'home' });
  const gateway = await startGatewayOf(made, example!.replace('/var/www', root).replace('0.0.0.0:8080', '127.0.0.1:0'));
  expect((await ask(gateway.port(), { path: '/deep/link' })).text).toBe('home');
});
