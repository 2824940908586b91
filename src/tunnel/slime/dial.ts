import { createHash } from 'node:crypto';
import http, { type ClientRequest } from 'node:http';
import type { Handler } from '../../http/exchange.ts';
import { fieldLine } from '../../http/head.ts';
import { isLoopback } from '../../schema/address.ts';
import type { Log } from '../../observe/log.ts';
import { Backoff } from '../../std/backoff.ts';
import type { Loop } from '../../std/loop.ts';
import { tunnelLimits } from '../limits.ts';
import type { DialState, HubConnection } from '../native/dial.ts';
import { plainText } from '../native/frames.ts';
import type { SlotLedger, SlotShare, SlotsUser } from '../native/slots.ts';
import type { Hardware } from '../session.ts';
import { type SlimeWay, slimeAgent } from './dial-socket.ts';
import { DialWorker, type DialWorkerOwner } from './dial-worker.ts';
import { hardwareReport } from './hardware.ts';
import { JOIN, slimeLimits } from './limits.ts';

export interface SlimeDialOptions extends SlimeWay {
  token(): string;
  /** Called after a 401. True when token() now says something else, which is then tried without the long wait. */
  reloadToken?(): boolean;
  /** Of the agent: its workers' ids follow from it. */
  readonly agentId: string;
  readonly hardware: Hardware | null;
  /** Which of how many hubs this is: slime's polls cannot be taken back, so each slot is offered to one hub. */
  readonly place: { readonly index: number; readonly of: number };
  readonly slots: SlotLedger;
  readonly handler: Handler;
  readonly loop: Loop;
  readonly log: Log;
  onState?(state: DialState): void;
  readonly random?: () => number;
}

/** An agent's workers at one hub of slime: as many as there are slots for it. */
export function dialSlime(options: SlimeDialOptions): HubConnection {
  return new SlimeDialer(options);
}

/** The number that an agent's workers count from: its id, when that is a number, else one that follows from it. */
export function baseId(agentId: string): bigint {
  if (/^\d{1,15}$/.test(agentId)) return BigInt(agentId);
  return BigInt(createHash('sha256').update(agentId).digest().readUIntBE(0, 6));
}

class SlimeDialer implements HubConnection, DialWorkerOwner, SlotsUser {
  state: DialState = 'connecting';
  readonly hubId = '';
  readonly roundTripMs = 0;
  readonly loop: Loop;
  readonly slots: SlotLedger;
  readonly handler: Handler;
  readonly #options: SlimeDialOptions;
  readonly #agent: http.Agent;
  readonly #backoff: Backoff;
  readonly #random: () => number;
  readonly #workers: DialWorker[] = [];
  readonly #base: bigint;
  #share: SlotShare | null = null;
  #timer: NodeJS.Timeout | null = null;
  #join: ClientRequest | null = null;
  #stopping = false;
  #adjusting = false;
  #closed: (() => void)[] = [];
  /** What went wrong last, so that the same line is not logged every few seconds. */
  #complaint = '';

  constructor(options: SlimeDialOptions) {
    this.#options = options;
    this.loop = options.loop;
    this.slots = options.slots;
    this.handler = options.handler;
    this.#random = options.random ?? Math.random;
    this.#agent = slimeAgent(options);
    this.#backoff = new Backoff(slimeLimits.backoffBaseMs, slimeLimits.backoffCapMs, this.#random);
    this.#base = baseId(options.agentId);
    const { hub, log } = options;
    if (hub.protocol === 'http' && !isLoopback(hub.host))
      log.warn({ hub: hub.shown }, 'the connection to this hub is not encrypted: the agent token travels in plain text');
    this.#dial();
  }

  get bufferedBytes(): number {
    return this.#workers.reduce((sum, worker) => sum + worker.bufferedBytes, 0);
  }

  get inFlight(): number {
    return this.#workers.reduce((sum, worker) => sum + (worker.isBusy ? 1 : 0), 0);
  }

