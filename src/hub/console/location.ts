import type { AdminPlace } from '../../plugins/admin.ts';
import type { LocationSettings } from '../../proxy/location-section.ts';
import type { Upstream } from '../../upstream/upstream.ts';
import type { GatewaySettings } from '../../config/gateway.ts';
import type { House } from '../house.ts';
import { Inside } from '../inside.ts';

/** The console in place of a location's upstream, where the location has plugin `admin`; null where it has none. */
export function consoleAt({ host, path, plugins }: LocationSettings, settings: GatewaySettings, { console }: House): Upstream | null {
  const plugin = plugins.map((name) => settings.plugins.get(name)).find((one) => one?.definition.name === 'admin');
  if (plugin === undefined || console === null) return null;
  const place = plugin.values as unknown as AdminPlace;
  const base = place.path ?? (path === null || path.form === 'regex' ? '/' : path.value);
  const door = console.at(base.replace(/\/+$/, ''), host === null ? 'loopback' : 'nobody', place.hosts);
  return new Inside((head, reply, notes) => door.open(head, reply, notes));
}
