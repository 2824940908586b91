import type { ReplySink, RequestSink, Writer } from '../../http/exchange.ts';
import type { Failure } from '../../http/failure.ts';
import type { AgentLine } from './agent-lines.ts';
import type { SlimeWork } from './work.ts';

/** Who hears of polls: their worker. */
export interface PollOwner {
  /** The agent's end of it is gone. */
  pollLost(poll: SlimePoll): void;
}

/** A worker that waits for work: the second of slime's requests, which is answered when there is some. One poll is one slot. */
export class SlimePoll implements RequestSink {
  writer: Writer | null = null;
  readonly reply: ReplySink;
  readonly line: AgentLine;
  readonly #owner: PollOwner;
  /** What it was answered with; null while it waits. */
  work: SlimeWork | null = null;
  isGone = false;

  constructor(owner: PollOwner, reply: ReplySink, line: AgentLine) {
    this.#owner = owner;
    this.reply = reply;
    this.line = line;
  }

  /** What an agent sends with it is of no meaning. */
  write(): boolean {
    return true;
  }

  end(): void {}

  abort(): void {
    this.isGone = true;
    this.#owner.pollLost(this);
  }

  /** Drops it: the agent comes again at once. */
  drop(failure: Failure): void {
    this.isGone = true;
    this.reply.abort(failure);
  }

  settled(): void {}
}
