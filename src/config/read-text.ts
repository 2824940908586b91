import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/**
 * A whole small file as text, `-` being standard input. Throws an Error whose message ends the sentence "PATH …" when it cannot be read or is larger than `maxBytes`.
 * Synchronous: it happens before anything runs.
 */
export function readText(path: string, maxBytes: number): string {
  let fd: number | null = null;
  try {
    fd = path === '-' ? 0 : openSync(path, 'r');
    const stats = fstatSync(fd);
    if (stats.isDirectory()) throw new Error('is a folder');
    // Pipes and Docker's secrets have no size to be believed, so the bound is kept while reading.
    let buffer = Buffer.allocUnsafe(Math.min(Math.max(stats.size, FIRST_BYTES), maxBytes) + 1);
    let length = 0;
    for (;;) {
      const n = readSync(fd, buffer, length, buffer.length - length, null);
      length += n;
      if (length > maxBytes) throw new Error(`is larger than ${maxBytes} bytes`);
      if (n === 0) break;
      if (length === buffer.length) buffer = Buffer.concat([buffer], Math.min(buffer.length * 2, maxBytes + 1));
    }
    // A byte order mark is left out.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length));
    return text;
  } catch (error) {
    throw new Error(reasonOf(error as NodeJS.ErrnoException), { cause: error });
  } finally {
    if (fd !== null && fd !== 0) closeSync(fd);
  }
}

/** Of what says nothing about its size. */
const FIRST_BYTES = 16 * 1024;

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case undefined:
      return error.message;
    case 'ENOENT':
      return 'does not exist';
    case 'EACCES':
    case 'EPERM':
      return 'may not be read by this user';
    case 'ERR_ENCODING_INVALID_ENCODED_DATA':
      return 'is no UTF-8 text';
    default:
      return `cannot be read (${error.code})`;
  }
}
