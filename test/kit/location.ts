import { type LocationSettings, locationTable } from '../../src/proxy/location-section.ts';
import { type Setting, tomlName } from '../../src/schema/setting.ts';

/** Settings of a location from the keys of its table, as a file would have them. @throws Wrong, and Error for keys that there are not */
export function locationSettings(name: string, toml: Readonly<Record<string, unknown>>): LocationSettings {
  const left = new Set(Object.keys(toml));
  const values: Record<string, unknown> = { name };
  for (const [key, setting] of Object.entries<Setting<unknown>>(locationTable)) {
    const given = toml[tomlName(key)];
    left.delete(tomlName(key));
    values[key] = given === undefined ? setting.fallback : setting.kind.fromToml(given, '/');
  }
  if (left.size > 0) throw new Error(`no such keys: ${[...left].join(', ')}`);
  return values as unknown as LocationSettings;
}
