import type { Dice } from './dice.ts';
import { PATTERN_BYTES } from './pattern.ts';

/** How an answer's body is sent. */
export type Form = 'length' | 'chunks' | 'events';

/** One request, and what is to come of it: both ends read it from the address. */
export interface Wanted {
  readonly id: number;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  readonly form: Form;
  /** Time that the origin works on it, ms. */
  readonly workMs: number;
  /** How long the origin goes on after it has been hung up on, ms. */
  readonly stubbornMs: number;
  readonly bytes: number;
  readonly from: number;
  readonly upBytes: number;
  readonly upFrom: number;
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE']);

/** May this request be sent twice without harm? */
export function isIdempotent({ method }: Pick<Wanted, 'method'>): boolean {
  return IDEMPOTENT.has(method);
}

export function targetOf(wanted: Wanted): string {
  const { id, form, workMs, stubbornMs, bytes, from, upBytes, upFrom } = wanted;
  return `/${id}/${form}/${workMs}/${stubbornMs}/${bytes}/${from}/${upBytes}/${upFrom}`;
}

/** Null when the address is not of ours. */
export function wantedOf(method: string, target: string): Wanted | null {
  const [none, id, form, workMs, stubbornMs, bytes, from, upBytes, upFrom] = target.split('/');
  if (none !== '' || upFrom === undefined) return null;
  return {
    id: Number(id),
    method: method as Wanted['method'],
    form: form as Form,
    workMs: Number(workMs),
    stubbornMs: Number(stubbornMs),
    bytes: Number(bytes),
    from: Number(from),
    upBytes: Number(upBytes),
    upFrom: Number(upFrom),
  };
}

/** A request as they come: mostly small, all methods, some that take long to stop. `workMs` is the mean. */
export function someRequest(id: number, dice: Dice, workMs: number): Wanted {
  const kind = dice.next();
  const method = kind < 0.45 ? 'GET' : kind < 0.85 ? 'POST' : kind < 0.92 ? 'PUT' : kind < 0.96 ? 'DELETE' : 'HEAD';
  const form = dice.next();
  return {
    id,
    method,
    form: form < 0.6 ? 'length' : form < 0.85 ? 'chunks' : 'events',
    workMs: Math.round(dice.next() * 2 * workMs),
    stubbornMs: dice.chance(0.2) ? Math.round(dice.between(10, 300)) : 0,
    bytes: someSize(dice),
    from: dice.below(PATTERN_BYTES),
    upBytes: method === 'POST' || method === 'PUT' ? someSize(dice) : 0,
    upFrom: dice.below(PATTERN_BYTES),
  };
}

/** A small GET. `workMs`: how long each takes. */
export function smallRequest(id: number, dice: Dice, workMs: number): Wanted {
  return { id, method: 'GET', form: 'length', workMs, stubbornMs: 0, bytes: 100, from: dice.below(PATTERN_BYTES), upBytes: 0, upFrom: 0 };
}

function someSize(dice: Dice): number {
  const kind = dice.next();
  const most = kind < 0.8 ? 2 * 1024 : kind < 0.98 ? 16 * 1024 : kind < 0.9995 ? 200 * 1024 : PATTERN_BYTES;
  return Math.floor(dice.next() * most);
}
