import { formatAddress, type Address } from '../../schema/address.ts';
import { formatDuration } from '../../schema/duration.ts';
import { isIP } from 'node:net';
import { plainLine } from '../plain-line.ts';
import type { PiFile } from '../pi-file.ts';

export interface PiWishes {
  /** Where to listen. */
  readonly address: Address;
  /** Where the file was read; for a comment. */
  readonly source: string;
  /** Template of a line for each call; absent: none is written. */
  readonly accessLog?: string;
}

/** Name of the server, the location and the upstream in what is printed. */
export const PI_NAME = 'grpc';

/** The gateway that does what the PI gRPC proxy does with its file, as TOML: what `import pi` prints and `grpc-proxy` runs. */
export function piToml(file: PiFile, { address, source, accessLog }: PiWishes): string {
  const { heartbeatIntervalMs, heartbeatTimeoutMs, servers } = file;
  const interval = timeOf(heartbeatIntervalMs);
  const timeout = timeOf(heartbeatTimeoutMs);
  const rows = servers.map(({ name, host, port, priority, load }) => {
    const addr = formatAddress({ host, port });
    return `  { addr = ${quoted(addr)}, priority = ${priority}, load = ${decimal(load)} },${name === `${host}:${port}` ? '' : ` # ${plainLine(name)}`}`;
  });
  return `# ${plainLine(source)}, a file of the PI gRPC proxy, as a gateway.
[servers.${PI_NAME}]
addr = ${quoted(formatAddress(address))}
locations = ["${PI_NAME}"]
# A stream may pause for as long as its client wants; who has gone is noticed by the connection.
body_idle_timeout = "1d"
${accessLog === undefined ? '' : `access_log = ${quoted(accessLog)}\n`}
[locations.${PI_NAME}]
upstream = "${PI_NAME}"
# A call that reached no server goes to the next one. None is sent twice.
max_retries = ${Math.min(RETRIES_MAX, servers.length * TRIES_EACH)}

[upstreams.${PI_NAME}]
addrs = [
${rows.join('\n')}
]
alpn = "H2"
# Of the reachable servers with the lowest priority the one with the most to spare. Loads count until servers report their own.
algo = "spare_capacity"
health_check = "tcp://${PI_NAME}?check_frequency=${interval}&connection_timeout=${timeout}&failure=1&success=1&parallel"
connection_timeout = "${timeout}"
read_timeout = "1d"
write_timeout = "1d"
# Who was not to be reached twice is passed over until the heartbeat knows more.
eject_failures = ${TRIES_EACH}
eject_time = "1s"
${servers.some(({ host }) => isIP(host) === 0) ? `# Names are looked up as often as servers are checked: a new container has a new address.\nupdate_frequency = "${timeOf(Math.max(1_000, heartbeatIntervalMs))}"\n` : ''}`;
}

/** Attempts at a server before it is passed over. */
const TRIES_EACH = 2;
const RETRIES_MAX = 255;

/** In one unit, which reads better than two. */
function timeOf(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000}s` : formatDuration(ms);
}

/** A basic string of TOML. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

/** A float of TOML that is never taken for a whole number. */
function decimal(load: number): string {
  return Number.isInteger(load) ? load.toFixed(1) : String(load);
}
