// Agents and waiting requests without sockets: for tests of the pool.
import { expect } from 'vitest';
import type { Failure } from '../../src/http/failure.ts';
import type { RequestHead } from '../../src/http/head.ts';
import type { AgentIdentity, Session, SessionOwner } from '../../src/tunnel/session.ts';
import type { Flow } from '../../src/upstream/fair-class.ts';
import { type Label, PLAIN } from '../../src/upstream/label.ts';
import type { Waiter, WaitingLine } from '../../src/upstream/queue.ts';
import type { Candidate, Captures } from '../../src/upstream/upstream.ts';
import { requestHead } from './tunnel.ts';

/** A session whose slots the test sets. */
export class FakeSession implements Session {
  readonly agent: AgentIdentity;
  readonly id: string;
  readonly abilities = { upgrade: true, trailers: true, informational: true, cancel: true };
  readonly sinceMs = 0;
  readonly bufferedBytes = 0;
  owner: SessionOwner | null = null;
  slots: number;
  inFlight = 0;
  alive = true;
  closedWith: Failure | null = null;

  constructor(id: string, slots: number, claims: Partial<AgentIdentity> = {}) {
    this.id = id;
    this.slots = slots;
    this.agent = {
      id,
      instance: id,
      tokenId: '',
      name: '',
      scopes: [],
      scopePaths: [],
      expiresMs: 0,
      labels: new Map(),
      hardware: null,
      address: '',
      ...claims,
    };
  }

  get roundTripMs(): number {
    return 0;
  }

  get free(): number {
    return this.alive ? Math.max(0, this.slots - this.inFlight) : 0;
  }

  open(): never {
    throw new Error('no test opens a stream');
  }

  drain(): void {}

  close(failure: Failure): void {
    this.closedWith = failure;
    this.leave(failure.detail);
  }

  leave(reason = 'gone'): void {
    if (!this.alive) return;
    this.alive = false;
    this.owner?.lost(this, reason);
  }

  /** Sets the slots in use and tells the pool. */
  uses(inFlight: number): void {
    this.inFlight = inFlight;
    this.owner?.changed(this);
  }
}

/** A request that waits, and takes the slot that it is given unless it is unsure. */
export class FakeWaiter implements Waiter {
  label: Label = PLAIN;
  aged = 0;
  paid = false;
  readonly arrival: number;
  readonly notes = { startMs: 0 };
  readonly head: RequestHead;
  readonly captures: Captures;
  line: WaitingLine | null = null;
  flow: Flow | null = null;
  before: Waiter | null = null;
  behind: Waiter | null = null;
  given: FakeSession | null = null;
  /** Is its socket paused, so that it must look first? */
  unsure = false;
  candidate: Candidate | null = null;

  constructor(arrival: number, head: RequestHead, captures: Captures = null) {
    this.arrival = arrival;
    this.head = head;
    this.captures = captures;
  }

  granted(candidate: Candidate): boolean {
    this.candidate = candidate;
    if (this.unsure) return false;
    this.take();
    return true;
  }

  gaveUp: Failure | null = null;

  giveUp(failure: Failure): void {
    this.gaveUp = failure;
  }

  take(): void {
    this.given = this.candidate!.endpoint as unknown as FakeSession;
    expect(this.given.free).toBeGreaterThan(0);
    this.given.inFlight++;
  }
}

/** The head of a GET. */
export function head(scope = '', path = '/hello'): RequestHead {
  return requestHead(`GET ${path} HTTP/1.1\r\nHost: a\r\n${scope === '' ? '' : `Slime-Scope: ${scope}\r\n`}\r\n`);
}
