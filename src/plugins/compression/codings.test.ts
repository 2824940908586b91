import zlib from 'node:zlib';
import { expect, test } from 'vitest';
import { codingsOf } from './codings.ts';

test('zstd is offered where Node has it, before brotli and gzip, with a window that bounds its memory', () => {
  const made: unknown[] = [];
  const maker = {
    createZstdCompress: (options: unknown) => (made.push(options), zlib.createGzip()),
    createZstdDecompress: (options: unknown) => (made.push(options), zlib.createGunzip()),
    constants: { ZSTD_c_compressionLevel: 100, ZSTD_c_windowLog: 101, ZSTD_d_windowLogMax: 100 },
  };
  const codings = codingsOf(maker as never);
  expect(codings.map(({ name }) => name)).toEqual(['zstd', 'br', 'gzip']);
  codings[0]!.compress(22);
  codings[0]!.decompress();
  expect(made).toEqual([{ params: { 100: 22, 101: 20 } }, { params: { 100: 23 } }]);
  expect(codingsOf({ constants: {} } as never).map(({ name }) => name)).toEqual(['br', 'gzip']);
});

test('every coding that this Node has undoes what it does', async () => {
  for (const coding of codingsOf()) {
    const packed = coding.compress(3);
    const chunks: Buffer[] = [];
    packed.pipe(coding.decompress()).on('data', (chunk: Buffer) => chunks.push(chunk));
    packed.end('there and back again '.repeat(1000));
    await new Promise((resolve) => packed.on('close', () => setImmediate(resolve)));
    while (Buffer.concat(chunks).length < 21_000) await new Promise((resolve) => setImmediate(resolve));
    expect(Buffer.concat(chunks).toString()).toBe('there and back again '.repeat(1000));
  }
});
