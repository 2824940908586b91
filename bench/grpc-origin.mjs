// A gRPC service for the bench: reads a call to its end, then answers one message of 100 bytes, with its status in trailers.
import { Buffer } from 'node:buffer';
import { createServer } from 'node:http2';

const message = Buffer.alloc(105);
message.writeUInt32BE(100, 1);
message.fill('a', 5);
const head = { ':status': 200, 'content-type': 'application/grpc' };
const whole = { ':status': 200, 'content-type': 'text/plain', 'content-length': 0 };
const status = { 'grpc-status': '0' };

const server = createServer({ settings: { maxConcurrentStreams: 1024 } });
server.on('session', (session) => session.on('error', () => {}));
server.on('sessionError', () => {});
server.on('stream', (stream, fields) => {
  stream.on('error', () => {});
  if (fields[':method'] === 'GET') {
    stream.respond(whole, { endStream: true });
    return;
  }
  stream.on('end', () => {
    // Calls that end with their load generator.
    if (stream.closed || stream.destroyed) return;
    stream.respond(head, { waitForTrailers: true });
    stream.on('wantTrailers', () => {
      if (!stream.closed && !stream.destroyed) stream.sendTrailers(status);
    });
    stream.end(message);
  });
  stream.resume();
});
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
