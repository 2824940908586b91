// A Cranker connector that costs next to nothing: `node cranker-connector.mjs PORT 3.0|1.0 SOCKETS`. It registers for every route and answers each request with 1 KiB out of memory.
// Prints what it did so far, a few times a second: "dialled N served N".
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';

const [port, version, sockets] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];

const [TEXT, BINARY, CLOSE, PING, PONG] = [1, 2, 8, 9, 10];
const [DATA, HEADER, WINDOW_UPDATE] = [0, 1, 8];
const [END_STREAM, END_HEADERS] = [1, 4];
const reconnectMs = 100;
const tellMs = 100;

const body = Buffer.alloc(1024);
// As many fields as nginx sends to the native agent beside it.
const head = Buffer.from(
  [
    'HTTP/1.1 200 OK',
    'server:bench',
    'date:Thu, 01 Jan 2026 00:00:00 GMT',
    'content-type:application/octet-stream',
    `content-length:${body.length}`,
    'last-modified:Thu, 01 Jan 2026 00:00:00 GMT',
    'etag:"69bcd180-400"',
    'accept-ranges:bytes',
    '',
  ].join('\n'),
);
/** Not zero: receivers leave out the work of unmasking then. */
const mask = Buffer.from([0x35, 0xa1, 0x7c, 0xe2]);

let dialled = 0;
let served = 0;

for (let i = 0; i < sockets; i++) dial();
setInterval(() => console.log(`dialled ${dialled} served ${served}`), tellMs);

/** A message with its frame, masked. @param {number} opcode @param {Buffer} payload */
function message(opcode, payload) {
  const at = payload.length < 126 ? 6 : 8;
  const out = Buffer.alloc(at + payload.length);
  out[0] = 0x80 | opcode;
  if (at === 6) out[1] = 0x80 | payload.length;
  else {
    out[1] = 0x80 | 126;
    out.writeUInt16BE(payload.length, 2);
  }
  mask.copy(out, at - 4);
  for (let i = 0; i < payload.length; i++) out[at + i] = payload[i] ^ mask[i & 3];
  return out;
}

/** @param {number} type @param {number} flags @param {Buffer} payload */
function frame(type, flags, payload) {
  return message(BINARY, Buffer.concat([Buffer.from([type, flags, 0, 0, 0, 0]), payload]));
}

/** What a request is answered with; ids and the acknowledged bytes are filled in. */
const parts = [
  frame(WINDOW_UPDATE, 0, Buffer.alloc(4)),
  frame(HEADER, END_HEADERS, head),
  frame(DATA, 0, body),
  frame(DATA, END_STREAM, Buffer.alloc(0)),
];
const answer3 = Buffer.concat(parts);
const idPlaces = parts.map((part, i) => parts.slice(0, i).reduce((sum, { length }) => sum + length, 0) + ((part[1] & 0x7f) === 126 ? 8 : 6) + 2);
const answer1 = Buffer.concat([message(TEXT, head), message(BINARY, body), message(CLOSE, Buffer.from([0x03, 0xe8]))]);

/** A 32-bit number within a masked frame. `place`: its offset in the payload. @param {Buffer} out @param {number} at @param {number} place @param {number} value */
function masked32(out, at, place, value) {
  for (let i = 0; i < 4; i++) out[at + i] = ((value >> (24 - 8 * i)) & 0xff) ^ mask[(place + i) & 3];
}

/** @param {number} id @param {number} headBytes */
function answerOf(id, headBytes) {
  const out = Buffer.from(answer3);
  for (const at of idPlaces) masked32(out, at, 2, id);
  masked32(out, idPlaces[0] + 4, 6, headBytes);
  return out;
}

function dial() {
  dialled++;
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  let isOpen = false;
  let isUsed = false;
  let headBytes = 0;
  let rest = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('close', () => {
    if (!isUsed) setTimeout(dial, reconnectMs);
  });
  socket.write(
    [
      'GET /register/?connectorInstanceID=bench&componentName=bench HTTP/1.1',
      'Host: router',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      'CrankerProtocol: 1.0',
      ...(version === '3.0' ? ['Sec-WebSocket-Protocol: cranker_3.0, cranker_1.0'] : []),
      'Route: *',
      '',
      '',
    ].join('\r\n'),
  );
  socket.on('data', (/** @type {Buffer} */ data) => {
    let bytes = rest.length === 0 ? data : Buffer.concat([rest, data]);
    if (!isOpen) {
      const end = bytes.indexOf('\r\n\r\n');
      if (end >= 0 && !bytes.toString('latin1', 0, 12).endsWith(' 101')) throw new Error(`the router answered: ${bytes.toString('latin1', 0, end)}`);
      isOpen = end >= 0;
      bytes = isOpen ? bytes.subarray(end + 4) : bytes;
    }
    /** @type {Buffer[]} */
    const out = [];
    for (;;) {
      if (!isOpen || bytes.length < 2) break;
      const short = bytes[1];
      const at = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (bytes.length < at) break;
      const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
      if (bytes.length < at + length) break;
      heard(bytes[0] & 15, bytes.subarray(at, at + length), out);
      bytes = bytes.subarray(at + length);
    }
    rest = bytes;
    // One write for all that came at once: what a busy connector's system does anyway.
    if (out.length === 1) socket.write(out[0]);
    else if (out.length > 1) socket.write(Buffer.concat(out));
  });

  /** @param {number} opcode @param {Buffer} payload @param {Buffer[]} out */
  function heard(opcode, payload, out) {
    if (opcode === PING) out.push(message(PONG, payload));
    else if (opcode === TEXT) {
      // 1.0, and requests without a body: the socket is used up, and the next one is on its way before the answer is.
      served++;
      isUsed = true;
      dial();
      out.push(answer1);
    } else if (opcode === BINARY && payload[0] === HEADER) {
      headBytes += payload.length - 6;
      if ((payload[1] & END_HEADERS) === 0) return;
      served++;
      out.push(answerOf(payload.readInt32BE(2), headBytes));
      headBytes = 0;
    }
  }
}
