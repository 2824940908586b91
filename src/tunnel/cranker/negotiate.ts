/** Protocols of Cranker, as they are named on the wire. */
export type CrankerVersion = '1.0' | '3.0';

/** Preference of connectors that know both. */
export const CRANKER_VERSIONS: readonly CrankerVersion[] = ['3.0', '1.0'];

/** What a router answers to a registration. */
export interface Granted {
  readonly version: CrankerVersion;
  /** Value of `Sec-WebSocket-Protocol` in the 101, as it was offered; null = no such field. */
  readonly subprotocol: string | null;
  /** Does the 101 say `CrankerProtocol: 1.0`? Connectors of crank4j insist on it. */
  readonly saysVersion: boolean;
}

/**
 * Which protocol a connector is registered with: the first of its subprotocols that we speak, else what its `CrankerProtocol` field says.
 * `subprotocols`: the field's value, '' when absent. @returns null when we speak neither
 */
export function negotiate(subprotocols: string, crankerProtocol: string, spoken: ReadonlySet<CrankerVersion>): Granted | null {
  for (const offered of tokensOf(subprotocols)) {
    const version = versionOf(offered);
    if (version !== null && spoken.has(version)) return { version, subprotocol: offered, saysVersion: version === '1.0' };
  }
  const said = crankerProtocol.trim();
  if ((said === '1.0' || said === '3.0') && spoken.has(said)) return { version: said, subprotocol: null, saysVersion: said === '1.0' };
  return null;
}

/** What a connector takes the router's 101 for: anything but 3.0 is 1.0, none at all too. Null: a subprotocol that was not offered. */
export function versionGranted(subprotocol: string, offered: readonly CrankerVersion[]): CrankerVersion | null {
  if (subprotocol === '') return '1.0';
  const version = versionOf(subprotocol);
  return version !== null && offered.includes(version) ? version : null;
}

/** `Sec-WebSocket-Protocol` of a connector that offers these, the preferred one first. */
export function offerOf(versions: readonly CrankerVersion[]): string {
  return versions.map((version) => `${PREFIX}${version}`).join(', ');
}

const PREFIX = 'cranker_';
/** A longer list is nobody's who means it. */
const OFFERS = 16;

function tokensOf(list: string): string[] {
  return list
    .split(',', OFFERS)
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

function versionOf(subprotocol: string): CrankerVersion | null {
  const name = subprotocol.toLowerCase();
  return name === `${PREFIX}3.0` ? '3.0' : name === `${PREFIX}1.0` ? '1.0' : null;
}
