// The method: in every round each contender in turn, so that a noisy minute hits all of them; then medians.
import { availableParallelism } from 'node:os';

import { livePids } from './children.mjs';
import { load as wrkLoad } from './load.mjs';
import { maximum, median, spread } from './numbers.mjs';
import { check } from './programs.mjs';
import { cpuUs, machineUs } from './usage.mjs';

/** Connections cut at the end of a run are cancelled upstream; their slots must be back before the next begins. */
const settleMs = 400;

/**
 * @typedef {object} Sample one load run of one contender
 * @property {import('./load.mjs').LoadResult} load
 * @property {Record<string, number>} cpuUs per process label, over the whole run
 * @property {number} othersShare how much of the machine was taken by programs that are no part of the bench, 0 to 1
 * @property {string | null} invalid
 */

/** @typedef {Map<string, Sample[]>} Samples by contender, one per round */

/**
 * @param {import('./programs.mjs').Contender[]} contenders
 * @param {Omit<import('./load.mjs').LoadOptions, 'port' | 'seconds'>} options
 * @param {{ rounds: number, seconds: number, warmSeconds: number, say: (text: string) => void }} how
 * @param {typeof wrkLoad} [load]
 * @returns {Promise<Samples>}
 */
export async function measure(contenders, options, how, load = wrkLoad) {
  /** @type {Samples} */
  const samples = new Map(contenders.map((contender) => [contender.name, []]));
  for (let round = 0; round < how.rounds; round++) {
    for (let i = 0; i < contenders.length; i++) {
      // Each round begins with another one, so that nobody always follows the same neighbour.
      const contender = contenders[(i + round) % contenders.length];
      await load({ ...options, port: contender.port, seconds: how.warmSeconds });
      await pause();
      const before = usage(contender);
      const foreign = foreignUs();
      const result = await load({ ...options, port: contender.port, seconds: how.seconds });
      const after = usage(contender);
      const othersShare = Math.max(0, (foreignUs() - foreign) / (result.seconds * 1e6 * availableParallelism()));
      check(contender);
      /** @type {Record<string, number>} */
      const used = {};
      for (const label of Object.keys(after)) used[label] = after[label] - before[label];
      samples.get(contender.name)?.push({ load: result, cpuUs: used, othersShare, invalid: result.invalid });
      const perRequest = Object.entries(used).map(([label, us]) => `${label} ${(us / result.requests).toFixed(1)} us`);
      how.say(
        `  round ${round + 1}/${how.rounds} ${contender.name}: ${Math.round(result.requests / result.seconds)}/s, ${perRequest.join(', ')}, others ${(othersShare * 100).toFixed(0)} %${result.invalid === null ? '' : `  INVALID: ${result.invalid}`}`,
      );
      await pause();
    }
  }
  return samples;
}

/**
 * The same with all contenders loaded at once: what else goes on in the machine disturbs them alike, so that their ratios hold where those of turns do not.
 * @param {import('./programs.mjs').Contender[]} contenders
 * @param {Omit<import('./load.mjs').LoadOptions, 'port' | 'seconds'>} options
 * @param {{ rounds: number, seconds: number, warmSeconds: number, say: (text: string) => void }} how
 * @returns {Promise<Samples>}
 */
export async function measureAtOnce(contenders, options, how) {
  /** @type {Samples} */
  const samples = new Map(contenders.map((contender) => [contender.name, []]));
  for (let round = 0; round < how.rounds; round++) {
    await Promise.all(contenders.map(({ port }) => wrkLoad({ ...options, port, seconds: how.warmSeconds })));
    await pause();
    const before = contenders.map(usage);
    const foreign = foreignUs();
    const results = await Promise.all(contenders.map(({ port }) => wrkLoad({ ...options, port, seconds: how.seconds })));
    const after = contenders.map(usage);
    const othersShare = Math.max(0, (foreignUs() - foreign) / (how.seconds * 1e6 * availableParallelism()));
    for (const [i, contender] of contenders.entries()) {
      check(contender);
      /** @type {Record<string, number>} */
      const used = {};
      for (const label of Object.keys(after[i])) used[label] = after[i][label] - before[i][label];
      samples.get(contender.name)?.push({ load: results[i], cpuUs: used, othersShare, invalid: results[i].invalid });
      const perRequest = Object.entries(used).map(([label, us]) => `${label} ${(us / results[i].requests).toFixed(1)} us`);
      how.say(
        `  round ${round + 1}/${how.rounds} ${contender.name}: ${Math.round(results[i].requests / results[i].seconds)}/s, ${perRequest.join(', ')}${results[i].invalid === null ? '' : `  INVALID: ${results[i].invalid}`}`,
      );
    }
    await pause();
  }
  return samples;
}

/** Figures of the valid rounds of a contender. @param {Samples} samples @param {string} name @param {(sample: Sample) => number} figure @returns {number[]} */
export function figures(samples, name, figure) {
  return (samples.get(name) ?? []).filter((sample) => sample.invalid === null).map(figure);
}

/** The same figure of two contenders divided round by round. @param {Samples} samples @param {[string, (s: Sample) => number]} over @param {[string, (s: Sample) => number]} under @returns {number[]} */
export function ratios(samples, [name, figure], [baseName, baseFigure]) {
  const base = samples.get(baseName) ?? [];
  /** @type {number[]} */
  const out = [];
  for (const [round, sample] of (samples.get(name) ?? []).entries()) {
    if (sample.invalid !== null || base[round] === undefined || base[round].invalid !== null) continue;
    out.push(figure(sample) / baseFigure(base[round]));
  }
  return out;
}

/** Why rounds of this contender do not count, or null. @param {Samples} samples @param {string} name */
export function invalid(samples, name) {
  const all = samples.get(name) ?? [];
  const bad = all.filter((sample) => sample.invalid !== null);
  return bad.length === 0 ? null : `${bad.length} of ${all.length} rounds invalid (${bad[0].invalid})`;
}

/** How quiet the machine was: a busy one slows everybody, and takes from a tunnel the batches it lives on. @param {Samples} samples */
export function quietness(samples) {
  const shares = [...samples.values()].flat().map((sample) => sample.othersShare * 100);
  return `programs outside the bench took ${median(shares).toFixed(0)} % of the machine (median; most ${maximum(shares).toFixed(0)} %)`;
}

/** CPU microseconds per request of one process. @param {string} label @returns {(sample: Sample) => number} */
export function perRequestUs(label) {
  return (sample) => sample.cpuUs[label] / sample.load.requests;
}

/** @param {Sample} sample */
export function requestsPerSecond(sample) {
  return sample.load.requests / sample.load.seconds;
}

/** Cells of a ratio column and the number behind it. @param {number[]} values */
export function ratioOf(values) {
  return { text: spread(values, 2), value: median(values) };
}

/** @param {import('./programs.mjs').Contender} contender @returns {Record<string, number>} */
function usage(contender) {
  /** @type {Record<string, number>} */
  const out = {};
  for (const { label, child } of contender.processes) out[label] = (out[label] ?? 0) + cpuUs(child.pids);
  return out;
}

function foreignUs() {
  const { everybodyUs, selfUs } = machineUs();
  return everybodyUs - selfUs - cpuUs(livePids());
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, settleMs));
}
