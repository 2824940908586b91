import { signal } from '@preact/signals';
import { type Query, send } from './client.ts';
import { EventStreamParser } from './event-stream.ts';
import { ApiError } from './problem.ts';

/** Waits between tries, ms: the first is short, since most servers are back at once. */
const RETRY_MS = [500, 1_000, 2_000, 4_000, 8_000];
/** A stream has a sign of life each 15 s; without one for so long it is dead, ms. */
const SILENT_MS = 40_000;
/** A page that nobody sees gives its stream back after so long: browsers allow six connections to one server, ms. */
const HIDDEN_MS = 10_000;

/** When the next try of a lost stream is due, ms since 1970; 0 = none is waiting. */
export const nextTryAtMs = signal(0);

export interface Following {
  /** Tries now rather than later. */
  now(): void;
  end(): void;
}

/** Follows an event stream for as long as the page is seen, and comes back by itself. `up` is told whenever it has begun anew, `down` when it is lost. */
export function follow(
  path: string,
  query: Query,
  hears: { event(name: string, data: unknown): void; up?(): void; down?(error: ApiError): void },
): Following {
  let ended = false;
  let tries = 0;
  let current: AbortController | null = null;
  let waiting: ReturnType<typeof setTimeout> | undefined;
  let hiding: ReturnType<typeof setTimeout> | undefined;

  const begin = (): void => {
    clearTimeout(waiting);
    waiting = undefined;
    nextTryAtMs.value = 0;
    if (ended || current !== null) return;
    const mine = new AbortController();
    current = mine;
    void read(mine).then((error) => {
      // Another has begun, or the page is hidden.
      if (ended || current !== mine) return;
      current = null;
      hears.down?.(error);
      // Who is refused gains nothing by asking the same again.
      if (error.status >= 400 && error.status < 500 && error.status !== 408 && error.status !== 429) return;
      const ms = RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]! * (0.8 + Math.random() * 0.4);
      nextTryAtMs.value = Date.now() + ms;
      waiting = setTimeout(begin, ms);
    });
  };

  const read = async (mine: AbortController): Promise<ApiError> => {
    let silence: ReturnType<typeof setTimeout> | undefined;
    const alive = (): void => {
      clearTimeout(silence);
      silence = setTimeout(() => mine.abort(), SILENT_MS);
    };
    try {
      alive();
      const answer = await send('GET', path, undefined, { query, signal: mine.signal, stream: true });
      tries = 0;
      hears.up?.();
      const parser = new EventStreamParser((name, data) => {
        let value: unknown;
        try {
          value = JSON.parse(data);
        } catch {
          return;
        }
        hears.event(name, value);
      });
      const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return new ApiError(0, 'ended', 'the stream has ended');
        alive();
        parser.push(value);
      }
    } catch (error) {
      return error instanceof ApiError ? error : new ApiError(0, 'away', 'the server does not answer');
    } finally {
      clearTimeout(silence);
    }
  };

  const seen = (): void => {
    clearTimeout(hiding);
    if (document.visibilityState === 'visible') {
      tries = 0;
      begin();
    } else
      hiding = setTimeout(() => {
        clearTimeout(waiting);
        current?.abort();
        current = null;
      }, HIDDEN_MS);
  };

  document.addEventListener('visibilitychange', seen);
  begin();
  return {
    now: () => {
      tries = 0;
      begin();
    },
    end: () => {
      ended = true;
      document.removeEventListener('visibilitychange', seen);
      clearTimeout(waiting);
      clearTimeout(hiding);
      current?.abort();
      nextTryAtMs.value = 0;
    },
  };
}
