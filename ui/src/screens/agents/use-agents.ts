import { useEffect, useRef, useState } from 'preact/hooks';
import type { AgentInfo, Page } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { ApiError } from '../../api/problem.ts';
import { changes, epoch } from '../../live/store.ts';

/** Rows that are asked for at once; what is in sight lies within two of these. */
const CHUNK = 100;
/** Slots and counts change without an event, ms. */
const EVERY_MS = 3_000;

export interface Agents {
  /** Null until known. */
  readonly total: number | null;
  readonly rows: readonly AgentInfo[];
  /** Of the first of `rows` in the whole list. */
  readonly offset: number;
  readonly error: ApiError | null;
  readonly loading: boolean;
  range(first: number, last: number): void;
  reload(): void;
}

/** A window on the list of agents, however long that is: only what is in sight is asked for, and asked for again. */
export function useAgents(asked: { query: string; state: string; sort: string }): Agents {
  const [state, setState] = useState<Omit<Agents, 'range' | 'reload'>>({ total: null, rows: [], offset: 0, error: null, loading: true });
  const [span, setSpan] = useState<readonly [number, number]>([0, CHUNK]);
  const [again, setAgain] = useState(0);
  const key = `${asked.query}\n${asked.state}\n${asked.sort}`;
  const before = useRef(key);
  const version = `${changes.agents.value},${epoch.value}`;

  useEffect(() => {
    const ends = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const fresh = before.current !== key;
    before.current = key;
    const [from, to] = fresh ? [0, CHUNK] : span;
    const load = (): void => {
      api.get<Page<AgentInfo>>('agents', { query: { ...asked, offset: from, limit: to - from }, signal: ends.signal }).then(
        ({ total, items }) => {
          if (ends.signal.aborted) return;
          setState({ total, rows: items, offset: from, error: null, loading: false });
          next();
        },
        (error: unknown) => {
          if (ends.signal.aborted) return;
          setState((old) => ({ ...old, loading: false, error: error instanceof ApiError ? error : new ApiError(0, '', String(error)) }));
          next();
        },
      );
    };
    const next = (): void => {
      timer = setTimeout(() => (document.visibilityState === 'visible' ? load() : next()), EVERY_MS);
    };
    load();
    return () => {
      ends.abort();
      clearTimeout(timer);
    };
  }, [key, version, again, span[0], span[1]]);

  return {
    ...state,
    range: (first, last) => {
      const from = Math.floor(first / CHUNK) * CHUNK;
      const to = Math.max(from + CHUNK, Math.ceil(last / CHUNK) * CHUNK);
      setSpan((old) => (old[0] === from && old[1] === to ? old : [from, to]));
    },
    reload: () => setAgain((count) => count + 1),
  };
}
