import { randomBytes } from 'node:crypto';
import type { Loop } from '../../std/loop.ts';
import type { Timed } from '../../std/sweeper.ts';
import type { Log } from '../../observe/log.ts';
import type { Handler, ReplySink, RequestSink } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import { type RequestHead, ResponseHead } from '../../http/head.ts';
import { type HttpLimits, httpLimits } from '../../http/limits.ts';
import { SLIME_AGENT_ID, SLIME_AGENT_TOKEN, SLIME_CONNECTION_ID } from '../../http/names.ts';
import { tunnelLimits } from '../limits.ts';
import type { AgentClaims } from '../native/accept.ts';
import type { Hardware, Session } from '../session.ts';
import { AgentLines, type AgentLine } from './agent-lines.ts';
import { HardwareReport } from './hardware.ts';
import { ACCEPT, AGENT_ID, JOIN, slimeLimits, SUBMIT } from './limits.ts';
import { answerProblem, UNREAD } from './problem.ts';
import { answerOk, SlimeSubmission, UnwantedAnswer } from './submission.ts';
import { DRAINING, SlimeWorker, type WorkerOwner } from './worker.ts';
import type { SlimeWork } from './work.ts';

export interface SlimeDeskOptions {
  readonly loop: Loop;
  readonly log: Log;
  /** Agents must have shown a certificate in the TLS handshake. */
  requiresCertificate(): boolean;
  /** Is this token good? */
  authenticate(token: string, remoteAddress: string): AgentClaims | Failure;
  /** A worker is ready. Returns null when it is taken, else why not. */
  joined(session: Session): Failure | null;
}

/** Is it a request of an agent of slime, and none of an application? */
export function isOfAgent(head: RequestHead): boolean {
  return head.method === 'POST' && head.has(SLIME_AGENT_TOKEN);
}

/** Where agents of slime come in: three requests on the hub's ordinary port. Each worker is a session. */
export class SlimeDesk implements Handler, WorkerOwner, Timed {
  readonly loop: Loop;
  readonly works = new Map<number, { readonly worker: SlimeWorker; readonly work: SlimeWork }>();
  due: number;
  place = -1;
  readonly #options: SlimeDeskOptions;
  readonly #workers = new Map<string, SlimeWorker>();
  /** Workers by token. */
  readonly #counts = new Map<string, number>();
  readonly #lines: AgentLines;
  /** By token and agent id, and by token and address. */
  readonly #hardware = new Map<string, Hardware>();
  readonly #scratch: ResponseHead;
  readonly #limits: HttpLimits;
  #isDraining = false;
  #isClosed = false;
  /** The hub stops: what runs and what waits is still answered, and applications are not served any more. */
  isFinishing = false;

