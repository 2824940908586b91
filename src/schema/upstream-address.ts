import { isIP, isIPv6 } from 'node:net';
import { forbiddenAddress } from './forbidden-address.ts';
import { isHostName } from './host.ts';
import { all, type Kind, list, scalar } from './kind.ts';
import { nearest } from './nearest.ts';
import { Wrong } from './wrong.ts';

/** One of the addresses of an upstream. */
export interface UpstreamAddress {
  /** Name or IP address, lower case, without brackets. */
  readonly host: string;
  /** 0 = not written: 80, or 443 with TLS. */
  readonly port: number;
  /** Its share of the requests beside those of the others. */
  readonly weight: number;
  /** Lower ones first; the next when none of these is usable. */
  readonly priority: number;
  /** Only when no other is usable, whatever its priority. */
  readonly backup: boolean;
  /** How busy it is taken to be until it says so itself, 0 to 1: for algo = "spare_capacity". */
  readonly load: number;
}

const WEIGHT_MAX = 65_535;
const PRIORITY_MAX = 1_000;

/** `host:port[ weight]`, `host`, `[::1]:port`. @throws Wrong */
export function parseUpstreamAddress(text: string): UpstreamAddress {
  const [place, weight, ...more] = text.trim().split(/\s+/);
  if (place === undefined || place === '') throw new Wrong('is empty', 'write it as host:port, or host:port weight');
  if (more.length > 0) throw new Wrong('has more than an address and a weight', 'write it as host:port weight, such as 10.0.0.1:80 5');
  return { ...placeOf(place), weight: weight === undefined ? 1 : weightOf(weight), priority: 0, backup: false, load: 0 };
}

/** As parseUpstreamAddress() reads it; what only a table can say is left out. */
export function formatUpstreamAddress({ host, port, weight }: UpstreamAddress): string {
  const place = host.includes(':') ? `[${host}]` : host;
  return `${place}${port === 0 ? '' : `:${port}`}${weight === 1 ? '' : ` ${weight}`}`;
}

/** Addresses, each as text or as a table `{ addr, weight, priority, backup, load }`. */
export function upstreamAddresses(): Kind<readonly UpstreamAddress[]> {
  const texts = list(
    scalar('ADDRESS', 'host:port, or host:port weight; or { addr, weight, priority, backup, load }', parseUpstreamAddress, {
      format: formatUpstreamAddress,
    }),
  );
  return {
    ...texts,
    fromToml: (value, folder) => {
      const items = Array.isArray(value) ? value : typeof value === 'string' ? value.split(',') : [value];
      if (items.length === 0) throw new Wrong('names no address', 'write addrs = ["127.0.0.1:8080"]');
      return all(items, (item) => (isTable(item) ? fromTable(item) : texts.fromToml([item], folder)[0]!));
    },
    json: { anyOf: [{ type: 'array', items: { anyOf: [{ type: 'string' }, TABLE_JSON] } }, { type: 'string' }] },
  };
}

const TABLE_JSON = {
  type: 'object',
  properties: {
    addr: { type: 'string' },
    weight: { type: ['integer', 'string'], minimum: 1, maximum: WEIGHT_MAX },
    priority: { type: ['integer', 'string'], minimum: 0, maximum: PRIORITY_MAX },
    backup: { type: ['boolean', 'string'] },
    load: { type: ['number', 'string'], minimum: 0, maximum: 1 },
  },
  required: ['addr'],
  additionalProperties: false,
} as const;

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function fromTable(table: Readonly<Record<string, unknown>>): UpstreamAddress {
  for (const key of Object.keys(table)) {
    if (Object.hasOwn(TABLE_JSON.properties, key)) continue;
    const near = nearest(key, Object.keys(TABLE_JSON.properties));
    throw new Wrong('has an unknown key', near === null ? 'an address has addr, weight, priority, backup and load' : `did you mean ${near}?`, key);
  }
  const { addr, weight, priority, backup, load } = table;
  if (typeof addr !== 'string') throw new Wrong('has an address without addr', 'write { addr = "host:port" }');
  const base = partOf(addr, () => parseUpstreamAddress(addr));
  return {
    ...base,
    weight: weight === undefined ? base.weight : partOf(addr, () => weightOf(digits(weight))),
    priority: priority === undefined ? 0 : partOf(addr, () => priorityOf(digits(priority))),
    backup: backup === undefined ? false : partOf(addr, () => truthOf(backup)),
    load: load === undefined ? 0 : partOf(addr, () => loadOf(digits(load))),
  };
}

/** Says which address is meant. */
function partOf<T>(addr: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Wrong && error.part === null) throw new Wrong(error.message, error.fix, addr);
    throw error;
  }
}

function placeOf(place: string): { host: string; port: number } {
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(place)) throw new Wrong('is a URL', 'write host:port; TLS is asked for with sni');
  const [, bracketed, plain, portText] = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/.exec(place) ?? [];
  if (bracketed === undefined && place.indexOf(':') !== place.lastIndexOf(':'))
    throw new Wrong('has more than one colon', 'put an IPv6 address in brackets, such as [::1]:8080');
  if (bracketed !== undefined && !isIPv6(bracketed)) throw new Wrong('has no IPv6 address between its brackets', 'write it as [::1]:8080');
  if (plain === '') throw new Wrong('has no host', 'write it as host:port, such as 127.0.0.1:8080');
  if (plain !== undefined && /^\d+$/.test(plain)) throw new Wrong('is only a port', `write 127.0.0.1:${plain}`);
  if (plain !== undefined && !isHostName(plain)) throw new Wrong('has no valid host', 'write it as host:port, such as 127.0.0.1:8080');
  const host = (bracketed ?? plain!).toLowerCase();
  const forbidden = isIP(host) === 0 ? null : forbiddenAddress(host);
  if (forbidden !== null) throw new Wrong(forbidden, 'give the address of a service');
  return { host, port: portText === undefined ? 0 : portOf(portText) };
}

function portOf(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > 65_535)
    throw new Wrong('has no valid port', 'give one from 1 to 65535, such as 127.0.0.1:8080');
  return Number(text);
}

function weightOf(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > WEIGHT_MAX)
    throw new Wrong('has no valid weight', `give a number from 1 to ${WEIGHT_MAX}, or take the address away`);
  return Number(text);
}

function priorityOf(text: string): number {
  if (!/^\d{1,4}$/.test(text) || Number(text) > PRIORITY_MAX) throw new Wrong('has no valid priority', `give a number from 0 to ${PRIORITY_MAX}`);
  return Number(text);
}

function loadOf(text: string): number {
  const load = /^(?:\d{1,3}(?:\.\d{1,20})?|\d(?:\.\d{1,20})?e-\d{1,3})$/.test(text) ? Number(text) : Number.NaN;
  if (!(load <= 1)) throw new Wrong('has no valid load', 'give the part of its capacity that is in use, from 0 to 1, such as 0.5');
  return load;
}

function digits(value: unknown): string {
  return typeof value === 'number' || typeof value === 'bigint' || typeof value === 'string' ? String(value) : '';
}

function truthOf(value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new Wrong('has a backup that is neither true nor false', 'write backup = true');
}
