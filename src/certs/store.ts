import tls from 'node:tls';

/** A certificate chain with its key, and the names that it is for. Chain and key may change while it is in use: who asks next gets what is there then. */
export interface NamedPair {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  /** Lower case; `*.example.com` for all names directly below. */
  readonly domains: readonly string[];
  /** For clients that ask for a name that nobody has, or for none. */
  readonly isDefault: boolean;
  /** Wall-clock ms. */
  readonly notAfterMs: number;
}

/** Makes a certificate for whatever name is asked for. */
export interface Minter {
  /** As in a NamedPair; empty = for every name. */
  readonly domains: readonly string[];
  readonly isDefault: boolean;
  /** Null: it can be no server's name. `name`: lower case; '' = the client has named none. */
  leafFor(name: string): Pick<NamedPair, 'cert' | 'key'> | null;
}

/**
 * Which certificate a client gets, by the name it asks for (SNI, RFC 6066 3): the exact one, then one for all names directly below, then one that is made
 * for it, then the default.
 */
export class CertStore {
  readonly #options: tls.SecureContextOptions;
  readonly #byName = new Map<string, NamedPair>();
  /** Made when first asked for: a context costs a millisecond, and most of many names are asked for seldom. */
  readonly #contexts = new WeakMap<Pair, { readonly cert: string; readonly context: tls.SecureContext }>();
  readonly #minters: readonly Minter[];
  readonly #standard: NamedPair | null;

  /** The first of those that have a name gets it. */
  constructor(pairs: readonly NamedPair[], options: tls.SecureContextOptions, minters: readonly Minter[] = []) {
    this.#options = options;
    this.#minters = minters;
    for (const pair of pairs) for (const domain of pair.domains) if (!this.#byName.has(domain)) this.#byName.set(domain, pair);
    this.#standard = pairs.find(({ isDefault }) => isDefault) ?? null;
  }

  /** For clients that ask for a name that nobody has, or for none; null: there is none. */
  get standard(): Pair | null {
    return this.#standard ?? this.#minters.find(({ isDefault }) => isDefault)?.leafFor('') ?? null;
  }

  /** @returns null when no certificate is for this name: there is no handshake then */
  find(serverName: string): tls.SecureContext | null {
    const name = serverName.toLowerCase().replace(/\.$/, '');
    const dot = name.indexOf('.');
    const wild = dot < 0 ? '' : `*${name.slice(dot)}`;
    const pair = this.#byName.get(name) ?? this.#byName.get(wild) ?? this.#mint(name, wild) ?? this.standard;
    return pair === null ? null : this.#contextOf(pair);
  }

  #mint(name: string, wild: string): Pair | null {
    for (const minter of this.#minters) {
      const { domains } = minter;
      if (name !== '' && (domains.length === 0 || domains.includes(name) || domains.includes(wild))) return minter.leafFor(name);
    }
    return null;
  }

  #contextOf(pair: Pair): tls.SecureContext {
    const known = this.#contexts.get(pair);
    if (known?.cert === pair.cert) return known.context;
    const { cert, key } = pair;
    const context = tls.createSecureContext({ ...this.#options, cert, key });
    this.#contexts.set(pair, { cert, context });
    return context;
  }
}

type Pair = Pick<NamedPair, 'cert' | 'key'>;
