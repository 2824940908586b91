// The programs under test, each a process (or two) of its own on loopback.
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Child, runToEnd } from './children.mjs';
import { get } from './client.mjs';

const here = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));
const mainFile = here('../../dist/cli/main.js');
const readyTimeoutMs = 15_000;

/**
 * @typedef {object} Contender one way from a client to the origin
 * @property {string} name
 * @property {number} port where clients connect
 * @property {{ label: string, child: Child }[]} processes whose time is measured
 */

/** @typedef {Contender & { hub: Child, agents: Child[], adminPort: number, agentAdminPort: number }} Tunnel */

export const hasNginx = spawnSync('nginx', ['-v']).error === undefined;
export const hasWindlass = existsSync(mainFile);

/** Files of the origin: path and size. Sparse, so a gibibyte costs nothing. */
const files = { 12: 12, '1k': 1024, '64k': 64 * 1024, '10m': 10 * 1024 ** 2, '64m': 64 * 1024 ** 2, '1g': 1024 ** 3 };

/** The origin of files: nginx, else our own. @param {string} dir @returns {Promise<Contender>} */
export async function startOrigin(dir) {
  if (!hasNginx) return startNodeOrigin();
  mkdirSync(join(dir, 'www'), { recursive: true });
  for (const [name, size] of Object.entries(files)) {
    const file = openSync(join(dir, 'www', name), 'w');
    ftruncateSync(file, size);
    closeSync(file);
  }
  const port = await freePort();
  return ready(await startNginx(dir, 'origin', { ORIGIN: port }, port));
}

/** The origin for event streams and uploads. @returns {Promise<Contender>} */
export async function startNodeOrigin() {
  const child = new Child('origin', process.execPath, [here('../origin.mjs')]);
  const port = Number((await child.line(/listening (\d+)/))[1]);
  return { name: 'origin', port, processes: [{ label: 'origin', child }] };
}

/** @param {string} dir @param {number} originPort @returns {Promise<Contender>} */
export async function startNginxProxy(dir, originPort) {
  const port = await freePort();
  return ready(await startNginx(dir, 'proxy', { ORIGIN: originPort, PROXY: port }, port));
}

/** The origin for gRPC. @param {string} [name] @returns {Promise<Contender>} */
export async function startGrpcOrigin(name = 'origin') {
  const child = new Child(name, process.execPath, [here('../grpc-origin.mjs')]);
  const port = Number((await child.line(/listening (\d+)/))[1]);
  return { name, port, processes: [{ label: name, child }] };
}

/** @param {string} dir @param {number} originPort @returns {Promise<Contender>} */
export async function startNginxGrpc(dir, originPort) {
  const port = await freePort();
  const proxy = await startNginx(dir, 'grpc', { ORIGIN: originPort, PROXY: port }, port);
  return ready({ ...proxy, name: 'nginx', processes: [{ label: 'nginx', child: proxy.processes[0].child }] }, getH2);
}

/** @param {number} originPort @returns {Promise<Contender>} */
export async function startNodeProxy(originPort) {
  const child = new Child('node-http', process.execPath, [here('../node-proxy.mjs'), String(originPort)]);
  const port = Number((await child.line(/listening (\d+)/))[1]);
  return ready({ name: 'node-http', port, processes: [{ label: 'node http', child }] });
}

/** windlass proxy: the core without a tunnel. @param {number} originPort @param {{ name?: string, flags?: string[] }} [options] @returns {Promise<Contender>} */
export async function startDirect(originPort, options = {}) {
  const port = await freePort();
  const name = options.name ?? 'direct';
  const child = windlass(name, ['proxy', '--from', `127.0.0.1:${port}`, '--to', `127.0.0.1:${originPort}`, ...(options.flags ?? [])]);
  return ready({ name, port, processes: [{ label: name, child }] });
}

/**
 * windlass run: `text` goes below the server's address. `adminPort` asks for the page of metrics; `basic` are more lines of [basic].
 * @param {string} dir @param {string} name @param {string} text @param {{ adminPort?: number, basic?: string }} [options]
 * @returns {Promise<Contender & { file: string, head: string }>}
 */
