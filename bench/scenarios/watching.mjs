// What it costs to look: a gateway that keeps its last requests, or sends traces, beside one that does not, both at the same time.
import { load } from '../kit/load.mjs';
import { spread } from '../kit/numbers.mjs';
import { hasWindlass, pinTo, startGateway, startNodeOrigin, startOrigin, stop } from '../kit/programs.mjs';
import { judge } from '../kit/report.mjs';
import { figures, invalid, measureAtOnce, perRequestUs, ratioOf, ratios } from '../kit/rounds.mjs';

/** @param {number} originPort */
const fileOf = (originPort) => `locations = ["app"]
[locations.app]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${originPort}"]
`;

/** @param {import('./requests.mjs').Bench} bench @returns {Promise<import('../kit/report.mjs').Finding[]>} */
export async function watching(bench) {
  const title = 'What watching costs: a gateway of a file, 64 connections, 1 KiB, 13 header fields';
  bench.say(title);
  /** @type {import('../kit/report.mjs').Finding} */
  const finding = {
    title,
    columns: ['with', 'CPU us/request', 'of the plain one at the same time', 'ratio', 'target'],
    rows: [],
    notes: [],
    checks: [],
  };
  /** @type {unknown[]} */
  const raw = [];
  if (!hasWindlass) {
    finding.notes.push('skipped: needs dist/cli/main.js');
    return [finding];
  }
  const origin = await startOrigin(bench.dir);
  const collector = await startNodeOrigin();
  const start = (/** @type {string} */ name, basic = '') => startGateway(bench.dir, name, fileOf(origin.port), { basic });
  const plain = await start('plain');
  const contenders = /** @type {const} */ ([
    [await start('inspector', 'inspector = 1000\n'), 1.15],
    [await start('traces of 1 %', `otlp_endpoint = "http://127.0.0.1:${collector.port}"\ntrace_sample = 0.01\n`), 1.1],
  ]);
  const all = [plain, ...contenders.map(([contender]) => contender)];
  for (const { processes } of all) for (const { child } of processes) pinTo(child, 'first');
  const options = { connections: 64, path: '/1k', headers: true };
  for (const { port } of all) await load({ ...options, port, seconds: bench.warmSeconds * 3 });
  for (const [contender, atMost] of contenders) {
    const { name } = contender;
    const samples = await measureAtOnce([plain, contender], options, bench);
    raw.push([name, [...samples]]);
    const wrong = invalid(samples, name) ?? invalid(samples, plain.name);
    if (wrong !== null) finding.notes.push(`${name}: ${wrong}`);
    const ratio = ratioOf(ratios(samples, [name, perRequestUs(name)], [plain.name, perRequestUs(plain.name)]));
    const us = (/** @type {string} */ of) => spread(figures(samples, of, perRequestUs(of)));
    finding.rows.push([name, us(name), us(plain.name), ratio.text, `<= ${atMost}`]);
    finding.checks.push(judge(`${name}, CPU per request / without`, ratio.value, '', '<=', atMost, { invalid: wrong }));
  }
  finding.raw = raw;
  await stop(...all, collector, origin);
  return [finding];
}
