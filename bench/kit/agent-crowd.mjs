// Many agents in one process: `node agent-crowd.mjs PORT SECRETFILE COUNT POOLS`. Each has a token with a name of its own, a real session, labels and two slots, and
// answers everything with one line. Prints "joined COUNT" when all are there.
import { readFileSync } from 'node:fs';

const dist = new URL('../../dist/', import.meta.url);
const { ResponseHead } = await import(`${dist}http/head.js`);
const { parseHubUrl } = await import(`${dist}schema/upstream-url.js`);
const { createLoop } = await import(`${dist}std/loop.js`);
const { dialHub } = await import(`${dist}tunnel/native/dial.js`);
const { SlotLedger } = await import(`${dist}tunnel/native/slots.js`);
const { createKeyring, sealToken } = await import(`${dist}tunnel/token.js`);

const [port, count, pools] = [process.argv[2], process.argv[4], process.argv[5]].map(Number);
const keyring = createKeyring([readFileSync(process.argv[3], 'utf8').trim()]);
/** Dialling at once: more than that only wait for each other. */
const atOnce = 100;
const slots = 2;

const loop = createLoop();
const hub = parseHubUrl(`http://127.0.0.1:${port}`);
const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };
const answer = Buffer.from('from an agent\n');
const nothing = { writer: null, write: () => true, end() {}, abort() {}, settled() {} };
const handler = {
  /** @param {unknown} _head @param {any} reply */
  open(_head, reply) {
    reply.writer = { drained() {} };
    reply.head(ResponseHead.make(200, ['Content-Type', 'text/plain'], answer.length));
    reply.write(answer);
    reply.end();
    reply.settled();
    return { ...nothing };
  },
};

let begun = 0;
let joined = 0;
for (let i = 0; i < Math.min(atOnce, count); i++) next();

function next() {
  if (begun === count) return;
  const i = begun++;
  let isFirst = true;
  // Not in the order in which they come.
  const name = `box-${String((i * 7919) % count).padStart(5, '0')}.rack-${i % 97}`;
  const claims = { id: `token-${i}`, name, scopes: [], scopePaths: [], issuedMs: Date.now(), expiresMs: 0, labels: new Map() };
  const token = sealToken(claims, keyring);
  dialHub({
    hub,
    token: () => token,
    identity: {
      agentId: `agent-${String(i).padStart(5, '0')}`,
      instance: `run-${process.pid}-${i}`,
      name: '',
      labels: new Map([
        ['pool', `p${i % pools}`],
        ['zone', `zone-${i % 3}`],
      ]),
      hardware: null,
    },
    slots: new SlotLedger(slots),
    handler,
    loop,
    log: quiet,
    onState: (state) => {
      if (state !== 'joined' || !isFirst) return;
      isFirst = false;
      if (++joined === count) console.log(`joined ${joined}`);
      next();
    },
  });
}