  retryNow(): void {
    if (this.#stopping || this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#dial();
  }

  // --- workers

  slotsChanged(): void {
    this.#adjust();
  }

  mayPoll({ number }: DialWorker): boolean {
    return this.state === 'joined' && !this.#stopping && number < this.slots.total && this.slots.free > 0;
  }

  #adjust(): void {
    // A worker that is adjusted may free or take a slot.
    if (this.#adjusting) return;
    this.#adjusting = true;
    const { index, of } = this.#options.place;
    if (this.state === 'joined')
      for (let number = index + this.#workers.length * of; number < this.slots.total; number += of)
        this.#workers.push(new DialWorker(this, number, String(this.#base + BigInt(number))));
    for (const worker of this.#workers) {
      // Polls are not taken back for slots that others use: theirs are others.
      if (worker.number >= this.slots.total || this.state !== 'joined' || this.#stopping) worker.withdraw();
      else if (!worker.isPolling) worker.adjust();
    }
    this.#adjusting = false;
  }

  post(path: string, agentId: string, fields: Readonly<Record<string, string>>, isFresh: boolean): ClientRequest {
    const { hub } = this.#options;
    const own = { 'Slime-Agent-Token': this.#options.token(), 'Slime-Agent-Id': agentId };
    // What is no field's text must not become one, nor an error that quotes it.
    fieldLine('Slime-Agent-Token', own['Slime-Agent-Token']);
    return http.request({
      method: 'POST',
      path: `${hub.path}${path}`,
      agent: isFresh ? slimeAgent(this.#options) : this.#agent,
      headers: {
        Host: hub.authority,
        'User-Agent': 'windlass',
        ...own,
        ...(hub.authorization === null ? {} : { Authorization: hub.authorization }),
        ...fields,
        ...(isFresh ? { Connection: 'close' } : {}),
      },
    });
  }

  idle(): void {
    if (this.#stopping) this.#finishIfIdle();
  }

  // --- the hub

  #dial(): void {
    this.#timer = null;
    this.#become('connecting');
    const report = hardwareReport(this.#options.hardware);
    let join: ClientRequest;
    try {
      join = this.post(JOIN, String(this.#base), { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(report)) }, false);
    } catch {
      this.#failed(0, 'the agent token has characters that no field has');
      return;
    }
    this.#join = join;
    const timer = setTimeout(() => join.destroy(new Error('it gave no answer')), slimeLimits.joinTimeoutMs);
    const over = (then: () => void): void => {
      clearTimeout(timer);
      if (this.#join !== join) return;
      this.#join = null;
      then();
    };
    join.on('response', (response) => {
      response.resume();
      const status = response.statusCode ?? 0;
      over(() => (status === 200 ? this.#joined() : this.#failed(status, `it answered ${status}`)));
    });
    join.on('error', (error) => over(() => this.#failed(0, error.message)));
    join.end(report);
  }

  #joined(): void {
    const { hub, log, slots } = this.#options;
    this.#backoff.reset();
    this.#complaint = '';
    log.info({ hub: hub.shown, wire: 'slime' }, 'joined the hub');
    this.#become('joined');
    if (this.#share === null) this.#share = slots.join(this);
    this.#adjust();
  }

  failed(status: number, reason: string): void {
    // One failure is told by many workers.
    if (this.state !== 'joined' || this.#stopping) return;
    this.#failed(status, reason);
    this.#adjust();
  }

  #failed(status: number, reason: string): void {
    if (this.#stopping) return;
    const why = plainText(reason, tunnelLimits.detailLength);
    if (status === 401 || status === 403) {
      const fresh = status === 401 && this.#options.reloadToken?.() === true;
      const wait = fresh ? this.#backoff.next() : tunnelLimits.refusedRetryMs * (1 + this.#random() / 2);
      this.#wait(wait, `the hub refused this agent's token: ${why}`);
    } else this.#wait(this.#backoff.next(), `the hub cannot be reached: ${why}`);
  }

  #wait(ms: number, complaint: string): void {
    const { log, hub } = this.#options;
    const fields = { hub: hub.shown, retryInMs: Math.round(ms) };
    if (complaint !== this.#complaint) log.warn(fields, complaint);
    else log.debug(fields, complaint);
    this.#complaint = complaint;
    this.#become('waiting');
    this.#timer = setTimeout(() => this.#dial(), ms);
  }

  #become(state: DialState): void {
    if (this.state === state || this.state === 'closed') return;
    this.state = state;
    this.#options.onState?.(state);
  }

  // --- the end

  close(): Promise<void> {
    const done = new Promise<void>((resolve) => this.#closed.push(resolve));
    this.#stop();
    if (this.state !== 'closed') this.#become('leaving');
    this.#finishIfIdle();
    return done;
  }

  #stop(): void {
    this.#stopping = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const join = this.#join;
    this.#join = null;
    join?.destroy();
    for (const worker of this.#workers) worker.withdraw();
    this.#share?.leave();
    this.#share = null;
  }

  #finishIfIdle(): void {
    if (this.inFlight > 0) return;
    this.#agent.destroy();
    this.#become('closed');
    const waiting = this.#closed;
    this.#closed = [];
    for (const resolve of waiting) resolve();
  }

  destroy(): void {
    this.#stop();
    for (const worker of this.#workers) worker.destroy();
    this.#agent.destroy();
    this.#become('closed');
    const waiting = this.#closed;
    this.#closed = [];
    for (const resolve of waiting) resolve();
  }
}
