import { language, tagOf } from './language.ts';

// Figures as people read them, in the language of the page. All give a short text and never throw.

const SPACE = '\u00a0';

/** 1234567 -> `1,234,567`; with digits after the point as asked. */
export function number(value: number, digits = 0): string {
  return value.toLocaleString(tagOf(language.value), { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

/** 12345 -> `12.3k`: for tiles and axes. */
export function compact(value: number): string {
  const size = Math.abs(value);
  // What would be rounded to a thousand of a unit is one of the next.
  if (size >= 999.95e6) return `${trim(value / 1e9)}G`;
  if (size >= 999.95e3) return `${trim(value / 1e6)}M`;
  if (size >= 1e4) return `${trim(value / 1e3)}k`;
  if (size >= 100 || Number.isInteger(value)) return number(Math.round(value));
  return trim(value);
}

/** Per second. */
export function rate(value: number): string {
  return value > 0 && value < 0.1 ? '<0.1' : compact(value);
}

/** Units of time as people write them; a thousandth of a second is `ms` everywhere. */
const UNITS = { en: { s: 's', m: 'm', h: 'h', d: 'd' }, zh: { s: '秒', m: '分', h: '小时', d: '天' } } as const;

/** A length of time: `0.4 ms`, `12 ms`, `1.2 s`, `3 m 20 s`, `2 h 5 m`, `4 d 3 h`. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return '–';
  if (ms === 0) return `0${SPACE}ms`;
  if (ms < 10) return `${ms < 0.1 ? '<0.1' : trim(ms)}${SPACE}ms`;
  if (ms < 1_000) return `${Math.round(ms)}${SPACE}ms`;
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)}${SPACE}${UNITS[language.value].s}`;
  return span(ms);
}

/** As `duration`, without parts of a second. */
export function span(ms: number): string {
  const { s, m, h, d } = UNITS[language.value];
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds}${SPACE}${s}`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}${SPACE}${m}${seconds % 60 > 0 && minutes < 10 ? ` ${seconds % 60}${SPACE}${s}` : ''}`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours}${SPACE}${h}${minutes % 60 > 0 && hours < 10 ? ` ${minutes % 60}${SPACE}${m}` : ''}`;
  const days = Math.floor(hours / 24);
  return `${days}${SPACE}${d}${hours % 24 > 0 && days < 10 ? ` ${hours % 24}${SPACE}${h}` : ''}`;
}

/** How long ago that was: `12 s ago`. */
export function ago(atMs: number, nowMs: number): string {
  const text = span(Math.max(0, nowMs - atMs));
  return language.value === 'zh' ? `${text}前` : `${text} ago`;
}

export function bytes(value: number): string {
  if (value < 1_000) return `${Math.round(value)}${SPACE}B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let size = value / 1_000;
  let unit = 0;
  while (size >= 1_000 && unit < units.length - 1) {
    size /= 1_000;
    unit++;
  }
  return `${size >= 100 ? Math.round(size) : trim(size)}${SPACE}${units[unit]}`;
}

/** Part of one: 0.42 -> `42%`. */
export function percent(part: number): string {
  return `${part > 0 && part < 0.1 ? trim(part * 100) : Math.round(part * 100)}%`;
}

/** The hour of the day, to the second. */
export function clock(atMs: number): string {
  return new Date(atMs).toLocaleTimeString(tagOf(language.value), { hour12: false });
}

/** Day and hour. */
export function dateTime(atMs: number): string {
  return new Date(atMs).toLocaleString(tagOf(language.value), { dateStyle: 'medium', timeStyle: 'medium', hour12: false });
}

export function date(atMs: number): string {
  return new Date(atMs).toLocaleDateString(tagOf(language.value), { dateStyle: 'medium' });
}

function trim(value: number): string {
  return value.toFixed(1).replace(/\.0$/, '');
}
