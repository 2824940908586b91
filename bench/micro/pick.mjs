// What choosing an endpoint costs, alone in a loop: by algorithm and number of addresses, with the bytes that each choice allocates. `node --expose-gc bench/micro/pick.mjs` after `npm run build`.
// A loop flatters (everything is warm), so the figures serve to compare two versions of the same code, nothing else.
import { spread } from '../kit/numbers.mjs';

const dist = '../../dist';
const { Group } = await import(`${dist}/upstream/group.js`);
const { upstreamTable } = await import(`${dist}/upstream/section.js`);
const { parseBalance } = await import(`${dist}/schema/balance.js`);
const { createLoop } = await import(`${dist}/std/loop.js`);
const { RequestHead } = await import(`${dist}/http/head.js`);
const { parseRequest } = await import(`${dist}/http/parse.js`);
const { httpLimits } = await import(`${dist}/http/limits.js`);

const request = Buffer.from('GET /a/b?x=1 HTTP/1.1\r\nHost: example.com\r\nX-User: 4711\r\n\r\n', 'latin1');
const head = new RequestHead();
parseRequest(head, request, 0, request.length, httpLimits);

/** @param {string} algo @param {number} n */
function group(algo, n) {
  const defaults = Object.fromEntries(Object.entries(upstreamTable).map(([key, { fallback }]) => [key, fallback]));
  const settings = { ...defaults, name: 'up', algo: parseBalance(algo), addrs: [] };
  const one = new Group(settings, { loop: createLoop(), random: Math.random, connect: ({ id }) => ({ id, close: () => {}, open: () => {} }) });
  const place = (i) => ({ id: `10.0.${i >> 8}.${i & 255}:80`, ip: '', port: 80, host: '', weight: 1 + (i % 3), priority: 0, backup: false, load: 0 });
  one.place(Array.from({ length: n }, (_, i) => place(i)));
  return one;
}

const turns = 200_000;
const rounds = 5;
for (const n of [1, 4, 16, 64]) {
  for (const algo of ['round_robin', 'least_conn', 'random_two', 'hash:url', 'hash:header:x-user']) {
    const of = group(algo, n);
    const once = () => {
      const { watch } = of.pick(head);
      watch.began();
      watch.answered(200);
      watch.ended(null);
    };
    const nanoseconds = [];
    let bytes = Number.NaN;
    for (let round = -1; round < rounds; round++) {
      globalThis.gc?.();
      const before = process.memoryUsage().heapUsed;
      const begun = process.hrtime.bigint();
      for (let i = 0; i < turns; i++) once();
      const ns = Number(process.hrtime.bigint() - begun) / turns;
      bytes = (process.memoryUsage().heapUsed - before) / turns;
      // Round -1 is the compiler's.
      if (round >= 0) nanoseconds.push(ns);
    }
    const allocates = globalThis.gc === undefined ? '' : `${Math.max(0, bytes).toFixed(1)} B`;
    console.log(`${algo.padEnd(20)} ${String(n).padStart(3)} addresses ${spread(nanoseconds, 0).padStart(14)} ns  ${allocates}`);
  }
}
