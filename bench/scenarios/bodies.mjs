// Large bodies, down and up: how fast, and what a gibibyte costs at each end.
import { median, spread } from '../kit/numbers.mjs';
import {
  hasNginx,
  hasWindlass,
  startDirect,
  startNginxProxy,
  startNodeOrigin,
  startNodeProxy,
  startOrigin,
  startTunnel,
  stop,
} from '../kit/programs.mjs';
import { judge } from '../kit/report.mjs';
import { figures, invalid, measure, quietness, ratioOf, ratios } from '../kit/rounds.mjs';

const gib = 1024 ** 3;
const tenMib = 10 * 1024 ** 2;

/** @param {import('./requests.mjs').Bench} bench @returns {Promise<import('../kit/report.mjs').Finding[]>} */
export async function bodies(bench) {
  const down = await direction(bench, await startOrigin(bench.dir), [
    { title: '10 MiB down, 4 connections', options: { connections: 4, path: '/10m' }, size: tenMib, judged: 'down' },
    { title: '64 KiB down, 16 connections', options: { connections: 16, path: '/64k' }, size: 64 * 1024, judged: null },
  ]);
  const up = await direction(bench, await startNodeOrigin(), [
    { title: '10 MiB up, 4 connections', options: { connections: 4, path: '/streamed/sink', postBytes: tenMib }, size: tenMib, judged: 'up' },
    { title: '64 KiB up, 16 connections', options: { connections: 16, path: '/streamed/sink', postBytes: 64 * 1024 }, size: 64 * 1024, judged: null },
  ]);
  for (const finding of up)
    finding.notes.push('the origin of uploads is a Node process; nginx passes the body on as it comes (proxy_request_buffering off)');
  return [...down, ...up];
}

/**
 * @param {import('./requests.mjs').Bench} bench @param {import('../kit/programs.mjs').Contender} origin
 * @param {{ title: string, options: { connections: number, path: string, postBytes?: number }, size: number, judged: 'down' | 'up' | null }[]} parts
 */
async function direction(bench, origin, parts) {
  const nginx = hasNginx ? await startNginxProxy(bench.dir, origin.port) : null;
  const direct = hasWindlass ? await startDirect(origin.port) : null;
  const tunnel = hasWindlass ? await startTunnel(bench.dir, { upstreams: [[`127.0.0.1:${origin.port}`]], slots: 64 }) : null;
  const node = await startNodeProxy(origin.port);
  const contenders = [nginx, direct, tunnel, node].filter((contender) => contender !== null);
  const base = nginx === null ? 'node-http' : 'nginx';
  const baseLabel = nginx === null ? 'node http' : 'nginx';
  /** @type {import('../kit/report.mjs').Finding[]} */
  const findings = [];
  for (const part of parts) {
    bench.say(part.title);
    const samples = await measure(contenders, part.options, bench);
    // Down: what wrk read. Up: whole requests times their size; what was cut at the end of a run is not counted.
    const bytes = (/** @type {import('../kit/rounds.mjs').Sample} */ sample) =>
      part.options.postBytes === undefined ? sample.load.bytes : sample.load.requests * part.size;
    const rate = (/** @type {import('../kit/rounds.mjs').Sample} */ sample) => bytes(sample) / sample.load.seconds / 1024 ** 2;
    const cost = (/** @type {string} */ label) => (/** @type {import('../kit/rounds.mjs').Sample} */ sample) =>
      sample.cpuUs[label] / 1000 / (bytes(sample) / gib);
    /** @type {import('../kit/report.mjs').Finding} */
    const finding = {
      title: part.title,
      columns: ['process', 'MiB/s', 'rate / nginx', 'CPU ms/GiB', 'CPU / nginx'],
      rows: [],
      notes: [],
      checks: [],
      raw: [...samples],
    };
    finding.columns = finding.columns.map((column) => column.replace('nginx', baseLabel));
    for (const contender of contenders) {
      const wrong = invalid(samples, contender.name);
      if (wrong !== null) finding.notes.push(`${contender.name}: ${wrong}`);
      const rateRatio = ratioOf(ratios(samples, [contender.name, rate], [base, rate]));
      for (const { label } of contender.processes) {
        const costRatio = ratioOf(ratios(samples, [contender.name, cost(label)], [base, cost(baseLabel)]));
        finding.rows.push([
          label,
          label === 'agent' ? '' : spread(figures(samples, contender.name, rate), 0),
          label === 'agent' ? '' : rateRatio.text,
          spread(figures(samples, contender.name, cost(label)), 0),
          costRatio.text,
        ]);
      }
    }
    if (tunnel !== null) {
      const both = (/** @type {import('../kit/rounds.mjs').Sample} */ sample) => cost('hub')(sample) + cost('agent')(sample);
      const bothRatio = ratioOf(ratios(samples, ['tunnel', both], [base, cost(baseLabel)]));
      finding.rows.push(['hub + agent', '', '', spread(figures(samples, 'tunnel', both), 0), bothRatio.text]);
      if (part.judged !== null) {
        const rateRatio = median(ratios(samples, ['tunnel', rate], [base, rate]));
        const options = { invalid: invalid(samples, 'tunnel'), comparable: bench.comparable };
        const other = `or CPU per GiB <= 2.0 x: ${Number.isFinite(bothRatio.value) ? bothRatio.value.toFixed(2) : '-'}`;
        const check = judge(`10 MiB ${part.judged}, throughput through hub + agent / ${baseLabel}`, rateRatio, '', '>=', 0.8, {
          ...options,
          note: other,
        });
        // Either will do: on two cores four busy processes share what nginx has almost to itself.
        if (check.verdict === 'under' && bothRatio.value <= 2) check.verdict = 'ok';
        finding.checks.push(check);
      }
    }
    finding.notes.push(quietness(samples));
    findings.push(finding);
  }
  await stop(node, tunnel, direct, nginx, origin);
  return findings;
}
