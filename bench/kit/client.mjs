// Clients of the bench itself: one bounded GET, readers that stall or crawl, connections that idle.
import { request } from 'node:http';
import { connect } from 'node:net';

/** One GET on a connection of its own. @param {number} port @param {string} path @param {{ timeoutMs: number }} options @returns {Promise<{ status: number, body: string }>} */
export function get(port, path, options) {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, agent: false }, (answer) => {
      let body = '';
      answer.setEncoding('latin1');
      answer.on('data', (/** @type {string} */ chunk) => {
        body += chunk;
      });
      answer.on('end', () => {
        clearTimeout(timer);
        resolve({ status: answer.statusCode ?? 0, body });
      });
      answer.on('error', reject);
    });
    const timer = setTimeout(() => outgoing.destroy(new Error(`no answer within ${options.timeoutMs} ms`)), options.timeoutMs);
    outgoing.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    outgoing.end();
  });
}

/** The sum of one metric over its label sets, from a Prometheus page; NaN when it is not there. @param {number} port @param {string} name */
export async function metric(port, name) {
  try {
    const { status, body } = await get(port, '/metrics', { timeoutMs: 3000 });
    if (status !== 200) return NaN;
    let sum = NaN;
    for (const line of body.split('\n')) {
      if (!line.startsWith(name)) continue;
      const rest = line.slice(name.length);
      if (rest[0] !== ' ' && rest[0] !== '{') continue;
      sum =
        (Number.isNaN(sum) ? 0 : sum) +
        Number(
          rest
            .slice(rest.lastIndexOf('}') + 1)
            .trim()
            .split(' ')[0],
        );
    }
    return sum;
  } catch {
    return NaN;
  }
}

/**
 * Sends a GET and reads nothing but the start of the answer; resolves when that came. read() then takes what is wanted.
 * @param {number} port @param {string} path @param {number} timeoutMs
 * @returns {Promise<{ status: number, read: (bytes: number) => number, close: () => void }>}
 */
export function openReader(port, path, timeoutMs) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    const timer = setTimeout(() => socket.destroy(new Error(`${path}: no answer within ${timeoutMs} ms`)), timeoutMs);
    socket.on('error', reject);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\nSlime-Block: 1\r\n\r\n`);
    // A paused stream with a 'readable' listener holds one buffer of its own and leaves the rest to the kernel.
    socket.once('readable', () => {
      clearTimeout(timer);
      const head = /** @type {Buffer | null} */ (socket.read(12) ?? socket.read());
      resolve({
        status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head?.toString('latin1') ?? '')?.[1] ?? 0),
        read: (bytes) => {
          let left = bytes;
          while (left > 0) {
            const size = Math.min(left, socket.readableLength);
            if (size === 0) {
              socket.read(0);
              break;
            }
            left -= /** @type {Buffer} */ (socket.read(size)).length;
          }
          return bytes - left;
        },
        close: () => socket.destroy(),
      });
    });
    socket.on('close', () => reject(new Error('closed before an answer')));
  });
}

/**
 * A keep-alive connection that has had one whole answer and now idles.
 * @param {number} port @param {string} path @param {number} timeoutMs @returns {Promise<{ close: () => void, isOpen: () => boolean }>}
 */
export function openIdle(port, path, timeoutMs) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    const timer = setTimeout(() => socket.destroy(new Error(`idle client: no whole answer within ${timeoutMs} ms`)), timeoutMs);
    let text = '';
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(timer);
      reject(new Error(`idle client: closed before its answer was whole: ${text.slice(0, 200)}`));
    });
    socket.on('data', (/** @type {Buffer} */ chunk) => {
      text += chunk.toString('latin1');
      const headEnd = text.indexOf('\r\n\r\n');
      const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
      if (headEnd < 0 || length === undefined || text.length < headEnd + 4 + Number(length)) return;
      clearTimeout(timer);
      if (!text.startsWith('HTTP/1.1 200')) return void socket.destroy();
      text = '';
      resolve({ close: () => socket.destroy(), isOpen: () => !socket.destroyed });
    });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\nSlime-Block: 1\r\n\r\n`);
  });
}
