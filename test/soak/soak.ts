import { Chaos } from './chaos.ts';
import type { Children } from './child.ts';
import { measureReturns, type Return } from './crowd-return.ts';
import { measureDepartures } from './departures.ts';
import { Dice } from './dice.ts';
import { framesOf, measureShares, type Shares } from './equal-shares.ts';
import { Fleet } from './fleet.ts';
import { numberOn, pageOf } from './hub.ts';
import { IdleSlots } from './idle-slots.ts';
import { Load } from './load.ts';
import { Probe } from './probe.ts';
import { Relay } from './relay.ts';
import { someRequest } from './request.ts';
import { Samples } from './samples.ts';
import type { Spread } from './spread.ts';
import { Stalls } from './stalls.ts';
import type { Tally } from './tally.ts';

export interface SoakOptions {
  readonly requests: number;
  readonly seed: number;
  /** Part of the requests that is served before the chaos begins, 0 to 1. */
  readonly calmShare: number;
  /** Mean time between two events of the chaos, ms. */
  readonly chaosEveryMs: number;
  /** Are there silences that outlast the pings? */
  readonly long: boolean;
  /** Mean time that services work on a request, ms. */
  readonly workMs: number;
  /** Clients that leave, measured one by one; 0 leaves the measurement out. */
  readonly departures: number;
  /** Agents whose hub comes back; 0 leaves it out. */
  readonly crowd: number;
  /** Requests over eight hubs; 0 leaves it out. */
  readonly overEight: number;
  readonly say: (text: string) => void;
}

/** What came of a run. */
export interface SoakResult {
  readonly requests: number;
  readonly seed: number;
  readonly seconds: number;
  /** When the chaos began, on the clock of the samples. */
  readonly chaosAtS: number;
  readonly slots: readonly number[];
  readonly delaysMs: readonly number[];
  readonly tally: Tally;
  readonly idle: IdleSlots;
  readonly samples: Samples;
  readonly events: ReadonlyMap<string, number>;
  /** Agents whose slots are not all free at the end or cannot all be used, or that are not joined to all hubs; hubs that still hold something. */
  readonly leaked: readonly string[];
  readonly framesPerRequest: number;
  /** Shares of the hubs before the chaos, 0 to 1. */
  readonly shares: readonly number[];
  /** How late the timers of the driver itself were, ms. */
  readonly lag: Spread;
  readonly departures: Spread | null;
  readonly returns: readonly Return[];
  readonly overEight: Shares | null;
  /** Log lines that tell of a defect. */
  readonly complaints: readonly string[];
}

/** One way to each hub, ms: a near, a farther and a far one. */
const DELAYS_MS = [0, 4, 10];
/** One after the other may be ended; the last of the large ones and the far hub are spared, so that their memory can be followed. */
const SLOTS = [1, 4, 64, 1, 4, 64];
const SPARED_AGENTS = [3, 4, 5];
const FACTOR = 1.3;
const LEAVING = 0.08;
const QUIET_MS = 20_000;

