import { describe, expect, test } from 'vitest';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { BYE, CANCEL, CREDIT, DATA, F_END, F_NO_BODY, GOAWAY, OPEN, PING, WAITING, writeU32 } from '../../src/tunnel/native/frames.ts';
import { Crowd } from '../kit/crowd.ts';
import { type Malice, startHostileHub } from '../kit/hostile-hub.ts';
import { kit, metric, metricBecomes } from '../kit/kit.ts';
import { frame, type Scripted } from '../kit/tunnel.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startHubWith, startAgentFor, startOrigin } = tools;

const SLOTS = 2;
const TIMES = { tickMs: 50, pingAfterMs: 300, deadAfterMs: 900, handshakeTimeoutMs: 600, stallTimeoutMs: 300 };

function u32(...numbers: number[]): Buffer {
  const out = Buffer.alloc(4 * numbers.length);
  numbers.forEach((n, i) => writeU32(out, 4 * i, n));
  return out;
}

function open(id: number, target: string): Buffer {
  const text = Buffer.from(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
  return frame(OPEN, F_END | F_NO_BODY, id, Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, text.length >> 8, text.length & 255]), text]));
}

const farewell = JSON.stringify({ code: 'draining', reason: 'go away', retryAfterMs: 0 });

/** Until the agent has gone. */
function again(agent: Scripted, everyMs: number, run: () => void): void {
  run();
  const timer = setInterval(() => (agent.closed ? clearInterval(timer) : run()), everyMs);
}

/** What it does, what the agent's log says of it ('' for nothing), how, and what its WELCOME says. */
const all: [string, string, Malice, (((port: number) => object) | null)?][] = [
  ['answers nothing and grants nothing', 'nothing heard for', () => {}],
  ['never says WELCOME', 'the handshake took too long', () => {}, null],
  [
    'says over and over that four billion requests wait',
    '',
    (agent) => again(agent, 5, () => agent.send(frame(WAITING, 0, 0, u32(0xffff_ffff, 0xffff_ffff)))),
  ],
  [
    'opens streams without end',
    'streams opened without a slot',
    (agent) => agent.send(...Array.from({ length: 20_000 }, (_, i) => open(i + 1, '/flood'))),
  ],
  [
    'opens as many streams as it may, and more, again and again',
    'streams opened without a slot',
    (agent) => {
      let id = 0;
      again(agent, 10, () => agent.send(...Array.from({ length: 5 }, () => open(++id, '/flood'))));
    },
  ],
  ['takes nothing of the answers that it asked for', '', (agent) => agent.send(...Array.from({ length: SLOTS }, (_, i) => open(i + 1, '/large')))],
  [
    'opens streams and cancels them at once',
    '',
    (agent) => {
      let id = 0;
      again(agent, 5, () => agent.send(open(++id, '/flood'), frame(CANCEL, 0, id)));
    },
  ],
  ['sends data for streams that never were', 'DATA for stream 99, which was never opened', (agent) => agent.send(frame(DATA, 0, 99, 'x'))],
  ['grants credit to streams that never were', 'CREDIT for stream 77, which was never opened', (agent) => agent.send(frame(CREDIT, 0, 77, u32(1)))],
  [
    'grants more credit than there is',
    'more credit than can be counted',
    (agent) => agent.send(open(1, '/large'), ...Array.from({ length: 10 }, () => frame(CREDIT, 0, 1, u32(0x7fff_ffff)))),
  ],
  ['says GOAWAY a thousand times', 'what ran is done', (agent) => agent.send(...Array.from({ length: 1_000 }, () => frame(GOAWAY, 0, 0, farewell)))],
  [
    'says GOAWAY and opens streams all the same',
    'streams opened without a slot',
    (agent) => agent.send(frame(GOAWAY, 0, 0, farewell), ...Array.from({ length: 500 }, (_, i) => open(i + 1, '/flood'))),
  ],
  ['says BYE to whoever joins', 'go away', (agent) => agent.send(frame(BYE, 0, 0, farewell))],
  ['closes the connection of whoever joins', 'the peer closed the connection', (agent) => agent.socket.destroy()],
  [
    'pings without end',
    'more frames than a session may send',
    (agent) => again(agent, 5, () => agent.send(...Array.from({ length: 500 }, () => frame(PING, 0, 0, u32(0, 1))))),
  ],
  [
    'names a hundred thousand siblings',
    'WELCOME frame of',
    () => {},
    (port) => ({ siblings: Array.from({ length: 100_000 }, (_, i) => ({ id: `s${i}`, address: `127.0.0.1:${port}/${i}` })) }),
  ],
  [
    'names itself in sixty ways, and what is no address',
    'a sibling whose address cannot be used',
    () => {},
    (port) => ({
      siblings: Array.from({ length: 60 }, (_, i) => ({
        id: `s${i}`,
        address: [
          `127.0.0.1:${port}/${i}`,
          `localhost:${port}/${i}`,
          '',
          `nonsense ${i}`,
          `file:///etc/passwd?${i}`,
          `http://${'x'.repeat(300)}${i}`,
        ][i % 6],
      })),
    }),
  ],
];

describe('beside a hub that', () => {
  test.each(all)('%s, an agent serves its other hub, within its slots, and stays small [threat 46]', async (_what, word, malice, welcome) => {
    const large = Buffer.alloc(4 * 1024 * 1024);
    let running = 0;
    let most = 0;
    const origin = await startOrigin((request, response) => {
      most = Math.max(most, ++running);
      response.on('close', () => running--);
      request.resume();
      request.on('end', () => (request.url === '/large' ? response.end(large) : setTimeout(() => response.end(request.url), 5)));
    });
    const hostile = await startHostileHub(tools, malice, welcome);
    const hub = await startHubWith();
    const hubs = [hostile.port, hub.address.port].map((port) => parseUpstreamUrl(`127.0.0.1:${port}`));
    const agent = await startAgentFor(hub, origin, { hubs, slots: SLOTS, agentId: 'box', adminAddr: { host: '127.0.0.1', port: 0 } }, TIMES);
    await metricBecomes(hub, 'windlass_agent_sessions', (value) => value === 1);
    await until('the hostile hub to have done it', () => hostile.agents.length > 0);
    const crowd = new Crowd(hub, 'good');
    const asked = crowd.ask(40, 4);
    let heldMost = 0;
    let over = false;
    const watch = (async () => {
      while (!over) heldMost = Math.max(heldMost, await metric(agent, 'windlass_buffered_bytes'));
    })();
    await asked;
    over = true;
    await watch;
    expect(crowd.answered).toBe(40);
    await until(`"${word}" in the log`, () => agent.log.some(({ message, fields }) => `${message} ${String(fields['reason'])}`.includes(word)));
    expect(most).toBeLessThanOrEqual(SLOTS);
    // Two windows, and what is on its way.
    expect(heldMost).toBeLessThan(2 * 1024 * 1024);
    // One by its address, the others of those that it named itself.
    expect(hostile.agents.length).toBeLessThanOrEqual(48);
    expect(hub.log.filter(({ message }) => message === 'agent left')).toEqual([]);
    expect(agent.log.filter(({ level }) => level === 'error')).toEqual([]);
    expect(agent.log.filter(({ level }) => level !== 'debug').length).toBeLessThan(120);
    hostile.close();
    // What it had taken comes back.
    await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === SLOTS);
    await metricBecomes(agent, 'windlass_agent_slots{agent="box",state="free"}', (free) => free === SLOTS);
    await metricBecomes(agent, 'windlass_buffered_bytes', (bytes) => bytes === 0);
  });
});
