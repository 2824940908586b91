// HOT: pick() runs per request.
import { Failure } from '../http/failure.ts';
import type { Direct } from './direct.ts';
import type { Candidate, Upstream } from './upstream.ts';

/** Addresses that share the requests in turn. */
export class FixedUpstream implements Upstream {
  readonly #candidates: readonly Candidate[];
  #next = 0;

  constructor(endpoints: readonly Direct[]) {
    this.#candidates = endpoints.map((endpoint) => ({ endpoint, replyFields: '', agentId: '' }));
  }

  pick(): Candidate | null {
    const n = this.#candidates.length;
    if (n === 1) return this.#candidates[0]!;
    this.#next = (this.#next + 1) % n;
    return this.#candidates[this.#next] ?? null;
  }

  lacking(): Failure {
    return new Failure('no_agent', 'this upstream has no address', 5);
  }

  wait(): Failure {
    return this.lacking();
  }

  leave(): void {}

  letGo(): boolean {
    return false;
  }
}
