import http from 'node:http';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Kit } from './kit.ts';
import { until } from './until.ts';

/** An event stream of the admin API, as a page has it open. */
export class EventClient {
  readonly events: { readonly event: string; readonly data: unknown }[] = [];
  readonly #request: http.ClientRequest;
  #rest = '';
  isOver = false;

  constructor(request: http.ClientRequest, response: http.IncomingMessage) {
    this.#request = request;
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      const pieces = (this.#rest + text).split('\n\n');
      this.#rest = pieces.pop()!;
      for (const piece of pieces) {
        const [, event] = /^event: (.*)$/m.exec(piece) ?? [];
        const [, data] = /^data: (.*)$/m.exec(piece) ?? [];
        if (event !== undefined) this.events.push({ event, data: JSON.parse(data!) });
      }
    });
    response.on('error', () => {});
    response.on('close', () => {
      this.isOver = true;
    });
  }

  /** Waits for so many events of that name. */
  async seen<T>(event: string, count: number): Promise<T[]> {
    const found = (): T[] => this.events.filter((one) => one.event === event).map(({ data }) => data as T);
    await until(`${count} events ${event}`, () => found().length >= count);
    return found();
  }

  close(): void {
    this.#request.destroy();
  }
}

/** `path` below /api/v1. */
export function openEvents(
  { later }: Kit,
  { adminAddress }: { readonly adminAddress: { readonly port: number } | null },
  stateDir: string,
  path: string,
): Promise<EventClient> {
  const { port } = adminAddress!;
  const token = readFileSync(join(stateDir, `admin-token-${port}`), 'latin1').trim();
  return new Promise((resolve, reject) => {
    const request = http.get(
      { host: '127.0.0.1', port, path: `/api/v1${path}`, headers: { Authorization: `Bearer ${token}` }, agent: false },
      (response) => {
        if (response.statusCode === 200) resolve(new EventClient(request, response));
        else reject(new Error(`${path} was answered ${response.statusCode}`));
      },
    );
    later(() => request.destroy());
    request.on('error', reject);
  });
}
