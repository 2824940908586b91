// HOT: idleLimitMs() runs per answer.
import type { ClientOptions } from './client-h1.ts';
import { type Head, STRIDE } from './head.ts';
import { STREAM_IDLE_MS } from './limits.ts';
import { CONTENT_TYPE } from './names.ts';

const TYPE = 'text/event-stream';

/** How long the body of this answer may pause, ms; 0 = no limit. */
export function idleLimitMs({ idleTimeoutMs, streamIdleTimeoutMs }: ClientOptions, head: Head): number {
  if (idleTimeoutMs === 0 && streamIdleTimeoutMs === undefined) return 0;
  if (!isEventStream(head)) return idleTimeoutMs;
  return streamIdleTimeoutMs ?? Math.max(idleTimeoutMs, STREAM_IDLE_MS);
}

/** Is this the head of an event stream, by its content type? Makes no string. */
function isEventStream(head: Head): boolean {
  const at = head.first[CONTENT_TYPE]!;
  if (at === 0) return false;
  const f = (at - 1) * STRIDE;
  const from = head.fields[f + 2]!;
  const length = head.fields[f + 3]! - from;
  if (length < TYPE.length) return false;
  const { bytes } = head;
  // The last letters first: most other types differ there.
  for (let i = TYPE.length - 1; i >= 0; i--) {
    const c = bytes[from + i]!;
    if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== TYPE.charCodeAt(i)) return false;
  }
  // `;charset=x`, or the space that may stand before it.
  const behind = bytes[from + TYPE.length];
  return length === TYPE.length || behind === 0x3b || behind === 0x20;
}
