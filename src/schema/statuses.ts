import { type Kind, list, scalar } from './kind.ts';
import { Wrong } from './wrong.ts';

/** HTTP statuses, or classes of them: `500,502`, `5xx`. Each item stands for the statuses from `from` to `to`. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

export function statuses(): Kind<readonly StatusRange[]> {
  return list(
    scalar('STATUS', 'HTTP status such as 503, or a class such as 5xx', parseStatus, {
      format: ({ from, to }) => (from === to ? String(from) : `${from / 100}xx`),
      types: ['number'],
      json: { type: ['integer', 'string'] },
    }),
  );
}

function parseStatus(text: string): StatusRange {
  const [, digit, rest] = /^([1-5])(\d\d|xx)$/i.exec(text) ?? [];
  if (digit === undefined) throw new Wrong('is no HTTP status', 'give a number from 100 to 599, or a class such as 5xx');
  if (rest!.toLowerCase() === 'xx') return { from: Number(digit) * 100, to: Number(digit) * 100 + 99 };
  return { from: Number(text), to: Number(text) };
}
