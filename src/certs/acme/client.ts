import type { KeyObject } from 'node:crypto';
import { type ExternalAccount, bindExternalAccount, keyAuthorization, signRequest } from './jws.ts';
import type { AcmeLimits } from './limits.ts';
import { AcmeError, fieldOf, printable, problemOf } from './problem.ts';
import type { AcmeAnswer, AcmeTransport } from './transport.ts';

export interface AcmeClientOptions {
  readonly directoryUrl: string;
  readonly transport: AcmeTransport;
  readonly limits: AcmeLimits;
  /** The account's key: P-256. */
  readonly key: KeyObject;
  /** Where the account is, when it is known already. */
  readonly accountUrl: string | null;
  /** For the authority's mails; null = none. */
  readonly email: string | null;
  readonly external: ExternalAccount | null;
  /** Wall-clock ms. */
  readonly wall: () => number;
}

/** Where a server takes what (RFC 8555 7.1.1). */
interface Directory {
  readonly newNonce: string;
  readonly newAccount: string;
  readonly newOrder: string;
  /** '' = it names none. */
  readonly terms: string;
}

/** An answer whose body was JSON. */
export interface AcmeObject {
  readonly value: unknown;
  /** '' = none. */
  readonly location: string;
  /** How long to wait before asking again, ms; null = it does not say. */
  readonly retryAfterMs: number | null;
}

/** An ACME server as an account sees it (RFC 8555): signed requests, nonces, and problems as errors. */
export class AcmeClient {
  readonly #options: AcmeClientOptions;
  #directory: Directory | null = null;
  #nonce: string | null = null;
  accountUrl: string | null;

  constructor(options: AcmeClientOptions) {
    this.#options = options;
    this.accountUrl = options.accountUrl;
  }

  /** Makes the account, or finds the one that this key has; with it the terms of the authority are agreed to. @returns the address of the terms, '' = none */
  async enrol(): Promise<string> {
    const { email, external, key } = this.#options;
    const { newAccount, terms } = await this.#where();
    const { location } = await this.post(
      newAccount,
      {
        termsOfServiceAgreed: true,
        ...(email === null ? {} : { contact: [`mailto:${email}`] }),
        ...(external === null ? {} : { externalAccountBinding: await bindExternalAccount(external, newAccount, key) }),
      },
      true,
    );
    if (location === '') throw new AcmeError(`${this.#host} made an account and did not say where`);
    this.accountUrl = location;
    return terms;
  }

  /** Orders a certificate for these names. */
  async order(names: readonly string[]): Promise<AcmeObject> {
    const { newOrder } = await this.#where();
    return this.post(newOrder, { identifiers: names.map((value) => ({ type: 'dns', value })) });
  }

  keyAuthorization(token: string): Promise<string> {
    return keyAuthorization(token, this.#options.key);
  }

  /** Asks for what is at a URL (`payload` null), or sends something there. @throws AcmeError */
  async post(url: string, payload: object | null, asStranger = false): Promise<AcmeObject> {
    const answer = await this.#send(url, payload, asStranger, 'application/json');
    return {
      value: this.#parse(answer),
      location: answer.headers.location ?? '',
      retryAfterMs: retryAfterOf(answer, this.#options.wall()),
    };
  }

  /** The chain at a URL, PEM. @throws AcmeError */
  async certificate(url: string): Promise<string> {
    const { body } = await this.#send(url, null, false, 'application/pem-certificate-chain');
    return body.toString('latin1');
  }

  async #send(url: string, payload: object | null, asStranger: boolean, accept: string): Promise<AcmeAnswer> {
    const { transport, key, limits } = this.#options;
    for (let tries = 1; ; tries++) {
      const nonce = this.#nonce ?? (await this.#freshNonce());
      // Each is good for once.
      this.#nonce = null;
      const body = await signRequest(payload, { url, nonce, kid: asStranger ? null : this.accountUrl }, key);
      const answer = await transport.ask('POST', url, body, accept);
      this.#keepNonce(answer);
      if (answer.status >= 200 && answer.status < 300) return answer;
      const problem = this.#problemOf(answer);
      if (problem.type !== 'badNonce' || tries >= limits.nonceTries) throw problem;
    }
  }

  async #where(): Promise<Directory> {
    if (this.#directory !== null) return this.#directory;
    const { directoryUrl, transport } = this.#options;
    const answer = await transport.ask('GET', directoryUrl, null, 'application/json');
    if (answer.status !== 200) throw this.#problemOf(answer);
    const value = this.#parse(answer);
    const at = (name: string): string => {
      const url = fieldOf(value, name);
      if (typeof url !== 'string') throw new AcmeError(`what is at ${directoryUrl} is no ACME directory: it has no ${name}`);
      return url;
    };
    const terms = fieldOf(fieldOf(value, 'meta'), 'termsOfService');
    this.#directory = {
      newNonce: at('newNonce'),
      newAccount: at('newAccount'),
      newOrder: at('newOrder'),
      terms: typeof terms === 'string' ? printable(terms) : '',
    };
    return this.#directory;
  }

  async #freshNonce(): Promise<string> {
    const { newNonce } = await this.#where();
    this.#keepNonce(await this.#options.transport.ask('HEAD', newNonce, null, '*/*'));
    if (this.#nonce === null) throw new AcmeError(`${this.#host} gave no nonce`);
    return this.#nonce;
  }

  #keepNonce({ headers }: AcmeAnswer): void {
    const nonce = headers['replay-nonce'];
    if (typeof nonce === 'string' && /^[\w-]{1,1000}$/.test(nonce)) this.#nonce = nonce;
  }

  #parse({ body }: AcmeAnswer): unknown {
    // The answer to a challenge may be empty.
    if (body.length === 0) return null;
    try {
      return JSON.parse(body.toString()) as unknown;
    } catch {
      throw new AcmeError(`${this.#host} answered with what is no JSON`);
    }
  }

  #problemOf(answer: AcmeAnswer): AcmeError {
    const isProblem = /^application\/(?:problem\+)?json\b/.test(answer.headers['content-type'] ?? '');
    let value: unknown = null;
    if (isProblem) {
      try {
        value = JSON.parse(answer.body.toString());
      } catch {
        // Said below: no reason was given.
      }
    }
    return problemOf(value, `${this.#host} answered ${answer.status}`, retryAfterOf(answer, this.#options.wall()));
  }

  get #host(): string {
    return new URL(this.#options.directoryUrl).host;
  }
}

/** Retry-After in ms, whether it was seconds or a date (RFC 9110 10.2.3); null = absent or neither. */
function retryAfterOf({ headers }: AcmeAnswer, now: number): number | null {
  const given = headers['retry-after'];
  if (given === undefined) return null;
  if (/^\d{1,9}$/.test(given)) return Number(given) * 1000;
  const at = Date.parse(given);
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}
