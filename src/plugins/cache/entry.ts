import { FieldLines } from '../../http/field-lines.ts';
import { isNotModified, isRangeWanted, type Validators } from '../../http/conditional.ts';
import { readRange } from '../../http/range.ts';
import type { WholeReply } from '../../proxy/plugin.ts';
import { ENTRY_BYTES } from './limits.ts';
import type { Lifetime } from './policy.ts';

/** An answer as it is kept. Names in lower case. */
export interface Kept {
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

/** What a request wants of an answer beside the whole. */
export interface Selection {
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly ifModifiedSince: string | undefined;
}

/** Where an answer from the cache comes from, in the words of `x-cache-status`; `rescued`: a stale one, because the upstream failed. */
export type Label = 'hit' | 'stale' | 'revalidated' | 'rescued';

/** An answer that is kept, with all that can be made ready once. */
export class Entry {
  readonly status: number;
  readonly fields: Kept['fields'];
  readonly body: Uint8Array;
  readonly etag: string;
  readonly lastModified: string;
  /** What it costs; the store adds what its key costs. */
  bytes: number;
  /** Monotonic ms. */
  readonly freshUntilMs: number;
  readonly revalidateUntilMs: number;
  readonly errorUntilMs: number;
  /** Somebody asked for it since the last look: it is not the next to go. */
  isUsed = false;
  /** Somebody asks the upstream whether it is still good. */
  isRefreshing = false;
  readonly #bornMs: number;
  readonly #validators: Validators;
  readonly #lines: FieldLines;
  /** Those that stand in a 304 (RFC 9110 15.4.5). */
  readonly #lines304: FieldLines;
  /** The answer for this second. */
  #reply: WholeReply;
  #replyAgeS = -1;
  #replyLabel: Label = 'hit';

  /** @throws RangeError for a field that is none */
  constructor({ status, fields, body }: Kept, lifetime: Lifetime, nowMs: number) {
    const valueOf = (wanted: string): string => fields.find(([name]) => name === wanted)?.[1] ?? '';
    this.status = status;
    this.fields = fields;
    this.body = body;
    this.etag = valueOf('etag');
    this.lastModified = valueOf('last-modified');
    this.freshUntilMs = nowMs + lifetime.freshMs;
    this.revalidateUntilMs = this.freshUntilMs + lifetime.revalidateMs;
    this.errorUntilMs = this.freshUntilMs + lifetime.errorMs;
    this.#bornMs = nowMs - lifetime.ageMs;
    this.#validators = { etag: this.etag, modifiedMs: Date.parse(this.lastModified) };
    this.#lines = FieldLines.of(fields.flat());
    this.#lines304 = FieldLines.of(fields.filter(([name]) => IN_304.has(name)).flat());
    this.#reply = { status, lines: this.#lines, body };
    // The text of its fields is there three times: as pairs, as lines, and in the answer made ready.
    this.bytes = body.length + 3 * this.#lines.text.length + ENTRY_BYTES;
  }

  ageMs(nowMs: number): number {
    return nowMs - this.#bornMs;
  }

  /** Can an upstream say whether it has changed? */
  get isVerifiable(): boolean {
    return this.etag !== '' || this.lastModified !== '';
  }

  /** The answer to a request that wants the whole: the same one for a whole second. */
  whole(nowMs: number, label: Label): WholeReply {
    const ageS = Math.floor((nowMs - this.#bornMs) / 1000);
    if (ageS !== this.#replyAgeS || label !== this.#replyLabel) {
      this.#replyAgeS = ageS;
      this.#replyLabel = label;
      this.#reply = { status: this.status, lines: this.#lines.with(this.#told(nowMs, label)), body: this.body };
    }
    return this.#reply;
  }

  /** The answer to a request that may want a part, or only to know whether it has changed. */
  answer(wants: Selection, nowMs: number, label: Label): WholeReply {
    if (this.status !== 200) return this.whole(nowMs, label);
    if (isNotModified(wants.ifNoneMatch, wants.ifModifiedSince, this.#validators))
      return { status: 304, lines: this.#lines304.with(this.#told(nowMs, label)) };
    if (wants.range === undefined || !isRangeWanted(wants.ifRange, this.#validators)) return this.whole(nowMs, label);
    const range = readRange(wants.range, this.body.length);
    if (range === null) return this.whole(nowMs, label);
    if (range === 'none') {
      return { status: 416, headers: ['Content-Range', `bytes */${this.body.length}`], lines: this.#lines304.with(this.#told(nowMs, label)) };
    }
    return {
      status: 206,
      headers: ['Content-Range', `bytes ${range.start}-${range.end - 1}/${this.body.length}`],
      lines: this.#lines.with(this.#told(nowMs, label)),
      body: this.body.subarray(range.start, range.end),
    };
  }

  #told(nowMs: number, label: Label): FieldLines {
    const ttlS = Math.floor((this.freshUntilMs - nowMs) / 1000);
    const how = label === 'revalidated' ? 'fwd=stale; fwd-status=304' : label === 'rescued' ? 'fwd=stale; detail=stale-if-error' : `hit; ttl=${ttlS}`;
    return FieldLines.of([
      'Age',
      String(Math.max(0, Math.floor((nowMs - this.#bornMs) / 1000))),
      'Cache-Status',
      `Windlass; ${how}`,
      'X-Cache-Status',
      label === 'rescued' ? 'stale' : label,
    ]);
  }
}

const IN_304: ReadonlySet<string> = new Set(['cache-control', 'content-location', 'date', 'etag', 'expires', 'vary']);
