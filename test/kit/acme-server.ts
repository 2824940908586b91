import { createHash, createPublicKey, generateKeyPairSync, type JsonWebKey, randomBytes, verify } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { makeCertificate } from '../../src/certs/certificate.ts';
import { elementsOf } from '../../src/certs/der-reader.ts';

/** A signed request as the server understood it. */
export interface AcmeAsked {
  /** `/order/1` and the like; `/nonce` and `/dir` for those that are not signed. */
  readonly path: string;
  readonly payload: Record<string, unknown>;
  readonly kid: string | null;
}

export interface AcmeReply {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

/** What to do instead of the right thing; null = the right thing. `hang`: never answer. */
export type Fault = (asked: AcmeAsked) => AcmeReply | 'hang' | null;

interface Order {
  readonly names: readonly string[];
  readonly proven: boolean[];
  failure: unknown;
  chain: string;
}

/** A small ACME server on loopback, in plain HTTP, that does as a test says. It checks signatures, nonces and proofs. */
export class AcmeServer {
  readonly server = http.createServer((request, response) => void this.#take(request, response));
  readonly #caKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  readonly ca: string;
  readonly #nonces = new Set<string>();
  /** By URL path. */
  readonly #accounts = new Map<string, JsonWebKey>();
  readonly orders: Order[] = [];
  /** All that was asked, signed or not. */
  readonly asked: AcmeAsked[] = [];
  /** Contacts and bindings of accounts that were made, in order. */
  readonly enrolments: Record<string, unknown>[] = [];
  fault: Fault = () => null;
  lifeMs = 90 * 86_400_000;
  now: () => number = () => Date.now();
  /** Looks whether a name is proven. */
  validate: (name: string, token: string, proof: string) => Promise<boolean> = () => Promise.resolve(true);

  constructor() {
    const notBeforeMs = Date.now() - 86_400_000;
    this.ca = makeCertificate({
      names: ['Scripted CA'],
      isAuthority: true,
      key: this.#caKey,
      notBeforeMs,
      notAfterMs: notBeforeMs + 1e11,
      issuer: null,
    });
  }

  url = '';

  async listen(): Promise<void> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get directory(): string {
    return `${this.url}/dir`;
  }

  /** Forgets accounts, as a test server that began anew. */
  forget(): void {
    this.#accounts.clear();
  }

  /** How often a path was asked. */
  count(path: RegExp): number {
    return this.asked.filter((one) => path.test(one.path)).length;
  }

  /** Connections that are open. */
  connections(): Promise<number> {
    return new Promise((resolve, reject) => this.server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))));
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  async #take(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const path = request.url ?? '';
    const outcome = await this.#answer(request.method ?? '', path, Buffer.concat(chunks).toString());
    if (outcome === 'hang') return;
    const { status, headers = {}, body } = outcome;
    const nonce = randomBytes(12).toString('base64url');
    this.#nonces.add(nonce);
    const text = typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body);
    const type = status >= 400 ? 'application/problem+json' : typeof body === 'string' ? 'application/pem-certificate-chain' : 'application/json';
    response.writeHead(status, { 'Content-Type': type, 'Replay-Nonce': nonce, ...headers });
    response.end(text);
  }

  async #answer(method: string, path: string, text: string): Promise<AcmeReply | 'hang'> {
    if (method !== 'POST') {
      this.asked.push({ path, payload: {}, kid: null });
      const early = this.fault(this.asked.at(-1)!);
      if (early !== null) return early;
      if (path === '/nonce') return { status: 200 };
      const meta = { termsOfService: 'https://ca.example/terms' };
      return path === '/dir'
        ? { status: 200, body: { newNonce: `${this.url}/nonce`, newAccount: `${this.url}/account`, newOrder: `${this.url}/order`, meta } }
        : problem(404, 'malformed', 'nothing is here');
    }
    const jws = JSON.parse(text) as { protected: string; payload: string; signature: string };
    const header = JSON.parse(Buffer.from(jws.protected, 'base64url').toString()) as {
      url: string;
      nonce: string;
      kid?: string;
      jwk?: JsonWebKey;
      alg: string;
    };
    const kid = header.kid === undefined ? null : new URL(header.kid).pathname;
    const payload = (jws.payload === '' ? {} : JSON.parse(Buffer.from(jws.payload, 'base64url').toString())) as Record<string, unknown>;
    this.asked.push({ path, payload, kid });
    const jwk = kid === null ? header.jwk : this.#accounts.get(kid);
    if (jwk === undefined) return problem(400, 'accountDoesNotExist', 'who are you?');
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    const bytes = Buffer.from(`${jws.protected}.${jws.payload}`);
    const signature = Buffer.from(jws.signature, 'base64url');
    if (header.alg !== 'ES256' || header.url !== this.url + path || !verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, signature))
      return problem(400, 'malformed', 'the signature is wrong');
    if (!this.#nonces.delete(header.nonce)) return problem(400, 'badNonce', 'used already');
    return this.fault(this.asked.at(-1)!) ?? (await this.#right(path, payload, jwk));
  }

  async #right(path: string, payload: Record<string, unknown>, jwk: JsonWebKey): Promise<AcmeReply> {
    const [, kind, id = '', name = ''] = path.split('/');
    const order = id === '' ? undefined : this.orders[Number(id)];
    switch (kind) {
      case 'account': {
        const print = thumbprint(jwk);
        const known = this.#accounts.has(`/account/${print}`);
        if (!known) this.enrolments.push(payload);
        this.#accounts.set(`/account/${print}`, jwk);
        return { status: known ? 200 : 201, headers: { Location: `${this.url}/account/${print}` }, body: { status: 'valid' } };
      }
      case 'order': {
        if (order !== undefined) return { status: 200, body: this.#shown(order) };
        const names = (payload['identifiers'] as { value: string }[]).map(({ value }) => value);
        this.orders.push({ names, proven: names.map(() => false), failure: null, chain: '' });
        const made = this.orders.at(-1)!;
        return { status: 201, headers: { Location: `${this.url}/order/${this.orders.length - 1}` }, body: this.#shown(made) };
      }
      case 'authz':
        return { status: 200, body: this.#authorization(order!, Number(name)) };
      case 'challenge': {
        const at = Number(name);
        const token = tokenOf(order!, at);
        const host = order!.names[at]!;
        if (await this.validate(host, token, `${token}.${thumbprint(jwk)}`)) order!.proven[at] = true;
        else order!.failure = { type: 'urn:ietf:params:acme:error:unauthorized', detail: `wrong answer at ${host}` };
        return { status: 200, body: { type: 'http-01', status: 'processing', token, url: this.url + path } };
      }
      case 'finalize':
        order!.chain = this.#issue(order!, Buffer.from(payload['csr'] as string, 'base64url'));
        return { status: 200, body: this.#shown(order!) };
      case 'cert':
        return { status: 200, body: order!.chain };
      default:
        return problem(404, 'malformed', 'nothing is here');
    }
  }

  #shown(order: Order): object {
    const at = this.orders.indexOf(order);
    const status = order.failure !== null ? 'invalid' : order.chain !== '' ? 'valid' : order.proven.every(Boolean) ? 'ready' : 'pending';
    return {
      status,
      authorizations: order.names.map((_, i) => `${this.url}/authz/${at}/${i}`),
      finalize: `${this.url}/finalize/${at}`,
      ...(order.chain === '' ? {} : { certificate: `${this.url}/cert/${at}` }),
    };
  }

  #authorization(order: Order, i: number): object {
    const at = this.orders.indexOf(order);
    const status = order.failure !== null ? 'invalid' : order.proven[i] === true ? 'valid' : 'pending';
    const challenge = { type: 'http-01', status, token: tokenOf(order, i), url: `${this.url}/challenge/${at}/${i}` };
    return {
      status,
      identifier: { type: 'dns', value: order.names[i] },
      challenges: [
        { type: 'dns-01', status: 'pending', token: 'x', url: `${this.url}/none` },
        order.failure === null ? challenge : { ...challenge, error: order.failure },
      ],
    };
  }

  #issue({ names }: Order, request: Buffer): string {
    const info = elementsOf(elementsOf(elementsOf(request)[0]!.value)[0]!.value)[2]!.whole;
    const key = createPublicKey({ key: info, format: 'der', type: 'spki' });
    // Whole seconds: a certificate knows no others.
    const notBeforeMs = Math.floor(this.now() / 1000) * 1000;
    const subject = elementsOf(elementsOf(elementsOf(Buffer.from(this.ca.replaceAll(/-----.*-----/g, ''), 'base64'))[0]!.value)[0]!.value)[5]!.whole;
    const issuer = { key: this.#caKey, subject, keyId: null };
    return makeCertificate({ names, isAuthority: false, key, notBeforeMs, notAfterMs: notBeforeMs + this.lifeMs, issuer }) + this.ca;
  }
}

/** An answer that says no. */
export function problem(status: number, type: string, detail: string, headers: Record<string, string> = {}): AcmeReply {
  return { status, headers, body: { type: `urn:ietf:params:acme:error:${type}`, detail, status } };
}

function tokenOf({ names }: Order, i: number): string {
  return createHash('sha256').update(`${i} ${names[i]}`).digest('base64url').slice(0, 32);
}

/** RFC 7638, for P-256. */
function thumbprint({ crv, kty, x, y }: JsonWebKey): string {
  return createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
}
