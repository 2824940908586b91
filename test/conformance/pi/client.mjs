// A client of the PI text-to-speech system, as client.py is: client.mjs ADDRESS. Orders come as lines of JSON, and so does what becomes of them.
import { Buffer } from 'node:buffer';
import readline from 'node:readline';
import grpc from '@grpc/grpc-js';
import { TTSService } from './messages.mjs';

const Client = grpc.makeGenericClientConstructor(TTSService, 'TTSService');
const client = new Client(process.argv[2], grpc.credentials.createInsecure());
const streams = new Map();

function say(line) {
  console.log(JSON.stringify(line));
}

function metadataOf({ metadata = {} }) {
  const found = new grpc.Metadata();
  for (const [name, value] of Object.entries(metadata)) found.set(name, name.endsWith('-bin') ? Buffer.from(value, 'base64') : value);
  return found;
}

function tableOf(metadata) {
  return Object.fromEntries(
    Object.entries(metadata?.getMap() ?? {}).map(([name, value]) => [name, Buffer.isBuffer(value) ? value.toString('base64') : value]),
  );
}

function deadline({ timeout = 15 }) {
  return { deadline: Date.now() + timeout * 1000 };
}

/** Tells of a call when it is over. */
function tellEnd(order, call, reply = () => null) {
  let initial;
  call.on('metadata', (metadata) => (initial = metadata));
  call.on('status', ({ code, details, metadata }) =>
    // The reply comes in the same turn.
    setImmediate(() =>
      say({
        id: order.id,
        code,
        details: code === grpc.status.OK ? '' : details,
        reply: reply(),
        initial: tableOf(initial),
        trailers: tableOf(metadata),
      }),
    ),
  );
}

function unary(order) {
  const request = { ...order.request };
  if (request.sample !== undefined) request.sample = Buffer.from(request.sample, 'base64');
  let reply = null;
  const call = client[order.method](request, metadataOf(order), deadline(order), (error, value) => {
    if (error === null) reply = { success: value.success === 1, message: value.message };
  });
  tellEnd(order, call, () => reply);
}

function open(order) {
  const call = client.SynthesizeStream(metadataOf(order), deadline(order));
  streams.set(order.id, call);
  call.on('data', ({ audio_chunk, chunk_index }) => say({ id: order.id, audio: audio_chunk.toString('base64'), index: chunk_index }));
  call.on('error', () => {});
  tellEnd(order, call);
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line);
  if (order.do === 'unary') unary(order);
  else if (order.do === 'open') open(order);
  else if (order.do === 'send') streams.get(order.id).write({ text: order.text });
  else streams.get(order.id).end();
});
process.stdin.on('end', () => process.exit(0));
