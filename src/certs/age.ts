import type { Log } from '../observe/log.ts';
import { certLimits } from './limits.ts';

/** Warns of a certificate that has expired, or soon will. Times are wall-clock ms. @returns whether there was something to say */
export function tellOfAge(log: Log, certificate: string, notAfterMs: number, nowMs: number): boolean {
  const leftMs = notAfterMs - nowMs;
  if (leftMs >= certLimits.soonExpiredMs) return false;
  if (leftMs <= 0) log.warn({ certificate }, 'the TLS certificate has expired');
  else log.warn({ certificate, notAfter: new Date(notAfterMs).toISOString() }, 'the TLS certificate expires soon');
  return true;
}
