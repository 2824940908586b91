// The load generator for machines without wrk: `node node-load.mjs URL CONNECTIONS SECONDS`, the rest from the environment as in wrk.lua.
// It costs several times what the programs under test cost, so its figures compare with nothing; it shows that things work.
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';

const [url, connections, seconds] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const agent = new Agent({ keepAlive: true, maxSockets: connections });
/** @type {Record<string, string>} */
const headers = {};
const { BENCH_HEADERS: file, BENCH_BLOCK: block, BENCH_POST_BYTES: postBytes } = process.env;
if (file !== undefined) for (const [, name, value] of readFileSync(file, 'latin1').matchAll(/headers\["(.+?)"\]="(.*)"/g)) headers[name] = value;
if (block !== undefined) headers['Slime-Block'] = '1';
const body = postBytes === undefined ? null : Buffer.alloc(Number(postBytes), 'x');
if (body !== null) headers['Content-Length'] = String(body.length);

const tally = { requests: 0, bytes: 0, connect: 0, read: 0, write: 0, status: 0, timeout: 0 };
/** @type {number[]} */
const latenciesUs = [];
const start = performance.now();
const endMs = start + seconds * 1000;

for (let i = 0; i < connections; i++) once();
setTimeout(() => {
  latenciesUs.sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => Math.round(latenciesUs[Math.floor((latenciesUs.length - 1) * share)] ?? 0);
  const result = { ...tally, us: Math.round((performance.now() - start) * 1000), p50Us: at(0.5), p99Us: at(0.99), maxUs: at(1) };
  console.log(`BENCH ${JSON.stringify(result)}`);
  process.exit(0);
}, seconds * 1000);

function once() {
  const from = performance.now();
  const outgoing = request(url, { agent, method: body === null ? 'GET' : 'POST', headers }, (answer) => {
    if ((answer.statusCode ?? 0) > 399) tally.status++;
    answer.on('data', (/** @type {Buffer} */ chunk) => {
      tally.bytes += chunk.length;
    });
    answer.on('end', () => {
      tally.requests++;
      latenciesUs.push((performance.now() - from) * 1000);
      if (performance.now() < endMs) once();
    });
    answer.on('error', () => tally.read++);
  });
  outgoing.on('error', () => {
    tally.connect++;
    if (performance.now() < endMs) setTimeout(once, 10);
  });
  outgoing.end(body);
}
