/** What was asked rightly and cannot be done now: nobody listens there, it was refused. One line with what to do; exit code 1. It quotes no secret. */
export class Cannot extends Error {
  /** Nobody answered, or not to the end: in a moment it may be otherwise. */
  readonly isPassing: boolean;

  constructor(message: string, isPassing = false) {
    super(message);
    this.name = 'Cannot';
    this.isPassing = isPassing;
  }
}
