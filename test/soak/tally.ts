import type { Outcome } from './client.ts';
import type { Hub } from './hub.ts';
import { isIdempotent, type Wanted } from './request.ts';
import { Spread } from './spread.ts';

/** A request that was not served, and what is known of it. */
interface Lost {
  readonly wanted: Wanted;
  readonly hub: string;
  readonly outcome: Outcome;
  /** What had been done to its hub. */
  readonly hubWas: 'well' | 'killed' | 'stopped in order';
}

/** What the hub's access log says of a request that failed. */
interface Logged {
  readonly code: string;
  readonly attempts: number;
  readonly tries: string;
}

/** Failures that may be tried again whatever the method is, since nothing had begun. */
const NEVER_BEGAN: ReadonlySet<string> = new Set(['refused', 'tunnel_lost_unsent', 'connect_refused', 'connect_failed', 'connect_timeout']);
/** Those that may be tried again when the request is idempotent and its body is kept. */
const IF_IDEMPOTENT: ReadonlySet<string> = new Set(['tunnel_lost', 'upstream_closed', 'upstream_reset', 'bad_response']);
/** Nobody served it in all its patience. */
const UNSERVED: ReadonlySet<string> = new Set(['no_agent', 'no_free_slot', 'queue_full', 'queue_timeout', 'overload', 'draining']);
/** What hubs keep of a body for certain: credit for half a window lets go of it, bytes. */
const KEPT_BYTES = 30_000;
const TRIES = 2;

/** How lost requests were lost. */
export interface Losses {
  /** Cut or unanswered because their hub was killed. */
  withHub: number;
  /** The same of a hub that was stopped in order. */
  inOrder: number;
  /** Cut because their agent or the way to it ended after the answer had begun. */
  withinAnswer: number;
  /** Answered 502: bytes had left, and the method or the body forbids a second try. */
  unsafe: number;
  /** Answered 502 after both tries, or when the hub's budget of tries was used up. */
  noTriesLeft: number;
  /** Should not be. */
  readonly safe: string[];
  /** The hub was well and gave no answer at all. */
  readonly unanswered: string[];
}

/** Counts what becomes of requests. */
export class Tally {
  /** Complete and right. */
  right = 0;
  /** Clients that left. */
  left = 0;
  /** Sent once more by the client, where an HTTP client may. */
  sentAgain = 0;
  /** Requests that reached an origin, repetitions included. */
  arrivals = 0;
  readonly rightByHub: number[];
  readonly overSlots: string[] = [];
  readonly twice: string[] = [];
  /** Answers that looked complete and were not right, and everything else that may never be. */
  readonly wrong: string[] = [];
  readonly took = new Spread();
  readonly #lost: Lost[] = [];
  readonly #logged = new Map<number, Logged>();
  /** Requests that a hub sent to a second agent and served. */
  savedByRetry = 0;

  constructor(hubs: number) {
    this.rightByHub = Array.from({ length: hubs }, () => 0);
  }

  over(wanted: Wanted, hub: Hub, outcome: Outcome, hubWasWell: boolean, ms: number): void {
    switch (outcome.kind) {
      case 'right':
        this.right++;
        this.rightByHub[hub.index]!++;
        this.took.add(ms);
        return;
      case 'left':
        this.left++;
        return;
      case 'wrong':
        this.wrong.push(`${wanted.method} ${wanted.id} (${wanted.form}, ${wanted.bytes} bytes) at ${hub.name}: ${outcome.why}`);
        return;
      default:
        this.#lost.push({ wanted, hub: hub.name, outcome, hubWas: hubWasWell ? 'well' : hub.endedInOrder ? 'stopped in order' : 'killed' });
    }
  }

  /** A line of a hub's access log. */
  logged(line: string): void {
    if (line.includes(' failure=- ')) {
      if (line.includes(' tries=')) this.savedByRetry++;
      return;
    }
    const match = /"\w+ \/(\d+)\/\S* HTTP\/1\.1" .* attempts=(\d+) .* failure=(\w+) .*?(?:tries=(\S+))?$/.exec(line);
    if (match === null || match[3] === 'client_gone') return;
    this.#logged.set(Number(match[1]), { code: match[3]!, attempts: Number(match[2]), tries: match[4] ?? '' });
  }

  get lost(): number {
    return this.#lost.length;
  }

  losses(): Losses {
    const losses: Losses = { withHub: 0, inOrder: 0, withinAnswer: 0, unsafe: 0, noTriesLeft: 0, safe: [], unanswered: [] };
    for (const lost of this.#lost) this.#judge(lost, losses);
    return losses;
  }

  #judge({ wanted, hub, outcome, hubWas }: Lost, losses: Losses): void {
    const logged = this.#logged.get(wanted.id);
    const code = outcome.kind === 'failure' && outcome.code !== '' ? outcome.code : (logged?.code ?? '');
    const what = `${wanted.method} ${wanted.id} (${wanted.upBytes} up) at ${hub}: ${outcome.kind} ${code}, ${logged?.attempts ?? '?'} attempts ${logged?.tries ?? ''}`;
    if (outcome.kind !== 'failure') {
      if (hubWas === 'killed') losses.withHub++;
      else if (hubWas === 'stopped in order') losses.inOrder++;
      else if (outcome.kind === 'cut') losses.withinAnswer++;
      else losses.unanswered.push(what);
      return;
    }
    const isSafe = NEVER_BEGAN.has(code) || UNSERVED.has(code) || (IF_IDEMPOTENT.has(code) && isIdempotent(wanted) && wanted.upBytes <= KEPT_BYTES);
    if (!isSafe) losses.unsafe++;
    else if ((logged?.attempts ?? 0) >= TRIES || logged?.tries.endsWith('no_budget') === true) losses.noTriesLeft++;
    else losses.safe.push(what);
  }
}
