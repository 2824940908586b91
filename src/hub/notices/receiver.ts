import { randomUUID } from 'node:crypto';
import { plainLine } from '../../config/plain-line.ts';
import type { NotificationSettings } from '../../config/sections/notification.ts';
import type { Log } from '../../observe/log.ts';
import { Backoff } from '../../std/backoff.ts';
import type { Clock } from '../../std/clock.ts';
import { noticeLimits } from './limits.ts';
import { type CountedNotice, type Delivery, type NoticeRequest, requestsOf, type Speaker } from './message.ts';
import type { Notice } from './notice.ts';

export interface ReceiverParts {
  readonly settings: NotificationSettings;
  readonly speaker: () => Speaker;
  readonly log: Log;
  readonly clock: Clock;
  readonly counts: NoticeCounts;
  readonly random?: () => number;
}

/** Notices by what became of them. */
export interface NoticeCounts {
  sent: number;
  failed: number;
  dropped: number;
}

/** Tells one receiver, in messages that hold all that happened since the last. Nothing waits for it, and it holds a bounded number of notices. */
export class Receiver {
  readonly #parts: ReceiverParts;
  /** By event and subject, in the order in which they first happened. */
  readonly #pending = new Map<string, CountedNotice>();
  #omitted = 0;
  #timer: NodeJS.Timeout | null = null;
  #isSending = false;
  #sentMs = Number.NEGATIVE_INFINITY;
  readonly #end = new AbortController();

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
  }

  /** Soon; never throws. */
  tell(notice: Notice): void {
    if (this.#end.signal.aborted || !this.#parts.settings.events.has(notice.event)) return;
    const key = `${notice.event}\n${notice.subject}`;
    const known = this.#pending.get(key);
    if (known === undefined && this.#pending.size >= noticeLimits.pending) {
      this.#omitted++;
      this.#parts.counts.dropped++;
      return;
    }
    // What happened last stands last.
    this.#pending.delete(key);
    this.#pending.set(key, { ...notice, count: (known?.count ?? 0) + 1 });
    this.#plan();
  }

  /** Tells nothing any more: what waits is given up. */
  close(): void {
    this.#end.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#pending.clear();
  }

  #plan(): void {
    if (this.#timer !== null || this.#isSending || this.#pending.size === 0 || this.#end.signal.aborted) return;
    const { clock, settings } = this.#parts;
    const waitMs = Math.max(Math.min(noticeLimits.gatherMs, settings.intervalMs), this.#sentMs + settings.intervalMs - clock.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#send();
    }, waitMs);
    this.#timer.unref();
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    const { log, clock, settings, counts } = this.#parts;
    const taken = [...this.#pending].slice(0, noticeLimits.perMessage);
    for (const [key] of taken) this.#pending.delete(key);
    const notices = taken.map(([, notice]) => notice);
    const delivery: Delivery = { id: randomUUID(), notices, omitted: this.#omitted };
    this.#omitted = 0;
    const problem = await this.#deliver(delivery);
    this.#isSending = false;
    if (this.#end.signal.aborted) return;
    if (problem === null) counts.sent += notices.length;
    else {
      counts.failed += notices.length;
      // The address may hold a key: the name has to do.
      log.warn({ notification: settings.name, reason: problem, notices: notices.length }, 'a receiver of notices could not be told');
    }
    this.#sentMs = clock.now();
    this.#plan();
  }

  /** Null when all of it was taken, else why not. */
  async #deliver(delivery: Delivery): Promise<string | null> {
    const { settings, clock, random = Math.random } = this.#parts;
    const backoff = new Backoff(noticeLimits.backoffBaseMs, noticeLimits.backoffCapMs, random);
    // With a format that has one request for each, those that were taken are not sent again.
    let done = 0;
    for (let tries = 1; ; tries++) {
      const requests = requestsOf(settings, this.#parts.speaker(), delivery, clock.wall());
      let outcome: Outcome = DONE;
      for (; done < requests.length; done++) {
        outcome = await this.#post(requests[done]!);
        if (outcome.problem !== null) break;
      }
      if (outcome.problem === null || this.#end.signal.aborted) return null;
      if (outcome.isFinal || tries >= noticeLimits.tries) return outcome.problem;
      await this.#pause(backoff.next());
    }
  }

  async #post({ url, headers, body }: NoticeRequest): Promise<Outcome> {
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers,
        body,
        signal: AbortSignal.any([this.#end.signal, AbortSignal.timeout(noticeLimits.timeoutMs)]),
        redirect: 'manual',
      });
      const text = await beginningOf(response);
      const { status } = response;
      if (status < 200 || status > 299) return { problem: `status ${status}`, isFinal: status < 500 && status !== 408 && status !== 429 };
      return robotOutcome(text, this.#parts.settings);
    } catch (error) {
      const { name, cause } = error as Error & { cause?: NodeJS.ErrnoException };
      return { problem: cause?.code ?? name, isFinal: false };
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#end;
      const timer = setTimeout(end, ms);
      timer.unref();
      signal.addEventListener('abort', end);
      function end(): void {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        resolve();
      }
    });
  }
}

interface Outcome {
  /** Null: it was taken. */
  readonly problem: string | null;
  /** Another try would end alike. */
  readonly isFinal: boolean;
}

const DONE: Outcome = { problem: null, isFinal: true };

/** Robots say 200 whatever they think of it. */
function robotOutcome(text: string, { format, url, secret }: NotificationSettings): Outcome {
  if (format !== 'wecom' && format !== 'dingtalk') return DONE;
  try {
    const { errcode, errmsg } = JSON.parse(text) as { errcode?: unknown; errmsg?: unknown };
    if (typeof errcode !== 'number' || errcode === 0) return DONE;
    // What it says is for people, unless it says our secrets back.
    const secrets = [...url.searchParams.values(), ...(secret === null ? [] : [secret])];
    const isTold = typeof errmsg === 'string' && errmsg !== '' && !secrets.some((one) => one !== '' && errmsg.includes(one));
    const words = isTold ? `: ${plainLine(errmsg).slice(0, noticeLimits.reasonChars)}` : '';
    return { problem: `errcode ${errcode}${words}`, isFinal: !BUSY_CODES.has(errcode) };
  } catch {
    // Somebody else's page: its status was good.
  }
  return DONE;
}

/** Too many messages, or the robots are busy: WeCom's, then DingTalk's. */
const BUSY_CODES: ReadonlySet<number> = new Set([-1, 45009, 45033, 130101, 410100]);

async function beginningOf(response: Response): Promise<string> {
  if (response.body === null) return '';
  const pieces: Uint8Array[] = [];
  let length = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    length += value.length;
    if (length >= noticeLimits.answerBytes) {
      await reader.cancel();
      break;
    }
  }
  return Buffer.concat(pieces).toString('utf8');
}
