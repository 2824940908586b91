import { signal } from '@preact/signals';

/** Where the page is: `#/agents/ID?state=away` is `{ screen: 'agents', rest: ['ID'], query }`. */
export interface Place {
  readonly screen: string;
  readonly rest: readonly string[];
  readonly query: URLSearchParams;
}

export type PlaceQuery = Readonly<Record<string, string | undefined>>;

export const place = signal<Place>(placeOf(typeof location === 'undefined' ? '' : location.hash));

/** Asked before the page goes to another screen; says whether it may. Screens with unsaved work set it, and take it away again. */
export const leaveGuard = signal<(() => boolean | Promise<boolean>) | null>(null);

/** The hash of a place, for links. */
export function href(screen: string, rest: string | readonly string[] = [], query: PlaceQuery = {}): string {
  const parts = [screen, ...(typeof rest === 'string' ? [rest] : rest)].map(encodeURIComponent).join('/');
  const asked = new URLSearchParams(
    Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== ''),
  ).toString();
  return `#/${parts}${asked === '' ? '' : `?${asked}`}`;
}

export function go(screen: string, rest: string | readonly string[] = [], query: PlaceQuery = {}): void {
  location.hash = href(screen, rest, query);
}

/** Changes the query of the present place without a step in the history; `undefined` and '' take a name out. */
export function setQuery(changes: PlaceQuery): void {
  // Somebody is on the way to another place, and the page has not been told yet.
  if (location.hash !== stays) return;
  const { screen, rest, query } = place.peek();
  replace(screen, rest, { ...Object.fromEntries(query), ...changes });
}

/** The hash of the place that is shown, to go back to when somebody stays. */
let stays = typeof location === 'undefined' ? '' : location.hash;

/** Goes there without a step in the history. */
export function replace(screen: string, rest: string | readonly string[] = [], query: PlaceQuery = {}): void {
  const hash = href(screen, rest, query);
  history.replaceState(history.state, '', hash);
  stays = hash;
  place.value = placeOf(hash);
}

/** Follows the address bar. Called once, by the entry. */
export function startRouter(): void {
  stays = location.hash;
  addEventListener('hashchange', () => {
    const wished = location.hash;
    const guard = leaveGuard.peek();
    const next = placeOf(wished);
    if (guard === null || next.screen === place.peek().screen) {
      stays = wished;
      place.value = next;
      return;
    }
    history.replaceState(history.state, '', stays === '' ? '#/' : stays);
    void Promise.resolve(guard()).then((may) => {
      if (!may) return;
      leaveGuard.value = null;
      stays = wished;
      location.hash = wished;
      place.value = next;
    });
  });
  addEventListener('beforeunload', (event) => {
    if (leaveGuard.peek() !== null) event.preventDefault();
  });
}

export function placeOf(hash: string): Place {
  const [path = '', asked = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  const [screen = '', ...rest] = path.split('/').map(decoded);
  return { screen, rest: rest.filter((part) => part !== ''), query: new URLSearchParams(asked) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
