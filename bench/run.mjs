// `node bench/run.mjs [scenario...] [--quick] [--rounds N] [--seconds S] [--json FILE] [--markdown FILE]`: measures Windlass against nginx on this machine.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { killAll, stopAll } from './kit/children.mjs';
import { hasWrk } from './kit/load.mjs';
import { machineFacts } from './kit/machine.mjs';
import { hasNginx, hasWindlass } from './kit/programs.mjs';
import { asMarkdown, asText, summary } from './kit/report.mjs';
import { bodies } from './scenarios/bodies.mjs';
import { watched } from './scenarios/console.mjs';
import { events } from './scenarios/events.mjs';
import { grpc } from './scenarios/grpc.mjs';
import { latency } from './scenarios/latency.mjs';
import { logs } from './scenarios/logs.mjs';
import { cache, gateway, reload } from './scenarios/gateway.mjs';
import { idle, slow, stalled } from './scenarios/memory.mjs';
import { many, one, requests } from './scenarios/requests.mjs';
import { start } from './scenarios/start.mjs';
import { watching } from './scenarios/watching.mjs';
import { websocket } from './scenarios/websocket.mjs';
import { wires } from './scenarios/wires.mjs';

/** In the order they run. @type {Record<string, (bench: import('./scenarios/requests.mjs').Bench) => Promise<import('./kit/report.mjs').Finding[]>>} */
const scenarios = {
  requests,
  one,
  many,
  latency,
  bodies,
  slow,
  stalled,
  idle,
  events,
  websocket,
  start,
  logs,
  gateway,
  cache,
  reload,
  grpc,
  wires,
  watching,
  console: watched,
};
/** No scenario takes longer than this unless something hangs. */
const scenarioTimeoutMs = 20 * 60_000;
const markers = ['<!-- bench:begin -->', '<!-- bench:end -->'];

const { chosen, options } = readArguments();
const dir = mkdtempSync(join(tmpdir(), 'windlass-bench-'));
process.on('exit', () => {
  killAll();
  rmSync(dir, { recursive: true, force: true });
});
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, () => process.exit(130));

process.exitCode = await main();

async function main() {
  const say = (/** @type {string} */ text) => process.stderr.write(`${text}\n`);
  const facts = machineFacts();
  for (const [name, value] of facts) console.log(`${name}: ${value}`);
  const comparable = hasNginx && hasWrk;
  const missing = [hasNginx ? '' : 'nginx', hasWrk ? '' : 'wrk'].filter(Boolean);
  if (missing.length > 0)
    console.log(
      `NOT COMPARABLE: ${missing.join(' and ')} not found (apt-get install ${missing.join(' ')}); Node stands in, and the figures only show that things run.`,
    );
  if (!hasWindlass) console.log('dist/cli/main.js is not there (npm run build): only nginx and node http are measured.');
  if (process.platform !== 'linux') console.log('CPU and memory figures come from /proc and need Linux; they are missing here.');
  console.log(
    `method: ${options.rounds} rounds, ${options.seconds} s each after ${options.warmSeconds} s of warm-up, contenders interleaved; median (least..most)`,
  );

  const bench = { dir, comparable, say, ...options };
  /** @type {Record<string, import('./kit/report.mjs').Finding[]>} */
  const found = {};
  /** @type {string[]} */
  const failed = [];
  for (const name of chosen) {
    try {
      found[name] = await bounded(scenarios[name](bench), scenarioTimeoutMs);
      for (const finding of found[name]) console.log(asText(finding));
    } catch (error) {
      failed.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      console.log(`\nFAILED ${failed.at(-1)}`);
    }
    await stopAll();
  }
  const findings = Object.values(found).flat();
  const checks = findings.flatMap((finding) => finding.checks);
  const targets = summary(checks);
  if (checks.length > 0) console.log(asText(targets));
  if (options.json !== undefined)
    writeFileSync(options.json, `${JSON.stringify({ facts: Object.fromEntries(facts), options, found, checks, failed }, null, 2)}\n`);
  if (options.markdown !== undefined) writeMarkdown(options.markdown, facts, [targets, ...findings], failed);
  return failed.length > 0 ? 1 : 0;
}

/** Replaces what stands between the markers, and nothing else. @param {string} file @param {[string, string][]} facts @param {import('./kit/report.mjs').Finding[]} findings @param {string[]} failed */
function writeMarkdown(file, facts, findings, failed) {
  const body = [
    ...facts.map(([name, value]) => `- ${name}: ${value}`),
    `- ${options.rounds} rounds of ${options.seconds} s after ${options.warmSeconds} s of warm-up`,
    '',
    ...findings.map(asMarkdown),
    ...failed.map((text) => `FAILED ${text}\n`),
  ].join('\n');
  const old = existsSync(file) ? readFileSync(file, 'utf8') : `${markers.join('\n')}\n`;
  const [begin, end] = markers.map((marker) => old.indexOf(marker));
  if (begin < 0 || end < begin) throw new Error(`${file} has no ${markers.join(' ... ')}`);
  writeFileSync(file, `${old.slice(0, begin)}${markers[0]}\n\n${body}\n${old.slice(end)}`);
}

/** @template T @param {Promise<T>} promise @param {number} timeoutMs @returns {Promise<T>} */
async function bounded(promise, timeoutMs) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((/** @type {(value: never) => void} */ _, reject) => {
    timer = setTimeout(() => reject(new Error(`not finished after ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function readArguments() {
  const usage = `node bench/run.mjs [${Object.keys(scenarios).join('|')}]... [--quick] [--rounds N] [--seconds S] [--json FILE] [--markdown FILE]`;
  const string = /** @type {const} */ ({ type: 'string' });
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { quick: { type: 'boolean', default: false }, rounds: string, seconds: string, json: string, markdown: string },
    });
    for (const name of positionals) if (!Object.hasOwn(scenarios, name)) throw new Error(`there is no scenario ${name}`);
    const count = (/** @type {string | undefined} */ text, /** @type {number} */ fallback, /** @type {number} */ most) => {
      const value = text === undefined ? fallback : Number(text);
      if (!Number.isInteger(value) || value < 1 || value > most) throw new Error(`not a number from 1 to ${most}: ${text}`);
      return value;
    };
    const quick = values.quick;
    return {
      chosen: positionals.length > 0 ? positionals : Object.keys(scenarios),
      options: {
        quick,
        rounds: count(values.rounds, quick ? 3 : 5, 50),
        seconds: count(values.seconds, quick ? 2 : 4, 60),
        warmSeconds: 1,
        json: values.json,
        markdown: values.markdown,
      },
    };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    process.exit(2);
  }
}
