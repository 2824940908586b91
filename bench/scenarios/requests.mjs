// CPU per request: the figure this project is judged by.
import { load } from '../kit/load.mjs';
import { median, spread } from '../kit/numbers.mjs';
import { hasNginx, hasWindlass, startDirect, startNginxProxy, startNodeProxy, startOrigin, startTunnel, stop } from '../kit/programs.mjs';
import { judge } from '../kit/report.mjs';
import { figures, invalid, measure, perRequestUs, quietness, ratioOf, ratios, requestsPerSecond } from '../kit/rounds.mjs';

/** @typedef {import('../kit/report.mjs').Finding} Finding */
/** @typedef {{ dir: string, rounds: number, seconds: number, warmSeconds: number, quick: boolean, comparable: boolean, say: (text: string) => void }} Bench */

/** 64 connections, with the heads of a browser and with almost none. @param {Bench} bench @returns {Promise<Finding[]>} */
export async function requests(bench) {
  const realistic = { connections: 64, path: '/1k', headers: true };
  const minimal = { connections: 64, path: '/12', headers: false };
  return comparison(bench, [
    { title: '64 connections, 1 KiB, 13 header fields', options: realistic, targets: { hub: 0.85, agent: 0.85, direct: 1.35 } },
    { title: '64 connections, 12 bytes, Host alone', options: minimal, targets: {} },
  ]);
}

/** Nothing to share here: each request wakes everybody. @param {Bench} bench @returns {Promise<Finding[]>} */
export async function one(bench) {
  return comparison(bench, [
    { title: '1 connection, 1 KiB, 13 header fields', options: { connections: 1, path: '/1k', headers: true }, targets: { hub: 1.4 } },
  ]);
}

/** More clients than slots: the queue at work. @param {Bench} bench @returns {Promise<Finding[]>} */
export async function many(bench) {
  return comparison(bench, [
    {
      title: '256 connections on 64 slots (Slime-Block: 1), 1 KiB, 13 header fields',
      options: { connections: 256, path: '/1k', headers: true, block: true },
      targets: { hub: 0.9 },
    },
  ]);
}

/**
 * @param {Bench} bench
 * @param {{ title: string, options: { connections: number, path: string, headers: boolean, block?: boolean }, targets: Record<string, number> }[]} parts
 * @returns {Promise<Finding[]>}
 */
async function comparison(bench, parts) {
  const origin = await startOrigin(bench.dir);
  const nginx = hasNginx ? await startNginxProxy(bench.dir, origin.port) : null;
  const direct = hasWindlass ? await startDirect(origin.port) : null;
  const tunnel = hasWindlass ? await startTunnel(bench.dir, { upstreams: [[`127.0.0.1:${origin.port}`]], slots: 64 }) : null;
  const node = await startNodeProxy(origin.port);
  const contenders = [nginx, direct, tunnel, node].filter((contender) => contender !== null);
  for (const contender of contenders) await load({ port: contender.port, ...parts[0].options, seconds: bench.warmSeconds * 2 });
  /** @type {Finding[]} */
  const findings = [];
  for (const part of parts) {
    bench.say(part.title);
    const samples = await measure(contenders, part.options, bench);
    const base = nginx === null ? 'node-http' : 'nginx';
    const baseLabel = nginx === null ? 'node http' : 'nginx';
    /** @type {Finding} */
    const finding = {
      title: part.title,
      columns: ['process', 'CPU us/request', `ratio to ${baseLabel}`, 'target', 'requests/s', 'p50 us', 'p99 us'],
      rows: [],
      notes: [],
      checks: [],
      raw: [...samples],
    };
    for (const contender of contenders) {
      const wrong = invalid(samples, contender.name);
      if (wrong !== null) finding.notes.push(`${contender.name}: ${wrong}; its figures are those of the other rounds and do not count`);
      for (const { label } of contender.processes) {
        const ratio = ratioOf(ratios(samples, [contender.name, perRequestUs(label)], [base, perRequestUs(baseLabel)]));
        const target = part.targets[label];
        finding.rows.push([
          label,
          spread(figures(samples, contender.name, perRequestUs(label))),
          ratio.text,
          target === undefined ? '' : `<= ${target}`,
          label === 'agent' ? '' : spread(figures(samples, contender.name, requestsPerSecond), 0),
          label === 'agent' ? '' : median(figures(samples, contender.name, (sample) => sample.load.p50Us)).toFixed(0),
          label === 'agent' ? '' : median(figures(samples, contender.name, (sample) => sample.load.p99Us)).toFixed(0),
        ]);
        if (target !== undefined)
          finding.checks.push(
            judge(`${label}, CPU per request / ${baseLabel}: ${part.title}`, ratio.value, '', '<=', target, {
              invalid: wrong,
              comparable: bench.comparable,
            }),
          );
      }
    }
    if (tunnel !== null) {
      const both = (/** @type {import('../kit/rounds.mjs').Sample} */ sample) => perRequestUs('hub')(sample) + perRequestUs('agent')(sample);
      const ratio = ratioOf(ratios(samples, ['tunnel', both], [base, perRequestUs(baseLabel)]));
      finding.rows.push(['hub + agent', spread(figures(samples, 'tunnel', both)), ratio.text, '', '', '', '']);
    }
    finding.notes.push(quietness(samples));
    findings.push(finding);
  }
  await stop(node, tunnel, direct, nginx, origin);
  return findings;
}