export async function startGateway(dir, name, text, options = {}) {
  const port = await freePort();
  const admin = options.adminPort === undefined ? '"off"' : `"127.0.0.1:${options.adminPort}"`;
  const head = `[basic]\nadmin_addr = ${admin}\nauto_restart_check_interval = "0s"\n${options.basic ?? ''}[servers.main]\naddr = "127.0.0.1:${port}"\n`;
  const file = join(dir, `${name.replaceAll(/\W+/g, '-')}.toml`);
  writeFileSync(file, head + text, { mode: 0o600 });
  const child = windlass(name, ['run', '-c', file, '--state-dir', 'off']);
  return { ...(await ready({ name, port, processes: [{ label: name, child }] })), file, head };
}

/**
 * A hub and its agents, until a request has gone through.
 * @param {string} dir
 * @param {{ upstreams: string[][], slots: number }} options one agent process for each list of upstreams
 * @returns {Promise<Tunnel>}
 */
export async function startTunnel(dir, options) {
  const secretFile = writeSecret(dir);
  const [port, adminPort, agentAdminPort] = [await freePort(), await freePort(), await freePort()];
  const hub = startHub(secretFile, port, adminPort);
  await answered(port, '/', () => hub.check());
  const printed = await runToEnd('hub register', process.execPath, [mainFile, 'hub', 'register', '--secret-file', secretFile, '--name', 'bench'], {
    timeoutMs: 10_000,
  });
  const tokenFile = join(dir, 'token');
  writeFileSync(tokenFile, `${printed.trim().split('\n').at(-1)}\n`, { mode: 0o600 });
  const agents = options.upstreams.map((list, i) => {
    // Every agent process keeps its state in a folder of its own.
    const home = join(dir, `agent-${i}`);
    mkdirSync(home, { recursive: true });
    const flags = [
      '--token-file',
      tokenFile,
      '--hub',
      `http://127.0.0.1:${port}`,
      '--upstream',
      list.join(','),
      '--num-worker',
      String(options.slots),
    ];
    if (i === 0) flags.push('--admin-addr', `127.0.0.1:${agentAdminPort}`);
    return windlass('agent', ['agent', 'run', ...flags], { cwd: home, env: { HOME: home, XDG_STATE_HOME: home, XDG_CONFIG_HOME: home } });
  });
  const processes = [{ label: 'hub', child: hub }, ...agents.map((child) => ({ label: 'agent', child }))];
  const tunnel = { name: 'tunnel', port, processes, hub, agents, adminPort, agentAdminPort };
  await ready(tunnel);
  return tunnel;
}

/**
 * A Cranker router and a connector. `dialled` and `served`: what the connector did so far, not older than 100 ms.
 * @param {string} name @param {'3.0' | '1.0'} version @param {number} sockets that the connector keeps ready
 * @returns {Promise<Contender & { dialled: () => number, served: () => number }>}
 */
export async function startCranker(name, version, sockets) {
  const [port, registrationPort] = [await freePort(), await freePort()];
  const address = ['--host', '127.0.0.1', '--port', String(port), '--registration-port', String(registrationPort)];
  const router = windlass(name, ['cranker-router', ...address, '--admin-addr', 'off']);
  await answered(port, '/', () => router.check());
  const connector = new Child(`connector of ${name}`, process.execPath, [
    here('cranker-connector.mjs'),
    String(registrationPort),
    version,
    String(sockets),
  ]);
  const said = (/** @type {RegExp} */ pattern) => Number([...connector.stdout.matchAll(pattern)].at(-1)?.[1] ?? NaN);
  const contender = {
    name,
    port,
    processes: [
      { label: name, child: router },
      { label: `connector of ${name}`, child: connector },
    ],
  };
  return { ...(await ready(contender)), dialled: () => said(/dialled (\d+)/g), served: () => said(/served (\d+)/g) };
}

/** A hub and an agent of slime. @param {string} dir @param {string} name @param {number} workers @returns {Promise<Contender>} */
export async function startSlime(dir, name, workers) {
  const secretFile = writeSecret(dir);
  const [port, adminPort] = [await freePort(), await freePort()];
  const hub = startHub(secretFile, port, adminPort, ['--accept', 'slime', '--slime-secret-file', secretFile]);
  await answered(port, '/', () => hub.check());
  const flags = ['--format', 'slime', '--slime-secret-file', secretFile, '--name', 'bench'];
  const printed = await runToEnd('hub register', process.execPath, [mainFile, 'hub', 'register', ...flags], { timeoutMs: 10_000 });
  const tokenFile = join(dir, 'slime-token');
  writeFileSync(tokenFile, `${printed.trim().split('\n').at(-1)}\n`, { mode: 0o600 });
  const agent = new Child('agent of slime', process.execPath, [here('slime-agent.mjs'), String(port), tokenFile, String(workers)]);
  return ready({
    name,
    port,
    processes: [
      { label: name, child: hub },
      { label: `agent of ${name}`, child: agent },
    ],
  });
}

