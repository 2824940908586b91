// A server of the PI text-to-speech system, as server.py is: server.mjs PORT NAME [LOAD].
import { Buffer } from 'node:buffer';
import grpc from '@grpc/grpc-js';
import { TTSService } from './messages.mjs';

const CHUNKS = 3;
/** What metadata must have. */
const TOKEN = 'user_token';
const REPEATS = 400;

const [port, name, load] = process.argv.slice(2);
const users = new Set();

function trailersFor(call) {
  const trailers = new grpc.Metadata();
  trailers.set('server-name', name);
  const [echo] = call.metadata.get('echo-bin');
  if (echo !== undefined) trailers.set('echo-bin', echo);
  if (load !== undefined) trailers.set('endpoint-load-metrics', `TEXT cpu_utilization=${load}`);
  return trailers;
}

/** Whoever calls must say who he is. @returns the trailers, or the error */
function begin(call) {
  const initial = new grpc.Metadata();
  initial.set('server-name', name);
  call.sendMetadata(initial);
  const trailers = trailersFor(call);
  const known = call.metadata.get(TOKEN).length > 0;
  return known ? { trailers } : { trailers, error: { code: grpc.status.INVALID_ARGUMENT, details: `${TOKEN} is missing`, metadata: trailers } };
}

function unary(answer) {
  return (call, callback) => {
    const { trailers, error } = begin(call);
    if (error !== undefined) return callback(error);
    const said = answer(call.request, callback);
    if (said === null) return;
    if (typeof said === 'string') callback(null, { success: 1, message: said }, trailers);
    else callback({ ...said, metadata: trailers });
  };
}

const server = new grpc.Server();
server.addService(TTSService, {
  SynthesizeStream: (call) => {
    const { trailers, error } = begin(call);
    if (error !== undefined) return call.emit('error', error);
    let index = 0;
    call.on('data', ({ text }) => {
      for (let i = 0; i < CHUNKS; i++) call.write({ audio_chunk: Buffer.from(text.repeat(REPEATS)), chunk_index: index++ });
    });
    call.on('end', () => call.end(trailers));
    call.on('error', () => {});
  },
  AddUser: unary(({ user }) => {
    if (users.has(user)) return { code: grpc.status.ALREADY_EXISTS, details: `${user} is there` };
    users.add(user);
    return `added ${user}`;
  }),
  RemoveUser: unary(({ user }) => {
    if (!users.delete(user)) return { code: grpc.status.NOT_FOUND, details: `no user “${user}”, 100 % sure` };
    return `removed ${user}`;
  }),
  AddVoice: unary(({ voice, sample }) => (voice === 'slow' ? null : `${voice} has ${sample.length} bytes`)),
  RemoveVoice: unary(({ voice }) => `removed ${voice}`),
  AssociateUserVoice: unary(({ user, voice }) => `${user} speaks as ${voice}`),
  RemoveUserVoiceAssociation: unary(({ user, voice }) => `${user} speaks no more as ${voice}`),
});

server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error, bound) => {
  if (error !== null) throw error;
  console.log(bound);
});
// Whoever started it holds its standard input: with him it ends.
process.stdin.resume().on('end', () => process.exit(0));
