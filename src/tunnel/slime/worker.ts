import { randomInt } from 'node:crypto';
import type { Loop } from '../../std/loop.ts';
import type { Notes, ReplySink, RequestSink } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import { makePeer, type RequestHead } from '../../http/head.ts';
import type { AgentIdentity, Session, SessionOwner, WireAbilities } from '../session.ts';
import type { AgentLine } from './agent-lines.ts';
import { slimeLimits } from './limits.ts';
import { type PollOwner, SlimePoll } from './poll.ts';
import { answerProblem } from './problem.ts';
import { SlimeWork, type WorkOwner } from './work.ts';

/** Answers can be cut, but for that the agent must have begun with them. */
const ABILITIES: WireAbilities = { upgrade: false, trailers: false, informational: false, cancel: true };

/** Who keeps workers: the desk. */
export interface WorkerOwner {
  readonly loop: Loop;
  /** Requests by the id that their answers will name. */
  readonly works: Map<number, { readonly worker: SlimeWorker; readonly work: SlimeWork }>;
  left(worker: SlimeWorker): void;
}

/** One worker of an agent of slime, which a hub knows by its id and its token. It has one slot, and that is free while a poll of it waits. */
export class SlimeWorker implements Session, WorkOwner, PollOwner {
  readonly agent: AgentIdentity;
  readonly key: string;
  readonly wireName = 'slime';
  readonly abilities: WireAbilities = ABILITIES;
  readonly slots = 1;
  readonly roundTripMs = 0;
  readonly sinceMs: number;
  readonly bufferedBytes = 0;
  bytesSent = 0;
  bytesReceived = 0;
  readonly loop: Loop;
  owner: SessionOwner | null = null;
  readonly #desk: WorkerOwner;
  #poll: SlimePoll | null = null;
  readonly #works = new Set<SlimeWork>();
  #state: 'open' | 'draining' | 'over' = 'open';
  /** Since when it has neither asked for work nor had any, monotonic ms. */
  #absentSinceMs: number;

  constructor(desk: WorkerOwner, key: string, agent: AgentIdentity) {
    this.#desk = desk;
    this.loop = desk.loop;
    this.key = key;
    this.agent = agent;
    this.sinceMs = this.#absentSinceMs = desk.loop.clock.now();
  }

  get id(): string {
    return this.agent.id;
  }

  get free(): number {
    return this.#state === 'open' && this.#poll !== null ? 1 : 0;
  }

  get inFlight(): number {
    return this.#works.size;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** It asks for work. An older poll of the same worker gives way; a request that runs does not. @returns the sink of the poll */
  poll(reply: ReplySink, line: AgentLine): RequestSink {
    this.#judgeOlder(line);
    const poll = new SlimePoll(this, reply, line);
    const before = this.#poll;
    this.#poll = poll;
    if (before !== null) before.drop(new Failure('client_gone', 'the same worker asks once more'));
    this.owner?.changed(this);
    return poll;
  }

  /**
   * Who asks for work while it has some has given up on that: slime's agent says nothing when its service refuses the connection. On the same connection
   * that is certain, from the same address likely; elsewhere it is another process with the same id, which must not end what this one does.
   */
  #judgeOlder({ peer }: AgentLine): void {
    for (const work of this.#works) {
      if (work.isUnwanted) {
        // Whether or not it will still be answered, nobody asks.
        if (work.poll.line.peer === peer) this.ended(work);
      } else if (work.carrier === null && work.poll.line.peer.address === peer.address) {
        if (work.poll.line.peer === peer && !peer.trusted)
          work.fail(new Failure('upstream_closed', 'the agent asked for other work without an answer: most likely its service cannot be reached'));
        else work.due = Math.min(work.due, this.loop.clock.now() + slimeLimits.doubtMs);
      }
    }
  }

