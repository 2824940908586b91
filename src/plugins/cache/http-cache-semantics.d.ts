declare module 'http-cache-semantics' {
  /** What we use of it. */
  export default class CachePolicy {
    constructor(
      request: { method: string; headers: Readonly<Record<string, string>> },
      response: { status: number; headers: Readonly<Record<string, string>> },
      options: { shared: boolean; cacheHeuristic: number; immutableMinTimeToLive: number },
    );
    storable(): boolean;
    /** s */
    maxAge(): number;
  }
}
