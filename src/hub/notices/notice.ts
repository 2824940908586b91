import type { NoticeEvent } from '../../config/sections/notification.ts';

/** Something that somebody should hear of. */
export interface Notice {
  readonly event: NoticeEvent;
  /** Wall-clock ms. */
  readonly atMs: number;
  /** What it is about, such as `api 10.0.0.1:80`. */
  readonly subject: string;
  /** One sentence; it names the subject. */
  readonly message: string;
}

export type NoticeLevel = 'info' | 'warning' | 'error';

/** How much it matters. */
export function levelOf(event: NoticeEvent): NoticeLevel {
  return LEVELS[event];
}

const LEVELS: { readonly [K in NoticeEvent]: NoticeLevel } = {
  endpoint_unhealthy: 'warning',
  endpoint_healthy: 'info',
  upstream_down: 'error',
  upstream_up: 'info',
  agent_lost: 'warning',
  agent_joined: 'info',
  reload_failed: 'error',
  reload_succeeded: 'info',
  certificate_expiring: 'warning',
  certificate_failed: 'error',
  certificate_renewed: 'info',
  queue_long: 'warning',
  queue_short: 'info',
};
