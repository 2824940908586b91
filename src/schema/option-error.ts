import { nearest } from './nearest.ts';

/** An option of the library that cannot be used. */
export class OptionError extends TypeError {
  readonly code = 'bad_option';
  readonly option: string;

  /** `says`: the end of a sentence that begins with the option's name. */
  constructor(option: string, says: string) {
    super(`${option} ${says}`);
    this.name = 'OptionError';
    this.option = option;
  }
}

/** Refuses options that do not exist: a misspelled one would be silently without effect. @throws OptionError */
export function checkOptions(options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    throw new OptionError(name, `is no option${near === null ? '' : `; did you mean ${near}?`}`);
  }
}

/** What `read` makes of an option. @throws OptionError with what it threw */
export function readOption<T>(option: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const { message, fix } = error as { message: string; fix?: string };
    throw new OptionError(option, fix === undefined ? message : `${message}; ${fix}`);
  }
}
