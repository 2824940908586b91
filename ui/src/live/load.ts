import { useEffect, useRef, useState } from 'preact/hooks';
import { online } from '../api/client.ts';
import { ApiError } from '../api/problem.ts';
import { changes, epoch, type What } from './store.ts';

export interface Loaded<T> {
  /** The newest that came; undefined before the first. */
  readonly data: T | undefined;
  /** Why the last try failed; null when it did not. */
  readonly error: ApiError | null;
  readonly loading: boolean;
  reload(): void;
}

/** Loads when shown, when `key` changes, when the server says that one of `on` has changed, when the link comes back, and each `everyMs`. What was there stays until the new is. */
export function useLoad<T>(
  load: (signal: AbortSignal) => Promise<T>,
  key: string,
  options: { on?: readonly What[]; everyMs?: number } = {},
): Loaded<T> {
  const [state, setState] = useState<{ data: T | undefined; error: ApiError | null; loading: boolean }>({
    data: undefined,
    error: null,
    loading: true,
  });
  const [asked, setAsked] = useState(0);
  const version = (options.on ?? []).map((what) => changes[what].value).join() + `,${epoch.value}`;
  const newest = useRef(load);
  newest.current = load;
  useEffect(() => {
    const ends = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const run = (): void => {
      newest.current(ends.signal).then(
        (data) => {
          if (ends.signal.aborted) return;
          setState({ data, error: null, loading: false });
          again();
        },
        (error: unknown) => {
          if (ends.signal.aborted) return;
          const known = error instanceof ApiError ? error : new ApiError(0, 'page', String(error));
          setState((before) => ({ data: before.data, error: known, loading: false }));
          again();
        },
      );
    };
    const again = (): void => {
      if (options.everyMs === undefined) return;
      timer = setTimeout(() => (document.visibilityState === 'visible' && online.peek() ? run() : again()), options.everyMs);
    };
    setState((before) => (before.loading ? before : { ...before, loading: true }));
    run();
    return () => {
      ends.abort();
      clearTimeout(timer);
    };
  }, [key, version, asked, options.everyMs]);
  return { ...state, reload: () => setAsked((count) => count + 1) };
}
