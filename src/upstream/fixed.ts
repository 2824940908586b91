// HOT: pick() runs per request.
import { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import type { Direct } from './direct.ts';
import type { Candidate, Upstream } from './upstream.ts';

/** Addresses that share the requests in turn. */
export class FixedUpstream implements Upstream {
  readonly #candidates: readonly Candidate[];
  readonly name = '';
  readonly keepsHeads: boolean;
  #next = 0;

  constructor(endpoints: readonly Direct[]) {
    this.#candidates = endpoints.map((endpoint) => ({ endpoint, replyFields: '', agentId: '', watch: null, loads: null }));
    this.keepsHeads = endpoints.length > 1;
  }

  pick(_head: RequestHead, not?: string): Candidate | null {
    const n = this.#candidates.length;
    for (let i = 0; i < n; i++) {
      this.#next = (this.#next + 1) % n;
      const candidate = this.#candidates[this.#next]!;
      if (candidate.endpoint.id !== not) return candidate;
    }
    return null;
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
