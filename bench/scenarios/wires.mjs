// What the wires of others cost the hub, beside its own.
import { load } from '../kit/load.mjs';
import { median, spread } from '../kit/numbers.mjs';
import { hasWindlass, pinTo, startCranker, startOrigin, startSlime, startTunnel, stop } from '../kit/programs.mjs';
import { judge } from '../kit/report.mjs';
import { figures, invalid, measure, measureAtOnce, perRequestUs, quietness, ratioOf, ratios, requestsPerSecond } from '../kit/rounds.mjs';

/** @typedef {import('../kit/report.mjs').Finding} Finding */

const CONNECTIONS = 64;
/** Requests a second that slime's own hub and agent reached here: 64 clients with Slime-Block, 64 workers, 1 KiB. */
const SLIME_PER_SECOND = 1_600;

/** Each foreign wire at the same time as the native one, and in turns for its throughput. @param {import('./requests.mjs').Bench} bench @returns {Promise<Finding[]>} */
export async function wires(bench) {
  const title = `Wires of others, ${CONNECTIONS} connections, 1 KiB, 13 header fields`;
  bench.say(title);
  /** @type {Finding} */
  const finding = {
    title,
    columns: [
      'wire',
      'CPU us/request of the hub',
      'of the native one at the same time',
      'ratio',
      'target',
      'requests/s in turns',
      'CPU us/request in turns',
      'ratio in turns',
    ],
    rows: [],
    notes: [],
    checks: [],
  };
  if (!hasWindlass) {
    finding.notes.push('skipped: needs dist/cli/main.js');
    return [finding];
  }
  const origin = await startOrigin(bench.dir);
  const native = await startTunnel(bench.dir, { upstreams: [[`127.0.0.1:${origin.port}`]], slots: CONNECTIONS });
  const cranker3 = await startCranker('cranker 3.0', '3.0', 2);
  const cranker1 = await startCranker('cranker 1.0', '1.0', CONNECTIONS);
  const slime = await startSlime(bench.dir, 'slime', CONNECTIONS);
  const foreign = [cranker3, cranker1, slime];
  // Hubs share one core, so that none is lucky; whoever loads and serves them has the others.
  for (const { processes } of [native, ...foreign])
    for (const [i, { child }] of processes.entries()) if (process.platform === 'linux') pinTo(child, i === 0 ? 'first' : 'others');
  const options = { connections: CONNECTIONS, path: '/1k', headers: true, block: true };
  for (const { port } of [native, ...foreign]) await load({ ...options, port, seconds: bench.warmSeconds * 2 });

  const alone = await measure([native, ...foreign], options, bench);
  /** @type {[string, unknown][]} */
  const raw = [['alone', [...alone]]];
  const perSecond = (/** @type {string} */ name) => spread(figures(alone, name, requestsPerSecond), 0);
  finding.rows.push(['native', '', '', '', '', perSecond(native.name), spread(figures(alone, native.name, perRequestUs('hub'))), '']);
  for (const contender of foreign) {
    const { name } = contender;
    const begun = { dialled: cranker1.dialled(), served: cranker1.served() };
    const samples = await measureAtOnce([native, contender], options, bench);
    raw.push([name, [...samples]]);
    const wrong = invalid(samples, name) ?? invalid(samples, native.name);
    if (wrong !== null) finding.notes.push(`${name}: ${wrong}; its figures are those of the other rounds and do not count`);
    const ratio = ratioOf(ratios(samples, [name, perRequestUs(name)], [native.name, perRequestUs('hub')]));
    finding.rows.push([
      name,
      spread(figures(samples, name, perRequestUs(name))),
      spread(figures(samples, native.name, perRequestUs('hub'))),
      ratio.text,
      contender === cranker3 ? '<= 1.5' : '',
      perSecond(name),
      spread(figures(alone, name, perRequestUs(name))),
      ratioOf(ratios(alone, [name, perRequestUs(name)], [native.name, perRequestUs('hub')])).text,
    ]);
    if (contender === cranker3)
      finding.checks.push(judge('cranker 3.0, CPU per request of the hub / native', ratio.value, '', '<=', 1.5, { invalid: wrong }));
    if (contender === cranker1) {
      const sockets = (cranker1.dialled() - begun.dialled) / (cranker1.served() - begun.served);
      finding.checks.push(judge('cranker 1.0, new WebSockets per request', sockets, '', '<=', 1, { invalid: wrong }));
    }
  }
  finding.checks.push(
    judge('slime, requests/s (slime alone had 1,600)', median(figures(alone, slime.name, requestsPerSecond)), '', '>=', SLIME_PER_SECOND, {
      invalid: invalid(alone, slime.name),
    }),
  );
  finding.notes.push(
    'connectors and the agent of slime are scripts that answer out of memory; behind the native agent stands the origin of all scenarios',
  );
  finding.notes.push("crank4go's router is no part of this bench: it is a Go program, which has to be built by hand");
  finding.notes.push(quietness(alone));
  finding.raw = raw;
  await stop(slime, cranker1, cranker3, native, origin);
  return [finding];
}
