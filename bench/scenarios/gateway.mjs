// A gateway of a file: what its locations, its log and its plugins cost, and what a reload does to those who are served meanwhile.
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { besideNginx } from '../kit/beside-nginx.mjs';
import { get } from '../kit/client.mjs';
import { load } from '../kit/load.mjs';
import { maximum, median, spread } from '../kit/numbers.mjs';
import { freePort, hasWindlass, startGateway, startOrigin, stop } from '../kit/programs.mjs';
import { judge } from '../kit/report.mjs';
import { invalid, perRequestUs, ratioOf, ratios } from '../kit/rounds.mjs';

/** @typedef {import('../kit/report.mjs').Finding} Finding */

const PLUGINS = `[plugins.id]
category = "request_id"
[plugins.ip]
category = "ip_restriction"
ip_list = ["127.0.0.0/8", "10.0.0.0/8"]
[plugins.limit]
category = "limit"
type = "rate"
tag = "ip"
max = 1000000000
interval = "10s"
`;

/** @param {number} originPort @param {{ plugins?: boolean, log?: string }} of */
function fileOf(originPort, { plugins = false, log } = {}) {
  return `${log === undefined ? '' : `access_log = "${log}"\n`}locations = ["app", "api", "admin", "static"]
[locations.app]
${plugins ? 'plugins = ["id", "ip", "limit"]\n' : ''}upstream = "one"
[locations.api]
path = "/api"
upstream = "one"
[locations.admin]
host = "admin.example"
upstream = "one"
[locations.static]
path = "~\\\\.(css|js)$"
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${originPort}"]
${plugins ? PLUGINS : ''}`;
}

/** CPU per request. @param {import('./requests.mjs').Bench} bench @returns {Promise<Finding[]>} */
export function gateway(bench) {
  const targets = new Map(
    [
      ['gateway', 1.4],
      ['gateway + log', 1.5],
      ['gateway + 3 plugins + log', 1.8],
    ].map(([name, atMost]) => [String(name), { measure: `${name}, CPU per request / nginx`, atMost: Number(atMost) }]),
  );
  return besideNginx(bench, {
    title: 'A gateway of a file, 64 connections, 1 KiB, 13 header fields',
    ratio: 'ratio to nginx (without a log)',
    warm: 4,
    targets,
    start: async (originPort) => {
      const start = (/** @type {string} */ name, /** @type {{ plugins?: boolean, log?: string }} */ of) =>
        startGateway(bench.dir, name, fileOf(originPort, of));
      return [
        await start('gateway', {}),
        await start('gateway + log', { log: `${join(bench.dir, 'gateway.log')} combined` }),
        await start('gateway + 3 plugins', { plugins: true }),
        await start('gateway + 3 plugins + log', { plugins: true, log: `${join(bench.dir, 'both.log')} combined` }),
      ];
    },
    more: (finding, samples, [plain, , guarded]) => {
      if (plain === undefined || guarded === undefined) return;
      const cost = ratioOf(ratios(samples, [guarded.name, perRequestUs(guarded.name)], [plain.name, perRequestUs(plain.name)]));
      finding.notes.push(`request_id, ip_restriction and limit cost ${cost.text} of a request without them`);
      const options = { invalid: invalid(samples, guarded.name), comparable: bench.comparable };
      finding.checks.push(judge('three plugins, CPU per request / none', cost.value, '', '<=', 1.25, options));
    },
  });
}

/** What a hit of the cache costs, beside nginx that proxies what would be a miss. @param {import('./requests.mjs').Bench} bench @returns {Promise<Finding[]>} */
export function cache(bench) {
  const name = 'gateway, a hit';
  return besideNginx(bench, {
    title: 'A hit of the cache, 64 connections, 1 KiB, 13 header fields of a browser',
    ratio: 'ratio to nginx (a miss)',
    headers: 'browser',
    warm: 4,
    targets: new Map([[name, { measure: 'a hit of the cache / nginx proxying it', atMost: 1 }]]),
    start: async (originPort) => [
      await startGateway(
        bench.dir,
        name,
        `locations = ["all"]
[locations.all]
plugins = ["cache"]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${originPort}"]
[plugins.cache]
category = "cache"
default_ttl = "1h"
`,
      ),
    ],
  });
}

