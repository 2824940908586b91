// HOT: needsOf() runs per request of a hub where some agents come by a wire that lacks something.
import { isGrpc } from '../http/grpc.ts';
import type { RequestHead } from '../http/head.ts';
import type { WireAbilities } from '../tunnel/session.ts';

/** What only some wires carry, as bits. */
const UPGRADE = 1;
const TRAILERS = 2;
/** All of it. */
export const ABLE: number = UPGRADE | TRAILERS;

/** What a wire carries. */
export function canOf({ upgrade, trailers }: WireAbilities): number {
  return (upgrade ? UPGRADE : 0) | (trailers ? TRAILERS : 0);
}

/** What a request cannot do without. Trailers that somebody else than a gRPC client sends or takes are not worth a refusal. */
export function needsOf(head: RequestHead): number {
  return (head.upgrade === '' ? 0 : UPGRADE) | (isGrpc(head) ? TRAILERS : 0);
}
