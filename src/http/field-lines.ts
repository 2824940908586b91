import { fieldLine, type HeaderList } from './head.ts';

/** Field lines that were checked and written once, for answers that are given many times. */
export class FieldLines {
  /** Each line with its CRLF. */
  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  /** @throws RangeError, see fieldLine */
  static of(fields: HeaderList): FieldLines {
    let text = '';
    for (let i = 0; i < fields.length; i += 2) text += fieldLine(fields[i]!, fields[i + 1]!);
    return new FieldLines(text);
  }

  /** These, and those of another behind them. */
  with(more: FieldLines): FieldLines {
    return new FieldLines(this.text + more.text);
  }
}
