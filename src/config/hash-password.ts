import { textLike } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';

/** Settings of `hash-password`. The password is none of them: it comes by standard input, where no list of processes shows it. */
export const hashPasswordTable = {
  user: setting<string | null>({
    kind: textLike(/^[^\p{C}:\s]{1,100}$/u, 'NAME', 'name', 'use up to 100 characters without spaces and colons'),
    group: 'The line',
    help: 'whose password it is: prints NAME:HASH, a line for users',
    fallback: null,
    fallbackText: 'prints the hash alone',
    inFile: false,
  }),
} as const;
