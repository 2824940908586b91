// HOT: write() runs once per request when the access log is on.
import { Buffer } from 'node:buffer';
import { close, closeSync, constants, fstat, fstatSync, open, openSync, type Stats, statSync, write, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { BUFFERED_LOG_BYTES, CLOSE_TIMEOUT_MS, FLUSH_BYTES, FLUSH_MS } from './limits.ts';

/** Where finished lines go: a target of any kind. */
export interface LineSink {
  /** Lines that were given up. */
  readonly dropped: number;
  /** Takes one line, its newline included. Never waits. */
  write(line: string): void;
  /** Opens its file again, after somebody moved it away. */
  reopen(): void;
  /** Writes what is pending and closes; bounded. */
  close(): Promise<void>;
}

/** Moves a file away before it grows too large or too old. */
export interface Rotation {
  /** Is a new file to be begun before so many bytes are written? */
  due(bytes: number): boolean;
  /** Moves the file away; `done` is called once, never from inside the call. Afterwards the path is opened again. */
  rotate(done: () => void): void;
  /** So many bytes were written. */
  wrote(bytes: number): void;
  /** The path was opened: what there is of the file, and when it was last written to, ms since 1970. */
  opened(bytes: number, mtimeMs: number): void;
}

export interface LinesOptions {
  /** A file's path (appended to), or an open descriptor such as 1 or 2. */
  target: string | number;
  flushBytes?: number;
  flushMs?: number;
  bufferedBytes?: number;
  /** Told of the first of a row of failed writes, and of the first line dropped since the target last took one. */
  trouble?: (error: Error) => void;
  /** For a file that is moved away from time to time. */
  rotation?: Rotation;
}

/**
 * Lines on their way to a file or pipe: gathered, written with one call per 32 KiB or 100 ms, never waited for.
 * A target that is slow, full or gone costs lines (see `dropped`), never time.
 */
export class Lines implements LineSink {
  /** Lines that were given up. */
  dropped = 0;
  readonly #path: string | null;
  readonly #flushBytes: number;
  readonly #flushMs: number;
  readonly #bufferedBytes: number;
  readonly #trouble: (error: Error) => void;
  #fd: number;
  /** For pipes and sockets: a blocked write() in a worker thread would even hold up the exit of the process. */
  #pipe: Socket | null = null;
  #lines: string[] = [];
  #pendingBytes = 0;
  /** Bytes and lines of the write that is under way. */
  #writing: Buffer | null = null;
  #writingAt = 0;
  #writingLines = 0;
  #timer: NodeJS.Timeout | null = null;
  #troubled = false;
  /** A failed write may have left half a line behind. */
  #torn = false;
  /** The path is to be opened again before the next write. */
  #reopening = false;
  readonly #rotation: Rotation | null;
  /** The file is being moved away or opened: nothing is written meanwhile. */
  #moving = false;
  #closed = false;
  #idle: (() => void) | null = null;

  /** @throws the error of opening the file */
  constructor(options: LinesOptions) {
    this.#flushBytes = options.flushBytes ?? FLUSH_BYTES;
    this.#flushMs = options.flushMs ?? FLUSH_MS;
    this.#bufferedBytes = options.bufferedBytes ?? BUFFERED_LOG_BYTES;
    this.#trouble = options.trouble ?? (() => {});
    let rotation: Rotation | null = null;
    if (typeof options.target === 'number') {
      this.#path = null;
      this.#fd = options.target;
      this.#pipe = openPipe(this.#fd, (error) => this.#failed(error));
    } else {
      this.#path = options.target;
      this.#fd = openSync(options.target, flagsFor(options.target), 0o640);
      // Somebody must read it, or it fills up; which is no reason to wait.
      const stat = fstatSync(this.#fd);
      if (stat.isFIFO()) this.#pipe = openPipe(this.#fd, (error) => this.#failed(error));
      if (stat.isFile()) rotation = options.rotation ?? null;
      rotation?.opened(stat.size, stat.mtimeMs);
    }
    this.#rotation = rotation;
  }

  /** Takes one line, its newline included. */
  write(line: string): void {
    if (this.#closed || this.#pendingBytes + line.length > this.#bufferedBytes) {
      this.dropped++;
      if (!this.#troubled) this.#report(new Error('log target does not keep up: lines are dropped'));
      return;
    }
    this.#lines.push(line);
    this.#pendingBytes += line.length;
    if (this.#pendingBytes >= this.#flushBytes) this.flush();
    else if (this.#timer === null) this.#timer = setTimeout(this.#flushLater, this.#flushMs);
  }

  /** Starts to write what is pending, unless a write is under way (then it follows). */
  flush(): void {
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
    if (this.#writing !== null || this.#moving || this.#lines.length === 0) return;
    if (this.#reopening) {
      this.#swap();
      return;
    }
    if (this.#rotation?.due(this.#pendingBytes) === true) {
      this.#moving = true;
      this.#rotation.rotate(this.#moved);
      return;
    }
    const text = this.#torn ? `\n${this.#lines.join('')}` : this.#lines.join('');
    this.#writing = Buffer.from(text, 'utf8');
    this.#writingAt = 0;
    this.#writingLines = this.#lines.length;
    this.#lines = [];
    this.#pendingBytes = 0;
    this.#writeSome();
  }

  /** Opens the path again, after a rotation moved the file away. Does nothing for a descriptor. */
  reopen(): void {
    if (this.#path === null || this.#pipe !== null || this.#closed) return;
    this.#reopening = true;
    if (this.#writing === null && !this.#moving) this.#swap();
  }

  /** Writes what is pending and closes; gives up after a second. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.flush();
    if (this.#busy) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
        this.#idle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    if (this.#path === null || this.#writing !== null) return;
    if (this.#pipe === null) closeSync(this.#fd);
    else if (this.#fd > 2) this.#pipe.destroy();
  }

  /** For the last moment of a process: what is still pending goes out now, or not at all. */
  flushSync(): void {
    const rest = this.#writing === null ? '' : this.#writing.toString('utf8', this.#pipe === null ? this.#writingAt : this.#writing.length);
    const text = rest + this.#lines.join('');
    this.#lines = [];
    this.#pendingBytes = 0;
    try {
      if (text !== '') writeSync(this.#fd, text);
    } catch {
      this.dropped++;
    }
  }

  get #busy(): boolean {
    return this.#writing !== null || this.#moving;
  }

  readonly #flushLater = (): void => {
    this.#timer = null;
    this.flush();
  };

  #writeSome(): void {
    if (this.#pipe !== null) this.#pipe.write(this.#writing!, this.#piped);
    else write(this.#fd, this.#writing!, this.#writingAt, this.#writing!.length - this.#writingAt, null, this.#wrote);
  }

  readonly #piped = (error: Error | null | undefined): void => {
    if (error) this.#failed(error);
    else this.#done();
  };

  readonly #wrote = (error: NodeJS.ErrnoException | null, bytes: number): void => {
    if (error !== null) {
      this.#torn = this.#writingAt > 0;
      this.#failed(error);
      return;
    }
    this.#writingAt += bytes;
    if (this.#writingAt < this.#writing!.length) this.#writeSome();
    else this.#done();
  };

  #failed(error: Error): void {
    if (this.#writing === null) return;
    this.dropped += this.#writingLines;
    this.#report(error);
    this.#next();
  }

  #done(): void {
    this.#rotation?.wrote(this.#writing!.length);
    this.#torn = false;
    this.#troubled = false;
    this.#next();
  }

  #next(): void {
    this.#writing = null;
    this.#writingLines = 0;
    this.#goOn();
  }

  #goOn(): void {
    if (this.#reopening) this.#swap();
    if (this.#pendingBytes >= this.#flushBytes || (this.#closed && this.#lines.length > 0)) this.flush();
    else if (this.#lines.length > 0 && this.#timer === null) this.#timer = setTimeout(this.#flushLater, this.#flushMs);
    if (!this.#busy && this.#idle !== null) this.#idle();
  }

  #report(error: Error): void {
    if (this.#troubled) return;
    this.#troubled = true;
    this.#trouble(error);
  }

  /** The file has been moved away, or could not be. */
  readonly #moved = (): void => {
    this.#moving = false;
    this.#swap();
  };

  /** Opens the path again; what is pending follows. Where that fails, the old file is written on. */
  #swap(): void {
    this.#reopening = false;
    this.#moving = true;
    open(this.#path!, 'a', 0o640, (error, fd) => {
      if (error === null) fstat(fd, (failure, stat) => this.#swapped(failure, fd, stat));
      else this.#swapped(error, -1, null);
    });
  }

  #swapped(error: Error | null, fd: number, stat: Stats | null): void {
    this.#moving = false;
    if (fd >= 0) {
      close(this.#fd, () => {});
      this.#fd = fd;
      this.#torn = false;
    }
    if (error !== null) this.#report(error);
    else this.#rotation?.opened(stat!.size, stat!.mtimeMs);
    this.#goOn();
  }
}

/** To open a pipe for writing alone would wait for its reader. */
function flagsFor(path: string): string | number {
  const isPipe = statSync(path, { throwIfNoEntry: false })?.isFIFO() === true;
  return isPipe ? constants.O_RDWR | constants.O_NONBLOCK : 'a';
}

function openPipe(fd: number, failed: (error: Error) => void): Socket | null {
  const stat = fstatSync(fd);
  if (!stat.isFIFO() && !stat.isSocket()) return null;
  // Standard output has a socket already, and two on one descriptor would not hear of each other's events.
  const own = fd > 2;
  const pipe = own ? new Socket({ fd, readable: false, writable: true }) : ((fd === 1 ? process.stdout : process.stderr) as unknown as Socket);
  // A reader that went away must not take the process with it.
  pipe.on('error', failed);
  if (own) pipe.unref();
  return pipe;
}
