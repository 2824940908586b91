import { Buffer } from 'node:buffer';
import net from 'node:net';
import tls from 'node:tls';
import { refusalWords } from '../http/connect-failure.ts';
import { ResponseHead } from '../http/head.ts';
import { httpLimits } from '../http/limits.ts';
import { INCOMPLETE, parseResponse } from '../http/parse.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import type { Loop } from '../std/loop.ts';
import { Wire, type WireUser } from '../std/wire.ts';
import { connectThrough } from './native/connect.ts';
import { plainText } from './native/frames.ts';

/** What is asked for, and of whom. */
export interface AttemptOptions {
  readonly hub: UpstreamUrl;
  /** The address to connect to, when the hub's name has several; its name stays what is asked for. */
  readonly address?: string | null;
  /** An HTTP proxy on the way to the hub. */
  readonly proxy?: UpstreamUrl | null;
  /** What to trust instead of what Node believes. */
  readonly trust?: tls.SecureContext;
  /** What to trust of the hub alone, and to show it. Absent: `trust`. */
  hubTrust?(): tls.SecureContext;
  readonly loop: Loop;
  /** From the beginning to the hub's answer, ms. */
  readonly timeoutMs: number;
  /** The request. @throws RangeError when the token cannot stand in a field */
  text(): string;
  /** Is this 101 an answer to what was asked? */
  accepts(head: ResponseHead): boolean;
  /** How it went; once, unless cancel() came first, and never before the constructor has returned. */
  done(outcome: AttemptFailure | Upgraded): void;
}

export interface AttemptFailure {
  /** HTTP status of the hub's answer; 0 when there was none. */
  readonly status: number;
  readonly reason: string;
  readonly retryAfterMs: number;
  /** The time of whoever answered, as it wrote it; absent: nobody did, or did not say. */
  readonly date?: string;
}

/** An upgraded connection. */
export interface Upgraded {
  readonly wire: Wire;
  /** What came behind the answer. */
  readonly rest: Buffer;
  /** The answer; scratch. */
  readonly head: ResponseHead;
}

/** Bytes of a hub's refusal that are read for its reason. */
const REFUSAL_BYTES = 64 * 1024;

/** One try: connect, ask for the upgrade, read the answer. */
export class UpgradeAttempt implements WireUser {
  due: number;
  place = -1;
  readonly #loop: Loop;
  readonly #options: AttemptOptions;
  #wire: Wire | null = null;
  /** Gives up the way through a proxy that is being opened. */
  #giveUp: (() => void) | null = null;
  #bytes: Buffer = Buffer.alloc(0);
  #over = false;
  /** The hub's refusal, whose body explains it. */
  #refusal: AttemptFailure | null = null;
  #bodyFrom = 0;
  #bodyTo = 0;

