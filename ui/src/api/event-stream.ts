/** Takes pieces of a text/event-stream apart; pieces may end anywhere. */
export class EventStreamParser {
  readonly #heard: (event: string, data: string) => void;
  #rest = '';
  #event = '';
  #data: string[] = [];

  constructor(heard: (event: string, data: string) => void) {
    this.#heard = heard;
  }

  push(piece: string): void {
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop()!;
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    if (line === '') {
      if (this.#data.length > 0) this.#heard(this.#event || 'message', this.#data.join('\n'));
      this.#event = '';
      this.#data = [];
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') this.#event = value;
    else if (name === 'data') this.#data.push(value);
  }
}
