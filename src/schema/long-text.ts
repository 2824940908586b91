import { scalar, type Kind } from './kind.ts';
import { Wrong } from './wrong.ts';

/** Text of any number of lines. */
export function longText(says: string): Kind<string> {
  return scalar('TEXT', says, (given) => {
    if (given.includes('\u0000')) throw new Wrong('has a NUL in it', 'leave it out');
    if (given.length > TEXT_CHARS_MAX) throw new Wrong('is too long', `use at most ${TEXT_CHARS_MAX} characters`);
    return given;
  });
}

/** A page that every error gets. */
const TEXT_CHARS_MAX = 256 * 1024;