/** @param {string} secretFile @param {number} port @param {number} adminPort @param {string[]} [flags] */
export function startHub(secretFile, port, adminPort, flags = []) {
  return windlass('hub', [
    'hub',
    'run',
    '--secret-file',
    secretFile,
    '--host',
    '127.0.0.1',
    '--port',
    String(port),
    '--admin-addr',
    `127.0.0.1:${adminPort}`,
    ...flags,
  ]);
}

/** @param {string} dir */
export function writeSecret(dir) {
  const secretFile = join(dir, 'secret');
  writeFileSync(secretFile, 'a-secret-for-the-bench-only-0123456789\n', { mode: 0o600 });
  return secretFile;
}

/** Ends what a contender consists of. @param {(Contender | null)[]} contenders */
export async function stop(...contenders) {
  for (const contender of contenders) {
    if (contender === null) continue;
    for (const { child } of [...contender.processes].reverse()) await child.stop();
  }
}

/** Keeps a program on the first core, or on all others; where there is one core or no taskset, it stays where it is. @param {Child} child @param {'first' | 'others'} where */
export function pinTo(child, where) {
  const cores = availableParallelism();
  if (cores < 2) return;
  for (const pid of child.pids) spawnSync('taskset', ['-a', '-p', '-c', where === 'first' ? '0' : `1-${cores - 1}`, String(pid)]);
}

/** Throws when a process of it died. @param {Contender} contender */
export function check(contender) {
  for (const { child } of contender.processes) child.check();
}

/** A port that is free now: programs that cannot be asked for the port they chose need one beforehand. @returns {Promise<number>} */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });
}

/** @param {string} name @param {string[]} args @param {{ cwd?: string, env?: Record<string, string> }} [options] */
function windlass(name, args, options) {
  return new Child(name, process.execPath, [mainFile, ...args], options);
}

/** @param {string} dir @param {'origin' | 'proxy' | 'grpc'} role @param {Record<string, number>} ports @param {number} port @returns {Promise<Contender>} */
async function startNginx(dir, role, ports, port) {
  let text = readFileSync(here(`../nginx-${role}.conf`), 'utf8').replaceAll('@DIR@', dir);
  for (const [name, value] of Object.entries(ports)) text = text.replaceAll(`@${name}@`, String(value));
  const file = join(dir, `nginx-${role}.conf`);
  writeFileSync(file, text);
  const child = new Child(`nginx ${role}`, 'nginx', ['-c', file, '-p', dir, '-e', join(dir, `${role}.err`)], { forks: true });
  return { name: role === 'proxy' ? 'nginx' : 'origin', port, processes: [{ label: role === 'proxy' ? 'nginx' : 'origin', child }] };
}

/** One GET over HTTP/2 without TLS. @type {(port: number, path: string, options: { timeoutMs: number }) => Promise<{ status: number }>} */
function getH2(port, path, { timeoutMs }) {
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${port}`);
    const timer = setTimeout(() => session.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    session.on('error', reject);
    session.on('close', () => clearTimeout(timer));
    const stream = session.request({ ':path': path });
    stream.on('error', reject);
    stream.on('response', (fields) => {
      resolve({ status: fields[':status'] ?? 0 });
      session.destroy();
    });
  });
}

/** Waits until a request succeeds. @template {Contender} C @param {C} contender @param {typeof getH2} [ask] @returns {Promise<C>} */
async function ready(contender, ask = get) {
  const end = Date.now() + readyTimeoutMs;
  let last = '';
  for (;;) {
    check(contender);
    try {
      const answer = await ask(contender.port, '/12', { timeoutMs: 2000 });
      if (answer.status === 200) return contender;
      last = `status ${answer.status}`;
    } catch (error) {
      last = String(error);
    }
    if (Date.now() > end) {
      const said = contender.processes.map(({ label, child }) => `${label}: ${child.tail.trim().slice(-300)}`).join('\n');
      throw new Error(`${contender.name} answered no request within ${readyTimeoutMs} ms (${last})\n${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Waits for any answer at all. @param {number} port @param {string} path @param {() => void} alive */
export async function answered(port, path, alive) {
  const end = Date.now() + readyTimeoutMs;
  for (;;) {
    alive();
    try {
      return await get(port, path, { timeoutMs: 2000 });
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
