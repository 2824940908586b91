/** What was asked rightly and cannot be done now: nobody listens there, it was refused. One line with what to do; exit code 1. It quotes no secret. */
export class Cannot extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Cannot';
  }
}
