import { Failure } from './failure.ts';
import type { RequestHead } from './head.ts';

/** 16 bytes in base64. */
const KEY = /^[A-Za-z\d+/]{22}==$/;

/**
 * Why this request for a WebSocket goes nowhere (RFC 6455 4.2.1); null when it may. A version that is not given is the upstream's to judge: it cannot be
 * taken for another one.
 */
export function websocketProblem(head: RequestHead): Failure | null {
  if (head.method !== 'GET') return new Failure('bad_request', 'a WebSocket is asked for by GET');
  if (!KEY.test(head.get('sec-websocket-key') ?? ''))
    return new Failure('bad_request', 'Sec-WebSocket-Key is not once there with 16 bytes in base64');
  const version = head.get('sec-websocket-version');
  if (version !== undefined && version !== '13') return new Failure('websocket_version', 'the version of WebSocket that passes here is 13');
  return null;
}
