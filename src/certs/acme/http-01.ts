import { acmeLimits } from './limits.ts';
import { AcmeError } from './problem.ts';
import type { Challenge, ChallengeSolver } from './solver.ts';

/** Where servers look (RFC 8555 8.3). */
export const CHALLENGE_PATH = '/.well-known/acme-challenge/';

/** Proofs over HTTP: what is shown at a path, for as long as somebody is expected there. */
export class Http01Answers implements ChallengeSolver {
  readonly type = 'http-01';
  /** By token. */
  readonly #answers = new Map<string, string>();

  present({ token, keyAuthorization }: Challenge): Promise<void> {
    if (this.#answers.size >= acmeLimits.challenges) return Promise.reject(new AcmeError(`${acmeLimits.challenges} names are being proven already`));
    this.#answers.set(token, keyAuthorization);
    return Promise.resolve();
  }

  cleanUp({ token }: Challenge): Promise<void> {
    this.#answers.delete(token);
    return Promise.resolve();
  }

  /** Is anybody expected? */
  get isWaiting(): boolean {
    return this.#answers.size > 0;
  }

  /** What to show there; null: nobody is expected at this path, and it is whoever's else it may be. */
  answerTo(path: string): string | null {
    if (this.#answers.size === 0 || !path.startsWith(CHALLENGE_PATH)) return null;
    return this.#answers.get(path.slice(CHALLENGE_PATH.length)) ?? null;
  }
}
