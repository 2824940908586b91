import type { AgentInfo, Info, Page, QueueInfo, Tick, UpstreamInfo } from '../admin/model.ts';
import { plainLine } from '../config/plain-line.ts';
import { agentColumns } from './agents.ts';
import { ageText, numberText, sparkline } from './figures.ts';
import { waitingColumns } from './queue.ts';
import { tickRows } from './status.ts';
import type { Style } from './style.ts';
import { tableLines } from './table.ts';
import { shorten } from './text-width.ts';
import { endpointColumns, endpointRows } from './upstreams.ts';

/** The tables below the figures. */
export const VIEWS = ['agents', 'upstreams', 'queue'] as const;
export type View = (typeof VIEWS)[number];

/** What `top` knows. Undefined: not answered yet; null: there is none. */
export interface TopState {
  readonly url: string;
  readonly info: Info;
  /** The newest last. */
  readonly ticks: readonly Tick[];
  readonly agents: Page<AgentInfo> | null | undefined;
  readonly upstreams: Page<UpstreamInfo> | null | undefined;
  readonly queue: QueueInfo | null | undefined;
  /** Why there is nothing new; null = there is. */
  readonly trouble: string | null;
  readonly view: View;
  /** Lines of the table that are above the screen. */
  readonly scroll: number;
}

/** The screen as lines, never more than `rows`; the terminal cuts those that are too long. */
export function topFrame(
  state: TopState,
  { columns, rows }: { readonly columns: number; readonly rows: number },
  nowMs: number,
  style: Style,
): readonly string[] {
  const table = tableOf(state, columns, nowMs, style);
  const foot = footOf(state, columns, style);
  const head = headOf(state, { columns, rows: rows - foot.length - 2 - Math.min(table.length - 1, TABLE_MIN) }, nowMs, style);
  const room = rows - head.length - 2 - foot.length;
  if (room < 1) {
    const figures = headOf(state, { columns, rows: rows - foot.length }, nowMs, style);
    return [...figures.slice(0, Math.max(0, rows - foot.length)), ...foot].slice(0, rows);
  }
  const [title = '', ...body] = table;
  const scroll = Math.min(state.scroll, scrollMax(body.length, room));
  const shown = body.slice(scroll, scroll + room);
  const below = body.length - scroll - shown.length;
  if (below > 0) shown[shown.length - 1] = style.dim(`… ${below + 1} more below`);
  return [...head, tabsOf(state, style), title, ...shown, ...Array.from({ length: room - shown.length }, () => ''), ...foot];
}

/** One line for a log or a pipe. */
export function topLine(tick: Tick): string {
  const figures = tickRows(tick, PLAIN).map(([name, text]) => `${name}: ${text}`);
  return `${new Date(tick.atMs).toISOString()}  ${figures.join('; ')}`;
}

/** How far a table of so many lines can be scrolled. */
export function scrollMax(lines: number, room: number): number {
  return Math.max(0, lines - room);
}

const PLAIN: Style = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same };

function same(text: string): string {
  return text;
}

/** Lines of a table for which figures make room. */
const TABLE_MIN = 4;

/** The title, and as many figures as there is room for: what is missed least goes first. */
function headOf(
  { info, ticks }: TopState,
  { columns, rows }: { readonly columns: number; readonly rows: number },
  nowMs: number,
  style: Style,
): readonly string[] {
  const state = info.state === 'serving' ? style.green('serving') : style.yellow(plainLine(info.state));
  const title = `${style.bold(`windlass ${plainLine(info.version)}`)}  ${info.kind} ${plainLine(info.name)} on ${plainLine(info.hostname)}  ${state} for ${ageText(nowMs - info.startedAtMs)}`;
  const tick = ticks.at(-1);
  if (tick === undefined) return [title, style.dim('the first figures come within a second')];
  const isNarrow = columns < NARROW;
  const indent = isNarrow ? 0 : 2;
  const label = isNarrow ? 8 : 10;
  const rates = ticks.slice(-Math.max(1, columns - indent - label - 9)).map(({ requestsPerSecond }) => requestsPerSecond);
  const most = Math.max(...rates);
  const figures = [...tickRows(tick, style), ['requests', `${style.cyan(sparkline(rates))} ${style.dim(`${numberText(most)}/s`)}`] as const];
  const dropped = new Set(MISSED_LEAST.slice(0, Math.max(0, figures.length + 1 - rows)));
  return [
    title,
    ...figures.filter(([name]) => !dropped.has(name)).map(([name, text]) => `${' '.repeat(indent)}${style.dim(name.padEnd(label))} ${text}`),
  ];
}

/** Columns of a terminal in which every sign counts. */
const NARROW = 60;
const MISSED_LEAST: readonly string[] = ['process', 'bytes', 'requests', 'latency', 'agents', 'queue', 'traffic'];

function tabsOf({ view, agents, upstreams, queue }: TopState, style: Style): string {
  const counts: Record<View, number | null> = { agents: agents?.total ?? null, upstreams: upstreams?.total ?? null, queue: queue?.size ?? null };
  return VIEWS.map((name, i) => {
    const text = ` ${i + 1} ${name}${counts[name] === null ? '' : ` (${counts[name]})`} `;
    return name === view ? style.bold(style.cyan(`[${text}]`)) : style.dim(` ${text} `);
  }).join('');
}

function tableOf({ view, agents, upstreams, queue }: TopState, columns: number, nowMs: number, style: Style): readonly string[] {
  const bold = (text: string): string => style.bold(text);
  if (view === 'agents') {
    if (agents === undefined) return ['', style.dim(ASKED)];
    if (agents === null) return ['', style.dim('there are no agents here')];
    const busiest = [...agents.items].toSorted((a, b) => b.inFlight - a.inFlight || a.name.localeCompare(b.name));
    if (busiest.length === 0) return ['', style.dim('no agents')];
    const others = agents.total - busiest.length;
    const more = others > 0 ? [style.dim(`${numberText(others)} more, none of them busier; windlass agents shows all`)] : [];
    return [...tableLines(agentColumns(style, nowMs), busiest, columns, bold), ...more];
  }
  if (view === 'upstreams') {
    if (upstreams === undefined) return ['', style.dim(ASKED)];
    const rows =
      upstreams === null
        ? []
        : endpointRows(upstreams.items).toSorted(
            (a, b) => Number(a.condition === 'well') - Number(b.condition === 'well') || b.inFlight - a.inFlight,
          );
    return rows.length === 0 ? ['', style.dim('no upstreams')] : tableLines(endpointColumns(style), rows, columns, bold);
  }
  if (queue === undefined) return ['', style.dim(ASKED)];
  const waiting = queue?.waiting ?? [];
  return waiting.length === 0 ? ['', style.dim('nobody waits')] : tableLines(waitingColumns, waiting, columns, bold);
}

const ASKED = 'not answered yet';

function footOf({ trouble, url }: TopState, columns: number, style: Style): readonly string[] {
  if (trouble !== null) return [style.red(shorten(trouble, columns))];
  return [style.dim(shorten(`q leave   1 2 3 Tab tables   ↑ ↓ PgUp PgDn scroll   ${url}`, columns))];
}
