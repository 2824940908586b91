import type { Series } from './samples.ts';

/** What a picture shows. */
export interface Picture {
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly seconds: number;
  /** A moment that is marked, s, and what began there. */
  readonly mark: { readonly atS: number; readonly text: string };
}

/** One pair of axes. */
export interface Panel {
  readonly caption: string;
  readonly series: readonly Series[];
  /** A horizontal line, such as the number of slots; null for none. */
  readonly line: number | null;
  readonly height: number;
}

const WIDTH = 820;
const LEFT = 48;
const RIGHT = 16;
const TOP = 50;
const GAP = 34;
const BOTTOM = 44;
/** Points per line: more cannot be seen. */
const POINTS = 360;

/** Readable on light and on dark ground; lines differ in lightness too. */
const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .title { font-size: 15px; font-weight: 600; }
  .quiet { fill: #57606a; }
  .axis { stroke: #8c959f; stroke-width: 1; fill: none; }
  .slots { stroke: #cf222e; stroke-width: 1.2; stroke-dasharray: 5 3; }
  .mark { stroke: #8c959f; stroke-width: 1; stroke-dasharray: 2 3; }
  .s0 { stroke: #0550ae; } .s1 { stroke: #bc4c00; } .s2 { stroke: #1a7f64; }
  .s { fill: none; stroke-width: 1.2; stroke-linejoin: round; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .quiet { fill: #9198a1; }
    .slots { stroke: #ff7b72; }
    .s0 { stroke: #79c0ff; } .s1 { stroke: #ffa657; } .s2 { stroke: #56d4a4; }
  }`;

/** An SVG file. */
export function draw({ title, panels, seconds, mark }: Picture): string {
  const height = TOP + panels.reduce((sum, panel) => sum + panel.height + GAP, 0) + BOTTOM - GAP;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escape(title)}">`,
    `<style>${STYLE}\n</style>`,
    `<text class="title" x="${LEFT}" y="20">${escape(title)}</text>`,
  ];
  let top = TOP;
  for (const panel of panels) {
    parts.push(...drawPanel(panel, top, seconds, mark.atS));
    top += panel.height + GAP;
  }
  const bottom = top - GAP;
  for (const at of ticks(seconds, 8)) parts.push(`<text class="quiet" x="${xOf(at, seconds)}" y="${bottom + 18}" text-anchor="middle">${at}</text>`);
  parts.push(
    `<text class="quiet" x="${WIDTH - RIGHT}" y="${bottom + 36}" text-anchor="end">seconds</text>`,
    `<text class="quiet" x="${xOf(mark.atS, seconds)}" y="${bottom + 36}" text-anchor="middle">${escape(mark.text)}</text>`,
    '</svg>\n',
  );
  return parts.join('\n');
}

function drawPanel({ caption, series, line, height }: Panel, top: number, seconds: number, markAtS: number): string[] {
  const reduced = series.map((one) => reduce(one, seconds));
  const most = Math.max(1, line ?? 0, ...reduced.flat().filter((value) => !Number.isNaN(value)));
  const scale = niceTop(most);
  const yOf = (value: number): number => round(top + height - (value / scale) * height);
  const right = WIDTH - RIGHT;
  const parts = [
    `<text x="${LEFT}" y="${top - 6}">${escape(caption)}</text>`,
    `<path class="axis" d="M${LEFT} ${top}V${top + height}H${right}"/>`,
    `<path class="mark" d="M${xOf(markAtS, seconds)} ${top}V${top + height}"/>`,
  ];
  // The number of the line is worth more than the one at the top.
  const labels = line === null || scale - line > scale / 5 ? [0, scale] : [0];
  for (const value of labels) parts.push(`<text class="quiet" x="${LEFT - 6}" y="${yOf(value) + 4}" text-anchor="end">${value}</text>`);
  for (const [i, values] of reduced.entries()) {
    const points: string[] = [];
    let pen = 'M';
    for (const [at, value] of values.entries()) {
      if (Number.isNaN(value)) pen = 'M';
      else {
        points.push(`${pen}${xOf((at * seconds) / POINTS, seconds)} ${yOf(value)}`);
        pen = 'L';
      }
    }
    parts.push(`<path class="s s${i}" d="${points.join('')}"/>`);
    if (reduced.length > 1) {
      const x = right - (reduced.length - i) * 76;
      parts.push(`<path class="s s${i}" d="M${x} ${top - 10}h18"/>`, `<text x="${x + 23}" y="${top - 6}">${escape(series[i]!.name)}</text>`);
    }
  }
  if (line !== null) {
    parts.push(`<path class="slots" d="M${LEFT} ${yOf(line)}H${right}"/>`);
    parts.push(`<text class="quiet" x="${LEFT - 6}" y="${yOf(line) + 4}" text-anchor="end">${line}</text>`);
  }
  return parts;
}

/** The highest value of each of POINTS equal times; NaN where there is none. */
function reduce({ atS, values }: Series, seconds: number): number[] {
  const out: number[] = Array.from({ length: POINTS }, () => Number.NaN);
  let last = Number.NaN;
  for (const [i, at] of atS.entries()) {
    const bin = Math.min(POINTS - 1, Math.floor((at / seconds) * POINTS));
    const value = values[i]!;
    last = value;
    if (!Number.isNaN(value) && !(out[bin]! > value)) out[bin] = value;
  }
  // Few samples in a short run: a line needs both its ends.
  if (values.length < POINTS) {
    last = Number.NaN;
    let next = 0;
    for (let bin = 0; bin < POINTS; bin++) {
      while (next < atS.length && (atS[next]! / seconds) * POINTS < bin + 1) last = values[next++]!;
      if (Number.isNaN(out[bin]!)) out[bin] = last;
    }
  }
  return out;
}

function xOf(atS: number, seconds: number): number {
  return round(LEFT + (atS / seconds) * (WIDTH - LEFT - RIGHT));
}

function ticks(most: number, count: number): number[] {
  const step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 3_600].find((one) => most / one <= count) ?? most;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step);
}

/** The next round number. */
function niceTop(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 3, 4, 5, 6, 7, 8, 10].map((n) => n * power).find((one) => one >= most)!;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
