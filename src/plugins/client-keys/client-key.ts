import { createHash, randomBytes } from 'node:crypto';
import { parseDuration } from '../../schema/duration.ts';
import type { RecordForm } from '../../store/records.ts';

/** A client's key as it is kept: never the key itself. Times are ms since 1970. */
export interface ClientKey {
  /** For people. */
  readonly name: string;
  /** SHA-256 of the key, hex. It has 256 random bits, so nothing slower is needed. */
  readonly hash: string;
  readonly createdMs: number;
  /** null = never. */
  readonly expiresMs: number | null;
  /** null = it has not been. */
  readonly revokedMs: number | null;
  /** Requests that may begin per interval; null = any number. */
  readonly rate: KeyRate | null;
  /** Requests that may run at once; null = any number. */
  readonly inflight: number | null;
  /** Share of the queue. */
  readonly weight: number;
  /** Class in the queue; null = as others say. */
  readonly class: number | null;
  /** Requests that may wait for slots at once; null = any number. */
  readonly waiting: number | null;
}

export interface KeyRate {
  readonly max: number;
  readonly intervalMs: number;
}

/** A key that was just made: shown once. */
export interface NewKey {
  readonly id: string;
  readonly key: string;
  readonly hash: string;
}

const LETTERS = 'abcdefghijkmnpqrstuvwxyz23456789';
const KEY = /^wk_([a-z2-9]{12})_[\w-]{43}$/;

export function newKey(): NewKey {
  let id = '';
  for (const byte of randomBytes(12)) id += LETTERS[byte & 31];
  const key = `wk_${id}_${randomBytes(32).toString('base64url')}`;
  return { id, key, hash: digestOf(key).toString('hex') };
}

/** The id in a key; null when it is no key of ours. */
export function idOfKey(key: string): string | null {
  return KEY.exec(key)?.[1] ?? null;
}

export function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

/** `100/1m`. @throws Wrong or Error when it is none */
export function parseRate(text: string): KeyRate {
  const [max = '', interval = '', more] = text.split('/');
  if (interval === '' || more !== undefined) throw new Error('is no rate such as 100/1m');
  const intervalMs = parseDuration(interval, 86_400_000);
  if (!/^[1-9]\d{0,8}$/.test(max) || intervalMs < 1) throw new Error('is no rate such as 100/1m');
  return { max: Number(max), intervalMs };
}

/** How keys stand in their file: times as ISO 8601. */
export const clientKeyForm: RecordForm<ClientKey> = {
  kind: 'client keys',
  read(value) {
    if (typeof value !== 'object' || value === null) throw new Error('is no object');
    const given = value as Record<string, unknown>;
    return {
      name: textOf(given, 'name'),
      hash: hashOf(given),
      createdMs: timeOf(given, 'created') ?? 0,
      expiresMs: timeOf(given, 'expires'),
      revokedMs: timeOf(given, 'revoked'),
      rate: rateOf(given),
      inflight: numberOf(given, 'inflight', 1, 1e9),
      weight: numberOf(given, 'weight', 1, 1000) ?? 1,
      class: numberOf(given, 'class', 0, 7),
      waiting: numberOf(given, 'waiting', 0, 1e9),
    };
  },
  write: ({ name, hash, createdMs, expiresMs, revokedMs, rate, inflight, weight, class: rank, waiting }) => ({
    name,
    hash,
    created: new Date(createdMs).toISOString(),
    expires: expiresMs === null ? null : new Date(expiresMs).toISOString(),
    revoked: revokedMs === null ? null : new Date(revokedMs).toISOString(),
    rate: rate === null ? null : { max: rate.max, intervalMs: rate.intervalMs },
    inflight,
    weight,
    class: rank,
    waiting,
  }),
};

function textOf(given: Record<string, unknown>, name: string): string {
  const value = given[name];
  if (typeof value !== 'string' || value.length > 100) throw new Error(`has no text as ${name}`);
  return value;
}

function hashOf(given: Record<string, unknown>): string {
  const { hash } = given;
  if (typeof hash !== 'string' || !/^[\da-f]{64}$/.test(hash)) throw new Error('has no SHA-256 as hash');
  return hash;
}

/** A time that cannot be read is no time: nobody's key works longer for it. */
function timeOf(given: Record<string, unknown>, name: string): number | null {
  const value = given[name] ?? null;
  if (value === null) return null;
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(ms)) throw new Error(`has no time as ${name}`);
  return ms;
}

function numberOf(given: Record<string, unknown>, name: string, least: number, most: number): number | null {
  const value = given[name] ?? null;
  if (value === null) return null;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most)
    throw new Error(`has no number from ${least} to ${most} as ${name}`);
  return value;
}

function rateOf(given: Record<string, unknown>): KeyRate | null {
  const value = given['rate'] ?? null;
  if (value === null) return null;
  if (typeof value !== 'object') throw new Error('has no rate as rate');
  const rate = value as Record<string, unknown>;
  const max = numberOf(rate, 'max', 1, 1e9);
  const intervalMs = numberOf(rate, 'intervalMs', 1, 86_400_000);
  if (max === null || intervalMs === null) throw new Error('has no rate as rate');
  return { max, intervalMs };
}
