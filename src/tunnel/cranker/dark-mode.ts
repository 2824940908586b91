/** Where a connector is and what it serves: what dark mode goes by. */
export interface Darkable {
  readonly address: string;
  readonly route: string;
}

/** A host in the dark, as it is shown. */
export interface DarkHost {
  readonly address: string;
  /** Wall-clock ms. */
  readonly sinceMs: number;
  readonly reason: string;
}

/** Entries at most: what operators write by hand. */
export const DARK_ENTRIES = 10_000;

/**
 * Connectors that stay connected and get no requests: those of certain hosts, and those of certain routes. With `gray` it is the other way round: they alone get
 * requests, so that what has been launched in the dark can be tried.
 */
export class DarkMode {
  readonly #hosts = new Map<string, DarkHost>();
  readonly #routes = new Set<string>();
  #gray = false;
  /** Somebody's slots may have come or gone. */
  changed: () => void = () => {};

  get hosts(): readonly DarkHost[] {
    return [...this.#hosts.values()];
  }

  host(address: string): DarkHost | null {
    return this.#hosts.get(address) ?? null;
  }

  get routes(): readonly string[] {
    return [...this.#routes];
  }

  get isEmpty(): boolean {
    return this.#hosts.size === 0 && this.#routes.size === 0;
  }

  get gray(): boolean {
    return this.#gray;
  }

  isDark({ address, route }: Darkable): boolean {
    return this.#hosts.has(address) || this.#routes.has(route);
  }

  /** May requests go there? */
  serves(connector: Darkable): boolean {
    return this.isEmpty || this.isDark(connector) === this.#gray;
  }

  /** @returns false when there are too many */
  darkenHost(host: DarkHost): boolean {
    if (this.#hosts.size >= DARK_ENTRIES && !this.#hosts.has(host.address)) return false;
    this.#hosts.set(host.address, host);
    this.changed();
    return true;
  }

  /** @returns whether it was dark */
  lightenHost(address: string): boolean {
    if (!this.#hosts.delete(address)) return false;
    this.#lightened();
    return true;
  }

  /** @returns as darkenHost() */
  darkenRoute(route: string): boolean {
    if (this.#routes.size >= DARK_ENTRIES && !this.#routes.has(route)) return false;
    this.#routes.add(route);
    this.changed();
    return true;
  }

  /** @returns as lightenHost() */
  lightenRoute(route: string): boolean {
    if (!this.#routes.delete(route)) return false;
    this.#lightened();
    return true;
  }

  /** @returns false while nobody is dark: then there is nothing to try */
  setGray(on: boolean): boolean {
    if (this.isEmpty) return false;
    this.#gray = on;
    this.changed();
    return true;
  }

  /** With the last entry gray testing ends, or nobody would get a request any more. */
  #lightened(): void {
    if (this.isEmpty) this.#gray = false;
    this.changed();
  }
}
