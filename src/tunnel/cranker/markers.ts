// HOT: one call per request of protocol 1.0.

/** What stands behind a request's head in protocol 1.0, and what a TEXT message of its own says when the body has ended. */
export const BODY_FOLLOWS = '_1';
export const NO_BODY_FOLLOWS = '_2';
export const BODY_ENDED = '_3';

export type Marker = typeof BODY_FOLLOWS | typeof NO_BODY_FOLLOWS | typeof BODY_ENDED;

const MARKER_BYTES = 2;

/**
 * The marker that ends the TEXT message bytes[start..end); what stands before it is the head's text, blank line included: bytes[start..end - 2).
 * @returns null when there is none
 */
export function readMarker(bytes: Uint8Array, start: number, end: number): Marker | null {
  if (end - start < MARKER_BYTES || bytes[end - 2] !== UNDERSCORE) return null;
  // A marker stands at the beginning of a line.
  if (end - start > MARKER_BYTES && bytes[end - 3] !== LF) return null;
  const digit = bytes[end - 1];
  return digit === 0x31 ? BODY_FOLLOWS : digit === 0x32 ? NO_BODY_FOLLOWS : digit === 0x33 ? BODY_ENDED : null;
}

const UNDERSCORE = 0x5f;
const LF = 10;
