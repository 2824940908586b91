import { createHash } from 'node:crypto';
import { Cidrs, parseCidr } from '../../schema/cidrs.ts';
import { parseDuration } from '../../schema/duration.ts';
import type { Kind } from '../../schema/kind.ts';
import { Wrong } from '../../schema/wrong.ts';

/** An application that may pass. */
export interface Application {
  readonly appId: string;
  /** `*`: it need not sign. */
  readonly secret: string;
  /** How far its clock may be from ours. */
  readonly deviationMs: number;
  /** Empty: from anywhere. */
  readonly ips: Cidrs;
}

const DEVIATION_MS = 60_000;
const KEYS = new Set(['app_id', 'secret', 'deviation', 'ip_list']);
const EXAMPLE = 'write { app_id = "shop", secret = "…", deviation = 60 }';

/** A list of tables, or in a file of secrets one JSON object per line. */
export const applications: Kind<readonly Application[]> = {
  word: 'TABLE[,…]',
  says: 'tables with app_id, secret, deviation (seconds) and ip_list',
  many: true,
  choices: [],
  json: {
    anyOf: [
      {
        type: 'array',
        items: {
          type: 'object',
          additionalProperties: false,
          required: ['app_id', 'secret'],
          properties: {
            app_id: { type: 'string' },
            secret: { type: 'string' },
            deviation: { type: ['integer', 'string'] },
            ip_list: { type: ['array', 'string'], items: { type: 'string' } },
          },
        },
      },
      // Empty: not set.
      { enum: [''] },
    ],
  },
  parse: (lines) => lines.map((line) => applicationOf(jsonOf(line))),
  fromToml: (value) => (Array.isArray(value) ? value : [value]).map(applicationOf),
  format: () => '***',
  redact: () => '***',
};

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new Wrong('has a line that is no JSON', 'write one object per line: {"app_id": "shop", "secret": "…"}');
  }
}

function applicationOf(value: unknown): Application {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Wrong('holds something that is no table', EXAMPLE);
  const given = new Map(Object.entries(value));
  for (const key of given.keys()) if (!KEYS.has(key)) throw new Wrong(`has a key that is not known: ${JSON.stringify(key.slice(0, 40))}`, EXAMPLE);
  const appId = given.get('app_id');
  if (typeof appId !== 'string' || appId === '') throw new Wrong('has an application without app_id', EXAMPLE);
  const secret = given.get('secret');
  if (typeof secret !== 'string' || secret === '') throw new Wrong(`has no secret for ${appId}`, `${EXAMPLE}; "*" means that it need not sign`);
  return { appId, secret, deviationMs: deviationOf(given.get('deviation')), ips: new Cidrs(listOf(given.get('ip_list')).flatMap(parseCidr)) };
}

/** Seconds, or a duration. */
function deviationOf(value: unknown): number {
  if (value === undefined) return DEVIATION_MS;
  if (typeof value === 'string' && !/^\d+$/.test(value)) return parseDuration(value);
  const seconds = Number(value);
  if (!Number.isSafeInteger(seconds) || seconds < 1) throw new Wrong('has a deviation that is no number of seconds', EXAMPLE);
  return seconds * 1000;
}

function listOf(value: unknown): readonly string[] {
  if (value === undefined) return [];
  const items: readonly unknown[] = Array.isArray(value) ? value : typeof value === 'string' ? value.split(',') : [value];
  return items.map((item) => {
    if (typeof item !== 'string') throw new Wrong('has an ip_list of something else than texts', 'write ip_list = ["10.0.0.0/8"]');
    return item.trim();
  });
}

/** What an application signs a moment with. */
export function digestOf(secret: string, ts: string): string {
  return createHash('sha256').update(`${secret}:${ts}`).digest('hex');
}