  open(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    notes.agent = notes.address = this.agent.id;
    notes.began = 'no';
    const poll = this.#poll ?? NO_POLL;
    this.#poll = null;
    const work = new SlimeWork(this, poll, this.#newId(), head, reply, notes);
    poll.work = work;
    this.#works.add(work);
    this.#desk.works.set(work.id, { worker: this, work });
    return work;
  }

  /** Nobody can guess it, so that nobody can answer in another's place. */
  #newId(): number {
    for (;;) {
      const id = randomInt(1, 2 ** 47);
      if (!this.#desk.works.has(id)) return id;
    }
  }

  unused(poll: SlimePoll): void {
    if (poll.isGone || this.#state === 'over') return;
    poll.work = null;
    if (this.#poll !== null) {
      poll.drop(new Failure('client_gone', 'the same worker asks once more'));
      return;
    }
    this.#poll = poll;
    if (this.#state === 'draining') this.#answerPoll(DRAINING);
    else this.loop.turn.later(this.#offer);
  }

  /** Tells the pool of a slot, never from inside a call of its own. */
  readonly #offer = {
    queued: false,
    flush: (): void => {
      if (this.free > 0) this.owner?.changed(this);
    },
  };

  ended(work: SlimeWork): void {
    if (!this.#works.delete(work)) return;
    this.#desk.works.delete(work.id);
    this.#absentSinceMs = this.loop.clock.now();
    if (this.#state === 'draining' && this.#works.size === 0) this.#leave('it was asked to leave');
  }

  pollLost(poll: SlimePoll): void {
    if (this.#poll === poll) {
      this.#poll = null;
      this.#absentSinceMs = this.loop.clock.now();
    }
    poll.work?.pollLost();
  }

  /** No connection of the agent is left. */
  lineOver(isDead: boolean, group: object): void {
    for (const work of this.#works) {
      const { line } = work.poll;
      if (line.group !== group || work.carrier !== null) continue;
      if (work.isUnwanted) {
        if (isDead) this.ended(work);
      } else if (isDead && line.stays && work.isWhole) work.fail(new Failure('tunnel_lost', 'the agent was lost before its answer began'));
      else work.due = Math.min(work.due, this.loop.clock.now() + slimeLimits.quietMs);
    }
  }

  /** A look at what waits. */
  look(nowMs: number): void {
    for (const work of this.#works) {
      if (nowMs < work.due || work.carrier !== null) continue;
      if (work.isUnwanted) this.ended(work);
      else work.fail(new Failure('first_byte_timeout', 'the agent gave no sign of an answer'));
    }
    if (this.#works.size > slimeLimits.worksPerWorker) for (const work of this.#works) if (work.isUnwanted && work.carrier === null) this.ended(work);
    if (this.#poll === null && this.#works.size === 0 && nowMs - this.#absentSinceMs >= slimeLimits.absentMs)
      this.#leave(`it asked for no work for ${slimeLimits.absentMs / 1000} s`);
  }

  get isBusy(): boolean {
    return this.#works.size >= slimeLimits.worksPerWorker;
  }

  drain(): void {
    if (this.#state !== 'open') return;
    this.#state = 'draining';
    this.#answerPoll(DRAINING);
    if (this.#works.size === 0) this.#leave('it was asked to leave');
  }

  close(failure: Failure): void {
    if (this.#state === 'over') return;
    this.#answerPoll(failure);
    // That its token is good no more is between the agent and the hub: no client is told 401 for it.
    const why = failure.code === 'unauthorized' ? new Failure('tunnel_lost', `the agent was sent away: ${failure.detail}`) : failure;
    for (const work of this.#works) {
      work.carrier?.cut(why);
      work.fail(why);
    }
    this.#leave(failure.detail);
  }

  #answerPoll(failure: Failure): void {
    const poll = this.#poll;
    this.#poll = null;
    if (poll === null) return;
    poll.isGone = true;
    answerProblem(poll.reply, failure);
  }

  #leave(reason: string): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    for (const work of this.#works) this.#desk.works.delete(work.id);
    this.#desk.left(this);
    this.owner?.lost(this, reason);
  }
}

/** What an agent is told when its hub goes. */
export const DRAINING: Failure = new Failure('draining', 'the hub is stopping: ask another, or again later', 1);

const NOBODY: ReplySink = {
  writer: null,
  informational: () => {},
  head: () => {},
  write: () => true,
  end: () => {},
  abort: () => {},
  settled: () => {},
};
/** Stands for a poll that is gone. */
const NO_POLL: SlimePoll = goneForEver();

function goneForEver(): SlimePoll {
  const peer = makePeer('', 0, 0, 'http', false);
  const poll = new SlimePoll({ pollLost: () => {} }, NOBODY, { peer, group: { key: '', peers: new Set(), lastMs: 0 }, stays: false });
  poll.isGone = true;
  return poll;
}
