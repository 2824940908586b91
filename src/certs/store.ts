import tls from 'node:tls';

/** A certificate chain with its key, and the names that it is for. */
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

/** Which certificate a client gets, by the name it asks for (SNI, RFC 6066 3): the exact one, then one for all names directly below, then the default. */
export class CertStore {
  readonly #options: tls.SecureContextOptions;
  readonly #byName = new Map<string, NamedPair>();
  /** Made when first asked for: a context costs a millisecond, and most of many names are asked for seldom. */
  readonly #contexts = new Map<NamedPair, tls.SecureContext>();
  readonly standard: NamedPair | null;

  /** The first of those that have a name gets it; without a default the first of all is it. */
  constructor(pairs: readonly NamedPair[], options: tls.SecureContextOptions) {
    this.#options = options;
    for (const pair of pairs) for (const domain of pair.domains) if (!this.#byName.has(domain)) this.#byName.set(domain, pair);
    this.standard = pairs.find(({ isDefault }) => isDefault) ?? null;
  }

  /** @returns null when no certificate is for this name: there is no handshake then */
  find(serverName: string): tls.SecureContext | null {
    const name = serverName.toLowerCase().replace(/\.$/, '');
    const dot = name.indexOf('.');
    const pair = this.#byName.get(name) ?? (dot < 0 ? undefined : this.#byName.get(`*${name.slice(dot)}`)) ?? this.standard;
    return pair === null ? null : this.#contextOf(pair);
  }

  #contextOf(pair: NamedPair): tls.SecureContext {
    let context = this.#contexts.get(pair);
    if (context === undefined) {
      context = tls.createSecureContext({ ...this.#options, cert: pair.cert, key: pair.key });
      this.#contexts.set(pair, context);
    }
    return context;
  }
}
