import { type Filter, lowerAscii, type PatternFilter, type TextFilter } from './filter.ts';
import { GROWN_CHARS, LINE_CHARS } from './limits.ts';

/** One filter at work on one body. It holds back what may be the beginning of a match. */
export interface Stage {
  /** @returns what is certain now. @throws RangeError when it grows beyond bounds */
  push(text: string): string;
  /** Nothing more comes. @returns what was held back */
  flush(): string;
}

export function stageOf(filter: Filter): Stage {
  return filter.kind === 'text' ? new TextStage(filter) : new PatternStage(filter);
}

/** What a slice becomes. */
class Pieces {
  #text = '';

  add(text: string): void {
    if (this.#text.length + text.length > GROWN_CHARS) throw new RangeError(`a slice of a body became more than ${GROWN_CHARS} bytes by replacing`);
    this.#text += text;
  }

  get text(): string {
    return this.#text;
  }
}

class TextStage implements Stage {
  readonly #filter: TextFilter;
  /** Shorter than what is looked for. */
  #held = '';
  #isDone = false;

  constructor(filter: TextFilter) {
    this.#filter = filter;
  }

  push(more: string): string {
    if (this.#isDone) return more;
    const { text, other, all, ignoreCase } = this.#filter;
    const body = this.#held + more;
    const seen = ignoreCase ? lowerAscii(body) : body;
    const out = new Pieces();
    let at = 0;
    for (let found = seen.indexOf(text); found >= 0; found = seen.indexOf(text, at)) {
      out.add(body.slice(at, found));
      out.add(other);
      at = found + text.length;
      if (!all) {
        this.#isDone = true;
        this.#held = '';
        out.add(body.slice(at));
        return out.text;
      }
    }
    const end = Math.max(at, seen.length - beginning(seen, text, seen.length - at));
    this.#held = body.slice(end);
    out.add(body.slice(at, end));
    return out.text;
  }

  flush(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }
}

/** How many characters at the end of `text`, at most so many, are the beginning of `wanted`. */
function beginning(text: string, wanted: string, most: number): number {
  for (let n = Math.min(wanted.length - 1, most); n > 0; n--) if (text.endsWith(wanted.slice(0, n))) return n;
  return 0;
}

/** Looks at lines, without the break behind them; at long ones in pieces. */
class PatternStage implements Stage {
  readonly #filter: PatternFilter;
  /** Characters of the longest line that is looked at as a whole. */
  readonly #window: number;
  #held = '';
  #isDone = false;

  constructor(filter: PatternFilter) {
    this.#filter = filter;
    this.#window = Math.min(LINE_CHARS, filter.pattern.findMax);
  }

  push(more: string): string {
    if (this.#isDone) return more;
    const out = new Pieces();
    const body = this.#held + more;
    let at = 0;
    for (let end = body.indexOf('\n'); end >= 0; end = body.indexOf('\n', at)) {
      const hasReturn = end > at && body.charCodeAt(end - 1) === 13;
      const lineEnd = hasReturn ? end - 1 : end;
      this.#long(body.slice(at, lineEnd), true, out);
      out.add(hasReturn ? '\r\n' : '\n');
      at = end + 1;
    }
    this.#held = this.#long(body.slice(at), false, out);
    if (this.#isDone) {
      out.add(this.#held);
      this.#held = '';
    }
    return out.text;
  }

  flush(): string {
    const out = new Pieces();
    this.#long(this.#held, true, out);
    this.#held = '';
    return out.text;
  }

  /** Takes a line, or what is there of it, in pieces of at most a window. @returns what is left for later: nothing when the line is complete */
  #long(line: string, isComplete: boolean, out: Pieces): string {
    let rest = line;
    while (rest.length > this.#window) rest = this.#piece(rest, out);
    if (!isComplete) return rest;
    this.#replace(rest, rest.length, out);
    return '';
  }

  /** The first window of a longer line. A match that reaches into its last quarter may go on behind it: it waits for the next window, which begins there. */
  #piece(rest: string, out: Pieces): string {
    const window = rest.slice(0, this.#window);
    const sure = this.#window - (this.#window >> 2);
    return rest.slice(this.#replace(window, sure, out));
  }

  /** Replaces the matches in a text that end at `sure` or before it, and one at its very beginning however long it is. @returns how much was taken */
  #replace(text: string, sure: number, out: Pieces): number {
    const { pattern, parts, all } = this.#filter;
    let at = 0;
    // Whether there is a match at all is told ten times as fast.
    while (!this.#isDone && at < text.length && (at > 0 || pattern.test(text))) {
      const found = pattern.find(text, at);
      if (found === null || found.start >= sure) break;
      if (found.end > sure && found.start > 0) {
        out.add(text.slice(at, found.start));
        return found.start;
      }
      out.add(text.slice(at, found.start));
      for (const part of parts) out.add(typeof part === 'string' ? part : found.groups[part]!);
      // A match of nothing, such as one before a word, would be found again for ever.
      if (found.end === found.start) out.add(text.slice(found.end, found.end + 1));
      at = Math.max(found.end, found.start + 1);
      if (!all) this.#isDone = true;
    }
    const end = Math.max(at, Math.min(sure, text.length));
    out.add(text.slice(at, end));
    return end;
  }
}
