/** Tokens that count no more, by their ids (or names, for all tokens of that name): who dials in with one is turned away. Replaced at a reload. */
export class Revocations {
  #all: ReadonlySet<string>;

  constructor(idsAndNames: Iterable<string> = []) {
    this.#all = new Set(idsAndNames);
  }

  replace(idsAndNames: Iterable<string>): void {
    this.#all = new Set(idsAndNames);
  }

  has({ tokenId, name }: { readonly tokenId: string; readonly name: string }): boolean {
    return this.#all.has(tokenId) || this.#all.has(name);
  }

  get size(): number {
    return this.#all.size;
  }
}
