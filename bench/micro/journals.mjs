// What one log line costs, alone in a loop: what is kept of the head, then the line. `node bench/micro/journals.mjs` after `npm run build`.
// A loop flatters (everything is warm), so the figures serve to compare two versions of the same code, nothing else.
import { readFileSync } from 'node:fs';

import { median, spread } from '../kit/numbers.mjs';

const dist = '../../dist';
const { AccessLog } = await import(`${dist}/observe/access-log.js`);
const { Notes } = await import(`${dist}/http/exchange.js`);
const { makePeer, RequestHead, ResponseHead } = await import(`${dist}/http/head.js`);
const { httpLimits } = await import(`${dist}/http/limits.js`);
const { parseRequest } = await import(`${dist}/http/parse.js`);
const { AccessJournal } = await import(`${dist}/proxy/journal.js`);
const { TemplateJournal } = await import(`${dist}/proxy/template-journal.js`);
const { parseLogTemplate } = await import(`${dist}/schema/log-template.js`);

const fields = [...readFileSync(new URL('../wrk-headers.lua', import.meta.url), 'latin1').matchAll(/headers\["(.+?)"\]="(.*)"/g)];
const request = Buffer.from(
  `GET /1k?x=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n${fields.map(([, name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
  'latin1',
);
const head = new RequestHead();
const peer = makePeer('192.0.2.7', 4711, 443, 'http', false);
parseRequest(head, request, 0, request.length, httpLimits);
head.peer = peer;
const reply = ResponseHead.make(200, ['Content-Type', 'text/plain'], 1024);

let characters = 0;
// As Lines does it: a line is kept until a batch is full, then all become bytes.
/** @type {string[]} */
let pending = [];
const sink = {
  dropped: 0,
  /** @param {string} line */
  write(line) {
    characters += line.length;
    pending.push(line);
    if (pending.length < 256) return;
    Buffer.from(pending.join(''), 'utf8');
    pending = [];
  },
  reopen() {},
  close: () => Promise.resolve(),
};

/** @param {string} text */
const template = (text) => new TemplateJournal(parseLogTemplate(text, {}, 'box'), sink, Date.now);
const journals = {
  'hub run': new AccessJournal(new AccessLog(sink), Date.now),
  tiny: template('tiny'),
  combined: template('combined'),
  json: template('json'),
};

/** @param {{ begin: Function }} journal */
function once(journal) {
  const notes = new Notes(1000);
  const entry = journal.begin(head, notes, peer);
  notes.endpoint = '127.0.0.1:9000';
  notes.attempts = 1;
  notes.replyBytes = 1024;
  entry.answered(reply);
  entry.finished(200, 1012.3, 'api', 'gpus');
}

const turns = 100_000;
const rounds = 7;
/** @type {Record<string, number[]>} */
const nanoseconds = Object.fromEntries(Object.keys(journals).map((name) => [name, []]));
for (let round = -1; round < rounds; round++) {
  for (const [name, journal] of Object.entries(journals)) {
    const begun = process.cpuUsage();
    for (let i = 0; i < turns; i++) once(journal);
    const { user, system } = process.cpuUsage(begun);
    // Round -1 is the compiler's.
    if (round >= 0) nanoseconds[name].push(((user + system) * 1000) / turns);
  }
}
if (characters === 0) throw new Error('nothing was written');
for (const [name, values] of Object.entries(nanoseconds).toSorted((a, b) => median(a[1]) - median(b[1])))
  console.log(`${name.padEnd(12)} ${spread(values, 0)} ns`);
