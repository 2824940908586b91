// Many event streams at once: is any event late?
import { Agent, request } from 'node:http';

import { maximum, median, mib, quantile } from '../kit/numbers.mjs';
import { check, hasWindlass, startDirect, startNodeOrigin, startTunnel, stop } from '../kit/programs.mjs';
import { judge } from '../kit/report.mjs';
import { residentBytes } from '../kit/usage.mjs';

/** 2,000 streams of one event per second. @param {import('./requests.mjs').Bench} bench @returns {Promise<import('../kit/report.mjs').Finding[]>} */
export async function events(bench) {
  const streams = bench.quick ? 500 : 2000;
  const seconds = bench.quick ? 10 : 30;
  const title = `${streams} event streams, one event per second each, for ${seconds} s`;
  bench.say(title);
  const origin = await startNodeOrigin();
  const ways = [await listen(origin.port, streams, seconds, () => NaN)];
  bench.say(`  origin directly: p99 ${ways[0].p99Ms.toFixed(1)} ms, latest ${ways[0].maxMs.toFixed(1)} ms`);
  /** @type {import('../kit/report.mjs').Finding} */
  const finding = {
    title,
    columns: ['way', 'events', 'lateness p50 ms', 'p99 ms', 'latest ms', 'memory, last / second quarter'],
    rows: [],
    notes: [],
    checks: [],
  };
  finding.rows.push(row('origin directly', ways[0]));
  if (hasWindlass) {
    const direct = await startDirect(origin.port);
    await measured('direct', direct);
    await stop(direct);
    const tunnel = await startTunnel(bench.dir, { upstreams: [[`127.0.0.1:${origin.port}`]], slots: streams });
    const found = await measured('hub + agent', tunnel);
    if (found.invalid !== null) finding.notes.push(`INVALID: ${found.invalid}`);
    finding.checks.push(judge(`${streams} event streams: latest event`, found.maxMs, ' ms', '<=', 100, { invalid: found.invalid }));
    finding.checks.push(judge(`${streams} event streams: memory, last quarter / second`, found.flatness, '', '<=', 1.1, { invalid: found.invalid }));
    await stop(tunnel);
  }
  await stop(origin);
  return [finding];

  /** @param {string} name @param {import('../kit/programs.mjs').Contender} contender */
  async function measured(name, contender) {
    const resident = () => residentBytes(contender.processes.flatMap(({ child }) => child.pids));
    const before = resident();
    const found = await listen(contender.port, streams, seconds, resident);
    check(contender);
    bench.say(
      `  ${name}: p99 ${found.p99Ms.toFixed(1)} ms, latest ${found.maxMs.toFixed(1)} ms${found.invalid === null ? '' : `  INVALID: ${found.invalid}`}`,
    );
    finding.rows.push(row(name, found));
    const each = (found.residentBytes - before) / streams / 1024;
    finding.notes.push(`resident memory of ${name} at the end: ${mib(found.residentBytes)}, ${each.toFixed(1)} KiB for each stream more than before`);
    return found;
  }
}

/** @typedef {{ count: number, p50Ms: number, p99Ms: number, maxMs: number, flatness: number, residentBytes: number, invalid: string | null }} Listened */

/** @param {number} port @param {number} streams @param {number} seconds @param {() => number} resident @returns {Promise<Listened>} */
async function listen(port, streams, seconds, resident) {
  /** @type {number[]} */
  const latenessMs = [];
  /** @type {import('node:http').ClientRequest[]} */
  const open = [];
  const agent = new Agent({ maxSockets: Infinity });
  let live = 0;
  let counting = false;
  let closing = false;
  /** @type {string | null} */
  let wrong = null;
  // Opened by fifty at a time: the measure is how events travel, not how a listen backlog overflows.
  for (let i = 0; i < streams && wrong === null; i += 50) {
    await Promise.all(
      Array.from(
        { length: Math.min(50, streams - i) },
        () =>
          new Promise((/** @type {(value: void) => void} */ resolve) => {
            const outgoing = request({ agent, host: '127.0.0.1', port, path: '/events', timeout: 10_000 }, (answer) => {
              if (answer.statusCode !== 200) wrong ??= `a stream got status ${answer.statusCode}`;
              live++;
              let rest = '';
              answer.setEncoding('latin1');
              answer.on('data', (/** @type {string} */ text) => {
                const now = process.hrtime.bigint() / 1000n;
                const lines = (rest + text).split('\n');
                rest = lines.pop() ?? '';
                if (!counting) return;
                for (const line of lines) if (line.startsWith('data: ')) latenessMs.push(Number(now - BigInt(line.slice(6))) / 1000);
              });
              answer.on('error', () => {});
              answer.on('close', () => {
                if (!closing) wrong ??= 'a stream ended by itself';
              });
              resolve();
            });
            outgoing.on('timeout', () => outgoing.destroy(new Error('silent for 10 s')));
            outgoing.on('error', (error) => {
              if (!closing) wrong ??= `a stream failed: ${error.message}`;
              resolve();
            });
            outgoing.end();
            open.push(outgoing);
          }),
      ),
    );
  }
  await sleep(1500);
  counting = true;
  /** @type {number[]} */
  const sizes = [];
  for (let second = 0; second < seconds * 2 && wrong === null; second++) {
    await sleep(500);
    sizes.push(resident());
  }
  counting = false;
  closing = true;
  for (const outgoing of open) outgoing.destroy();
  const quarter = Math.floor(sizes.length / 4);
  const expected = live * seconds;
  if (latenessMs.length < expected * 0.98) wrong ??= `only ${latenessMs.length} of ${expected} events came`;
  return {
    count: latenessMs.length,
    p50Ms: median(latenessMs),
    p99Ms: quantile(latenessMs, 0.99),
    maxMs: maximum(latenessMs),
    flatness: median(sizes.slice(-quarter)) / median(sizes.slice(quarter, 2 * quarter)),
    residentBytes: sizes.at(-1) ?? NaN,
    invalid: wrong,
  };
}

/** @param {string} name @param {Listened} found */
function row(name, found) {
  return [
    name,
    String(found.count),
    found.p50Ms.toFixed(2),
    found.p99Ms.toFixed(1),
    found.maxMs.toFixed(1),
    Number.isFinite(found.flatness) ? found.flatness.toFixed(2) : '',
  ];
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
