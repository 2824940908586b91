// WebSockets: small messages there and back over many connections.
import { fileURLToPath } from 'node:url';

import { runToEnd } from '../kit/children.mjs';
import { median, spread } from '../kit/numbers.mjs';
import { hasNginx, hasWindlass, startDirect, startNginxProxy, startNodeOrigin, startTunnel, stop } from '../kit/programs.mjs';
import { judge } from '../kit/report.mjs';
import { figures, invalid, measure, perRequestUs, quietness, ratioOf, ratios, requestsPerSecond } from '../kit/rounds.mjs';

const connections = 200;
const messageBytes = 64;

/** Echo. @param {import('./requests.mjs').Bench} bench @returns {Promise<import('../kit/report.mjs').Finding[]>} */
export async function websocket(bench) {
  const title = `WebSockets: ${connections} connections, each with one message of ${messageBytes} bytes on its way`;
  bench.say(title);
  /** @type {import('../kit/report.mjs').Finding} */
  const finding = { title, columns: ['way', 'messages/s', 'ratio to nginx', 'CPU us/message', 'p50 ms', 'p99 ms'], rows: [], notes: [], checks: [] };
  if (!hasNginx || !hasWindlass) {
    finding.notes.push('skipped: needs nginx and dist/cli/main.js');
    return [finding];
  }
  const origin = await startNodeOrigin();
  const nginx = await startNginxProxy(bench.dir, origin.port);
  const direct = await startDirect(origin.port);
  const tunnel = await startTunnel(bench.dir, { upstreams: [[`127.0.0.1:${origin.port}`]], slots: 2 * connections });
  const samples = await measure([nginx, direct, tunnel], { connections, path: '/echo' }, bench, echo);
  finding.raw = [...samples];
  for (const contender of [nginx, direct, tunnel]) {
    const { name } = contender;
    const wrong = invalid(samples, name);
    if (wrong !== null) finding.notes.push(`${name}: ${wrong}`);
    const ratio = ratioOf(ratios(samples, [name, requestsPerSecond], ['nginx', requestsPerSecond]));
    const labels = [...new Set(contender.processes.map(({ label }) => label))];
    const ms = (/** @type {'p50Us' | 'p99Us'} */ key) => (median(figures(samples, name, ({ load }) => load[key])) / 1000).toFixed(2);
    finding.rows.push([
      name,
      spread(figures(samples, name, requestsPerSecond), 0),
      ratio.text,
      labels.map((label) => `${label} ${spread(figures(samples, name, perRequestUs(label)))}`).join(', '),
      ms('p50Us'),
      ms('p99Us'),
    ]);
    if (name === 'tunnel')
      finding.checks.push(
        judge('WebSocket messages/s through the tunnel / nginx', ratio.value, '', '>=', 0.7, { invalid: wrong, comparable: bench.comparable }),
      );
  }
  finding.notes.push(quietness(samples));
  await stop(tunnel, direct, nginx, origin);
  return [finding];
}

/** @type {typeof import('../kit/load.mjs').load} */
async function echo({ port, seconds }) {
  const file = fileURLToPath(new URL('../kit/websocket-load.mjs', import.meta.url));
  const printed = await runToEnd('websocket-load', process.execPath, [file, port, connections, messageBytes, seconds].map(String), {
    timeoutMs: (seconds + 20) * 1000,
  });
  const line = /^BENCH (\{.*\})$/m.exec(printed)?.[1];
  if (line === undefined) throw new Error(`the load generator printed no result: ${printed.slice(-400)}`);
  const found = JSON.parse(line);
  const wrong = ['status', 'connect', 'read'].filter((kind) => found[kind] > 0).map((kind) => `${found[kind]} ${kind} errors`);
  if (found.requests < 3 * connections) wrong.push(`only ${found.requests} messages on ${connections} connections: they hang`);
  return {
    requests: found.requests,
    bytes: found.bytes,
    seconds: found.us / 1e6,
    p50Us: found.p50Us,
    p99Us: found.p99Us,
    maxUs: found.maxUs,
    invalid: wrong.length === 0 ? null : `${wrong.join(', ')} of ${found.requests} messages`,
  };
}
