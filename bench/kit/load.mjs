// One load run: wrk where there is one, else our own generator, whose figures compare with nothing.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { runToEnd } from './children.mjs';

/**
 * @typedef {object} LoadOptions
 * @property {number} port
 * @property {string} path
 * @property {number} connections
 * @property {number} seconds
 * @property {boolean | 'browser'} [headers] the 12 realistic header fields beside Host (about 900 bytes), or as many that let an answer be shared; else Host alone
 * @property {boolean} [block] Slime-Block: 1, so that a request waits for a slot
 * @property {number} [postBytes] send a body of this size with each request
 */

/**
 * @typedef {object} LoadResult
 * @property {number} requests completed
 * @property {number} bytes read from the wire
 * @property {number} seconds
 * @property {number} p50Us
 * @property {number} p99Us
 * @property {number} maxUs
 * @property {string | null} invalid why the run must not be counted: an answer that was no success, or a broken connection
 */

const here = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));

/** Whether wrk is installed. */
export const hasWrk = spawnSync('wrk', ['--version']).error === undefined;

/** @param {LoadOptions} options @returns {Promise<LoadResult>} */
export async function load(options) {
  const timeoutMs = (options.seconds + 20) * 1000;
  const url = `http://127.0.0.1:${options.port}${options.path}`;
  /** @type {Record<string, string>} */
  const env = {};
  if (options.headers === true) env.BENCH_HEADERS = here('../wrk-headers.lua');
  if (options.headers === 'browser') env.BENCH_HEADERS = here('../wrk-browser.lua');
  if (options.block === true) env.BENCH_BLOCK = '1';
  if (options.postBytes !== undefined) env.BENCH_POST_BYTES = String(options.postBytes);
  const printed = hasWrk
    ? await runToEnd('wrk', 'wrk', ['-t1', `-c${options.connections}`, `-d${options.seconds}s`, '--timeout', '10s', '-s', here('../wrk.lua'), url], {
        timeoutMs,
        env,
      })
    : await runToEnd('node-load', process.execPath, [here('node-load.mjs'), url, String(options.connections), String(options.seconds)], {
        timeoutMs,
        env,
      });
  const line = /^BENCH (\{.*\})$/m.exec(printed)?.[1];
  if (line === undefined) throw new Error(`the load generator printed no result: ${printed.slice(-400)}`);
  const found = JSON.parse(line);
  /** @type {string[]} */
  const wrong = [];
  if (found.status > 0) wrong.push(`${found.status} answers were errors`);
  for (const kind of ['connect', 'read', 'write', 'timeout']) if (found[kind] > 0) wrong.push(`${found[kind]} ${kind} errors`);
  // wrk says nothing of requests that never end; a connection that did so few hung.
  if (found.requests < 3 * options.connections) wrong.push(`only ${found.requests} requests on ${options.connections} connections: they hang`);
  return {
    requests: found.requests,
    bytes: found.bytes,
    seconds: found.us / 1e6,
    p50Us: found.p50Us,
    p99Us: found.p99Us,
    maxUs: found.maxUs,
    invalid: wrong.length === 0 ? null : `${wrong.join(', ')} of ${found.requests} requests`,
  };
}
