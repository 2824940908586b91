import type { AgentInfo, Info, Overview, Page, QueueInfo, Tick, UpstreamInfo } from '../admin/model.ts';
import { topTable } from '../config/admin-commands.ts';
import { type AdminClient, adminClientOf } from './admin-client.ts';
import { Cannot } from './cannot.ts';
import type { Invocation } from './command.ts';
import { printJsonLine } from './page.ts';
import { pause } from './pause.ts';
import { styleFor } from './style.ts';
import type { Terminal } from './terminal.ts';
import { topFrame, topLine, type TopState, type View, VIEWS } from './top-frame.ts';
import type { World } from './world.ts';

/** `top`: how it goes, live. On a terminal a screen that is left with q; elsewhere a line each second. */
export async function run(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const { client, values } = await adminClientOf(topTable, invocation);
  const leave = new AbortController();
  const offs = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((name) => world.onSignal(name, () => leave.abort()));
  const terminal = args.switches.has('json') || values.count !== null ? null : world.terminal();
  try {
    if (terminal === null) await lines(client, world, args.switches.has('json'), values.count ?? Infinity, leave.signal);
    else await new Screen(client, terminal, world, values.interval, leave).run();
    return 0;
  } finally {
    for (const off of offs) off();
    client.close();
  }
}

async function lines(client: AdminClient, world: World, asJson: boolean, count: number, signal: AbortSignal): Promise<void> {
  let left = count;
  for await (const { event, data } of client.events('/events', signal)) {
    if (event !== 'tick') continue;
    if (asJson) printJsonLine(world, data);
    else world.stdout.write(`${topLine(data as Tick)}\n`);
    if (--left <= 0) return;
  }
  if (!signal.aborted) throw new Cannot(`${client.url} ended the stream: it is stopping`);
}

/** Ticks that the line of bars is made of. */
const TICKS_KEPT = 300;
const AGENTS_ASKED = 500;
/** Between two tries after the connection was lost, ms. */
const AGAIN_MS = 1_000;

const ENTER = '\u001b[?1049h\u001b[?25l\u001b[?7l';
const LEAVE = '\u001b[?7h\u001b[?25h\u001b[?1049l';

class Screen {
  readonly #client: AdminClient;
  readonly #terminal: Terminal;
  readonly #world: World;
  readonly #intervalMs: number;
  readonly #leave: AbortController;
  #state: TopState | null = null;

  constructor(client: AdminClient, terminal: Terminal, world: World, intervalMs: number, leave: AbortController) {
    this.#client = client;
    this.#terminal = terminal;
    this.#world = world;
    this.#intervalMs = intervalMs;
    this.#leave = leave;
  }