  constructor(options: AttemptOptions) {
    this.#loop = options.loop;
    this.#options = options;
    this.due = options.loop.clock.now() + options.timeoutMs;
    options.loop.sweeper.add(this);
    const { proxy, hub, trust } = options;
    if (proxy === undefined || proxy === null) {
      this.#ask(null);
      return;
    }
    this.#giveUp = connectThrough(proxy, hub, trust, (outcome) => {
      this.#giveUp = null;
      if ('problem' in outcome) this.#fail({ status: 0, reason: outcome.problem, retryAfterMs: 0 });
      else this.#ask(outcome.socket);
    });
  }

  /** Asks for the upgrade, over a connection that a proxy has opened or over one of our own. */
  #ask(through: net.Socket | null): void {
    const { hub, loop } = this.#options;
    const trust = this.#options.hubTrust?.() ?? this.#options.trust;
    const { host, port } = hub;
    const address = this.#options.address ?? host;
    const secure = hub.protocol === 'https';
    const wire = new Wire(loop, this, (onread) => {
      if (!secure) return through ?? net.connect({ host: address, port, allowHalfOpen: true, onread });
      return tls.connect({
        ...(through === null ? { host: address, port } : { socket: through }),
        ALPNProtocols: ['http/1.1'],
        minVersion: 'TLSv1.2',
        ...(net.isIP(host) === 0 ? { servername: host } : { host }),
        ...(trust === undefined ? {} : { secureContext: trust }),
      });
    });
    this.#wire = wire;
    if (secure || through !== null) wire.listenToData();
    if (!secure && through !== null) wire.resume();
    let text: string;
    try {
      text = this.#options.text();
    } catch {
      this.#fail({ status: 0, reason: 'the token has characters that no token has', retryAfterMs: 0 });
      return;
    }
    wire.write(Buffer.from(text, 'latin1'));
  }

  cancel(): void {
    this.#over = true;
    this.#loop.sweeper.remove(this);
    this.#giveUp?.();
    this.#wire?.destroy();
  }

  expired(): void {
    this.#fail(this.#refusal ?? { status: 0, reason: 'no answer in time', retryAfterMs: 0 });
  }

  received(bytes: Buffer, start: number, end: number): void {
    if (this.#over) return;
    this.#bytes = Buffer.concat([this.#bytes, bytes.subarray(start, end)]);
    if (this.#refusal !== null) {
      if (this.#bytes.length >= this.#bodyTo) this.#refused();
      return;
    }
    const head = new ResponseHead();
    const at = parseResponse(head, this.#bytes, 0, this.#bytes.length, httpLimits);
    if (at === INCOMPLETE) return;
    if (at < 0) {
      this.#fail({ status: 0, reason: `what answers there is no hub: ${head.problemDetail}`, retryAfterMs: 0 });
      return;
    }
    if (head.status === 101) {
      if (this.#options.accepts(head)) this.#succeed(at, head);
      else this.#fail({ status: 0, reason: 'what answers there speaks another protocol', retryAfterMs: 0 });
      return;
    }
    const seconds = Number(head.get('retry-after') ?? '0');
    this.#refusal = {
      status: head.status,
      reason: `it answered ${head.status}`,
      retryAfterMs: Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : 0,
      ...dateOf(head),
    };
    this.#bodyFrom = at;
    this.#bodyTo = Math.min(head.length >= 0 ? at + head.length : Infinity, REFUSAL_BYTES);
    if (this.#bytes.length >= this.#bodyTo) this.#refused();
  }

  /** The body of a refusal says more than its status. */
  #refused(): void {
    const refusal = this.#refusal!;
    let { reason } = refusal;
    try {
      const problem = JSON.parse(this.#bytes.toString('utf8', this.#bodyFrom)) as { detail?: unknown };
      if (typeof problem.detail === 'string' && problem.detail !== '') reason = `${plainText(problem.detail, 200)} (status ${refusal.status})`;
    } catch {
      // Somebody else's page: the status has to do.
    }
    this.#fail({ ...refusal, reason });
  }

  finished(): void {
    const { error } = this.#wire!;
    if (this.#refusal !== null) this.#refused();
    else this.#fail({ status: 0, reason: error === null ? 'the connection was closed before an answer' : wordsOf(error), retryAfterMs: 0 });
  }

  drained(): void {}

  closed(error: Error | null): void {
    if (this.#refusal !== null) this.#refused();
    else this.#fail({ status: 0, reason: error === null ? 'the connection was closed' : wordsOf(error), retryAfterMs: 0 });
  }

  #succeed(at: number, head: ResponseHead): void {
    this.#over = true;
    this.#loop.sweeper.remove(this);
    this.#options.done({ wire: this.#wire!, rest: this.#bytes.subarray(at), head });
  }

  #fail(failure: AttemptFailure): void {
    if (this.#over) return;
    this.cancel();
    // Never from inside the constructor: the dialer does not know its attempt yet.
    setImmediate(() => this.#options.done(failure));
  }
}

function dateOf(head: ResponseHead): { readonly date?: string } {
  const date = head.get('date');
  return date === undefined || date === null ? {} : { date };
}

function wordsOf(error: NodeJS.ErrnoException): string {
  const refusal = refusalWords(error.code ?? '');
  return refusal === undefined ? plainText(error.message, 200) : `it ${refusal} (${error.code}): see --cert-file and --key-file`;
}
