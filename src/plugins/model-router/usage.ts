import { Buffer } from 'node:buffer';
import type { HeaderList } from '../../http/head.ts';
import type { BodyTransformer, TransformOut } from '../../proxy/plugin.ts';
import { TAIL_BYTES, USAGE_CHARS } from './limits.ts';

/** Tokens that an answer says were read and written; null = it does not say. */
export interface Usage {
  readonly input: number | null;
  readonly output: number | null;
}

/** Lets an answer pass unchanged, and tells at its end, or where it broke off, what it said of its usage. Holds the last few KiB. */
export class UsageWatcher implements BodyTransformer {
  readonly #told: (usage: Usage) => void;
  #tail: Buffer | null = null;
  #used = 0;

  constructor(told: (usage: Usage) => void) {
    this.#told = told;
  }

  write(chunk: Uint8Array, out: TransformOut): void {
    this.#keep(chunk);
    out.write(chunk);
  }

  end(out: TransformOut, trailers?: HeaderList): void {
    out.end(trailers);
  }

  close(): void {
    if (this.#tail === null) return;
    const usage = usageIn(this.#tail.toString('latin1', 0, this.#used));
    this.#tail = null;
    if (usage !== null) this.#told(usage);
  }

  /** Twice as much as is needed is held, so that moving it is rare. */
  #keep(chunk: Uint8Array): void {
    const tail = (this.#tail ??= Buffer.allocUnsafe(2 * TAIL_BYTES));
    const piece = chunk.length > TAIL_BYTES ? chunk.subarray(chunk.length - TAIL_BYTES) : chunk;
    if (this.#used + piece.length > tail.length) {
      tail.copyWithin(0, this.#used - TAIL_BYTES, this.#used);
      this.#used = TAIL_BYTES;
    }
    tail.set(piece, this.#used);
    this.#used += piece.length;
  }
}

/** The last `"usage":{…}` in a text: the names of OpenAI's chat and responses interfaces. In a string of JSON the quotes would be escaped. */
export function usageIn(text: string): Usage | null {
  for (let at = text.lastIndexOf('"usage"'); at >= 0; at = at === 0 ? -1 : text.lastIndexOf('"usage"', at - 1)) {
    if (text[at - 1] === '\\') continue;
    const colon = pastSpace(text, at + '"usage"'.length);
    if (text[colon] !== ':') continue;
    const open = pastSpace(text, colon + 1);
    if (text[open] !== '{') continue;
    const usage = readUsage(objectAt(text, open));
    if (usage !== null) return usage;
  }
  return null;
}

function pastSpace(text: string, from: number): number {
  let at = from;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return at;
}

/** The object that begins here; '' when it has no end. */
function objectAt(text: string, from: number): string {
  let depth = 0;
  let isInside = false;
  const end = Math.min(text.length, from + USAGE_CHARS);
  for (let at = from; at < end; at++) {
    const char = text[at];
    if (isInside) {
      if (char === '\\') at++;
      else if (char === '"') isInside = false;
    } else if (char === '"') isInside = true;
    else if (char === '{') depth++;
    else if (char === '}' && --depth === 0) return text.slice(from, at + 1);
  }
  return '';
}

function readUsage(text: string): Usage | null {
  if (text === '') return null;
  let given: Record<string, unknown>;
  try {
    given = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null;
  }
  const input = tokens(given['prompt_tokens'] ?? given['input_tokens']);
  const output = tokens(given['completion_tokens'] ?? given['output_tokens']);
  return input === null && output === null ? null : { input, output };
}

/** What a service says is believed within reason. */
function tokens(given: unknown): number | null {
  return typeof given === 'number' && Number.isInteger(given) && given >= 0 && given <= 1e9 ? given : null;
}
