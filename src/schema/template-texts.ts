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

/** A table of texts by status code. */
export function textsByStatus(): Kind<ReadonlyMap<number, string>> {
  const one = longText('text');
  const wanted = "write a table such as { 404 = '…', 503 = '…' }";
  return {
    ...one,
    word: 'TABLE',
    says: 'table of texts by status, such as { 404 = "…" }',
    parse: () => {
      throw new Wrong('is no table', wanted);
    },
    fromToml: (value, folder) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Date) throw new Wrong('is no table', wanted);
      return new Map(
        Object.entries(value).map(([status, text]) => {
          if (!/^[45]\d\d$/.test(status)) throw new Wrong('is no status of an error', 'use 400 to 599', status);
          return [Number(status), one.fromToml(text, folder)];
        }),
      );
    },
    format: (texts) => (texts.size === 0 ? 'none' : [...texts.keys()].join(',')),
    json: { type: 'object', additionalProperties: false, patternProperties: { '^[45]\\d\\d$': { type: 'string' } } },
  };
}
