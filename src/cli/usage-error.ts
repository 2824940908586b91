/** A command line that cannot be obeyed. One line; exit code 2. It never quotes a value, which might be a secret in the wrong place. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}