/** The whole run: load, chaos, and what is measured apart. `children` is closed by whoever made it. */
export async function runSoak(options: SoakOptions, children: Children): Promise<SoakResult> {
  const { requests, seed, say } = options;
  const dice = new Dice(seed);
  const start = performance.now();
  const fleet = new Fleet({ children, delaysMs: DELAYS_MS, slots: SLOTS, logged: (line) => load.tally.logged(line) });
  const { hubs, agents } = fleet;
  const load: Load = new Load({ hubs, agents, dice, workMs: options.workMs, request: someRequest, leaving: LEAVING, factor: FACTOR, most: requests });
  await fleet.start(load);
  const relays = await Promise.all(hubs.map(({ port, delayMs }) => new Relay(port, delayMs).listen()));
  const stalls = new Stalls();
  const probes = {
    stalls,
    hubs: hubs.map((hub, i) => new Probe(() => (hub.state === 'up' ? relays[i]!.port : 0), 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n')),
    agents: agents.map((agent) => new Probe(() => (agent.child?.alive === true ? agent.adminPort : 0), 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')),
  };
  const idle = new IdleSlots(SLOTS, hubs.length, 2 * Math.max(...DELAYS_MS), probes);
  load.idle = idle;
  const spared = new Set([hubs.at(-1)!, ...SPARED_AGENTS.map((i) => agents[i]!)]);
  const samples = new Samples(hubs, agents, new Set([...spared].map(({ name }) => name)));
  const progress = setInterval(() => {
    const { tally } = load;
    say(
      `${load.sent} of ${requests} sent, ${tally.right} right, ${tally.left} left, ${tally.lost} lost, ${tally.wrong.length} wrong; ` +
        `${tally.overSlots.length} over slots; waiting ${load.waiting().join('/')}`,
    );
  }, 10_000);

  const calm = Math.round(requests * options.calmShare);
  say(`${calm} requests in calm weather`);
  await load.run(calm);
  const framesPerRequest = (await framesOf(hubs)) / calm;
  const shares = load.tally.rightByHub.map((right) => right / load.tally.right);
  const chaosAtS = samples.seconds;
  say(`${requests - calm} requests in chaos`);
  const chaos = new Chaos({
    hubs,
    agents,
    dice: new Dice(seed + 1),
    idle,
    everyMs: options.chaosEveryMs,
    long: options.long,
    spared,
    failed: (error) => load.tally.wrong.push(`chaos: ${error.message}`),
  });
  const storm = load.run(requests);
  await load.nearlySent();
  await chaos.stop();
  await storm;
  clearInterval(progress);
  samples.stop();
  const seconds = (performance.now() - start) / 1_000;
  say(`${load.sent} sent in ${seconds.toFixed(0)} s; looking for what is left behind`);
  const leaked = await leftBehind(fleet, load);
  leaked.push(...(await load.fill()));
  for (const probe of [...probes.hubs, ...probes.agents]) probe.close();
  for (const relay of relays) relay.close();
  stalls.close();
  load.close();
  await fleet.close();

  const departures = options.departures === 0 ? null : await measureDepartures(children, options.departures);
  if (departures !== null) say(`departures: p99 ${departures.quantile(0.99).toFixed(1)} ms`);
  const overEight = options.overEight === 0 ? null : await measureShares(children, options.overEight, options.workMs, seed);
  if (overEight !== null) say(`over eight hubs: ${overEight.framesPerRequest.toFixed(2)} frames, ${(100 * overEight.worst).toFixed(1)} % off`);
  const returns = options.crowd === 0 ? [] : await measureReturns(children, options.crowd, ['killed', 'stopped in order', 'killed']);
  for (const { how, p95S } of returns) say(`${options.crowd} agents back ${p95S.toFixed(1)} s after their hub was ${how}`);
  return {
    requests,
    seed,
    seconds,
    chaosAtS,
    slots: SLOTS,
    delaysMs: DELAYS_MS,
    tally: load.tally,
    idle,
    samples,
    events: chaos.counts,
    leaked,
    framesPerRequest,
    shares,
    lag: stalls.late,
    departures,
    returns,
    overEight,
    complaints: children.complaints,
  };
}

/** What is not as it was before the load, after a while of quiet. */
async function leftBehind({ hubs, agents }: Fleet, load: Load): Promise<string[]> {
  const end = performance.now() + QUIET_MS;
  for (;;) {
    const left: string[] = [];
    for (const { name, adminPort, slots, origin } of agents) {
      const free = numberOn(await pageOf(adminPort), `windlass_agent_slots{agent="${name}",state="free"}`);
      if (free !== slots) left.push(`${name}: ${free} of ${slots} slots are free`);
      if (origin.running !== 0) left.push(`${name}: ${origin.running} requests run`);
    }
    for (const hub of hubs) {
      const page = await hub.metrics();
      const sessions = numberOn(page, 'windlass_agent_sessions');
      if (sessions !== agents.length) left.push(`${hub.name}: ${sessions} sessions of ${agents.length} agents`);
      for (const gauge of ['windlass_queue_size', 'windlass_requests_in_flight', 'windlass_buffered_bytes', 'windlass_agent_slots{state="busy"}']) {
        const value = numberOn(page, gauge);
        if (value !== 0) left.push(`${hub.name}: ${gauge} is ${value}`);
      }
    }
    if (left.length === 0 || performance.now() > end || load.tally.wrong.length >= 20) return left;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
