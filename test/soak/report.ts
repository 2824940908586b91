import { draw } from './plot.ts';
import type { SoakResult } from './soak.ts';

/** A figure that has a bound. */
export interface Row {
  readonly what: string;
  readonly bound: string;
  readonly figure: string;
  readonly met: boolean;
}

/** How much more memory a process may use in the last quarter than in the second. */
const MEMORY_GROWTH = 1.1;
const SHARE_SLACK = 0.05;
const FRAMES = 5;
const DEPARTURE_MS = 20;
const RETURN_S = 5;
const LOST_SHARE = 1 / 10_000;

/** What must hold, and what was found. */
export function rows(result: SoakResult): Row[] {
  const { tally, idle, leaked, departures, returns, overEight, requests, complaints } = result;
  const losses = tally.losses();
  const { overlap } = idle;
  const zero = (what: string, count: number, figure = String(count)): Row => ({ what, bound: '0', figure, met: count === 0 });
  const found: Row[] = [
    zero('requests at a service beyond its slots', tally.overSlots.length),
    zero(
      'idle slot beside a waiting request for more than two round trips of the slowest hub',
      idle.tooLong.length,
      `${idle.tooLong.length} of ${thousands(overlap.count)} looked at`,
    ),
    zero('slots leaked, anything left behind', leaked.length, leaked.length === 0 ? '0' : leaked.join('; ')),
    zero('POSTs delivered twice', tally.twice.length),
    zero('answers that looked complete and were not, wrong bytes, protocol errors', tally.wrong.length),
    zero('requests lost although safe to try again with tries left', losses.safe.length + losses.unanswered.length),
    {
      what: 'requests lost after both tries, or when the budget of tries was used up',
      bound: `${Math.floor(requests * LOST_SHARE)} (1 in 10,000)`,
      figure: String(losses.noTriesLeft),
      met: losses.noTriesLeft <= requests * LOST_SHARE,
    },
    zero('log lines of hubs and agents that tell of a defect', complaints.length),
  ];
  const memory = result.samples.memory().filter(({ spared }) => spared);
  const growth = memory.map(({ lastMiB, secondMiB }) => lastMiB / secondMiB);
  const most = Math.max(...growth);
  found.push({
    what: 'memory (RSS), last quarter of the run to its second, median, worst of the processes that are never ended',
    bound: `${MEMORY_GROWTH}`,
    figure: `${most.toFixed(3)} (${memory[growth.indexOf(most)]!.name})`,
    met: most <= MEMORY_GROWTH,
  });
  if (overEight !== null) {
    const { worst, hubs, framesPerRequest } = overEight;
    found.push(
      {
        what: `share of the hub that is furthest from an equal one, one agent at ${hubs} hubs, 1.3 x load`,
        bound: '5 % off',
        figure: `${(100 * worst).toFixed(1)} %`,
        met: worst <= SHARE_SLACK && overEight.wrong === 0,
      },
      {
        what: `frames per request, one agent at ${hubs} hubs, 1.3 x load`,
        bound: String(FRAMES),
        figure: framesPerRequest.toFixed(2),
        met: framesPerRequest <= FRAMES,
      },
    );
  }
  if (departures !== null) {
    const p99 = departures.quantile(0.99);
    found.push({
      what: 'from the departure of a client to the FIN at the service, p99',
      bound: `${DEPARTURE_MS} ms`,
      figure: `${p99.toFixed(1)} ms (p50 ${departures.quantile(0.5).toFixed(1)} ms)`,
      met: p99 <= DEPARTURE_MS,
    });
  }
  for (const { how, p95S, allS } of returns) {
    found.push({
      what: `500 agents back at their hub after it was ${how}, p95`,
      bound: `${RETURN_S} s`,
      figure: `${p95S.toFixed(1)} s (all: ${allS.toFixed(1)} s)`,
      met: p95S <= RETURN_S,
    });
  }
  return found;
}

