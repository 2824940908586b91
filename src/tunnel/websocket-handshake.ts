import { hash, randomBytes } from 'node:crypto';
import type { RequestHead } from '../http/head.ts';
import { SEC_WEBSOCKET_KEY } from '../http/names.ts';

/** RFC 6455 4.2.2 */
const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Why a WebSocket cannot be granted to this request; '' when it can. */
export function handshakeProblem(head: RequestHead): string {
  if (head.get('sec-websocket-version') !== '13') return 'the version of WebSocket spoken here is 13';
  return /^[A-Za-z\d+/]{22}==$/.test(head.value(SEC_WEBSOCKET_KEY)) ? '' : 'the WebSocket key is not 16 bytes in base64';
}

/** A new key for a request. */
export function newKey(): string {
  return randomBytes(16).toString('base64');
}

/** What proves that a 101 is the answer to this key. */
export function acceptOf(key: string): string {
  return hash('sha1', key + MAGIC, 'base64');
}
