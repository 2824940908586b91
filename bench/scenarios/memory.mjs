// Slow readers, stalled readers, idle crowds: what they hold, and whom they disturb.
import { get, metric, openIdle, openReader } from '../kit/client.mjs';
import { load } from '../kit/load.mjs';
import { openFilesLimit } from '../kit/machine.mjs';
import { maximum, median, mib } from '../kit/numbers.mjs';
import { check, hasWindlass, startNodeOrigin, startTunnel, stop } from '../kit/programs.mjs';
import { judge } from '../kit/report.mjs';
import { residentBytes } from '../kit/usage.mjs';

/** @typedef {import('../kit/report.mjs').Finding} Finding */
/** @typedef {import('./requests.mjs').Bench} Bench */

const mebibyte = 1024 ** 2;

/** A client that reads 64 KiB/s from a body of 1 GiB. @param {Bench} bench @returns {Promise<Finding[]>} */
export async function slow(bench) {
  const title = 'One reader of 64 KiB/s on a body of 1 GiB';
  bench.say(title);
  if (!hasWindlass) return [skipped(title)];
  const origin = await startNodeOrigin();
  const tunnel = await startTunnel(bench.dir, { upstreams: [[`127.0.0.1:${origin.port}`]], slots: 64 });
  const before = memory(tunnel);
  const reader = await openReader(tunnel.port, '/1g', 5000);
  const seconds = bench.quick ? 5 : 10;
  /** @type {{ hub: number, agent: number, resident: number }[]} */
  const samples = [];
  let taken = 0;
  // Eight sips a second, and a look at the gauges at every second sip.
  for (let sip = 0; sip < seconds * 8; sip++) {
    taken += reader.read(8 * 1024);
    if (sip % 2 === 0) {
      const [hub, agent] = await Promise.all([
        metric(tunnel.adminPort, 'windlass_buffered_bytes'),
        metric(tunnel.agentAdminPort, 'windlass_buffered_bytes'),
      ]);
      samples.push({ hub, agent, resident: memory(tunnel) });
    }
    await sleep(125);
  }
  reader.close();
  check(tunnel);
  const hub = maximum(samples.map((sample) => sample.hub));
  const agent = maximum(samples.map((sample) => sample.agent));
  const both = maximum(samples.map((sample) => sample.hub + sample.agent));
  const grown = maximum(samples.map((sample) => sample.resident)) - before;
  /** @type {Finding} */
  const finding = {
    title,
    columns: ['most over the run', 'hub', 'agent', 'both'],
    rows: [
      ['windlass_buffered_bytes', mib(hub), mib(agent), mib(both)],
      ['resident memory grown by', '', '', mib(grown)],
    ],
    notes: [`${samples.length} samples in ${seconds} s; the client took ${mib(taken)}; status ${reader.status}`],
    checks: [],
    raw: samples,
  };
  const wrong = reader.status === 200 && taken > 0 ? null : `the reader got status ${reader.status} and ${taken} bytes`;
  finding.checks.push(judge('buffered by hub + agent for one slow reader of 1 GiB', both / mebibyte, ' MiB', '<=', 10, { invalid: wrong }));
  await stop(tunnel, origin);
  return [finding];
}

