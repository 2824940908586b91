// The console of a gateway with 10,000 agents and 1,000 locations: how long its answers take, and what a page that is open costs.
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Child } from '../kit/children.mjs';
import { get } from '../kit/client.mjs';
import { openFilesLimit } from '../kit/machine.mjs';
import { maximum, median, mib } from '../kit/numbers.mjs';
import { answered, freePort, hasWindlass, writeSecret } from '../kit/programs.mjs';
import { judge } from '../kit/report.mjs';
import { cpuUs, residentBytes } from '../kit/usage.mjs';

const mainFile = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const crowdFile = fileURLToPath(new URL('../kit/agent-crowd.mjs', import.meta.url));
/** Upstreams of addresses, each with so many endpoints, and of agents. */
const groups = 180;
const endpoints = 5;
const pools = 20;
const joinTimeoutMs = 90_000;
const askTimeoutMs = 10_000;
/** What is made for all pages, and kept for longer the more it costs: asked as often as a page does. */
const kept = '/api/v1/topology';

/**
 * What screens ask, and how often one that is open asks it again, ms; 0 = once.
 * @type {[screen: string, method: 'GET' | 'POST', path: string, everyMs: number, body?: unknown][]}
 */
const asks = [
  ['every', 'GET', '/api/v1/info', 0],
  ['overview', 'GET', '/api/v1/overview', 10_000],
  ['overview', 'GET', '/api/v1/topology', 2_000],
  ['agents', 'GET', '/api/v1/agents?sort=name&limit=100', 3_000],
  ['agents, searched', 'GET', '/api/v1/agents?sort=-served&query=rack-7&limit=100', 3_000],
  ['agents, at the end', 'GET', '/api/v1/agents?sort=name&offset=9900&limit=100', 3_000],
  ['agents, one', 'GET', '/api/v1/agents/agent-00100', 2_000],
  ['queue', 'GET', '/api/v1/queue?limit=1000', 1_000],
  ['upstreams', 'GET', '/api/v1/upstreams', 2_000],
  ['traffic', 'GET', '/api/v1/traffic?limit=200', 0],
  ['traffic', 'GET', '/api/v1/agents?limit=1000', 0],
  ['routing', 'POST', '/api/v1/routing/test', 0, { host: 'service-0100.example.com', path: '/api/x' }],
  ['configuration', 'GET', '/api/v1/config', 0],
  ['configuration', 'GET', '/api/v1/config/schema', 0],
  ['configuration', 'GET', '/api/v1/config/files/gateway.toml', 0],
  ['configuration', 'GET', '/api/v1/config/history', 0],
  [
    'configuration',
    'POST',
    '/api/v1/config/check',
    0,
    { changes: [{ section: 'locations', name: 'service-0100', values: { path: '/changed', upstream: 'group-1' } }] },
  ],
  ['certificates', 'GET', '/api/v1/certificates', 0],
  ['logs', 'GET', '/api/v1/logs?limit=500', 0],
  ['settings', 'GET', '/api/v1/audit?limit=100', 15_000],
  ['(a scrape)', 'GET', '/metrics', 15_000],
];

/** @param {import('./requests.mjs').Bench} bench @returns {Promise<import('../kit/report.mjs').Finding[]>} */
export async function watched(bench) {
  const agents = bench.quick ? 2_000 : 10_000;
  const locations = bench.quick ? 200 : 1_000;
  const title = `The console of a gateway with ${agents} agents and ${locations} locations`;
  bench.say(title);
  /** @type {import('../kit/report.mjs').Finding} */
  const finding = {
    title,
    columns: ['screen', 'asks', 'ms, median (most)', 'KiB', 'CPU ms', 'asked every', '% of a core'],
    rows: [],
    notes: [],
    checks: [],
  };
  if (!hasWindlass || openFilesLimit() < agents + 500) {
    finding.notes.push(`skipped: needs dist/cli/main.js and ${agents + 500} open files`);
    return [finding];
  }
  const { gateway, crowd, adminPort, token, wrong } = await start(bench.dir, agents, locations);
  const [times, shares] = [/** @type {number[]} */ ([]), /** @type {Map<string, number>} */ (new Map())];
  const count = bench.quick ? 5 : 10;
  /** @type {unknown[]} */
  const raw = [];
  const idle = await idleShare(gateway);
  for (const [screen, method, path, everyMs, body] of asks) {
    const ask = () => answerTo(adminPort, token, method, path, body);
    // Pages ask for hours: what code is compiled for comes first.
    for (let i = 0; i < count; i++) await ask();
    const [begun, cpuBefore] = [performance.now(), cpuUs(gateway.pids)];
    /** @type {number[]} */
    const ms = [];
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      if (path === kept) await sleep(everyMs);
      const from = performance.now();
      bytes = await ask();
      ms.push(performance.now() - from);
    }
    // Agents are kept alive meanwhile, too. In pauses that outweighs what is looked for: there the time of an answer stands for its CPU, which is not more.
    const ownMs = (cpuUs(gateway.pids) - cpuBefore) / 1000 - (performance.now() - begun) * idle;
    const cpuMs = path === kept ? ms.reduce((sum, one) => sum + one, 0) / count : Math.max(0, ownMs) / count;
    const share = everyMs === 0 ? 0 : (cpuMs / everyMs) * 100;
    times.push(median(ms));
    if (screen !== '(a scrape)') shares.set(screen, (shares.get(screen) ?? 0) + share);
    raw.push([path, ms, cpuMs, bytes]);
    finding.rows.push([
      screen,
      `${method} ${path.replace('/api/v1', '')}`,
      `${median(ms).toFixed(1)} (${maximum(ms).toFixed(1)})`,
      (bytes / 1024).toFixed(1),
      cpuMs.toFixed(1),
      everyMs === 0 ? '' : `${everyMs / 1000} s`,
      everyMs === 0 ? '' : share.toFixed(2),
    ]);
  }
  gateway.check();
  crowd.check();
  finding.notes.push(`resident: ${mib(residentBytes(gateway.pids))}; it takes ${(idle * 100).toFixed(1)} % of a core to keep ${agents} agents alive`);
  if (wrong !== null) finding.notes.push(`INVALID: ${wrong}`);
  const comparable = !bench.quick;
  finding.checks.push(judge('the console, slowest answer to a screen', maximum(times), ' ms', '<=', 1_000, { invalid: wrong, comparable }));
  finding.checks.push(
    judge('the console, what one open page costs at most', maximum([...shares.values()]), ' % of a core', '<=', 1, { invalid: wrong, comparable }),
  );
  finding.raw = raw;
  await crowd.stop();
  await gateway.stop();
  return [finding];
}

