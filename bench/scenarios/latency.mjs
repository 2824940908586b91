// What a proxy adds to a request when nothing else runs.
import { median, spread } from '../kit/numbers.mjs';
import { hasNginx, hasWindlass, startDirect, startNginxProxy, startNodeProxy, startOrigin, startTunnel, stop } from '../kit/programs.mjs';
import { judge } from '../kit/report.mjs';
import { figures, invalid, measure, quietness } from '../kit/rounds.mjs';

/** @param {import('./requests.mjs').Bench} bench @returns {Promise<import('../kit/report.mjs').Finding[]>} */
export async function latency(bench) {
  const origin = await startOrigin(bench.dir);
  const nginx = hasNginx ? await startNginxProxy(bench.dir, origin.port) : null;
  const direct = hasWindlass ? await startDirect(origin.port) : null;
  const tunnel = hasWindlass ? await startTunnel(bench.dir, { upstreams: [[`127.0.0.1:${origin.port}`]], slots: 64 }) : null;
  const node = await startNodeProxy(origin.port);
  const contenders = [origin, nginx, direct, tunnel, node].filter((contender) => contender !== null);
  const title = 'Added latency at 1 connection, 1 KiB, 13 header fields';
  bench.say(title);
  const samples = await measure(contenders, { connections: 1, path: '/1k', headers: true }, bench);
  /** @type {import('../kit/report.mjs').Finding} */
  const finding = { title, columns: ['way', 'p50 us', 'p99 us', 'added p50 us', 'added p99 us'], rows: [], notes: [], checks: [], raw: [...samples] };
  /** @param {string} name @param {(s: import('../kit/rounds.mjs').Sample) => number} figure */
  const added = (name, figure) =>
    (samples.get(name) ?? []).flatMap((sample, round) => {
      const base = samples.get('origin')?.[round];
      return sample.invalid !== null || base === undefined || base.invalid !== null ? [] : [figure(sample) - figure(base)];
    });
  const p50 = (/** @type {import('../kit/rounds.mjs').Sample} */ sample) => sample.load.p50Us;
  const p99 = (/** @type {import('../kit/rounds.mjs').Sample} */ sample) => sample.load.p99Us;
  for (const { name } of contenders) {
    const wrong = invalid(samples, name);
    if (wrong !== null) finding.notes.push(`${name}: ${wrong}`);
    const isOrigin = name === 'origin';
    finding.rows.push([
      isOrigin ? 'origin directly' : name === 'tunnel' ? 'hub + agent' : name,
      spread(figures(samples, name, p50), 0),
      spread(figures(samples, name, p99), 0),
      isOrigin ? '' : spread(added(name, p50), 0),
      isOrigin ? '' : spread(added(name, p99), 0),
    ]);
  }
  finding.notes.push(quietness(samples));
  if (tunnel !== null) {
    const options = { invalid: invalid(samples, 'tunnel'), comparable: bench.comparable };
    const ours = median(added('tunnel', p50));
    finding.checks.push(judge('added p50 at 1 connection, hub + agent', ours, ' us', '<=', 150, options));
    if (nginx !== null)
      finding.checks.push(judge("added p50 at 1 connection, hub + agent / nginx's own", ours / median(added('nginx', p50)), '', '<=', 3, options));
  }
  await stop(node, tunnel, direct, nginx, origin);
  return [finding];
}
