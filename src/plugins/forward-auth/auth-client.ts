import http from 'node:http';
import https from 'node:https';
import { BODY_BYTES, SOCKETS } from './limits.ts';

/** What the service said. */
export interface AuthAnswer {
  readonly status: number;
  /** Names and values as they came. */
  readonly rawHeaders: readonly string[];
  /** Values of a name in lower case, joined; undefined when there is none. */
  header(lower: string): string | undefined;
  readonly body: Buffer;
}

/** It took too long. */
export class AuthTimeout extends Error {}

/** Asks a service over connections that are kept. */
export class AuthClient {
  readonly #url: URL;
  readonly #timeoutMs: number;
  readonly #agent: http.Agent;

  constructor(url: URL, timeoutMs: number) {
    this.#url = url;
    this.#timeoutMs = timeoutMs;
    const options = { keepAlive: true, maxSockets: SOCKETS, maxFreeSockets: 32 };
    this.#agent = url.protocol === 'https:' ? new https.Agent(options) : new http.Agent(options);
  }

  /** @throws AuthTimeout, or whatever kept it from being asked */
  async ask(headers: Readonly<Record<string, string>>): Promise<AuthAnswer> {
    const signal = AbortSignal.timeout(this.#timeoutMs);
    try {
      return await this.#once(headers, signal);
    } catch (error) {
      if (signal.aborted) throw new AuthTimeout();
      // The service closed a connection at the moment we took it: a GET may be asked again.
      if (!(error instanceof StaleConnection)) throw error;
    }
    try {
      return await this.#once(headers, signal);
    } catch (error) {
      throw signal.aborted ? new AuthTimeout() : error;
    }
  }

  #once(headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<AuthAnswer> {
    return new Promise((resolve, reject) => {
      const options = { method: 'GET', headers, agent: this.#agent, signal };
      const request = this.#url.protocol === 'https:' ? https.request(this.#url, options) : http.request(this.#url, options);
      let isAnswered = false;
      request.on('error', (error: NodeJS.ErrnoException) =>
        reject(request.reusedSocket && !isAnswered && error.code === 'ECONNRESET' ? new StaleConnection() : error),
      );
      // Neither an error nor an answer: it switched to another protocol, which nobody asked for.
      request.on('close', () => {
        if (!isAnswered) reject(new Error('it closed the connection without an answer'));
      });
      request.on('response', (response) => {
        isAnswered = true;
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes <= BODY_BYTES) chunks.push(chunk);
          else request.destroy(new Error(`it answered more than ${BODY_BYTES} bytes`));
        });
        response.on('error', reject);
        response.on('close', () => {
          if (!response.complete) reject(new Error('its answer broke off'));
          const { rawHeaders } = response;
          resolve({
            status: response.statusCode!,
            rawHeaders,
            header: (lower) => valueOf(rawHeaders, lower),
            body: Buffer.concat(chunks),
          });
        });
      });
      request.end();
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

class StaleConnection extends Error {}

function valueOf(rawHeaders: readonly string[], lower: string): string | undefined {
  let found: string | undefined;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.toLowerCase() === lower) found = found === undefined ? rawHeaders[i + 1]! : `${found}, ${rawHeaders[i + 1]!}`;
  }
  return found;
}
