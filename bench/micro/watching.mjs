// What watching a request costs, alone in a loop: the inspector, and a tracer that records none and one in a hundred. `node bench/micro/watching.mjs` after `npm run build`.
// A loop flatters (everything is warm), so the figures serve to compare two versions of the same code, nothing else.
import { spread } from '../kit/numbers.mjs';

const dist = '../../dist';
const { Notes } = await import(`${dist}/http/exchange.js`);
const { makePeer, RequestHead, ResponseHead } = await import(`${dist}/http/head.js`);
const { httpLimits } = await import(`${dist}/http/limits.js`);
const { parseRequest, parseResponse } = await import(`${dist}/http/parse.js`);
const { TraceSource } = await import(`${dist}/observe/trace.js`);
const { Inspector } = await import(`${dist}/proxy/inspector.js`);
const { Tracer } = await import(`${dist}/proxy/tracer.js`);

const rounds = 9;
const count = 200_000;

const request = Buffer.from(
  'GET /1k?x=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\nCookie: session=0123456789abcdef\r\n\r\n',
);
const answer = Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n');
const head = new RequestHead();
const reply = new ResponseHead();
const peer = makePeer('192.0.2.7', 4711, 443, 'http', false);
parseRequest(head, request, 0, request.length, httpLimits);
parseResponse(reply, answer, 0, answer.length, httpLimits);
head.peer = peer;
head.add('X-Forwarded-For', '192.0.2.7');

const inspector = new Inspector(() => Date.now());
inspector.resize(1_000);
const tracer = (/** @type {number} */ sample) => new Tracer(new TraceSource(sample), { add() {} }, () => Date.now(), { facts: {}, asksAgents: true });
const [none, some] = [tracer(0), tracer(0.01)];

/** @param {any} by */
function traced(by) {
  const notes = new Notes(1);
  const { tail } = head;
  by.begin(head, notes);
  head.tail = tail;
  if (notes.trace !== null) by.finished(notes, notes.trace, 200, 5, 'api', 'app');
}

/** @type {[string, () => void][]} */
const cases = [
  [
    'inspector',
    () => {
      const entry = inspector.begin('web', head, new Notes(1), peer);
      entry.sent(head);
      entry.answered(reply);
      entry.finished(200, 5, 'api', 'app');
    },
  ],
  ['traces, none recorded', () => traced(none)],
  ['traces, 1 % recorded', () => traced(some)],
];

for (const [name, once] of cases) {
  const nanos = [];
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage();
    for (let i = 0; i < count; i++) once();
    const { user, system } = process.cpuUsage(before);
    nanos.push(((user + system) * 1000) / count);
  }
  console.log(`${name.padEnd(24)} ${spread(nanos, 0)} ns per request`);
}
