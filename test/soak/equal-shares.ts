import type { Children } from './child.ts';
import { Dice } from './dice.ts';
import { Fleet } from './fleet.ts';
import { numberOn } from './hub.ts';
import { Load } from './load.ts';
import { smallRequest } from './request.ts';

export interface Shares {
  readonly hubs: number;
  readonly requests: number;
  /** How far the hub that is furthest off is from an equal share, 0 to 1. */
  readonly worst: number;
  readonly framesPerRequest: number;
  /** Anything that went wrong. */
  readonly wrong: number;
}

const HUBS = 8;
/** One agent: each further one hears the news of waiting requests as well, which is a frame more now and then. */
const SLOTS = [80];
const FACTOR = 1.3;
/** What it takes until all hubs have their share of waiters is left out. */
const WARM_UP = 0.1;

/** Eight hubs, as many requests waiting at each: what part of the work does each get, and how many frames does a request cost? */
export async function measureShares(children: Children, requests: number, workMs: number, seed: number): Promise<Shares> {
  const fleet = new Fleet({ children, delaysMs: Array.from({ length: HUBS }, () => 0), slots: SLOTS, logged: () => {} });
  const { hubs, agents } = fleet;
  const warm = Math.round(requests * WARM_UP);
  const dice = new Dice(seed);
  const load = new Load({ hubs, agents, dice, workMs, request: smallRequest, leaving: 0, factor: FACTOR, most: requests + warm });
  await fleet.start(load);
  await load.run(warm);
  const served = [...load.tally.rightByHub];
  const framesBefore = await framesOf(hubs);
  await load.run(requests + warm);
  const shares = load.tally.rightByHub.map((right, i) => (right - served[i]!) / requests);
  const framesPerRequest = ((await framesOf(hubs)) - framesBefore) / requests;
  const { tally } = load;
  load.close();
  await fleet.close();
  return {
    hubs: HUBS,
    requests,
    worst: Math.max(...shares.map((share) => Math.abs(share * HUBS - 1))),
    framesPerRequest,
    wrong: tally.wrong.length + tally.overSlots.length + tally.lost,
  };
}

/** Frames in both directions, of all hubs. */
export async function framesOf(hubs: Fleet['hubs']): Promise<number> {
  let sum = 0;
  for (const hub of hubs) {
    const page = await hub.metrics();
    for (const direction of ['sent', 'received']) sum += numberOn(page, `windlass_tunnel_frames_total{direction="${direction}"}`);
  }
  return sum;
}