/** @param {string} dir @param {number} agents @param {number} locations */
async function start(dir, agents, locations) {
  const [port, adminPort] = [await freePort(), await freePort()];
  const secretFile = writeSecret(dir);
  const file = join(dir, 'gateway.toml');
  writeFileSync(file, fileOf(port, adminPort, secretFile, locations), { mode: 0o600 });
  const stateDir = join(dir, 'console-state');
  const gateway = new Child('gateway', process.execPath, [mainFile, 'run', '-c', file, '--state-dir', stateDir]);
  await answered(adminPort, '/livez', () => gateway.check());
  const crowd = new Child('crowd', process.execPath, [crowdFile, String(port), secretFile, String(agents), String(pools)]);
  const wrong = await crowd.line(/joined \d+/, joinTimeoutMs).then(
    () => null,
    (error) => String(error),
  );
  // Some traffic, so that there is something to list.
  for (let i = 0; i < 200; i++) await get(port, '/nobody', { timeoutMs: askTimeoutMs });
  return { gateway, crowd, adminPort, token: readFileSync(join(stateDir, `admin-token-${adminPort}`), 'latin1').trim(), wrong };
}

/** @param {number} port @param {number} adminPort @param {string} secretFile @param {number} locations */
function fileOf(port, adminPort, secretFile, locations) {
  const names = Array.from({ length: locations }, (_, i) => `service-${String(i).padStart(4, '0')}`);
  const upstreamOf = (/** @type {number} */ i) =>
    i % (groups + pools) < groups ? `group-${i % (groups + pools)}` : `pool-${(i % (groups + pools)) - groups}`;
  return [
    `[basic]\nadmin_addr = "127.0.0.1:${adminPort}"\nauto_restart_check_interval = "0s"\ninspector = 1000`,
    `[agents]\nsecret_file = ${JSON.stringify(secretFile)}`,
    `[servers.main]\naddr = "127.0.0.1:${port}"\naccepts = ["native"]\nlocations = ${JSON.stringify(names)}`,
    ...names.map((name, i) => `# ${name}\n[locations.${name}]\nhost = "${name}.example.com"\npath = "/api"\nupstream = "${upstreamOf(i)}"`),
    ...Array.from({ length: groups }, (_, i) => {
      const addrs = Array.from({ length: endpoints }, (_unused, k) => `127.0.${i}.${k + 1}:9`);
      return `[upstreams.group-${i}]\naddrs = ${JSON.stringify(addrs)}\nhealth_check = "off"`;
    }),
    ...Array.from({ length: pools }, (_, i) => `[upstreams.pool-${i}]\nagents = "pool=p${i}"`),
  ].join('\n');
}

/** What it takes of a core while nobody asks. @param {Child} gateway */
async function idleShare(gateway) {
  await sleep(2_000);
  const [begun, before] = [performance.now(), cpuUs(gateway.pids)];
  await sleep(5_000);
  return (cpuUs(gateway.pids) - before) / 1000 / (performance.now() - begun);
}

/** @returns {Promise<number>} bytes of the body @param {number} port @param {string} token @param {string} method @param {string} path @param {unknown} body */
function answerTo(port, token, method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = { Authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) };
    const outgoing = request({ host: '127.0.0.1', port, method, path, headers, timeout: askTimeoutMs }, (answer) => {
      let bytes = 0;
      answer.on('data', (/** @type {Buffer} */ chunk) => {
        bytes += chunk.length;
      });
      answer.on('end', () => (answer.statusCode === 200 ? resolve(bytes) : reject(new Error(`${method} ${path} was answered ${answer.statusCode}`))));
      answer.on('error', reject);
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path}: no answer within ${askTimeoutMs} ms`)));
    outgoing.on('error', reject);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
