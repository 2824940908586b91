// The load generator for WebSockets: `node websocket-load.mjs PORT CONNECTIONS BYTES SECONDS`. Each connection has one message on its way, and sends the next when
// it is back. Prints a line as wrk.lua does. It speaks frames by hand, so that it costs less than what it measures.
import { connect } from 'node:net';

const [port, connections, bytes, seconds] = process.argv.slice(2).map(Number);
const mask = [0x12, 0x34, 0x56, 0x78];
const payload = Buffer.alloc(bytes, 'm');
const frame = Buffer.concat([Buffer.from([0x81, 0x80 | bytes, ...mask]), Buffer.from(payload.map((byte, i) => byte ^ mask[i & 3]))]);
const replyBytes = 2 + bytes;
const tally = { requests: 0, bytes: 0, connect: 0, read: 0, write: 0, status: 0, timeout: 0 };
/** @type {number[]} */
const latenciesUs = [];
let counting = false;
let open = 0;

for (let i = 0; i < connections; i++) begin();
// Everybody is there before anybody is counted.
const waiting = setInterval(() => {
  if (open < connections) return;
  clearInterval(waiting);
  counting = true;
  const start = performance.now();
  setTimeout(() => {
    latenciesUs.sort((a, b) => a - b);
    const at = (/** @type {number} */ share) => Math.round(latenciesUs[Math.floor((latenciesUs.length - 1) * share)] ?? 0);
    console.log(
      `BENCH ${JSON.stringify({ ...tally, us: Math.round((performance.now() - start) * 1000), p50Us: at(0.5), p99Us: at(0.99), maxUs: at(1) })}`,
    );
    process.exit(0);
  }, seconds * 1000);
}, 10);
setTimeout(() => process.exit(3), (seconds + 15) * 1000).unref();

function begin() {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let isUp = false;
  let head = '';
  let came = 0;
  let from = 0;
  const send = () => {
    from = performance.now();
    socket.write(frame);
  };
  socket.on('connect', () =>
    socket.write(
      `GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
    ),
  );
  socket.on('data', (chunk) => {
    if (!isUp) {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      if (!head.startsWith('HTTP/1.1 101 ')) tally.status++;
      isUp = true;
      open++;
      send();
      return;
    }
    came += chunk.length;
    if (came < replyBytes) return;
    if (came > replyBytes || chunk[chunk.length - 1] !== payload[bytes - 1]) tally.read++;
    came = 0;
    if (counting) {
      tally.requests++;
      tally.bytes += bytes;
      latenciesUs.push((performance.now() - from) * 1000);
    }
    send();
  });
  socket.on('error', () => tally.connect++);
  socket.on('close', () => tally.read++);
}
