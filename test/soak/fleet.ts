import { Agent } from './agent.ts';
import type { Children } from './child.ts';
import { Hub } from './hub.ts';
import { Origin, type OriginUser } from './origin.ts';

export interface FleetOptions {
  readonly children: Children;
  /** One way, by hub, ms. */
  readonly delaysMs: readonly number[];
  /** By agent. */
  readonly slots: readonly number[];
  /** A line of a hub's access log. */
  readonly logged: (line: string) => void;
}

/** Hubs, agents that are joined to all of them, and the services behind those. */
export class Fleet {
  readonly hubs: readonly Hub[];
  readonly agents: Agent[] = [];
  readonly #options: FleetOptions;

  constructor(options: FleetOptions) {
    this.#options = options;
    const { children, logged } = options;
    this.hubs = options.delaysMs.map((delayMs, index) => new Hub({ children, index, delayMs, logged }));
  }

  /** `user`: is told what the services see. */
  async start(user: OriginUser): Promise<this> {
    const { children, slots } = this.#options;
    await Promise.all(this.hubs.map((hub) => hub.start()));
    for (const [i, count] of slots.entries()) {
      const origin = await new Origin(`agent-${i + 1}`, count, user).listen();
      this.agents.push(new Agent(children, this.hubs, origin));
    }
    await Promise.all(this.agents.map((agent) => agent.start()));
    return this;
  }

  async close(): Promise<void> {
    for (const { child } of [...this.hubs, ...this.agents]) child?.signal('SIGKILL');
    await Promise.all([...this.hubs, ...this.agents].map(async ({ child }) => child?.ended));
    for (const agent of this.agents) {
      agent.close();
      agent.origin.close();
    }
  }
}
