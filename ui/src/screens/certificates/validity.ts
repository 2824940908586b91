import type { CertificateInfo } from '../../../../src/admin/model.ts';

const DAY_MS = 86_400_000;
/** From then on it is said to end soon, days. */
const SOON_DAYS = 21;

export type Standing = 'good' | 'soon' | 'expired' | 'early' | 'wrong';

/** How a certificate stands today. */
export function standingOf({ notBeforeMs, notAfterMs, problem }: CertificateInfo, nowMs: number): Standing {
  if (notAfterMs <= nowMs) return 'expired';
  if (notBeforeMs > nowMs) return 'early';
  if (problem !== '') return 'wrong';
  return daysLeft(notAfterMs, nowMs) <= SOON_DAYS ? 'soon' : 'good';
}

/** Whole days until then; negative when it is over. */
export function daysLeft(notAfterMs: number, nowMs: number): number {
  return notAfterMs >= nowMs ? Math.floor((notAfterMs - nowMs) / DAY_MS) : -Math.ceil((nowMs - notAfterMs) / DAY_MS);
}

/** What is wrong with it beside its dates, which are said anyway. */
export function problemBesideDates({ problem }: CertificateInfo): string {
  return /^it (?:has expired|is not valid yet|expires in \d+ days?)$/.test(problem) ? '' : problem;
}

/** Part of its life that is over, 0 to 1. */
export function lifeOver({ notBeforeMs, notAfterMs }: CertificateInfo, nowMs: number): number {
  const whole = notAfterMs - notBeforeMs;
  return whole <= 0 ? 1 : Math.min(1, Math.max(0, (nowMs - notBeforeMs) / whole));
}

/** What needs a look first, then what ends first. */
export function byUrgency(nowMs: number): (a: CertificateInfo, b: CertificateInfo) => number {
  const rank: Record<Standing, number> = { expired: 0, wrong: 1, early: 2, soon: 3, good: 4 };
  return (a, b) => rank[standingOf(a, nowMs)] - rank[standingOf(b, nowMs)] || a.notAfterMs - b.notAfterMs || a.name.localeCompare(b.name);
}
