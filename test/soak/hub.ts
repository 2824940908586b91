import { once } from 'node:events';
import net from 'node:net';
import type { Child, Children } from './child.ts';

export type HubState = 'starting' | 'up' | 'stopped' | 'stopping' | 'down';

export interface HubOptions {
  readonly children: Children;
  readonly index: number;
  /** One way, between this hub and agents, ms. */
  readonly delayMs: number;
  /** A line of its access log. */
  readonly logged: (line: string) => void;
}

/** A hub that is started again whenever it has ended, always at the same port. */
export class Hub {
  readonly name: string;
  readonly index: number;
  readonly delayMs: number;
  readonly #options: HubOptions;
  port = 0;
  adminPort = 0;
  state: HubState = 'down';
  child: Child | null = null;
  /** When it was last not well, monotonic ms. */
  troubledMs = Number.NEGATIVE_INFINITY;
  /** Was its last end one in order? */
  endedInOrder = false;

  constructor(options: HubOptions) {
    this.#options = options;
    this.index = options.index;
    this.name = `hub-${options.index + 1}`;
    this.delayMs = options.delayMs;
  }

  async start(): Promise<this> {
    if (this.port === 0) this.port = await freePort();
    this.state = 'starting';
    const { children, logged } = this.#options;
    const settings = {
      host: '127.0.0.1',
      port: String(this.port),
      'admin-addr': '127.0.0.1:0',
      'hub-id': this.name,
      'secret-file': children.secretFile,
      'queue-timeout': '120s',
      'queue-size': '20000',
      'drain-timeout': '10s',
      'access-log': 'stdout',
    };
    const child = children.start(this.name, 'hub run', settings, logged);
    this.child = child;
    await child.line('the hub listens');
    this.adminPort = await child.port('health and metrics are at');
    this.state = 'up';
    return this;
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL', 'down');
  }

  /** In order: what runs finishes. */
  term(): Promise<void> {
    return this.#end('SIGTERM', 'stopping');
  }

  async #end(signal: NodeJS.Signals, state: HubState): Promise<void> {
    this.state = state;
    this.endedInOrder = signal === 'SIGTERM';
    this.troubledMs = performance.now();
    this.child!.signal(signal);
    await this.child!.ended;
    this.state = 'down';
    this.troubledMs = performance.now();
  }

  pause(): void {
    this.state = 'stopped';
    this.child!.signal('SIGSTOP');
  }

  resume(): void {
    this.child!.signal('SIGCONT');
    this.state = 'up';
  }

  /** Its metrics page; '' when it does not answer. */
  async metrics(): Promise<string> {
    return pageOf(this.adminPort);
  }
}

/** A metrics page; '' when nobody answers within two seconds. */
export async function pageOf(port: number): Promise<string> {
  try {
    return await (await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(2_000) })).text();
  } catch {
    return '';
  }
}

/** A number on a metrics page; NaN when it is not there. */
export function numberOn(page: string, name: string): number {
  const at = page.startsWith(`${name} `) ? 0 : page.indexOf(`\n${name} `) + 1;
  if (at === 0 && !page.startsWith(`${name} `)) return Number.NaN;
  return Number.parseFloat(page.slice(at + name.length + 1));
}

/**
 * A port that was free a moment ago: a hub must come back where it was. Below the range that systems take for outgoing connections, one of which could
 * sit on it meanwhile.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = net.createServer();
    const outcome = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!outcome) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
