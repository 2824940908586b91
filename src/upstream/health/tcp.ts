import net from 'node:net';
import type { Probe, ProbeOptions, Verdict } from './probe.ts';
import { reasonOf } from './reason.ts';

/** An endpoint that takes connections is well. */
export class TcpProbe implements Probe {
  readonly #options: ProbeOptions;
  #socket: net.Socket | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  start(done: (verdict: Verdict) => void): void {
    const { address, check } = this.#options;
    const socket = net.connect({ host: address.host, port: address.port });
    this.#socket = socket;
    const end = (verdict: Verdict): void => {
      if (this.#socket !== socket) return;
      this.close();
      done(verdict);
    };
    this.#timer = setTimeout(() => end({ ok: false, reason: 'connecting takes too long' }), check.connectTimeoutMs);
    socket.once('connect', () => end({ ok: true, reason: 'takes connections' }));
    socket.on('error', (error) => end({ ok: false, reason: reasonOf(error) }));
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#socket?.destroy();
    this.#socket = null;
  }
}