/** The page. Pictures lie beside it. */
export function page(result: SoakResult, pictures: { readonly inFlight: string; readonly waiting: string }): string {
  const { tally, idle, requests, seed, seconds, slots, delaysMs, samples, lag, shares, framesPerRequest } = result;
  const losses = tally.losses();
  const { overlap } = idle;
  const events = [...result.events].toSorted(([, a], [, b]) => b - a);
  const table = (lines: readonly (readonly string[])[]): string => lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  return `# Soak

What \`npm run soak\` found. It writes this page and its two pictures; \`SOAK_REQUESTS\`, \`SOAK_SEED\` and \`SOAK_REPORT\` choose another run.

## Figures

${table([
  ['what', 'may be at most', 'found', ''],
  ['---', '---', '---', '---'],
  ...rows(result).map(({ what, bound, figure, met }) => [what, bound, figure, met ? 'met' : '**missed**']),
])}

![Requests in flight at each service over time](${pictures.inFlight})

![Requests that wait at each hub over time](${pictures.waiting})

## What was run

${thousands(requests)} requests in ${Math.round(seconds)} s (seed ${seed}), through three hubs and ${slots.length} agents with ${slots.join(', ')} slots, each agent
joined to all hubs. All of them are processes of their own, on one machine with two processors, which they share with the clients. Agents reach the
hubs through relays, one for each pair, that add ${delaysMs.join(', ')} ms each way, one number per hub.

- **Load**: clients keep ${thousands(Math.round(1.3 * slots.reduce((sum, count) => sum + count, 0)))} requests open, 1.3 for each slot, and more while some are held up by what is done to hubs and agents. Methods GET, POST, PUT, DELETE and HEAD;
  bodies up to 2 MiB in both directions, by length and in chunks; event streams; a fifth of the services' work goes on for up to 300 ms after a hang-up.
  ${thousands(tally.left)} clients left of their own accord, before, within or after their upload, while they waited, or in the middle of the answer.
- **Checks**: both ends know each body and compare every byte. Services count what they have at once, per agent, from the head of a request to the last byte
  of its answer or the end of its work. A POST whose head comes a second time, to any service, is one delivered twice.
- **The first fifth** of the requests is served in calm weather, the rest in chaos: ${[...result.events.values()].reduce((sum, count) => sum + count, 0)} events at random moments.
  One hub and three agents are stopped, cut off and slowed down like all others, but never ended, so that their memory can be followed.

${table([['event', 'times'], ['---', '---:'], ...events.map(([event, count]) => [event, String(count)])])}

## What became of the requests

${table([
  ['outcome', 'requests'],
  ['---', '---:'],
  ['answered, each byte right', thousands(tally.right)],
  ['left by their clients', thousands(tally.left)],
  ['cut or unanswered because their hub was killed', thousands(losses.withHub)],
  ['cut or unanswered because their hub was stopped in order', thousands(losses.inOrder)],
  ['cut because their agent, or the way to it, was lost within the answer', thousands(losses.withinAnswer)],
  ['answered 502 because their agent was lost, and a second try would not have been safe (POST, long upload)', thousands(losses.unsafe)],
  ['answered 502 after two tries, or when the budget of tries was used up', thousands(losses.noTriesLeft)],
  ['lost although a second try would have been safe', thousands(losses.safe.length)],
  ['no answer at all from a hub that was well', thousands(losses.unanswered.length)],
])}

Served by a second agent after the first was lost or had refused: ${thousands(tally.savedByRetry)}. Sent again by the client, where an HTTP client may do so by itself: ${thousands(tally.sentAgain)}.

Shares of the three hubs in calm weather: ${shares.map((share) => `${(100 * share).toFixed(1)} %`).join(', ')}. Frames per request there, with ${slots.length} agents and large bodies: ${framesPerRequest.toFixed(2)}.

## Idle slots beside waiting requests

Client and service are one process, so for each request it is known exactly when it was sent, when it came to a service, and since when a slot of that service
had been idle. The overlap of both is what counts, here for ${thousands(overlap.count)} requests: p50 ${ms(overlap.quantile(0.5))}, p99 ${ms(overlap.quantile(0.99))}, p99.9 ${ms(overlap.quantile(0.999))}, longest ${ms(overlap.max)}.

Two round trips of the slowest hub are ${2 * 2 * Math.max(...delaysMs)} ms by the delays of the relays alone; ${thousands(idle.beyondDelay)} overlaps are longer than that. With ${3 + slots.length + 1} processes on two
processors a process often waits for its turn, which is no fault of the slots. So each such overlap is compared with what the round trips really were at that time: probes ask each hub
over a relay of the same delay, and each agent, about 20 times a second. An overlap counts when it is longer than twice the longest answer of a hub and twice that of its agent, from 200 ms before
to its end, and the time in which the driver (clients, relays and services) stood still meanwhile.
Timers of the driver were late by ${ms(lag.quantile(0.5))} (p50), ${ms(lag.quantile(0.99))} (p99), ${ms(lag.max)} (most). Hubs and ways that are being disturbed are left out, until half a second later, or six where an agent has to dial again.

## Memory

${table([
  ['process', 'second quarter, MiB', 'last quarter, MiB', 'ratio', ''],
  ['---', '---:', '---:', '---:', '---'],
  ...samples
    .memory()
    .map(({ name, secondMiB, lastMiB, spared }) => [
      name,
      secondMiB.toFixed(1),
      lastMiB.toFixed(1),
      (lastMiB / secondMiB).toFixed(3),
      spared ? 'never ended' : 'ended and started again',
    ]),
])}
${faults(result)}`;
}

/** What went wrong, in words; '' when nothing did. */
function faults({ tally, idle, complaints, leaked }: SoakResult): string {
  const losses = tally.losses();
  const lines = [
    ...[...tally.overSlots, ...tally.twice, ...tally.wrong, ...losses.safe, ...losses.unanswered, ...leaked, ...complaints].slice(0, 40),
    ...idle.tooLong.slice(0, 20).map((text) => `idle: ${text}`),
  ];
  return lines.length === 0 ? '' : `\n## What was missed\n\n${lines.map((line) => `- \`${line.replaceAll('`', "'")}\``).join('\n')}\n`;
}

/** In flight at each service. */
export function inFlightPicture({ samples, slots, chaosAtS }: SoakResult): string {
  return draw({
    title: 'Requests in flight at each service (highest in each quarter of a second), and its slots',
    seconds: samples.seconds,
    mark: { atS: chaosAtS, text: 'chaos begins' },
    panels: samples.inFlight.map((series, i) => ({
      caption: `${series.name}: ${slots[i]} ${slots[i] === 1 ? 'slot' : 'slots'}`,
      series: [series],
      line: slots[i]!,
      height: slots[i]! > 10 ? 90 : 44,
    })),
  });
}

/** Waiting at each hub. */
export function waitingPicture({ samples, chaosAtS }: SoakResult): string {
  return draw({
    title: 'Requests that wait at each hub (its own gauge; no line while it is down)',
    seconds: samples.seconds,
    mark: { atS: chaosAtS, text: 'chaos begins' },
    panels: [{ caption: '', series: samples.waiting, line: null, height: 220 }],
  });
}

function thousands(value: number): string {
  return value.toLocaleString('en-US');
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
