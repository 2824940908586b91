// A generic origin in one process: zeros of any size, a sink for uploads, event streams, an echo for WebSockets. Prints "listening PORT".
// Paths are judged by their last segment, so that any prefix may stand before it: /12 /1k /64k /10m /1g, /events, anything else 12 bytes; every POST is drained and counted.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const eventIntervalMs = 1000;
const ticksPerInterval = 50;
const zeros = Buffer.alloc(64 * 1024);

/** Streams wait in as many buckets as there are ticks in a second, so that 2,000 of them are one timer and are spread evenly. */
const buckets = Array.from({ length: ticksPerInterval }, () => /** @type {Set<import('node:http').ServerResponse>} */ (new Set()));
let nextBucket = 0;
const tickMs = eventIntervalMs / ticksPerInterval;
let ticks = 0;

setInterval(() => {
  // By the clock: a timer that is late on a busy machine must not lose events.
  for (const due = Math.floor(performance.now() / tickMs); ticks < due; ticks++)
    for (const response of buckets[ticks % ticksPerInterval]) response.write(`data: ${process.hrtime.bigint() / 1000n}\n\n`);
}, tickMs);

const server = createServer({ keepAliveTimeout: 600_000, requestTimeout: 0 }, (request, response) => {
  if (request.method === 'POST') return sink(request, response);
  const last = (request.url ?? '/').split('/').at(-1) ?? '';
  if (last === 'events') return events(response);
  const size = /^(\d+)([kmg]?)$/.exec(last);
  sendZeros(
    response,
    size === null ? 12 : Number(size[1]) * { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }[/** @type {'' | 'k' | 'm' | 'g'} */ (size[2])],
  );
});
server.listen(0, '127.0.0.1', 8192, () => {
  console.log(`listening ${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`);
});

server.on('upgrade', (request, socket) => {
  const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  /** @type {Buffer} */
  let rest = Buffer.alloc(0);
  socket.on('data', (/** @type {Buffer} */ chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const echo = Buffer.allocUnsafe(bytes.length);
    let [at, to] = [0, 0];
    // Frames of less than 126 bytes, masked, as the bench sends them.
    while (bytes.length - at >= 6) {
      const length = bytes[at + 1] & 0x7f;
      if (bytes.length - at < 6 + length) break;
      echo[to++] = bytes[at];
      echo[to++] = length;
      for (let i = 0; i < length; i++) echo[to++] = bytes[at + 6 + i] ^ bytes[at + 2 + (i & 3)];
      at += 6 + length;
    }
    rest = bytes.subarray(at);
    if (to > 0) socket.write(echo.subarray(0, to));
  });
  socket.on('end', () => socket.end());
  socket.on('error', () => {});
});

/** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
function sink(request, response) {
  let bytes = 0;
  request.on('data', (/** @type {Buffer} */ chunk) => {
    bytes += chunk.length;
  });
  request.on('end', () => response.end(`${bytes}\n`));
}

/** @param {import('node:http').ServerResponse} response */
function events(response) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  response.flushHeaders();
  const bucket = buckets[(nextBucket = (nextBucket + 1) % ticksPerInterval)];
  bucket.add(response);
  response.on('close', () => bucket.delete(response));
}

/** @param {import('node:http').ServerResponse} response @param {number} length */
function sendZeros(response, length) {
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': length });
  let left = length;
  const more = () => {
    while (left > 0 && !response.destroyed) {
      const chunk = left >= zeros.length ? zeros : zeros.subarray(0, left);
      left -= chunk.length;
      if (left === 0) response.end(chunk);
      else if (!response.write(chunk)) return void response.once('drain', more);
    }
    if (length === 0) response.end();
  };
  more();
}
