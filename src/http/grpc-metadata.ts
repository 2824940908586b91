// HOT: runs per request of servers that ask for it.
import type { Buffer } from 'node:buffer';
import { isGrpc } from '../http/grpc.ts';
import { REMOVED, type RequestHead, STRIDE } from '../http/head.ts';
import { idOfName } from '../http/names.ts';

/**
 * A guard that lets everything in: metadata of gRPC calls whose names have an underscore (`user_token`) goes on, which the parser has taken out (threat
 * row 23). What a program could take for a field that we have an opinion on stays out, whoever sends it.
 */
export function keepMetadata(head: RequestHead): null {
  // HTTP/1.1 has Connection, by which a client takes out fields of its own; there nothing is brought back.
  if (!head.peer.http2 || !isGrpc(head)) return null;
  const { fields, bytes } = head;
  for (let f = 0, last = head.count * STRIDE; f < last; f += STRIDE) {
    if (fields[f + 4] === REMOVED && isMetadata(bytes, fields[f]!, fields[f + 1]!)) fields[f + 4] = 0;
  }
  return null;
}

function isMetadata(bytes: Buffer, from: number, to: number): boolean {
  const name = bytes.latin1Slice(from, to).toLowerCase();
  if (!name.includes('_')) return false;
  const dashed = name.replaceAll('_', '-');
  return idOfName(dashed) === 0 && !FAMILIES.test(dashed);
}

/** Beginnings of names that say who the client is, or are ours: also those that nobody has thought of yet. */
const FAMILIES =
  /^(?:http-)?(?:x-forwarded|x-real|x-client|x-original|x-ssl|ssl|client-cert|x-amzn-mtls|x-arr|x-envoy|proxy|slime|windlass|grpc|content|transfer)(?:-|$)/;
