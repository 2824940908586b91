import { Buffer } from 'node:buffer';

/** Codes of WebSocket closes as Cranker uses them (RFC 6455 7.4.1). */
export const CLOSED_WELL = 1000;
export const GOING_AWAY = 1001;
export const PROTOCOL_ERROR = 1002;
/** A close frame without a code; never sent. */
export const NO_CODE = 1005;
/** The connection broke without a close frame; never sent. */
export const BROKEN = 1006;
export const BAD_REQUEST = 1008;
export const MESSAGE_TOO_BIG = 1009;
export const ERRORED = 1011;

/** Code of RST_STREAM for a client that has left, as mu-cranker-router says it. */
export const CLIENT_LEFT = 1;

/** Bytes of the reason in a close frame (RFC 6455 5.5). */
const REASON_BYTES = 123;

/** A text cut to what fits into a close frame, at a character's end. */
export function closeReason(text: string): string {
  const bytes = Buffer.from(text);
  let end = Math.min(bytes.length, REASON_BYTES);
  while (end < bytes.length && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}
