/** One event of a stream (text/event-stream). */
export interface StreamEvent {
  /** `message` where the stream names none. */
  readonly event: string;
  /** Its data as JSON says it; the text itself where it is no JSON. */
  readonly data: unknown;
}

/** Takes events out of the pieces of a stream, as the HTML standard has it (section 9.2.6), but for ids and retry times. @throws Error for an event that is too long */
export class EventStreamReader {
  readonly #maxChars: number;
  /** Of a line that is not complete. */
  #rest = '';
  /** The last piece ended with CR: a LF after it belongs to it. */
  #afterCr = false;
  #event = '';
  #data: string[] = [];
  #chars = 0;

  constructor(maxChars: number) {
    this.#maxChars = maxChars;
  }

  /** Events that are complete with this piece. */
  read(piece: string): readonly StreamEvent[] {
    const events: StreamEvent[] = [];
    let from = this.#afterCr && piece.startsWith('\n') ? 1 : 0;
    if (piece !== '') this.#afterCr = piece.endsWith('\r');
    for (const { index, 0: end } of piece.matchAll(/\r\n|\r|\n/g)) {
      if (index < from) continue;
      const event = this.#line(this.#rest + piece.slice(from, index));
      this.#rest = '';
      from = index + end.length;
      if (event !== null) events.push(event);
    }
    this.#rest += piece.slice(from);
    if (this.#chars + this.#rest.length > this.#maxChars) throw new Error('an event of the stream is too long');
    return events;
  }

  #line(line: string): StreamEvent | null {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.#event = value;
    else if (field === 'data') {
      this.#data.push(value);
      this.#chars += value.length;
    }
    return null;
  }

  #dispatch(): StreamEvent | null {
    const event = this.#event === '' ? 'message' : this.#event;
    const text = this.#data.join('\n');
    const isNone = this.#data.length === 0;
    this.#event = '';
    this.#data = [];
    this.#chars = 0;
    return isNone ? null : { event, data: parsed(text) };
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