/** 50 readers that take nothing from 64 MiB each, while others go on. @param {Bench} bench @returns {Promise<Finding[]>} */
export async function stalled(bench) {
  const count = 50;
  const title = `${count} stalled readers of 64 MiB, and the others beside them`;
  bench.say(title);
  if (!hasWindlass) return [skipped(title)];
  const origin = await startNodeOrigin();
  const tunnel = await startTunnel(bench.dir, { upstreams: [[`127.0.0.1:${origin.port}`]], slots: 64 });
  const other = { port: tunnel.port, path: '/10m', connections: 1, seconds: bench.seconds };
  const small = { port: tunnel.port, path: '/1k', connections: 8, headers: true, seconds: bench.seconds };
  await load({ ...other, seconds: bench.warmSeconds });
  await load({ ...small, seconds: bench.warmSeconds });
  const rounds = Math.min(bench.rounds, 3);
  /** @type {{ freeRate: number, stalledRate: number, freeSmall: number, stalledSmall: number, grown: number, buffered: number, invalid: string | null }[]} */
  const samples = [];
  for (let round = 0; round < rounds; round++) {
    const free = await load(other);
    const freeSmall = await load(small);
    await sleep(1500);
    const before = memory(tunnel);
    const readers = await Promise.all(Array.from({ length: count }, () => openReader(tunnel.port, '/64m', 10_000)));
    await sleep(2000);
    const grown = memory(tunnel) - before;
    const buffered = (await metric(tunnel.adminPort, 'windlass_buffered_bytes')) + (await metric(tunnel.agentAdminPort, 'windlass_buffered_bytes'));
    const during = await load(other);
    const duringSmall = await load(small);
    for (const reader of readers) reader.close();
    check(tunnel);
    await sleep(500);
    const refused = readers.filter((reader) => reader.status !== 200).length;
    const sample = {
      freeRate: free.bytes / free.seconds,
      stalledRate: during.bytes / during.seconds,
      freeSmall: freeSmall.requests / freeSmall.seconds,
      stalledSmall: duringSmall.requests / duringSmall.seconds,
      grown,
      buffered,
      invalid: refused > 0 ? `${refused} readers were refused` : (free.invalid ?? during.invalid ?? freeSmall.invalid ?? duringSmall.invalid),
    };
    samples.push(sample);
    bench.say(
      `  round ${round + 1}/${rounds}: +${mib(grown)} resident, ${mib(buffered)} buffered, 10 MiB stream ${mib(sample.freeRate)}/s -> ${mib(sample.stalledRate)}/s, small ${sample.freeSmall.toFixed(0)}/s -> ${sample.stalledSmall.toFixed(0)}/s${sample.invalid === null ? '' : `  INVALID: ${sample.invalid}`}`,
    );
  }
  const wrong = samples.find((sample) => sample.invalid !== null)?.invalid ?? null;
  const share = median(samples.map((sample) => (sample.stalledRate / sample.freeRate) * 100));
  const smallShare = median(samples.map((sample) => (sample.stalledSmall / sample.freeSmall) * 100));
  const grown = maximum(samples.map((sample) => sample.grown));
  const buffered = maximum(samples.map((sample) => sample.buffered));
  /** @type {Finding} */
  const finding = {
    title,
    columns: ['measure', 'figure', 'target'],
    rows: [
      ['resident memory of hub + agent, grown by (most of the rounds)', mib(grown), '<= 50 MiB'],
      ['windlass_buffered_bytes of both (most)', mib(buffered), '<= 100 MiB'],
      ['another stream of 10 MiB bodies keeps, of its rate', `${share.toFixed(0)} %`, '>= 80 %'],
      ['small requests on 8 connections keep, of their rate', `${smallShare.toFixed(0)} %`, '>= 80 %'],
    ],
    notes: wrong === null ? [] : [`INVALID: ${wrong}`],
    checks: [
      judge(`${count} stalled readers of 64 MiB: resident memory of hub + agent grows by`, grown / mebibyte, ' MiB', '<=', 50, { invalid: wrong }),
      judge(`${count} stalled readers: buffered by hub + agent for each`, buffered / count / mebibyte, ' MiB', '<=', 2, { invalid: wrong }),
      judge(`${count} stalled readers: another stream keeps`, share, ' %', '>=', 80, { invalid: wrong }),
      judge(`${count} stalled readers: small requests keep`, smallShare, ' %', '>=', 80, { invalid: wrong }),
    ],
    raw: samples,
  };
  await stop(tunnel, origin);
  return [finding];
}

