import { batch, signal } from '@preact/signals';
import type { Info, Overview, Tick } from '../../../src/admin/model.ts';
import { api } from '../api/client.ts';
import { follow, type Following } from '../api/follow.ts';

/** What may have changed, as event `change` says. */
export type What = 'config' | 'agents' | 'upstreams' | 'certificates' | 'queue';

/** Seconds of history that the page keeps. */
const TICKS = 300;

/** The last five minutes, oldest first. */
export const ticks = signal<readonly Tick[]>([]);
/** The newest; null before the first. */
export const latest = signal<Tick | null>(null);
/** Who serves; null until known. */
export const info = signal<Info | null>(null);
/** `live`: the numbers are those of this second. */
export const link = signal<'connecting' | 'live' | 'lost'>('connecting');
/** The whole hour and day of the page: what shows ages reads it, once a second. */
export const nowMs = signal(Date.now());
/** How often each has changed. What shows them reads its number and loads anew. */
export const changes = {
  config: signal(0),
  agents: signal(0),
  upstreams: signal(0),
  certificates: signal(0),
  queue: signal(0),
} as const satisfies Record<What, unknown>;
/** How often the link has come back: everything may be different then. */
export const epoch = signal(0);

let following: Following | null = null;

/** Begins to follow the server's events; again and again is fine. */
export function startLive(): void {
  if (following !== null) return;
  link.value = 'connecting';
  let first = true;
  following = follow(
    'events',
    {},
    {
      up: () => {
        batch(() => {
          link.value = 'live';
          if (!first) epoch.value++;
        });
        first = false;
        void api.get<Info>('info').then(
          (fresh) => (info.value = fresh),
          () => {},
        );
        void fillHistory();
      },
      down: () => {
        link.value = 'lost';
      },
      event: (name, data) => {
        if (name === 'tick') add(data as Tick);
        else if (name === 'change') {
          const { what } = data as { what?: What };
          if (what !== undefined && what in changes) changes[what].value++;
        }
      },
    },
  );
}

/** After a logout. */
export function stopLive(): void {
  following?.end();
  following = null;
  batch(() => {
    ticks.value = [];
    latest.value = null;
    info.value = null;
  });
}

export function retryNow(): void {
  following?.now();
}

async function fillHistory(): Promise<void> {
  try {
    const { history } = await api.get<Overview>('overview');
    const known = ticks.peek();
    const oldest = known[0]?.atMs ?? Infinity;
    const missing = history.filter(({ atMs }) => atMs < oldest || !known.some((tick) => tick.atMs === atMs));
    if (missing.length === 0) return;
    const all = [...known, ...missing].toSorted((a, b) => a.atMs - b.atMs).slice(-TICKS);
    batch(() => {
      ticks.value = all;
      latest.value = all.at(-1)!;
    });
  } catch {
    // Then it grows second by second.
  }
}

function add(tick: Tick): void {
  batch(() => {
    ticks.value = [...ticks.peek().filter(({ atMs }) => atMs < tick.atMs), tick].slice(-TICKS);
    latest.value = tick;
  });
}

/** The page's clock: one for all ages that are shown. */
export function startClock(): void {
  setInterval(() => {
    if (document.visibilityState === 'visible') nowMs.value = Date.now();
  }, 1_000);
}
