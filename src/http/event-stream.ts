// HOT: isEventStream() runs per answer.
import type { Head } from './head.ts';
import { STRIDE } from './head.ts';
import { CONTENT_TYPE } from './names.ts';

const TYPE = 'text/event-stream';

/** Is this the head of an event stream, by its content type? Makes no string. */
export function isEventStream(head: Head): boolean {
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
