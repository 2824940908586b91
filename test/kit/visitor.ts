import { ask, type Asked } from './ask.ts';

/** A browser with a page of the console, as far as cookies and what it says by itself go. */
export class Visitor {
  readonly #port: number;
  readonly #host: string;
  readonly #base: string;
  /** By name: value and path. */
  readonly cookies = new Map<string, { readonly value: string; readonly path: string; readonly flags: string }>();
  csrf = '';

  /** `base`: where the console stands; `host`: what is typed in the address bar. */
  constructor(port: number, base = '', host = `127.0.0.1:${port}`) {
    this.#port = port;
    this.#base = base;
    this.#host = host;
  }

  /** `path` below the console's base. A body is sent as JSON. */
  async ask(method: string, path: string, body?: unknown, more: Readonly<Record<string, string>> = {}): Promise<Asked> {
    const whole = `${this.#base}${path}`;
    const sent = [...this.cookies].filter(([, cookie]) => whole.startsWith(cookie.path)).map(([name, { value }]) => `${name}=${value}`);
    const headers: Record<string, string> = {
      Host: this.#host,
      ...(sent.length === 0 ? {} : { Cookie: sent.join('; ') }),
      ...(method === 'GET' ? {} : { Origin: `http://${this.#host}`, 'Sec-Fetch-Site': 'same-origin', 'Windlass-CSRF': this.csrf }),
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...more,
    };
    const answer = await ask(this.#port, { method, path: whole, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    for (const line of answer.headers['set-cookie'] ?? []) this.#keep(line);
    return answer;
  }

  #keep(line: string): void {
    const [pair, ...flags] = line.split('; ');
    const [name, value] = pair!.split('=') as [string, string];
    const path = flags.find((flag) => flag.startsWith('Path='))?.slice(5) ?? '/';
    if (flags.includes('Max-Age=0')) this.cookies.delete(name);
    else this.cookies.set(name, { value, path, flags: flags.join('; ') });
  }

  /** The status of the answer; from 200 on this is a page of somebody who is known. */
  async enter(path: '/session' | '/session/ticket', proof: unknown): Promise<number> {
    const answer = await this.ask('POST', `/api/v1${path}`, proof);
    if (answer.status === 200) this.csrf = (JSON.parse(answer.text) as { readonly csrf: string }).csrf;
    return answer.status;
  }
}