  constructor(options: SlimeDeskOptions) {
    this.#options = options;
    this.loop = options.loop;
    this.#limits = { ...httpLimits, fieldCount: tunnelLimits.fieldCount, headBytes: tunnelLimits.headBytes };
    this.#scratch = new ResponseHead(tunnelLimits.fieldCount);
    this.#lines = new AgentLines(this.loop.clock, (group, verdict) => {
      for (const worker of this.#workers.values()) worker.lineOver(verdict === 'dead', group);
    });
    this.due = this.loop.clock.now() + slimeLimits.sweepMs;
    this.loop.sweeper.add(this);
  }

  /** Workers that are here. */
  get size(): number {
    return this.#workers.size;
  }

  open(head: RequestHead, reply: ReplySink): RequestSink {
    const { path, peer } = head;
    const claims = this.#judge(head);
    if (claims instanceof Failure) return refuse(reply, claims);
    const text = head.value(SLIME_AGENT_ID);
    if (!AGENT_ID.test(text) || BigInt.asIntN(64, BigInt(text)) !== BigInt(text))
      return refuse(reply, new Failure('unauthorized', 'Slime-Agent-Id is missing or no integer'));
    // One spelling for one worker.
    const agentId = BigInt(text).toString();
    const tokenKey = `${claims.sealedBy ?? ''} ${claims.tokenId}`;
    const line = this.#lines.heard(peer, `${tokenKey} ${peer.address}`, head.keepAlive);
    switch (path) {
      case JOIN:
        return this.#join(reply, [`${tokenKey} ${agentId}`, `${tokenKey} at ${peer.address}`]);
      case ACCEPT:
        return this.#accept(reply, claims, tokenKey, agentId, line);
      case SUBMIT:
        return this.#submit(reply, head.value(SLIME_CONNECTION_ID), claims.tokenId, claims.sealedBy);
      default:
        // As slime answers.
        return refuse(reply, new Failure('internal', 'an agent has no business at this path'));
    }
  }

  #judge(head: RequestHead): AgentClaims | Failure {
    const { certificate, address } = head.peer;
    if (certificate === null && this.#options.requiresCertificate())
      return new Failure('forbidden', 'agents must show a client certificate here, which those of slime cannot');
    const claims = this.#options.authenticate(head.value(SLIME_AGENT_TOKEN), address);
    if (claims instanceof Failure) {
      head.peer.patient = false;
      // Who goes on trying has had a line for each of the first tries.
      const level = claims.code === 'too_many_requests' ? 'debug' : 'warn';
      this.#options.log[level]({ peer: address, reason: claims.detail, code: claims.code }, 'an agent of slime was turned away');
    }
    return claims;
  }

  #join(reply: ReplySink, keys: readonly string[]): RequestSink {
    return new HardwareReport(reply, (hardware) => {
      if (hardware !== null) for (const key of keys) this.#remember(key, hardware);
      answerOk(reply);
    });
  }

  #remember(key: string, hardware: Hardware): void {
    this.#hardware.delete(key);
    this.#hardware.set(key, hardware);
    if (this.#hardware.size > slimeLimits.reports) this.#hardware.delete(this.#hardware.keys().next().value!);
  }

  #accept(reply: ReplySink, claims: AgentClaims, tokenKey: string, agentId: string, line: AgentLine): RequestSink {
    if (this.#isDraining) return refuse(reply, DRAINING);
    const key = `${tokenKey} ${agentId}`;
    let worker = this.#workers.get(key);
    if (worker === undefined) {
      if ((this.#counts.get(tokenKey) ?? 0) >= slimeLimits.workersPerToken)
        return refuse(reply, new Failure('overload', `this token has ${slimeLimits.workersPerToken} workers already`, 10));
      const { peer } = line;
      const { certificate } = peer;
      worker = new SlimeWorker(this, key, {
        id: agentId,
        instance: randomBytes(8).toString('hex'),
        tokenId: claims.tokenId,
        name: claims.name,
        scopes: claims.scopes,
        scopePaths: claims.scopePaths,
        expiresMs: claims.expiresMs,
        labels: new Map(),
        hardware: this.#hardware.get(key) ?? this.#hardware.get(`${tokenKey} at ${peer.address}`) ?? null,
        address: peer.address,
        ...(certificate === null ? {} : { certificate }),
        ...(claims.sealedBy === undefined ? {} : { sealedBy: claims.sealedBy }),
      });
      const failure = this.#options.joined(worker);
      if (failure !== null) return refuse(reply, failure);
      this.#workers.set(key, worker);
      this.#counts.set(tokenKey, (this.#counts.get(tokenKey) ?? 0) + 1);
    } else if (!worker.isOpen) return refuse(reply, DRAINING);
    else if (worker.isBusy) return refuse(reply, new Failure('overload', 'this worker has left many requests without an answer', 10));
    return worker.poll(reply, line);
  }

  #submit(reply: ReplySink, id: string, tokenId: string, sealedBy: string | undefined): RequestSink {
    const found = /^\d{1,15}$/.test(id) ? this.works.get(Number(id)) : undefined;
    // Another's request is none that it may know of.
    if (found === undefined || found.worker.agent.tokenId !== tokenId || found.worker.agent.sealedBy !== sealedBy)
      return refuse(reply, new Failure('unknown_agent', 'there is no such request: it was answered, or its client has left'));
    const { worker, work } = found;
    if (work.carrier !== null) return refuse(reply, new Failure('bad_request', 'this request is being answered already'));
    if (work.isUnwanted) {
      worker.ended(work);
      return new UnwantedAnswer(work, reply);
    }
    return new SlimeSubmission(work, reply, this.loop, this.#limits, this.#scratch);
  }

  left(worker: SlimeWorker): void {
    if (this.#workers.get(worker.key) !== worker) return;
    this.#workers.delete(worker.key);
    const tokenKey = worker.key.slice(0, worker.key.lastIndexOf(' '));
    const count = this.#counts.get(tokenKey)! - 1;
    if (count > 0) this.#counts.set(tokenKey, count);
    else this.#counts.delete(tokenKey);
  }

  expired(now: number): void {
    this.due = now + slimeLimits.sweepMs;
    for (const worker of this.#workers.values()) worker.look(now);
  }

  /** Takes workers again, or sends them away; what runs is answered all the same. */
  set isOpen(isOpen: boolean) {
    if (!isOpen) this.drain();
    else this.#isDraining = false;
  }

  /** Is somebody about to answer? */
  get isBusy(): boolean {
    return this.works.size > 0;
  }

  /** Nothing more is given out: those who wait for work are told to go elsewhere. */
  drain(): void {
    this.#isDraining = true;
    for (const worker of this.#workers.values()) worker.drain();
  }

  /**
   * The hub stops. Answers come on connections of their own, so its socket must stay open until they are there. `isIdle`: nobody waits for a slot.
   * Bound it.
   */
  async finish(isIdle: () => boolean): Promise<void> {
    if (this.#workers.size === 0) {
      this.drain();
      return;
    }
    this.isFinishing = true;
    while (this.#workers.size > 0 && !this.#isClosed && !(isIdle() && this.#isAnswered)) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    this.drain();
  }

  get #isAnswered(): boolean {
    for (const { work } of this.works.values()) if (!work.isUnwanted) return false;
    return true;
  }

  close(): void {
    this.#isClosed = true;
    this.loop.sweeper.remove(this);
  }
}

/** How often a hub that stops looks whether all is answered, ms. */
const LOOK_MS = 20;

function refuse(reply: ReplySink, failure: Failure): RequestSink {
  answerProblem(reply, failure);
  return UNREAD;
}
