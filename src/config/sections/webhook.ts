import { httpUrl } from '../../schema/http-url.ts';
import { choice, list, orNone } from '../../schema/kind.ts';
import { setting, type Values } from '../../schema/setting.ts';
import { NOTICE_EVENTS, type NoticeEvent, type NotificationSettings } from './notification.ts';

/** What Pingap calls its notices, and which of ours are meant. */
const EVENTS: Readonly<Record<string, readonly NoticeEvent[]>> = {
  backend_status: ['endpoint_unhealthy', 'endpoint_healthy'],
  backend_unhealthy: ['endpoint_unhealthy'],
  upstream_status: ['upstream_down', 'upstream_up'],
  reload_config: ['reload_succeeded'],
  reload_config_fail: ['reload_failed'],
  diff_config: ['reload_succeeded'],
  restart: ['reload_succeeded'],
  restart_fail: ['reload_failed'],
  tls_validity: ['certificate_expiring'],
  lets_encrypt: ['certificate_renewed', 'certificate_failed'],
  parse_certificate_fail: ['reload_failed'],
  // A name that is not found leaves its upstream without endpoints.
  service_discover_fail: ['upstream_down', 'upstream_up'],
};

const NOTICES = 'Notices, as Pingap has them';

/** Pingap's keys of [basic] for what is now [notifications.NAME]. */
export const webhookTable = {
  webhook: setting<URL | null>({
    kind: httpUrl('https://alerts.example.com/hook'),
    group: NOTICES,
    help: "Pingap's way to name one receiver of notices; [notifications.NAME] can do more",
    secret: 'line',
    fallback: null,
    fallbackText: 'none',
  }),
  webhookType: setting<'normal' | 'wecom' | 'dingtalk'>({
    kind: choice(['normal', 'wecom', 'dingtalk']),
    group: NOTICES,
    help: 'what webhook takes: the JSON of Pingap, or messages of a group robot',
    fallback: 'normal',
  }),
  webhookNotifications: setting<readonly string[] | null>({
    kind: orNone(list(choice(Object.keys(EVENTS)))),
    group: NOTICES,
    help: 'what webhook is told of, by the names that Pingap has for it',
    fallback: null,
    fallbackText: 'everything',
  }),
} as const;

/** The receiver that they amount to; null = none. */
export function webhookSettings({
  webhook,
  webhookType,
  webhookNotifications,
}: Pick<Values<typeof webhookTable>, 'webhook' | 'webhookType' | 'webhookNotifications'>): NotificationSettings | null {
  if (webhook === null) return null;
  const events = webhookNotifications === null ? NOTICE_EVENTS : webhookNotifications.flatMap((name) => EVENTS[name] ?? []);
  return {
    name: 'basic.webhook',
    url: webhook,
    format: webhookType,
    secret: null,
    events: new Set(events),
    queueThreshold: null,
    intervalMs: 10_000,
  };
}