/** 10,000 keep-alive clients and 1,000 agents that do nothing. @param {Bench} bench @returns {Promise<Finding[]>} */
export async function idle(bench) {
  const wanted = { clients: bench.quick ? 2000 : 10_000, agents: bench.quick ? 200 : 1000 };
  // The hub holds one descriptor for each client and agent; the bench itself one for each client.
  const spare = 500;
  const allowed = openFilesLimit() - spare;
  const scale = Math.min(1, allowed / (wanted.clients + wanted.agents));
  const clients = Math.floor(wanted.clients * scale);
  const agents = Math.floor(wanted.agents * scale);
  const title = `${clients} idle keep-alive clients and ${agents} idle agents on one hub`;
  bench.say(title);
  if (!hasWindlass) return [skipped(title)];
  const agentProcesses = 4;
  const origin = await startNodeOrigin();
  // Different prefixes, so that no two upstreams are the same; the origin looks at the last segment only.
  const upstreams = Array.from({ length: agentProcesses }, (_, process) =>
    Array.from({ length: Math.floor(agents / agentProcesses) }, (_unused, i) => `127.0.0.1:${origin.port}/${process}-${i}`),
  );
  const tunnel = await startTunnel(bench.dir, { upstreams, slots: 1 });
  const expected = upstreams.flat().length;
  const arrived = await until(async () => (await metric(tunnel.adminPort, 'windlass_agents_connected')) >= expected, 30_000);
  const connected = await metric(tunnel.adminPort, 'windlass_agents_connected');
  await sleep(2000);
  const withAgents = residentBytes(tunnel.hub.pids);
  /** @type {{ close: () => void, isOpen: () => boolean }[]} */
  const open = [];
  let pending = 0;
  const begun = performance.now();
  /** @type {string | null} */
  let wrong = arrived ? null : `only ${connected} of ${expected} agents connected within 30 s`;
  const lanes = Array.from({ length: 100 }, async () => {
    while (open.length + pending < clients && wrong === null) {
      pending++;
      try {
        open.push(await openIdle(tunnel.port, '/12', 20_000));
      } catch (error) {
        wrong = `a client failed after ${open.length}: ${String(error)}`;
      }
      pending--;
    }
  });
  await Promise.all(lanes);
  const openedMs = performance.now() - begun;
  await sleep(5000);
  check(tunnel);
  const still = open.filter((client) => client.isOpen()).length;
  if (still < open.length) wrong ??= `${open.length - still} clients were closed while idle`;
  const resident = residentBytes(tunnel.hub.pids);
  const agentResident = maximum(tunnel.agents.map((child) => residentBytes(child.pids)));
  const alive = await get(tunnel.port, '/12', { timeoutMs: 5000 }).then(
    (answer) => answer.status,
    () => 0,
  );
  if (alive !== 200) wrong ??= `afterwards a request got status ${alive}`;
  for (const client of open) client.close();
  /** @type {Finding} */
  const finding = {
    title,
    columns: ['measure', 'figure', 'target'],
    rows: [
      [`hub, resident, ${connected} agents`, mib(withAgents), ''],
      [`hub, resident, ${connected} agents and ${still} clients`, mib(resident), '<= 250 MiB'],
      ['per idle client', `${((resident - withAgents) / still / 1024).toFixed(1)} KiB`, ''],
      [`largest agent process (${upstreams[0].length} agents)`, mib(agentResident), ''],
    ],
    notes: [`clients opened in ${(openedMs / 1000).toFixed(1)} s, one request each`],
    checks: [
      judge(`hub, resident: ${clients} idle clients + ${agents} idle agents`, resident / mebibyte, ' MiB', '<=', 250, {
        invalid: wrong,
        comparable: !bench.quick && scale === 1,
      }),
    ],
  };
  if (scale < 1) finding.notes.push(`scaled down from ${wanted.clients} + ${wanted.agents}: only ${allowed + spare} open files are allowed here`);
  if (wrong !== null) finding.notes.push(`INVALID: ${wrong}`);
  if (bench.quick) finding.notes.push('a fifth of the full size (--quick)');
  await stop(tunnel, origin);
  return [finding];
}

/** @param {import('../kit/programs.mjs').Tunnel} tunnel */
function memory(tunnel) {
  return residentBytes(tunnel.hub.pids) + tunnel.agents.reduce((sum, child) => sum + residentBytes(child.pids), 0);
}

/** @param {string} title @returns {Finding} */
function skipped(title) {
  return { title, columns: ['skipped'], rows: [['there is no dist/cli/main.js']], notes: [], checks: [] };
}

/** @param {() => Promise<boolean>} holds @param {number} timeoutMs */
async function until(holds, timeoutMs) {
  const end = Date.now() + timeoutMs;
  while (Date.now() < end) {
    if (await holds()) return true;
    await sleep(100);
  }
  return false;
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
