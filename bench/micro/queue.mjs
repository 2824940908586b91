// What waiting costs, alone in a loop: a request joins a line of so many and the first gets a slot. `node bench/micro/queue.mjs [DIST]` after `npm run build`.
// A loop flatters (everything is warm), so the figures serve to compare two versions of the same code, nothing else.
import { resolve } from 'node:path';
import { spread } from '../kit/numbers.mjs';

const dist = resolve(process.argv[2] ?? 'dist');
const { AgentPool } = await import(`${dist}/upstream/agents.js`);
const { PLAIN, labelled } = await import(`${dist}/upstream/label.js`).catch(() => ({ PLAIN: null }));
const { WaitingLine } = await import(`${dist}/upstream/queue.js`);
const { RequestHead } = await import(`${dist}/http/head.js`);
const { parseRequest } = await import(`${dist}/http/parse.js`);
const { httpLimits } = await import(`${dist}/http/limits.js`);

const request = Buffer.from('GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n', 'latin1');
const head = new RequestHead();
parseRequest(head, request, 0, request.length, httpLimits);

class Waiter {
  rank = 0;
  label = PLAIN;
  aged = 0;
  paid = false;
  arrival = 0;
  notes = { startMs: 0 };
  head = head;
  captures = null;
  line = null;
  flow = null;
  before = null;
  behind = null;
  isServed = false;

  granted({ session }) {
    session.inFlight++;
    this.isServed = true;
    return true;
  }
}

/** One slot, and so many requests without labels that wait for it. @param {number} depth */
function plainStage(depth) {
  const pool = new AgentPool({ queueSize: 1e6 });
  const agent = { id: 'a', instance: 'a', scopes: [], scopePaths: [], labels: new Map(), hardware: null, name: '', address: '', tokenId: '' };
  const session = {
    agent,
    slots: 1,
    inFlight: 1,
    owner: null,
    get free() {
      return this.slots - this.inFlight;
    },
    close() {},
  };
  pool.join(session);
  const ring = Array.from({ length: depth + 1 }, () => new Waiter());
  let arrival = 0;
  const join = (waiter) => {
    waiter.arrival = arrival++;
    pool.wait(waiter);
  };
  for (let i = 0; i < depth; i++) join(ring[i]);
  let spare = depth;
  return () => {
    join(ring[spare]);
    session.inFlight--;
    session.owner.changed(session);
    spare = (spare + 1) % ring.length;
  };
}

/** A line of so many requests of so many clients. @param {number} depth @param {number} keys */
function keyedStage(depth, keys) {
  const line = new WaitingLine();
  const labels = Array.from({ length: keys }, (_, i) => labelled(PLAIN, { key: `client ${i}` }));
  let arrival = 0;
  const join = (waiter) => {
    waiter.paid = false;
    waiter.label = labels[arrival % keys];
    waiter.arrival = arrival++;
    line.add(waiter);
  };
  for (let i = 0; i < depth; i++) join(new Waiter());
  return () => {
    const { first } = line;
    line.serve(first);
    join(first);
  };
}

const turns = 200_000;
for (const depth of [1, 100, 10_000]) {
  for (const keys of PLAIN === null ? [0] : [0, 1, 1000]) {
    const once = keys === 0 ? plainStage(depth) : keyedStage(depth, keys);
    const nanoseconds = [];
    for (let round = -1; round < 5; round++) {
      const begun = process.hrtime.bigint();
      for (let i = 0; i < turns; i++) once();
      // Round -1 is the compiler's.
      if (round >= 0) nanoseconds.push(Number(process.hrtime.bigint() - begun) / turns);
    }
    console.log(
      `${String(depth).padStart(6)} wait, ${(keys === 0 ? 'no labels, one slot' : `${keys} keys, the line alone`).padEnd(26)} ${spread(nanoseconds, 0).padStart(16)} ns`,
    );
  }
}
