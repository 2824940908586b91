// What an access log costs.
import { join } from 'node:path';

import { spread } from '../kit/numbers.mjs';
import { hasNginx, hasWindlass, startDirect, startNginxProxy, startOrigin, stop } from '../kit/programs.mjs';
import { judge } from '../kit/report.mjs';
import { figures, invalid, measure, perRequestUs, quietness, ratioOf, ratios, requestsPerSecond } from '../kit/rounds.mjs';

/** @param {import('./requests.mjs').Bench} bench @returns {Promise<import('../kit/report.mjs').Finding[]>} */
export async function logs(bench) {
  const title = 'Access log to a file: direct, 64 connections, 1 KiB, 13 header fields';
  bench.say(title);
  /** @type {import('../kit/report.mjs').Finding} */
  const finding = {
    title,
    columns: ['process', 'CPU us/request', 'ratio to nginx (without a log)', 'target', 'requests/s'],
    rows: [],
    notes: [],
    checks: [],
  };
  if (!hasNginx || !hasWindlass) {
    finding.notes.push('skipped: needs nginx and dist/cli/main.js');
    return [finding];
  }
  const origin = await startOrigin(bench.dir);
  const nginx = await startNginxProxy(bench.dir, origin.port);
  const direct = await startDirect(origin.port);
  const logged = await startDirect(origin.port, { name: 'direct + log', flags: ['--access-log', join(bench.dir, 'access.log')] });
  const contenders = [nginx, direct, logged];
  const samples = await measure(contenders, { connections: 64, path: '/1k', headers: true }, bench);
  finding.raw = [...samples];
  for (const { name } of contenders) {
    const wrong = invalid(samples, name);
    if (wrong !== null) finding.notes.push(`${name}: ${wrong}`);
    const ratio = ratioOf(ratios(samples, [name, perRequestUs(name)], ['nginx', perRequestUs('nginx')]));
    finding.rows.push([
      name,
      spread(figures(samples, name, perRequestUs(name))),
      ratio.text,
      name === logged.name ? '<= 1.6' : '',
      spread(figures(samples, name, requestsPerSecond), 0),
    ]);
    if (name === logged.name)
      finding.checks.push(
        judge('direct with access log, CPU per request / nginx', ratio.value, '', '<=', 1.6, { invalid: wrong, comparable: bench.comparable }),
      );
  }
  finding.notes.push(quietness(samples));
  await stop(logged, direct, nginx, origin);
  return [finding];
}
