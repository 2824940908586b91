// The messages of tts.proto, as far as both sides of a test need them: text and bytes in fields 1 and 2, a number or a truth in the others.
import { Buffer } from 'node:buffer';

function varint(n) {
  const bytes = [];
  for (; n > 127; n = Math.floor(n / 128)) bytes.push((n % 128) | 128);
  bytes.push(n);
  return Buffer.from(bytes);
}

function encode(shape, message) {
  const parts = [];
  shape.forEach(([name, type], i) => {
    const value = message[name];
    if (value === undefined || value === '' || value === 0 || value === false) return;
    if (type === 'int') parts.push(varint(((i + 1) << 3) | 0), varint(Number(value)));
    else parts.push(varint(((i + 1) << 3) | 2), varint(Buffer.byteLength(value)), Buffer.from(value));
  });
  return Buffer.concat(parts);
}

function decode(shape, bytes) {
  const message = Object.fromEntries(shape.map(([name, type]) => [name, type === 'int' ? 0 : type === 'text' ? '' : Buffer.alloc(0)]));
  let at = 0;
  const read = () => {
    for (let value = 0, factor = 1; ; factor *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = read();
    const [name, type] = shape[(tag >> 3) - 1];
    const value = read();
    if (type === 'int') message[name] = value;
    else {
      const part = bytes.subarray(at, (at += value));
      message[name] = type === 'text' ? part.toString() : Buffer.from(part);
    }
  }
  return message;
}

const TEXT = [['text', 'text']];
const AUDIO = [
  ['audio_chunk', 'bytes'],
  ['chunk_index', 'int'],
];
const USER = [['user', 'text']];
const VOICE = [
  ['voice', 'text'],
  ['sample', 'bytes'],
];
const PAIR = [
  ['user', 'text'],
  ['voice', 'text'],
];
const REPLY = [
  ['success', 'int'],
  ['message', 'text'],
];

function method(name, request, response, streams = false) {
  return {
    path: `/tts.TTSService/${name}`,
    originalName: name,
    requestStream: streams,
    responseStream: streams,
    requestSerialize: (message) => encode(request, message),
    requestDeserialize: (bytes) => decode(request, bytes),
    responseSerialize: (message) => encode(response, message),
    responseDeserialize: (bytes) => decode(response, bytes),
  };
}

/** tts.TTSService, as grpc-js wants it. */
export const TTSService = {
  SynthesizeStream: method('SynthesizeStream', TEXT, AUDIO, true),
  AddUser: method('AddUser', USER, REPLY),
  RemoveUser: method('RemoveUser', USER, REPLY),
  AddVoice: method('AddVoice', VOICE, REPLY),
  RemoveVoice: method('RemoveVoice', VOICE, REPLY),
  AssociateUserVoice: method('AssociateUserVoice', PAIR, REPLY),
  RemoveUserVoiceAssociation: method('RemoveUserVoiceAssociation', PAIR, REPLY),
};
