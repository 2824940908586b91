import { useEffect, useRef, useState } from 'preact/hooks';
import type { Page, TrafficItem } from '../../../../src/admin/model.ts';
import { api, type Query } from '../../api/client.ts';
import { follow } from '../../api/follow.ts';
import { ApiError } from '../../api/problem.ts';

/** Lines that the page keeps. */
const KEPT = 1_000;
const FIRST = 200;
/** What comes faster is shown together, ms. */
const TOGETHER_MS = 250;

export interface Traffic {
  readonly items: readonly TrafficItem[];
  /** Those that have come while it was held. */
  readonly held: number;
  readonly error: ApiError | null;
  readonly loading: boolean;
  forget(): void;
}

/** The newest requests first, growing while they come; while `hold`, those that come are kept aside. */
export function useTraffic(filters: Query, hold: boolean): Traffic {
  const [state, setState] = useState<{ items: readonly TrafficItem[]; error: ApiError | null; loading: boolean }>({
    items: [],
    error: null,
    loading: true,
  });
  const aside = useRef<TrafficItem[]>([]);
  const holds = useRef(hold);
  const [, redraw] = useState(0);
  const key = JSON.stringify(filters);

  const show = (): void => {
    const fresh = aside.current;
    if (fresh.length === 0) return;
    aside.current = [];
    setState((before) => ({ ...before, items: merged(fresh, before.items) }));
  };

  useEffect(() => {
    holds.current = hold;
    if (!hold) show();
  }, [hold]);

  useEffect(() => {
    const ends = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    aside.current = [];
    setState((before) => ({ ...before, loading: true }));
    const load = (): void => {
      api.get<Page<TrafficItem>>('traffic', { query: { ...filters, limit: FIRST }, signal: ends.signal }).then(
        ({ items }) => !ends.signal.aborted && setState({ items, error: null, loading: false }),
        (error: unknown) => {
          if (ends.signal.aborted) return;
          setState((before) => ({ ...before, loading: false, error: error instanceof ApiError ? error : new ApiError(0, '', String(error)) }));
        },
      );
    };
    // What ends between the answer to one and the beginning of the other would be missed the other way round.
    const following = follow('traffic/events', filters, {
      up: load,
      event: (name, data) => {
        if (name !== 'exchange') return;
        aside.current.unshift(data as TrafficItem);
        if (aside.current.length > KEPT) aside.current.length = KEPT;
        timer ??= setTimeout(() => {
          timer = undefined;
          if (holds.current) redraw((count) => count + 1);
          else show();
        }, TOGETHER_MS);
      },
      down: (error) => setState((before) => ({ ...before, loading: false, error: before.items.length === 0 ? error : before.error })),
    });
    return () => {
      ends.abort();
      clearTimeout(timer);
      following.end();
    };
  }, [key]);

  return {
    ...state,
    held: hold ? aside.current.length : 0,
    forget: () => {
      aside.current = [];
      setState((before) => ({ ...before, items: [] }));
    },
  };
}

/** Newest first, each once: what is told again has changed. */
export function merged(fresh: readonly TrafficItem[], known: readonly TrafficItem[]): readonly TrafficItem[] {
  const ids = new Set<string>();
  const all: TrafficItem[] = [];
  for (const item of [...fresh, ...known]) {
    if (ids.has(item.id)) continue;
    ids.add(item.id);
    all.push(item);
    if (all.length === KEPT) break;
  }
  return all;
}
