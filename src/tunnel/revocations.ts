/**
 * Tokens that count no more: who dials in with one is turned away. Those of the configuration stand there by their ids (or names, for all tokens of that
 * name), and are replaced at a reload; those that operators have revoked are kept elsewhere, by ids.
 */
export class Revocations {
  #configured: ReadonlySet<string>;
  #kept: { has(tokenId: string): boolean } = new Set<string>();

  constructor(idsAndNames: Iterable<string> = []) {
    this.#configured = new Set(idsAndNames);
  }

  replace(idsAndNames: Iterable<string>): void {
    this.#configured = new Set(idsAndNames);
  }

  /** `ids`: asked whenever somebody is judged, so it may change. */
  keep(ids: { has(tokenId: string): boolean }): void {
    this.#kept = ids;
  }

  has({ tokenId, name }: { readonly tokenId: string; readonly name: string }): boolean {
    return this.#configured.has(tokenId) || this.#configured.has(name) || this.#kept.has(tokenId);
  }

  get configured(): ReadonlySet<string> {
    return this.#configured;
  }
}
