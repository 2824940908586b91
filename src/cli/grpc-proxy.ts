import { commonSettings } from '../config/common.ts';
import { grpcProxyTable } from '../config/grpc-proxy.ts';
import { loadPiGateway, type PiGateway } from '../config/pi-gateway.ts';
import { formatAddress } from '../schema/address.ts';
import type { RunningGateway } from '../hub/gateway/gateway.ts';
import type { Invocation } from './command.ts';
import { CALL_LINE, heartbeatLine } from './grpc-proxy-lines.ts';
import { settingsOf } from './settings.ts';
import { logFor, runUntilSignal, startProblem } from './start.ts';

/** `grpc-proxy`: a gateway as a file of the PI gRPC proxy says. */
export async function run(invocation: Invocation): Promise<number> {
  const { world, args } = invocation;
  const { values } = await settingsOf(grpcProxyTable, invocation);
  const common = commonSettings(values);
  const tells = args.switches.has('debug');
  const source = values.proxyServerConfig;
  /** Every address of both kinds, or of the only kind that the machine knows. */
  let host = '::';
  let current: PiGateway;
  const load = async (): Promise<PiGateway> => {
    current = await loadPiGateway(
      { source, address: { host, port: values.proxyServerPort }, ...(tells ? { accessLog: CALL_LINE } : {}) },
      (path, maxBytes) => world.readText(path, maxBytes),
      common,
    );
    return current;
  };
  const sinceMs = Date.now();
  const first = await load();
  const log = logFor(common, world);
  for (const line of first.warnings) log.warn({}, line);
  return runUntilSignal(
    async () => {
      const { startGateway } = await import('../hub/gateway/gateway.ts');
      const { Reload } = await import('../hub/reload.ts');
      let gateway: RunningGateway | null = null;
      const start = async (): Promise<RunningGateway> =>
        startGateway(current.settings, {
          log,
          ...(tells ? { checked: (report) => world.stdout.write(heartbeatLine(report, gateway?.status.upstreams ?? [], current.file)) } : {}),
        });
      const running = await start().catch(async (error: unknown) => {
        if (!lacksIpv6(error)) throw error;
        host = '0.0.0.0';
        await load();
        return start();
      });
      gateway = running;
      const reload = new Reload(
        {
          log,
          metrics: running.metrics,
          wall: () => Date.now(),
          load,
          apply: (next) => running.apply(next),
          applied: () => {},
          explain: (error) => startProblem(error, common.adminAddr),
        },
        current.settings,
        sinceMs,
      );
      for (const addresses of running.addresses.values())
        for (const address of addresses)
          log.info({ address: formatAddress(address), servers: current.file.servers.length }, 'the gRPC proxy listens');
      if (running.adminAddress !== null)
        log.info(
          { address: `http://${formatAddress(running.adminAddress)}` },
          'health, metrics and status are at /healthz, /readyz, /metrics, /status',
        );
      return {
        close: () => {
          reload.close();
          return running.close();
        },
        destroy: () => {
          reload.close();
          running.destroy();
        },
        reload: () => reload.now(),
      };
    },
    common,
    log,
    world,
  );
}

/** Is it that this machine has no IPv6 to listen on? */
export function lacksIpv6(error: unknown): boolean {
  const { code, syscall, address } = error as NodeJS.ErrnoException & { address?: string };
  return syscall === 'listen' && address === '::' && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL');
}