const LOCATIONS = 1_000;

/** @param {number} originPort @param {number} round */
function largeFile(originPort, round) {
  const names = Array.from({ length: LOCATIONS }, (_, i) => `l${i}`);
  return `locations = ["all", ${names.map((name) => `"${name}"`).join(', ')}]
[locations.all]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${originPort}"]
${names
  .map(
    (name) =>
      `[locations.${name}]\nhost = "${name}.example"\npath = "/v${round}/${name}"\nproxy_set_headers = ["X-Name: ${name} $host"]\nupstream = "one"`,
  )
  .join('\n')}
`;
}

/** A file of a thousand locations is read again and again while 64 connections ask. @param {import('./requests.mjs').Bench} bench @returns {Promise<Finding[]>} */
export async function reload(bench) {
  const title = `Reload of a file of ${LOCATIONS} locations under full load`;
  bench.say(title);
  /** @type {Finding} */
  const finding = { title, columns: ['what', 'figure', 'target'], rows: [], notes: [], checks: [] };
  if (!hasWindlass) {
    finding.notes.push('skipped: needs dist/cli/main.js');
    return [finding];
  }
  const origin = await startOrigin(bench.dir);
  const adminPort = await freePort();
  const served = await startGateway(bench.dir, 'large', largeFile(origin.port, 0), { adminPort });
  const options = { port: served.port, connections: 64, path: '/1k', headers: true };
  await load({ ...options, seconds: bench.warmSeconds });
  const quiet = await load({ ...options, seconds: bench.seconds });
  /** @type {number[]} */
  const blocks = [];
  let round = 0;
  let goes = true;
  const reloads = (async () => {
    while (goes) {
      writeFileSync(`${served.file}.new`, served.head + largeFile(origin.port, ++round));
      renameSync(`${served.file}.new`, served.file);
      served.processes[0].child.process.kill('SIGHUP');
      await new Promise((resolve) => setTimeout(resolve, 400));
      blocks.push(await longestBlockMs(adminPort));
    }
  })();
  const busy = await load({ ...options, seconds: Math.max(bench.seconds, 4) });
  goes = false;
  await reloads;
  const page = await get(adminPort, '/metrics', { timeoutMs: 5_000 });
  const done = Number(/windlass_config_reloads_total\{result="success"\} (\d+)/.exec(page.body)?.[1] ?? 0);
  finding.rows.push(['reloads', String(done), '']);
  finding.rows.push(['failed requests meanwhile', busy.invalid ?? '0', '0']);
  finding.rows.push(['event loop held up, longest, ms (load and reload together)', spread(blocks, 1), '']);
  finding.rows.push(['p99 of requests, us: quiet', quiet.p99Us.toFixed(0), '']);
  finding.rows.push(['p99 of requests, us: while it reloads', busy.p99Us.toFixed(0), '']);
  finding.rows.push(['longest request, us: while it reloads', busy.maxUs.toFixed(0), '']);
  finding.checks.push(judge('failed requests while it reloads', busy.invalid === null ? 0 : 1, '', '<=', 0, { invalid: null, comparable: true }));
  finding.checks.push(
    judge('event loop held up by a reload of 1,000 locations, median of the longest', median(blocks), 'ms', '<=', 25, {
      invalid: null,
      comparable: true,
    }),
  );
  finding.notes.push(`longest of all: ${maximum(blocks).toFixed(1)} ms`);
  await stop(served, origin);
  return [finding];
}

/** Of the last seconds, by the gateway's own clock. @param {number} adminPort */
async function longestBlockMs(adminPort) {
  const page = await get(adminPort, '/metrics', { timeoutMs: 5_000 });
  return 1000 * Number(/windlass_event_loop_delay_seconds\{quantile="1"\} ([\d.e+-]+)/.exec(page.body)?.[1] ?? Number.NaN);
}
