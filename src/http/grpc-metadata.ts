// HOT by its first line; the rest runs for heads with underscores in their names only.
import { isGrpc } from './grpc.ts';
import { type Head, REMOVED, STRIDE } from './head.ts';
import { idOfName } from './names.ts';

/**
 * Metadata of gRPC messages whose names have an underscore (`user_token`) goes on, which the parser has taken out (threat row 23): services of gRPC know
 * no other fields than they are sent. What a program could take for a field that we have an opinion on stays out, whoever sends it. For heads that
 * came over HTTP/2 or a tunnel: HTTP/1.1 has Connection, by which a client takes out fields of its own; there nothing is brought back.
 */
export function keepMetadata(head: Head): void {
  if (!head.underscored || !isGrpc(head)) return;
  const { fields, bytes } = head;
  for (let f = 0, last = head.count * STRIDE; f < last; f += STRIDE) {
    if (fields[f + 4] !== REMOVED) continue;
    const name = bytes.latin1Slice(fields[f]!, fields[f + 1]!);
    if (name.includes('_') && isMetadata(name)) fields[f + 4] = 0;
  }
}

/** May a field of this name go on although it has underscores? */
export function isMetadata(name: string): boolean {
  const dashed = name.toLowerCase().replaceAll('_', '-');
  return idOfName(dashed) === 0 && !FAMILIES.test(dashed);
}

/** Beginnings of names that say who the client is, or are ours: also those that nobody has thought of yet. */
const FAMILIES =
  /^(?:http-)?(?:x-forwarded|x-real|x-client|x-original|x-ssl|ssl|client-cert|x-amzn-mtls|x-arr|x-envoy|proxy|slime|windlass|grpc|content|transfer)(?:-|$)/;
