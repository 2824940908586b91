import type { Info, Overview, Tick } from '../admin/model.ts';
import { statusTable } from '../config/admin-commands.ts';
import { plainLine } from '../config/plain-line.ts';
import { type AdminClient, adminClientOf } from './admin-client.ts';
import type { Invocation } from './command.ts';
import { ageText, bytesText, millisText, numberText } from './figures.ts';
import { Page, printJson } from './page.ts';
import type { Style } from './style.ts';

/** `status`: a running hub or gateway in a dozen lines. */
export async function run(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const { client } = await adminClientOf(statusTable, invocation);
  let info: Info;
  let overview: Overview;
  try {
    info = await client.get<Info>('/info');
    overview = await client.get<Overview>('/overview');
    // Within its first second a program has no figures yet.
    if (overview.history.length === 0) overview = { ...overview, history: await firstTick(client) };
  } finally {
    client.close();
  }
  const { history, ...rest } = overview;
  const tick = history.at(-1) ?? null;
  if (args.switches.has('json')) {
    printJson(world, { url: client.url, info, now: tick, ...rest });
    return 0;
  }
  const page = new Page(world);
  for (const line of statusLines(info, overview, Date.now(), page.style)) page.line(line);
  return 0;
}

/** The next figures; none when they do not come soon. */
async function firstTick(client: AdminClient): Promise<readonly Tick[]> {
  for await (const { event, data } of client.events('/events', AbortSignal.timeout(FIRST_MS))) if (event === 'tick') return [data as Tick];
  return [];
}

const FIRST_MS = 3_000;

/** The page, for people. */
export function statusLines(info: Info, overview: Overview, nowMs: number, style: Style): readonly string[] {
  const { endpoints, certificates, config, failures } = overview;
  const tick = overview.history.at(-1) ?? null;
  const state = info.state === 'serving' ? style.green('serving') : style.yellow(info.state);
  const title = `${style.bold(`windlass ${plainLine(info.version)}`)}  ${info.kind} ${plainLine(info.name)} on ${plainLine(info.hostname)}, pid ${info.pid}, Node ${plainLine(info.node)}`;
  const rows: (readonly [string, string])[] = [['state', `${state} for ${ageText(nowMs - info.startedAtMs)}`]];
  for (const { server, url } of info.listening)
    rows.push(['listens', `${plainLine(url)}${server === '' ? '' : `  ${style.dim(plainLine(server))}`}`]);
  if (info.source !== null) rows.push(['from', `${plainLine(info.source)}, ${configText(config, nowMs, style)}`]);
  if (tick !== null) rows.push(...tickRows(tick, style));
  if (endpoints.total > 0) {
    const { total, usable, unwell } = endpoints;
    const text = `${usable} of ${total} endpoints usable`;
    rows.push(['upstreams', usable === total ? text : style.red(text)]);
    for (const { upstream, endpoint, reason } of unwell.slice(0, UNWELL_SHOWN))
      rows.push(['', `${style.red('✗')} ${plainLine(upstream)} ${plainLine(endpoint)}: ${plainLine(reason)}`]);
    if (unwell.length > UNWELL_SHOWN) rows.push(['', style.dim(`${unwell.length - UNWELL_SHOWN} more; windlass upstreams shows all`)]);
  }
  if (certificates.soonest !== null) {
    const { name, notAfterMs } = certificates.soonest;
    const leftMs = notAfterMs - nowMs;
    const text = leftMs <= 0 ? `${plainLine(name)} has expired` : `the next to expire is ${plainLine(name)}, in ${ageText(leftMs)}`;
    rows.push(['certs', `${certificates.total}; ${leftMs <= 0 ? style.red(text) : leftMs < SOON_MS ? style.yellow(text) : text}`]);
  }
  if (failures.length > 0)
    rows.push([
      'failures',
      failures
        .slice(0, FAILURES_SHOWN)
        .map(({ code, count }) => `${plainLine(code)} ${numberText(count)}`)
        .join(', '),
    ]);
  for (const { level, message } of config.problems.slice(0, PROBLEMS_SHOWN)) rows.push([level, style.red(plainLine(message))]);
  return [title, ...rows.map(([name, text]) => `  ${style.dim(name.padEnd(10))} ${text}`)];
}

/** Figures of the moment, here and for others. */
export function tickRows(tick: Tick, style: Style): readonly (readonly [string, string])[] {
  const errors = tick.byClass['5xx'];
  const rate = `${numberText(tick.requestsPerSecond)} requests/s, ${numberText(tick.inFlight)} in flight, ${numberText(tick.connections)} connections`;
  const errorText = `${numberText(errors)} errors/s`;
  return [
    ['traffic', `${rate}, ${errors > 0 ? style.red(errorText) : errorText}`],
    ['latency', `p50 ${millisText(tick.p50Ms)}, p95 ${millisText(tick.p95Ms)}, p99 ${millisText(tick.p99Ms)}`],
    ['bytes', `${bytesText(tick.bytesInPerSecond)}/s in, ${bytesText(tick.bytesOutPerSecond)}/s out`],
    ['agents', `${numberText(tick.agents)}, ${numberText(tick.slotsFree)} of ${numberText(tick.slots)} slots free`],
    ['queue', tick.queue === 0 ? 'nobody waits' : style.yellow(`${numberText(tick.queue)} wait, the oldest for ${millisText(tick.queueOldestMs)}`)],
    ['process', `CPU ${numberText(Math.round(tick.cpu * 100))} %, memory ${bytesText(tick.memory)}, event loop ${millisText(tick.loopDelayMs)} late`],
  ];
}

function configText({ ok, appliedAtMs, etag, appliedEtag }: Overview['config'], nowMs: number, style: Style): string {
  const since = `in use for ${ageText(nowMs - appliedAtMs)}`;
  if (!ok) return `${style.red('cannot be used as it is now')}; the one before serves (${since})`;
  return etag === appliedEtag ? since : `${style.yellow('has changed and is not in use yet')} (${since})`;
}

const UNWELL_SHOWN = 5;
const FAILURES_SHOWN = 6;
const PROBLEMS_SHOWN = 5;
/** A certificate that ends within this is told of in yellow, ms. */
const SOON_MS = 30 * 86_400_000;
