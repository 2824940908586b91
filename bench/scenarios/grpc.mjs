// Unary calls of gRPC: HTTP/2 in, HTTP/2 to the service, and a tunnel between.
import { grpcLoad, hasH2load } from '../kit/h2-load.mjs';
import { spread } from '../kit/numbers.mjs';
import { hasNginx, hasWindlass, startGateway, startGrpcOrigin, startNginxGrpc, startTunnel, stop } from '../kit/programs.mjs';
import { judge } from '../kit/report.mjs';
import { figures, invalid, measure, perRequestUs, quietness, ratioOf, ratios, requestsPerSecond } from '../kit/rounds.mjs';

/** @typedef {import('../kit/report.mjs').Finding} Finding */

const CONNECTIONS = 8;
const STREAMS = 16;
const TARGETS = { hub: 1.5 };

/** Through hub and agent, and through a gateway alone; nginx `grpc_pass` in the same rounds. @param {import('./requests.mjs').Bench} bench @returns {Promise<Finding[]>} */
export async function grpc(bench) {
  const title = `gRPC, unary calls of 100 bytes each way, ${CONNECTIONS} connections with ${STREAMS} streams`;
  bench.say(title);
  /** @type {Finding} */
  const finding = { title, columns: ['process', 'CPU us/call', 'ratio to nginx', 'target', 'calls/s'], rows: [], notes: [], checks: [] };
  if (!hasH2load || !hasNginx || !hasWindlass) {
    finding.notes.push('skipped: needs nginx, h2load (apt-get install nghttp2-client) and dist/cli/main.js');
    return [finding];
  }
  const load = grpcLoad(bench.dir, STREAMS);
  const origin = await startGrpcOrigin();
  const nginx = await startNginxGrpc(bench.dir, origin.port);
  const gateway = await startGateway(
    bench.dir,
    'gateway',
    `locations = ["all"]\n[locations.all]\nupstream = "one"\n[upstreams.one]\naddrs = ["127.0.0.1:${origin.port}"]\nalpn = "H2"\n`,
  );
  const tunnel = await startTunnel(bench.dir, { upstreams: [[`h2c://127.0.0.1:${origin.port}`]], slots: 2 * CONNECTIONS * STREAMS });
  // What Node's HTTP/2 costs a server that does nothing with it: nobody who is built on it can be cheaper.
  const floor = await startGrpcOrigin('node:http2 alone');
  const contenders = [nginx, floor, gateway, tunnel];
  const options = { connections: CONNECTIONS, path: '/bench.Service/Unary' };
  for (const { port } of contenders) await load({ ...options, port, seconds: bench.warmSeconds * 2 });
  const samples = await measure(contenders, options, bench, load);
  finding.raw = [...samples];
  for (const { name, processes } of contenders) {
    const wrong = invalid(samples, name);
    if (wrong !== null) finding.notes.push(`${name}: ${wrong}; its figures are those of the other rounds and do not count`);
    for (const { label } of processes) {
      const ratio = ratioOf(ratios(samples, [name, perRequestUs(label)], ['nginx', perRequestUs('nginx')]));
      const target = /** @type {Record<string, number>} */ (TARGETS)[label];
      const perSecond = label === 'agent' ? '' : spread(figures(samples, name, requestsPerSecond), 0);
      finding.rows.push([
        label,
        spread(figures(samples, name, perRequestUs(label))),
        ratio.text,
        target === undefined ? '' : `<= ${target}`,
        perSecond,
      ]);
      if (target !== undefined)
        finding.checks.push(
          judge(`${label}, CPU per gRPC call / nginx`, ratio.value, '', '<=', target, { invalid: wrong, comparable: bench.comparable }),
        );
    }
  }
  finding.notes.push(quietness(samples));
  await stop(tunnel, gateway, floor, nginx, origin);
  return [finding];
}
