import type { AgentInfo, Page as ListPage, TrafficItem, TrafficSettings } from '../admin/model.ts';
import { plainLine } from '../config/plain-line.ts';
import { tailTable } from '../config/tail.ts';
import type { Values } from '../schema/setting.ts';
import { type AdminClient, adminClientOf } from './admin-client.ts';
import { Cannot } from './cannot.ts';
import type { Invocation } from './command.ts';
import { bytesText, millisText } from './figures.ts';
import { printJsonLine } from './page.ts';
import { pause } from './pause.ts';
import { type Style, styleFor } from './style.ts';
import type { World } from './world.ts';

/** Requests kept when tail switches the live view on. */
const KEPT = 1_000;
/** Between two tries after the connection was lost, ms. */
const AGAIN_MS = 1_000;
/** Of a target or a host, characters that are shown. */
const SHOWN_CHARACTERS = 200;

/** `tail`: requests of a running hub or gateway as they end, one line each. */
export async function run(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const { client, values } = await adminClientOf(tailTable, invocation);
  const leave = new AbortController();
  const offs = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((name) => world.onSignal(name, () => leave.abort()));
  try {
    const progress: Progress = { left: values.count ?? Number.POSITIVE_INFINITY, shows: values.last, isOpen: false, isBegun: false };
    const query = queryOf(values, await agentId(client, values.agent));
    for (;;) {
      try {
        await switchOn(client, args.switches.has('on'));
        await follow(client, query, progress, world, args.switches.has('json'), leave.signal);
        return 0;
      } catch (error) {
        if (leave.signal.aborted) return 0;
        // What it never reached it does not wait for.
        if (!(error instanceof Cannot) || !error.isPassing || !progress.isBegun) throw error;
        if (progress.isOpen) world.stderr.write(`windlass: the connection to ${client.url} is lost; trying again until Ctrl-C\n`);
        progress.isOpen = false;
      }
      await pause(AGAIN_MS, leave.signal);
    }
  } finally {
    for (const off of offs) off();
    client.close();
  }
}

async function switchOn(client: AdminClient, wanted: boolean): Promise<void> {
  const settings = await client.get<TrafficSettings>('/traffic/settings');
  if (settings.enabled) return;
  if (!wanted)
    throw new Cannot(
      `${client.url} keeps no requests to look at; windlass tail --on switches that on until it stops (for good: inspector = ${KEPT} in [basic], or --inspector ${KEPT} of hub run)`,
    );
  await client.send('PUT', '/traffic/settings', { enabled: true, size: KEPT } satisfies TrafficSettings);
}

/** Ids are for programs: whoever gives a name means the one agent that has it. What nobody is called is an id, perhaps of one that is gone. */
async function agentId(client: AdminClient, given: string): Promise<string> {
  if (given === '') return '';
  const { items } = await client.get<ListPage<AgentInfo>>(`/agents?${new URLSearchParams({ query: given, limit: '1000' }).toString()}`);
  if (items.some(({ id }) => id === given)) return given;
  const named = items.filter(({ name }) => name === given);
  if (named.length > 1)
    throw new Cannot(`${named.length} agents are called ${plainLine(given)}; give the id of one: windlass agents ${plainLine(given)}`);
  return named[0]?.id ?? given;
}

/** How far it is. */
interface Progress {
  /** Lines that are still to come. */
  left: number;
  /** Of those that are over, how many come first. */
  shows: number;
  /** There is a connection, and there has been one. */
  isOpen: boolean;
  isBegun: boolean;
}

async function follow(client: AdminClient, query: string, progress: Progress, world: World, asJson: boolean, signal: AbortSignal): Promise<void> {
  const style = styleFor(world);
  const print = (item: TrafficItem): void => {
    if (asJson) printJsonLine(world, item);
    else world.stdout.write(`${tailLine(item, style)}\n`);
  };
  const enough = new AbortController();
  const events = client.events(`/traffic/events?${query}`, AbortSignal.any([signal, enough.signal]));
  const shown = new Set<string>();
  try {
    // What ends while the others are listed is in the stream, which is open by then.
    const isOpen = (await events.next()).done !== true;
    if (isOpen && progress.isBegun && !progress.isOpen)
      world.stderr.write(`windlass: ${client.url} answers again; what ended meanwhile is not shown\n`);
    progress.isOpen = progress.isBegun = true;
    if (progress.shows > 0) {
      const { items } = await client.get<ListPage<TrafficItem>>(`/traffic?${query}&limit=${progress.shows}`);
      progress.shows = 0;
      for (const item of items.filter(({ status }) => status > 0).reverse()) {
        if (progress.left-- <= 0) return;
        shown.add(item.id);
        print(item);
      }
    }
    while (progress.left > 0) {
      const { done, value } = await events.next();
      if (done === true) break;
      if (value.event === 'missed') world.stderr.write(`… ${Number((value.data as { count: number }).count)} more requests were not shown\n`);
      if (value.event !== 'exchange') continue;
      const item = value.data as TrafficItem;
      if (shown.delete(item.id)) continue;
      print(item);
      progress.left--;
    }
  } finally {
    enough.abort();
  }
  if (progress.left > 0 && !signal.aborted) throw new Cannot(`${client.url} ended the stream: it is stopping`, true);
}

function queryOf(
  { status, path, method, location, upstreamName: upstream, hostName: host, server, slow }: Values<typeof tailTable>,
  agent: string,
): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ status, path, method, location, upstream, agent, host, server }))
    if (value !== '') query.set(name, value);
  if (slow !== null) query.set('slow', `${slow}ms`);
  return query.toString();
}

/** `12:00:01.234 GET 200 12 ms 1.5 KiB example.org/path -> api 10.0.0.1:80`, and what is odd about it. Nothing of it can move a cursor. */
export function tailLine(item: TrafficItem, style: Style): string {
  const { status, method, host, target, location, upstream, endpoint, agent, totalMs, waitedMs, replyBytes, attempts, failure, replayOf } = item;
  const paint = (text: string): string => (status >= 500 ? style.red(text) : status >= 400 ? style.yellow(text) : style.green(text));
  const odd = [
    ...(waitedMs > 0 ? [style.yellow(`waited ${millisText(waitedMs)}`)] : []),
    ...(attempts > 1 ? [style.yellow(`${attempts} attempts`)] : []),
    ...(failure === '' ? [] : [style.red(cut(failure))]),
    ...(replayOf === '' ? [] : [style.cyan('sent again')]),
  ];
  const to = [location, agent === '' ? upstream : '', agent === '' ? endpoint : `agent ${agent}`].filter((part) => part !== '').map(cut);
  return [
    style.dim(timeOf(item.atMs)),
    paint(String(status)),
    style.bold(cut(method).padEnd(4)),
    millisText(totalMs).padStart(8),
    bytesText(replyBytes).padStart(9),
    cut(`${host}${target}`),
    ...(to.length === 0 ? [] : [style.dim(`-> ${to.join(' ')}`)]),
    ...odd,
  ].join(' ');
}

function cut(text: string): string {
  return plainLine(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text);
}

function timeOf(ms: number): string {
  const date = new Date(ms);
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}
