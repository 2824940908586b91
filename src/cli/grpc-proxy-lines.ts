import { formatAddress } from '../schema/address.ts';
import { plainLine } from '../config/plain-line.ts';
import type { PiFile } from '../config/pi-file.ts';
import type { UpstreamStatus } from '../hub/gateway/status.ts';
import type { HealthReport } from '../upstream/health/checks.ts';

/** One line for each call that was forwarded, as a template of an access log. */
export const CALL_LINE = '{when_utc_iso} call {uri} from {remote} to {endpoint}: status {<grpc-status} {failure} in {latency}ms';

/** One line for a server whose heartbeat has just been looked at. `endpoints`: how all of them are now. */
export function heartbeatLine(report: HealthReport, endpoints: readonly UpstreamStatus[], file: PiFile): string {
  const row = endpoints.find(({ endpoint }) => endpoint === report.endpoint);
  const port = report.endpoint.slice(report.endpoint.lastIndexOf(':') + 1);
  const host = row?.host ?? report.endpoint.slice(0, -port.length - 1).replace(/^\[(.*)\]$/, '$1');
  const server = file.servers.find((one) => one.host === host && one.port === Number(port));
  const named = server === undefined ? report.endpoint : `${server.name} ${formatAddress(server)}`;
  const facts = [
    ...(server === undefined ? [] : [`priority ${server.priority}`]),
    ...(row?.load === undefined ? [] : [`load ${row.load}`]),
    ...(row === undefined ? [] : [`${row.inFlight} calls`]),
    `${report.lastReason} after ${Math.round(report.lastMs)} ms`,
  ];
  return plainLine(`${new Date(report.checkedMs).toISOString()} heartbeat ${named}: ${report.healthy ? 'up' : 'down'}, ${facts.join(', ')}`) + '\n';
}
