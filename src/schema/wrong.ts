/**
 * A value that cannot be used: what is wrong with it, and what to write instead.
 * The message is the end of a sentence whose subject is the setting (`--port "x"` *is no port*); the value is put in by who knows whether it is secret.
 */
export class Wrong extends Error {
  readonly fix: string;
  /** The guilty part, when the value is a list. Safe to show unless the setting is a secret. */
  readonly part: string | null;
  /** What else is wrong, when the value is a list. */
  readonly others: readonly Wrong[];

  constructor(message: string, fix: string, part: string | null = null, others: readonly Wrong[] = []) {
    super(message);
    this.name = 'Wrong';
    this.fix = fix;
    this.part = part;
    this.others = others;
  }
}
