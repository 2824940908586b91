// HOT: every frame of protocol 3.0 is written and read here.
import { Buffer } from 'node:buffer';

/** Frame types. Others are ignored. */
export const DATA = 0x00;
export const HEADER = 0x01;
export const RST_STREAM = 0x03;
export const WINDOW_UPDATE = 0x08;

/** Flags of DATA and HEADER. */
export const END_STREAM = 0x01;
/** Flag of HEADER: the head is complete. END_STREAM on a HEADER frame without it means nothing. */
export const END_HEADERS = 0x04;

/** Bytes in front of a payload: type, flags, request id. */
export const FRAME_HEAD = 6;
/** Largest request id and window increment: both are signed 32 bit. */
export const MAX_ID = 0x7fff_ffff;

/** One frame as it was read: `payload` is bytes[start..end) of the message. Scratch: filled again by the next one. */
export class FrameView {
  type = 0;
  flags = 0;
  /** Signed, as on the wire: real ones are positive. */
  id = 0;
  start = 0;
  end = 0;
}

/** Reads the frame that the WebSocket message bytes[start..end) is. @returns false when it is too short to be one */
export function readFrame(frame: FrameView, bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < FRAME_HEAD) return false;
  frame.type = bytes[start]!;
  frame.flags = bytes[start + 1]!;
  frame.id = readI32(bytes, start + 2);
  frame.start = start + FRAME_HEAD;
  frame.end = end;
  return true;
}

/** Writes a frame's first 6 bytes. @returns the offset behind them */
export function writeFrameHead(out: Uint8Array, at: number, type: number, flags: number, id: number): number {
  out[at] = type;
  out[at + 1] = flags;
  return writeI32(out, at + 2, id);
}

/** Bytes of a WINDOW_UPDATE frame. */
export const WINDOW_UPDATE_BYTES: number = FRAME_HEAD + 4;

/** Writes a whole WINDOW_UPDATE frame. @returns the offset behind it */
export function writeWindowUpdate(out: Uint8Array, at: number, id: number, increment: number): number {
  return writeI32(out, writeFrameHead(out, at, WINDOW_UPDATE, 0, id), increment);
}

/** The increment of a WINDOW_UPDATE frame: 0 is legal. @returns -1 when it has none, or a negative one */
export function readIncrement({ start, end }: FrameView, bytes: Uint8Array): number {
  if (end - start < 4) return -1;
  const increment = readI32(bytes, start);
  return increment < 0 ? -1 : increment;
}

/** Longest text that is sent along with a reset, bytes. */
const RESET_TEXT_BYTES = 300;

/** Bytes that writeReset() needs at most. */
export const RESET_ROOM: number = FRAME_HEAD + 4 + RESET_TEXT_BYTES;

/** Writes a whole RST_STREAM frame. `text` is cut to 100 characters. @returns the offset behind it */
export function writeReset(out: Buffer, at: number, id: number, code: number, text: string): number {
  const textAt = writeI32(out, writeFrameHead(out, at, RST_STREAM, 0, id), code);
  return textAt + out.write(text.slice(0, RESET_TEXT_BYTES / 3), textAt, 'utf8');
}

/** The error code of an RST_STREAM frame; -1 when it has no payload, which is legal. */
export function readResetCode({ start, end }: FrameView, bytes: Uint8Array): number {
  return end - start < 4 ? -1 : readI32(bytes, start);
}

/** What an RST_STREAM frame says beside its code; '' when nothing. Not to be trusted. */
export function readResetText({ start, end }: FrameView, bytes: Buffer): string {
  return end - start <= 4 ? '' : bytes.toString('utf8', start + 4, end);
}

/**
 * Where the piece of a head's text that begins at `from` ends: at most `most` bytes on, and never within a UTF-8 character.
 * A head shorter than `most` bytes is one piece.
 */
export function headerPieceEnd(text: Uint8Array, from: number, end: number, most: number): number {
  if (end - from <= most) return end;
  let at = from + most;
  while (at > from + 1 && (text[at]! & 0xc0) === 0x80) at--;
  return at;
}

/** The flags of the HEADER frame with one piece of a head: END_STREAM never stands on a part of a head, since mu would end the answer there. */
export function headerFlags(isLast: boolean, hasBody: boolean): number {
  return isLast ? (hasBody ? END_HEADERS : END_HEADERS | END_STREAM) : 0;
}

/** Gathers the pieces of a head that comes in several HEADER frames. */
export class HeadPieces {
  #pieces: Buffer[] = [];
  bytes = 0;

  get isEmpty(): boolean {
    return this.#pieces.length === 0;
  }

  /** Takes a piece and copies it. @returns false when the head is longer than `most` bytes: then it is not kept */
  add(piece: Buffer, most: number): boolean {
    this.bytes += piece.length;
    if (this.bytes > most || this.#pieces.length >= PIECES) return false;
    this.#pieces.push(Buffer.from(piece));
    return true;
  }

  /** The whole of it, and the end of the gathering. */
  take(): Buffer {
    const whole = Buffer.concat(this.#pieces, this.bytes);
    this.#pieces = [];
    this.bytes = 0;
    return whole;
  }
}

/** Pieces of one head: at 16,000 characters each there are never more than five, and thousands of empty ones are an attack. */
const PIECES = 64;

export function readI32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function writeI32(out: Uint8Array, at: number, value: number): number {
  out[at] = value >> 24;
  out[at + 1] = value >> 16;
  out[at + 2] = value >> 8;
  out[at + 3] = value;
  return at + 4;
}
