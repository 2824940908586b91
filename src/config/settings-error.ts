import type { ConfigProblem } from '../admin/model.ts';

/** Settings that cannot be used. Each line is for the person who gave them: where, what is wrong, what to write instead. No line shows a secret. */
export class SettingsError extends Error {
  readonly lines: readonly string[];
  /** What else was noticed, and would not have stopped anything. */
  readonly warnings: readonly string[];
  /** Files and folders whose change may mend it, as far as they are known. */
  readonly watched: readonly string[];

  /** The same with their places, when they are known. */
  readonly problems: readonly ConfigProblem[];

  constructor(
    lines: readonly string[],
    warnings: readonly string[] = [],
    watched: readonly string[] = [],
    problems: readonly ConfigProblem[] = lines.map((message) => ({ level: 'error', message, file: '', line: 0, column: 0, subject: '' })),
  ) {
    super(lines.join('\n'));
    this.name = 'SettingsError';
    this.lines = lines;
    this.warnings = warnings;
    this.watched = watched;
    this.problems = problems;
  }
}
