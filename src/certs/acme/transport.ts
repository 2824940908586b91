import { Buffer } from 'node:buffer';
import http from 'node:http';
import https from 'node:https';
import { VERSION } from '../../observe/version.ts';
import type { AcmeLimits } from './limits.ts';
import { AcmeError } from './problem.ts';

/** An answer of an ACME server, whole. */
export interface AcmeAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Requests to an ACME server: over TLS (RFC 8555 6.1), each on a connection of its own, bounded in time and size. */
export class AcmeTransport {
  /** PEM; null = the authorities that Node believes. */
  readonly #ca: string | null;
  /** The directory is on this machine, in plain HTTP. */
  readonly #isPlain: boolean;
  readonly #limits: AcmeLimits;
  readonly #signal: AbortSignal;

  /** `ca`: whose word on the server is believed, in place of the usual authorities. `signal` ends requests. */
  constructor(directoryUrl: string, ca: string | null, limits: AcmeLimits, signal: AbortSignal) {
    this.#isPlain = new URL(directoryUrl).protocol === 'http:';
    this.#ca = ca;
    this.#limits = limits;
    this.#signal = signal;
  }

  /** `body`: JSON to POST; null = only `method`. @throws AcmeError when there is no answer */
  ask(method: 'GET' | 'HEAD' | 'POST', url: string, body: string | null, accept: string): Promise<AcmeAnswer> {
    const target = targetOf(url, this.#isPlain);
    const { requestTimeoutMs } = this.#limits;
    return new Promise((resolve, reject) => {
      const options: https.RequestOptions = {
        method,
        agent: false,
        signal: AbortSignal.any([this.#signal, AbortSignal.timeout(requestTimeoutMs)]),
        headers: {
          'User-Agent': `windlass/${VERSION}`,
          Accept: accept,
          ...(body === null ? {} : { 'Content-Type': 'application/jose+json', 'Content-Length': Buffer.byteLength(body) }),
        },
        ...(this.#ca === null ? {} : { ca: this.#ca }),
      };
      const fail = (error: Error): void => reject(new AcmeError(`${target.host} ${this.#reasonOf(error)}`));
      const request = (target.protocol === 'https:' ? https : http).request(target, options, (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size <= this.#limits.answerBytes) chunks.push(chunk);
          else {
            reject(new AcmeError(`${target.host} answered with more than ${this.#limits.answerBytes} bytes`));
            request.destroy();
          }
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }));
        response.on('error', fail);
      });
      request.on('error', fail);
      request.end(body ?? undefined);
    });
  }

  #reasonOf(error: NodeJS.ErrnoException): string {
    const { code, message } = error;
    if (this.#signal.aborted) return 'was not waited for: the order was called off';
    if (error.name === 'AbortError' || error.name === 'TimeoutError') return `did not answer within ${this.#limits.requestTimeoutMs} ms`;
    if (code === 'ECONNREFUSED') return 'refuses connections';
    if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'has no address (DNS)';
    if (code === 'ECONNRESET' || code === 'HPE_INVALID_CONSTANT' || code?.startsWith('HPE_') === true)
      return `broke off, or speaks no HTTP (${code})`;
    if (code !== undefined && /CERT|SELF_SIGNED|ISSUER|VERIFY|ALTNAME/.test(code))
      return `has a certificate that is not believed (${code}); for an authority of your own give its certificate with acme_ca`;
    return `cannot be asked (${code ?? message})`;
  }
}

/**
 * Over plain HTTP only to this machine, since whoever can listen in could order in our name; and only if the directory is there, since no server elsewhere
 * is to send us to what listens here.
 */
function targetOf(url: string, isPlain: boolean): URL {
  const target = URL.canParse(url) ? new URL(url) : null;
  const isHere = target !== null && /^(?:127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/.test(target.hostname);
  if (target !== null && (target.protocol === 'https:' || (target.protocol === 'http:' && isHere && isPlain))) return target;
  throw new AcmeError('the server names an address that is no https:// URL');
}
