// An agent of slime that costs next to nothing: `node slime-agent.mjs PORT TOKENFILE WORKERS`. Each worker polls, and submits 1 KiB out of memory.
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

const [port, token, workers] = [Number(process.argv[2]), readFileSync(process.argv[3], 'utf8').trim(), Number(process.argv[4])];
const firstId = 100_000;
const retryMs = 100;

const body = Buffer.alloc(1024);
const answer = Buffer.concat([
  Buffer.from(
    [
      'HTTP/1.1 200 OK',
      'Server: bench',
      'Date: Thu, 01 Jan 2026 00:00:00 GMT',
      'Content-Type: application/octet-stream',
      `Content-Length: ${body.length}`,
      'Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT',
      'Etag: "69bcd180-400"',
      'Accept-Ranges: bytes',
      '',
      '',
    ].join('\r\n'),
  ),
  body,
]);
const submitted = Buffer.concat([Buffer.from(`${answer.length.toString(16)}\r\n`), answer, Buffer.from('\r\n0\r\n\r\n')]);

for (let i = 0; i < workers; i++) work(firstId + i);

/** One worker, on a connection that it keeps. @param {number} id */
function work(id) {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  const own = `Host: hub\r\nUser-Agent: Go-http-client/1.1\r\nSlime-Agent-Token: ${token}\r\nSlime-Agent-Id: ${id}\r\n`;
  const poll = `POST /v1/agent/accept HTTP/1.1\r\n${own}Content-Length: 0\r\nAccept-Encoding: gzip\r\n\r\n`;
  let text = '';
  let polls = false;
  socket.on('error', () => {});
  socket.on('close', () => setTimeout(work, retryMs, id));
  socket.write(`POST /v1/agent/join HTTP/1.1\r\n${own}Content-Length: 0\r\nAccept-Encoding: gzip\r\n\r\n`);
  socket.on('data', (/** @type {Buffer} */ data) => {
    text += data.toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = text.slice(0, end + 4).toLowerCase();
    const isChunked = head.includes('transfer-encoding: chunked');
    const length = isChunked ? text.indexOf('\r\n0\r\n\r\n', end) + 7 - end - 4 : Number(/^content-length: *(\d+)/m.exec(head)?.[1] ?? 0);
    if (length < 0 || text.length < end + 4 + length) return;
    text = text.slice(end + 4 + length);
    const connectionId = /^slime-connection-id: *(\d+)/m.exec(head)?.[1];
    // What an application does not want any more is no work; neither is a hub that has none.
    if (polls && connectionId === undefined) {
      polls = false;
      setTimeout(next, retryMs);
    } else next(connectionId);
  });

  /** @param {string} [connectionId] */
  function next(connectionId) {
    polls = !polls;
    if (polls) socket.write(poll);
    else {
      socket.cork();
      socket.write(
        `POST /v1/agent/submit HTTP/1.1\r\n${own}Slime-Connection-Id: ${connectionId}\r\nTransfer-Encoding: chunked\r\nAccept-Encoding: gzip\r\n\r\n`,
      );
      socket.write(submitted);
      socket.uncork();
    }
  }
}
