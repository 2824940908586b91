// What one head costs, alone in a loop: parse, then what every request owes, then write. `node bench/micro/heads.mjs` after `npm run build`.
// A loop flatters (everything is warm), so the figures serve to compare two versions of the same code, nothing else.
import { readFileSync } from 'node:fs';

import { median, spread } from '../kit/numbers.mjs';

const dist = '../../dist/http';
const { RequestHead, ResponseHead } = await import(`${dist}/head.js`);
const { parseRequest, parseResponse } = await import(`${dist}/parse.js`);
const { removeHopByHop } = await import(`${dist}/hop.js`);
const { writeRequest, writeResponse } = await import(`${dist}/write.js`);
const { httpLimits } = await import(`${dist}/limits.js`);

const fields = [...readFileSync(new URL('../wrk-headers.lua', import.meta.url), 'latin1').matchAll(/headers\["(.+?)"\]="(.*)"/g)];
const request = Buffer.from(
  `GET /1k HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n${fields.map(([, name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
  'latin1',
);
const response = Buffer.from(
  'HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nConnection: keep-alive\r\nETag: "6592-400"\r\nAccept-Ranges: bytes\r\n\r\n',
  'latin1',
);
const out = Buffer.alloc(64 * 1024);
const requestHead = new RequestHead();
const responseHead = new ResponseHead();

/** @type {Record<string, () => number>} */
const work = {
  'parse request (13 fields)': () => parseRequest(requestHead, request, 0, request.length, httpLimits),
  'parse request, drop hop-by-hop, write it': () => {
    parseRequest(requestHead, request, 0, request.length, httpLimits);
    removeHopByHop(requestHead);
    return writeRequest(requestHead, '', true, out, 0);
  },
  'parse response (8 fields)': () => parseResponse(responseHead, response, 0, response.length, httpLimits),
  'parse response, drop hop-by-hop, write it': () => {
    parseResponse(responseHead, response, 0, response.length, httpLimits);
    removeHopByHop(responseHead);
    return writeResponse(responseHead, false, 'keep', out, 0);
  },
};

const turns = 200_000;
const rounds = 5;
/** @type {Record<string, number[]>} */
const nanoseconds = Object.fromEntries(Object.keys(work).map((name) => [name, []]));
for (let round = -1; round < rounds; round++) {
  for (const [name, once] of Object.entries(work)) {
    if (once() <= 0) throw new Error(`${name}: refused`);
    const begun = process.hrtime.bigint();
    for (let i = 0; i < turns; i++) once();
    // Round -1 is the compiler's.
    if (round >= 0) nanoseconds[name].push(Number(process.hrtime.bigint() - begun) / turns);
  }
}
for (const [name, values] of Object.entries(nanoseconds).toSorted((a, b) => median(a[1]) - median(b[1])))
  console.log(`${name.padEnd(44)} ${spread(values, 0)} ns`);
