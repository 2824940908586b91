/**
 * A value that cannot be used: what is wrong with it, and what to write instead.
 * The message is the end of a sentence whose subject is the setting ("--port is no port"); the value itself is added by who knows whether it is secret.
 */
export class Wrong extends Error {
  readonly fix: string;

  constructor(message: string, fix: string) {
    super(message);
    this.name = 'Wrong';
    this.fix = fix;
  }
}
