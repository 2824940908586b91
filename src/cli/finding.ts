/** One thing that `doctor` has looked at. */
export interface Finding {
  readonly level: 'ok' | 'warn' | 'FAIL';
  /** What was looked at: `hub`, `token`, `upstream localhost:3000`. */
  readonly about: string;
  /** What was found. */
  readonly says: string;
  /** What to do; '' = nothing. */
  readonly fix: string;
}

export function ok(about: string, says: string): Finding {
  return { level: 'ok', about, says, fix: '' };
}

export function warn(about: string, says: string, fix: string): Finding {
  return { level: 'warn', about, says, fix };
}

export function fail(about: string, says: string, fix: string): Finding {
  return { level: 'FAIL', about, says, fix };
}
