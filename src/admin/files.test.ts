import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ask } from '../../test/kit/ask.ts';
import { Registry } from '../observe/metrics.ts';
import { createLoop } from '../std/loop.ts';
import type { ConsoleHere } from './basics.ts';
import { Files } from './files.ts';
import { listenForOperators } from './listen.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'windlass-ui-'));
  ends.push(() => rmSync(made, { recursive: true }));
  return made;
}

async function serve(path: string): Promise<number> {
  const files = new Files(path);
  const console: ConsoleHere = { isOn: () => true, open: (head, reply) => files.open(head, head.path, reply) };
  const [loop, at, nothing] = [createLoop(), { host: '127.0.0.1', port: 0 }, undefined];
  const listener = await listenForOperators(loop, at, new Registry(), () => ({ ok: true, detail: {} }), nothing, nothing, nothing, console);
  ends.push(() => listener.close());
  return listener.address.port;
}

/** The status of a request whose target is sent as it stands here. */
function raw(port: number, target: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.end(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`));
    let text = '';
    socket
      .setEncoding('latin1')
      .on('data', (piece) => (text += piece))
      .on('error', reject)
      .on('close', () => resolve(text));
  });
}

function page(): string {
  const root = folder();
  const ui = join(root, 'ui');
  mkdirSync(join(ui, 'assets'), { recursive: true });
  writeFileSync(join(root, 'secret.txt'), 'canary');
  writeFileSync(join(ui, 'index.html'), '<!doctype html>');
  writeFileSync(join(ui, 'assets', 'app-DEADBEEF.js'), 'plain');
  writeFileSync(join(ui, 'assets', 'app-DEADBEEF.js.br'), 'as br');
  writeFileSync(join(ui, 'assets', 'app-DEADBEEF.js.gz'), 'as gz');
  writeFileSync(join(ui, 'assets', 'lonely.js.br'), 'canary');
  symlinkSync(join(root, 'secret.txt'), join(ui, 'link.txt'));
  symlinkSync(root, join(ui, 'up'));
  return ui;
}

test('only files of the folder are shown: no path leads out of it, no link is followed [threat 71]', async () => {
  const port = await serve(page());
  for (const target of [
    '/../secret.txt',
    '/assets/../../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/..%5csecret.txt',
    '/.%2e/secret.txt',
    '//secret.txt',
    '/assets/%2e%2e%2f%2e%2e%2fsecret.txt',
    '/link.txt',
    '/up/secret.txt',
    '/assets',
    '/assets/',
    '/assets/lonely.js',
    '/assets/lonely.js.br',
    '/index.html%00.js',
    '/constructor',
  ]) {
    const answer = await raw(port, target);
    expect(answer, target).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(answer, target).not.toContain('canary');
  }
});

test('pages are guarded against being framed, guessed at, cached, or running what is not ours [threat 69] [threat 68]', async () => {
  const port = await serve(page());
  for (const path of ['/', '/index.html', '/nothing', '/healthz']) {
    const { headers } = await ask(port, { path });
    expect([path, headers['x-frame-options'], headers['x-content-type-options'], headers['cache-control'], headers['referrer-policy']]).toEqual([
      path,
      'DENY',
      'nosniff',
      'no-store',
      'no-referrer',
    ]);
    const policy = headers['content-security-policy'] as string;
    for (const rule of [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'none'",
    ])
      expect(policy).toContain(rule);
    expect(policy).not.toContain('unsafe');
  }
});

test('a file goes out compressed to who takes that, as it is to others, and those with a digest in their names may be kept', async () => {
  const port = await serve(page());
  const path = '/assets/app-DEADBEEF.js';
  const as = async (accepted: string | null): Promise<string> => {
    const { headers, text, status } = await ask(port, { path, ...(accepted === null ? {} : { headers: { 'Accept-Encoding': accepted } }) });
    expect([status, headers['cache-control'], headers['content-type'], headers['vary']]).toEqual([
      200,
      'public, max-age=31536000, immutable',
      'text/javascript; charset=utf-8',
      'Accept-Encoding',
    ]);
    return `${headers['content-encoding'] ?? '-'} ${text}`;
  };
  expect(await as('gzip, deflate, br')).toBe('br as br');
  expect(await as('gzip')).toBe('gzip as gz');
  expect(await as('br;q=0, gzip;q=0.5')).toBe('gzip as gz');
  expect(await as('identity')).toBe('- plain');
  expect(await as(null)).toBe('- plain');
  const head = await ask(port, { method: 'HEAD', path });
  expect([head.status, head.headers['content-length'], head.text]).toEqual([200, '5', '']);
  const post = await ask(port, { method: 'POST', path });
  expect([post.status, post.headers.allow]).toEqual([405, 'GET, HEAD']);
});

test('without its pages the console says what there is, and shows them as soon as they are built', async () => {
  const ui = join(folder(), 'ui');
  const port = await serve(ui);
  const missing = await ask(port, { path: '/' });
  expect([missing.status, missing.text.includes('api/v1/openapi.json')]).toEqual([200, true]);
  mkdirSync(ui);
  writeFileSync(join(ui, 'index.html'), 'the pages');
  expect((await ask(port, { path: '/' })).text).toBe('the pages');
});
