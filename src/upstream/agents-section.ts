import { type Balance, balance } from '../schema/balance.ts';
import { bytes, choice, duration, integer, scalar, textLike } from '../schema/kind.ts';
import { isFixed, selector, type Selector } from '../schema/selector.ts';
import { setting, type Values } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import type { OnAbort } from '../http/client-h1.ts';

const AGENTS = 'Agents';
const QUEUE = 'Waiting for a slot';

/** Longest time that can be asked for, ms: a day. */
const DAY_MS = 86_400_000;

const fullStatus = scalar<503 | 429>(
  'STATUS',
  '503 or 429',
  (given) => {
    if (given === '503') return 503;
    if (given === '429') return 429;
    throw new Wrong('is neither 503 nor 429', 'write 503 or 429');
  },
  { types: ['number'], choices: ['503', '429'] },
);

/** Settings of an upstream of agents, section [upstreams.NAME] with `agents` instead of `addrs`. */
export const agentUpstreamTable = {
  agents: setting<Selector>({
    kind: selector(),
    group: AGENTS,
    help: 'the agents that share its requests',
    hint: 'write agents = "*" for all of them',
  }),
  algo: setting<Balance>({
    kind: balance(),
    group: AGENTS,
    help: 'which of those with a free slot gets a request; least_conn = lowest share of slots in use, hash = the same agent for the same key',
    fallback: { by: 'least_conn' },
    fallbackText: 'least_conn',
  }),
  affinityWait: setting({
    kind: duration(DAY_MS),
    group: AGENTS,
    help: 'with hash: how long a request waits for its own agent before any other will do; 0 = not at all',
    fallback: 1_000,
  }),
  onAbort: setting<OnAbort | null>({
    kind: choice(['cancel', 'drain', 'drain_capped']),
    group: AGENTS,
    help: 'when a client leaves: how patient agents are with its request, at least; never less than their own --on-abort',
    fallback: null,
    fallbackText: 'as the agent was told (--on-abort)',
  }),
  queue: setting({
    kind: integer(0, 1_000_000),
    group: QUEUE,
    help: 'most requests that wait here at once; more get queue_full_status',
    fallback: 1000,
  }),
  queueBytes: setting({
    kind: bytes(),
    group: QUEUE,
    help: 'most memory for their bodies; more get queue_full_status',
    fallback: 64 * 1024 * 1024,
  }),
  queueTimeout: setting({
    kind: duration(DAY_MS),
    group: QUEUE,
    help: 'how long a request waits for a slot; 0 = only those that ask (Slime-Block: 1, Prefer: wait=N)',
    fallback: 5_000,
  }),
  blockTimeout: setting({ kind: duration(DAY_MS), group: QUEUE, help: 'how long a request that asks to wait does so at most', fallback: 300_000 }),
  queueFullStatus: setting<503 | 429>({
    kind: fullStatus,
    group: QUEUE,
    help: 'answer when the queue is full: 503 says that the service is busy, 429 that there are too many requests',
    fallback: 503,
  }),
  onEmpty: setting<string | null>({
    kind: textLike(/^https?:\/\/\S+$/, 'URL', 'http or https URL', 'write it out, such as https://example.org/start'),
    group: QUEUE,
    help: 'webhook called (POST, JSON) when a request waits and no agent is there that could serve it',
    fallback: null,
    fallbackText: 'none',
    secret: 'line',
  }),
} as const;

/** One [upstreams.NAME] of agents, checked. */
export type AgentUpstreamSettings = Values<typeof agentUpstreamTable> & { readonly name: string };

/** Something about the settings of one upstream together that no single key shows. */
export interface AgentUpstreamFinding {
  readonly severity: 'error' | 'warning';
  /** Of the table, in camelCase. */
  readonly key: keyof typeof agentUpstreamTable;
  /** End of a sentence whose subject is the key, as in Wrong. */
  readonly message: string;
  readonly fix: string;
}

/** What is wrong or odd about one upstream of agents. `given`: the keys that stand in the file. */
export function agentUpstreamFindings(of: Values<typeof agentUpstreamTable>, given: ReadonlySet<string>): AgentUpstreamFinding[] {
  const found: AgentUpstreamFinding[] = [];
  const warn = (key: AgentUpstreamFinding['key'], message: string, fix: string): void => void found.push({ severity: 'warning', key, message, fix });
  if (given.has('affinityWait') && of.algo.by !== 'hash')
    warn('affinityWait', 'has no effect without a hash', 'write algo = "hash:ip", or take it away');
  if (of.queue === 0 && given.has('queueTimeout') && of.queueTimeout > 0)
    warn('queueTimeout', 'has no effect: queue = 0 lets nobody wait', 'raise queue');
  if (of.onEmpty !== null && of.queue === 0) warn('onEmpty', 'is never called: queue = 0 lets nobody wait', 'raise queue');
  if (of.onEmpty !== null && !isFixed(of.agents))
    warn('onEmpty', 'is called only for agents that have been here before: what is captured or announced is not known otherwise', 'name the agents');
  return found;
}
