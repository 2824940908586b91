import type { RequestHead } from '../http/head.ts';
import { compileTargetRewrite, type TargetRewrite } from '../http/target-rewrite.ts';
import { type Kind, scalar } from '../schema/kind.ts';
import type { Captures } from '../upstream/upstream.ts';

/** Makes the path that is forwarded out of the one that was asked for. */
export interface Rewrite {
  readonly text: string;
  /** Names of its own groups: captures for whoever comes after it. */
  readonly names: ReadonlySet<string>;
  /** Captures that it needs from the location's host and path, by name or number. */
  readonly needs: ReadonlySet<string>;
  /**
   * Sets `head.newTarget` when the pattern is found in the path; the query stays as it is, byte for byte. What may not be sent on sets `head.problem`:
   * then the request must be refused.
   * @returns the captures, with those of the rewrite's own named groups
   */
  apply(head: RequestHead, captures: Captures): Captures;
}

export function rewrite(): Kind<Rewrite> {
  return scalar('REWRITE', "'PATTERN REPLACEMENT' such as '^/api/v1/(.*)$ /v2/$1'; just one word with a $ replaces the whole path", compileRewrite, {
    format: (one) => one.text,
  });
}

/** @throws Wrong */
export function compileRewrite(given: string): Rewrite {
  return new HeadRewrite(compileTargetRewrite(given));
}

class HeadRewrite implements Rewrite {
  readonly text: string;
  readonly names: ReadonlySet<string>;
  readonly needs: ReadonlySet<string>;
  readonly #rewrite: TargetRewrite;

  constructor(rewrite: TargetRewrite) {
    this.text = rewrite.text;
    this.names = rewrite.names;
    this.needs = rewrite.needs;
    this.#rewrite = rewrite;
  }

  apply(head: RequestHead, captures: Captures): Captures {
    const made = this.#rewrite.of(head.target, captures);
    if (made === null) return captures;
    if (made.problem !== null) {
      head.problem = made.problem;
      head.problemDetail = made.detail;
      return captures;
    }
    head.newTarget = made.target;
    return this.names.size === 0 ? captures : this.#rewrite.capturesOf(made, captures);
  }
}
