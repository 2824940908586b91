// HOT: every byte that arrives through a tunnel passes here.
import { Buffer } from 'node:buffer';
import { DATA, frameName, HEADER_BYTES, readU24, readU32 } from './frames.ts';

/** Who gets what was read. None of these calls may throw. */
export interface FrameUser {
  /** A whole frame that is not DATA; its payload is bytes[start..end), borrowed until the call returns. */
  frame(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): void;
  /** A piece of DATA, borrowed likewise; `left` bytes of its frame have not arrived yet, `first` says that the frame begins here. */
  data(flags: number, stream: number, bytes: Buffer, start: number, end: number, left: number, first: boolean): void;
  /** The bytes are no frames. */
  broken(reason: string): void;
}

/** Per type, bounds of the payload. */
export interface FrameBounds {
  readonly min: Uint32Array;
  readonly max: Int32Array;
}

/**
 * Cuts a byte stream into frames without copying: DATA is passed on piece by piece as it arrives, other frames are gathered only when
 * they straddle two reads, after their length was checked.
 */
export class FrameReader {
  readonly #user: FrameUser;
  readonly #bounds: FrameBounds;
  /** A header that has not arrived as a whole. */
  #header: Buffer | null = null;
  #headerHave = 0;
  /** A frame that has not arrived as a whole. */
  #gather: Buffer | null = null;
  #gathered = 0;
  /** What is left of the DATA frame being passed on. */
  #dataLeft = 0;
  #dataFlags = 0;
  #dataStream = 0;
  #stopped = false;

  constructor(user: FrameUser, bounds: FrameBounds) {
    this.#user = user;
    this.#bounds = bounds;
  }

  /** Reads nothing more. */
  stop(): void {
    this.#stopped = true;
    this.#gather = this.#header = null;
    this.#headerHave = 0;
  }

  /** Bytes held of a frame that is not complete. */
  get bufferedBytes(): number {
    return this.#gather === null ? this.#headerHave : this.#gather.length;
  }

  read(bytes: Buffer, start: number, end: number): void {
    const user = this.#user;
    let at = start;
    if (this.#gather !== null || this.#headerHave !== 0) at = this.#resume(bytes, at, end);
    while (at < end && !this.#stopped) {
      if (this.#dataLeft !== 0) {
        const n = Math.min(this.#dataLeft, end - at);
        const from = at;
        at += n;
        this.#dataLeft -= n;
        user.data(this.#dataFlags, this.#dataStream, bytes, from, at, this.#dataLeft, false);
        continue;
      }
      const available = end - at;
      if (available < HEADER_BYTES) {
        const header = (this.#header ??= Buffer.allocUnsafeSlow(HEADER_BYTES));
        for (let i = 0; i < available; i++) header[i] = bytes[at + i]!;
        this.#headerHave = available;
        return;
      }
      const length = readU24(bytes, at);
      const type = bytes[at + 3]!;
      if (!this.#fits(type, length)) return;
      const flags = bytes[at + 4]!;
      const stream = readU32(bytes, at + 5);
      const payload = at + HEADER_BYTES;
      if (type === DATA) {
        const n = Math.min(length, available - HEADER_BYTES);
        at = payload + n;
        this.#dataLeft = length - n;
        this.#dataFlags = flags;
        this.#dataStream = stream;
        user.data(flags, stream, bytes, payload, at, length - n, true);
      } else if (available < HEADER_BYTES + length) {
        this.#begin(HEADER_BYTES + length, bytes, at, end);
        return;
      } else {
        at = payload + length;
        user.frame(type, flags, stream, bytes, payload, at);
      }
    }
  }

  #fits(type: number, length: number): boolean {
    const { min, max } = this.#bounds;
    if (length <= max[type]! && length >= min[type]!) return true;
    this.stop();
    this.#user.broken(max[type]! < 0 ? `unknown frame ${frameName(type)}` : `a ${frameName(type)} frame of ${length} bytes`);
    return false;
  }

  #begin(bytes: number, from: Buffer, start: number, end: number): void {
    const gather = Buffer.allocUnsafeSlow(bytes);
    from.copy(gather, 0, start, end);
    this.#gather = gather;
    this.#gathered = end - start;
  }

  /** Goes on with a header or frame of which a part has arrived. @returns the offset of the next byte to read */
  #resume(bytes: Buffer, start: number, end: number): number {
    let at = start;
    if (this.#gather === null) {
      const header = this.#header!;
      while (this.#headerHave < HEADER_BYTES && at < end) header[this.#headerHave++] = bytes[at++]!;
      if (this.#headerHave < HEADER_BYTES) return at;
      this.#headerHave = 0;
      const length = readU24(header, 0);
      const type = header[3]!;
      if (!this.#fits(type, length)) return end;
      if (type === DATA) {
        this.#dataFlags = header[4]!;
        this.#dataStream = readU32(header, 5);
        const n = Math.min(length, end - at);
        this.#dataLeft = length - n;
        this.#user.data(this.#dataFlags, this.#dataStream, bytes, at, at + n, this.#dataLeft, true);
        return at + n;
      }
      this.#begin(HEADER_BYTES + length, header, 0, HEADER_BYTES);
    }
    const gather = this.#gather!;
    const n = Math.min(gather.length - this.#gathered, end - at);
    bytes.copy(gather, this.#gathered, at, at + n);
    this.#gathered += n;
    at += n;
    if (this.#gathered === gather.length) {
      this.#gather = null;
      this.#user.frame(gather[3]!, gather[4]!, readU32(gather, 5), gather, HEADER_BYTES, gather.length);
    }
    return at;
  }
}
