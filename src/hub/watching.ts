import type { Backends } from './console/console.ts';
import { ConsoleLogs } from './console/logs.ts';
import { ConsoleTraffic } from './console/traffic.ts';
import type { Deps, House } from './house.ts';
import type { Listener } from './listener.ts';

/** What the console shows of what happens: requests, and lines of the log. `listenerOf`: where a server listens; null = no more. `secretNames`: see ConsoleTraffic. */
export function watching(
  { lines }: Deps,
  house: House,
  listenerOf: (server: string) => Listener | null,
  secretNames?: () => ReadonlySet<string>,
): Pick<Backends, 'traffic' | 'logs'> {
  return {
    traffic: new ConsoleTraffic(house.inspector, house.loop, listenerOf, secretNames),
    ...(lines === undefined ? {} : { logs: new ConsoleLogs(lines) }),
  };
}
