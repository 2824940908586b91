import { join } from 'node:path';
import type { Child, Children } from './child.ts';
import type { Hub } from './hub.ts';
import type { Origin } from './origin.ts';
import { Relay } from './relay.ts';

/** An agent and its ways to all hubs; it is started again whenever it has ended. */
export class Agent {
  readonly name: string;
  readonly slots: number;
  readonly origin: Origin;
  readonly #children: Children;
  readonly #hubs: readonly Hub[];
  /** One per hub. */
  readonly ways: Relay[] = [];
  child: Child | null = null;
  adminPort = 0;

  constructor(children: Children, hubs: readonly Hub[], origin: Origin) {
    this.#children = children;
    this.#hubs = hubs;
    this.origin = origin;
    this.name = origin.name;
    this.slots = origin.slots;
  }

  async start(): Promise<this> {
    if (this.ways.length === 0) for (const hub of this.#hubs) this.ways.push(await new Relay(hub.port, hub.delayMs).listen());
    const child = this.#children.start(this.name, 'agent run', {
      'token-file': this.#children.tokenFile,
      hub: this.ways.map(({ port }) => `127.0.0.1:${port}`).join(','),
      upstream: `127.0.0.1:${this.origin.port}`,
      'num-worker': String(this.slots),
      'agent-id': this.name,
      'slots-lock': join(this.#children.folder, this.name),
      'admin-addr': '127.0.0.1:0',
      'report-hardware': 'false',
      'drain-timeout': '10s',
      proxy: 'off',
    });
    this.child = child;
    this.adminPort = await child.port('health and metrics are at');
    await child.line('joined the hub');
    return this;
  }

  async kill(): Promise<void> {
    const child = this.child!;
    child.signal('SIGKILL');
    await child.ended;
    this.origin.orphan();
  }

  /** A successor takes over slot by slot while the old process finishes. */
  async replace(): Promise<void> {
    const old = this.child!;
    old.signal('SIGTERM');
    await Promise.all([this.start(), old.ended]);
  }

  close(): void {
    for (const way of this.ways) way.close();
  }
}