  async run(): Promise<void> {
    // What is wrong from the beginning is told before the screen is taken.
    const info = await this.#client.get<Info>('/info');
    const { history } = await this.#client.get<Overview>('/overview');
    this.#state = {
      url: this.#client.url,
      info,
      ticks: history.slice(-TICKS_KEPT),
      agents: undefined,
      upstreams: undefined,
      queue: undefined,
      trouble: null,
      view: 'agents',
      scroll: 0,
    };
    const { stdout } = this.#world;
    let isTaken = true;
    const giveBack = (): void => {
      if (isTaken) stdout.write(LEAVE);
      isTaken = false;
    };
    const offs = [
      this.#terminal.onExit(giveBack),
      this.#terminal.onResize(() => this.#draw(true)),
      this.#terminal.onKeys((keys) => this.#pressed(keys)),
    ];
    try {
      stdout.write(ENTER);
      this.#draw(true);
      await Promise.all([this.#follow(), this.#poll()]);
    } finally {
      this.#leave.abort();
      for (const off of offs) off();
      giveBack();
    }
  }

  async #follow(): Promise<void> {
    const { signal } = this.#leave;
    while (!signal.aborted) {
      try {
        for await (const { event, data } of this.#client.events('/events', signal)) {
          if (event !== 'tick') continue;
          // After a pause it may be another one: since when it runs, its version, what it is called.
          if (this.#state!.trouble !== null) this.#become({ info: await this.#client.get<Info>('/info') });
          const { ticks } = this.#state!;
          this.#become({ ticks: [...ticks.slice(1 - TICKS_KEPT), data as Tick], trouble: null });
        }
        this.#become({ trouble: `${this.#client.url} ended the stream; trying again` });
      } catch (error) {
        this.#become({ trouble: troubleOf(error) });
      }
      await pause(AGAIN_MS, signal);
    }
  }

  async #poll(): Promise<void> {
    const { signal } = this.#leave;
    while (!signal.aborted) {
      const [agents, upstreams, queue] = await Promise.all([
        this.#try<Page<AgentInfo>>(`/agents?sort=-inFlight&limit=${AGENTS_ASKED}`, this.#state!.agents),
        this.#try<Page<UpstreamInfo>>('/upstreams', this.#state!.upstreams),
        this.#try<QueueInfo>('/queue?limit=100', this.#state!.queue),
      ]);
      if (!signal.aborted) this.#become({ agents, upstreams, queue });
      await pause(this.#intervalMs, signal);
    }
  }

  /** What is not there is null. While nobody answers, what was known last stays: the stream says what is wrong with the connection. */
  async #try<T>(path: string, last: T | null | undefined): Promise<T | null | undefined> {
    try {
      return await this.#client.get<T>(path);
    } catch (error) {
      if (!(error instanceof Cannot)) throw error;
      return error.isPassing ? last : null;
    }
  }

  #pressed(keys: string): void {
    const { view } = this.#state!;
    for (const key of keysIn(keys)) {
      const page = Math.max(1, this.#terminal.rows - 14);
      if (key === 'q' || key === 'Q' || key === '\u0003' || key === '\u0004') this.#leave.abort();
      else if (key === '\t') this.#show(VIEWS[(VIEWS.indexOf(view) + 1) % VIEWS.length]!);
      else if (key === '\u001b[A' || key === 'k') this.#scroll(-1);
      else if (key === '\u001b[B' || key === 'j') this.#scroll(1);
      else if (key === '\u001b[5~') this.#scroll(-page);
      else if (key === '\u001b[6~' || key === ' ') this.#scroll(page);
      else if (/^[1-9]$/.test(key) && VIEWS[Number(key) - 1] !== undefined) this.#show(VIEWS[Number(key) - 1]!);
    }
  }

  #show(view: View): void {
    this.#become({ view, scroll: 0 });
  }

  #scroll(by: number): void {
    const { view, agents, upstreams, queue, scroll } = this.#state!;
    const lines =
      view === 'agents'
        ? (agents?.items.length ?? 0)
        : view === 'queue'
          ? (queue?.waiting.length ?? 0)
          : (upstreams?.items ?? []).reduce((n, { endpoints }) => n + Math.max(1, endpoints.length), 0);
    this.#become({ scroll: Math.max(0, Math.min(scroll + by, lines - 1)) });
  }

  #become(change: Partial<TopState>): void {
    this.#state = { ...this.#state!, ...change };
    if (!this.#leave.signal.aborted) this.#draw(false);
  }

  #draw(afresh: boolean): void {
    const { columns, rows } = this.#terminal;
    const frame = topFrame(this.#state!, { columns, rows }, Date.now(), styleFor(this.#world));
    this.#world.stdout.write(`${afresh ? '\u001b[2J' : ''}\u001b[H${frame.map((line) => `${line}\u001b[0m\u001b[K`).join('\r\n')}\u001b[J`);
  }
}

function troubleOf(error: unknown): string {
  if (error instanceof Cannot) return `${error.message} (trying again)`;
  throw error;
}

/** Single keys of what came at once; those that send several signs stay together. */
function keysIn(text: string): readonly string[] {
  // oxlint-disable-next-line no-control-regex -- that is what keys are
  return text.match(/\u001b\[[0-9;]*[~A-Za-z]|\u001bO[A-Za-z]|[\s\S]/g) ?? [];
}
