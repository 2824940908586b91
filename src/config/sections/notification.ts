import { httpUrl } from '../../schema/http-url.ts';
import { choice, duration, integer, list, orNone, text } from '../../schema/kind.ts';
import { setting, type Values } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';

/** What is told of. Those that come in pairs stand side by side. */
export const NOTICE_EVENTS = [
  'endpoint_unhealthy',
  'endpoint_healthy',
  'upstream_down',
  'upstream_up',
  'agent_lost',
  'agent_joined',
  'reload_failed',
  'reload_succeeded',
  'certificate_expiring',
  'certificate_failed',
  'certificate_renewed',
  'queue_long',
  'queue_short',
] as const;
export type NoticeEvent = (typeof NOTICE_EVENTS)[number];

/** `json`: ours, signed. `wecom` and `dingtalk`: messages of their group robots. `normal`: the JSON that Pingap sends. */
export const NOTICE_FORMATS = ['json', 'wecom', 'dingtalk', 'normal'] as const;
export type NoticeFormat = (typeof NOTICE_FORMATS)[number];

const WHERE = 'Where to';
const WHAT = 'What';

/** Settings of a receiver of notices, section [notifications.NAME]. */
export const notificationTable = {
  url: setting<URL>({
    kind: httpUrl('https://alerts.example.com/windlass'),
    group: WHERE,
    help: 'where notices are sent (POST); it may hold a key, as those of group robots do',
    hint: 'such as url = "https://alerts.example.com/windlass"',
    secret: 'line',
  }),
  format: setting<NoticeFormat>({
    kind: choice(NOTICE_FORMATS),
    group: WHERE,
    help: "json: ours; wecom, dingtalk: a message of a group robot; normal: Pingap's JSON, one request per notice",
    fallback: 'json',
  }),
  secret: setting<string | null>({
    kind: text('SECRET', 'secret text'),
    group: WHERE,
    help: 'signs what is sent (HMAC-SHA256), so that the receiver knows that it comes from here; with dingtalk the secret of the robot',
    fallback: null,
    fallbackText: 'not signed',
    secret: 'line',
  }),
  events: setting<readonly NoticeEvent[]>({
    kind: orNone(list(choice(NOTICE_EVENTS))),
    group: WHAT,
    help: 'what to tell of',
    fallback: NOTICE_EVENTS,
    fallbackText: 'everything',
  }),
  queueThreshold: setting<number | null>({
    kind: integer(1, 1_000_000),
    group: WHAT,
    help: 'queue_long when so many requests wait for some seconds, queue_short when half as many do again',
    fallback: null,
    fallbackText: 'the queue is not told of',
  }),
  interval: setting({
    kind: duration(86_400_000),
    group: WHAT,
    help: 'least time between two messages; what happens meanwhile is told together',
    fallback: 10_000,
  }),
} as const;

/** Who is told, and of what. */
export interface NotificationSettings {
  readonly name: string;
  readonly url: URL;
  readonly format: NoticeFormat;
  readonly secret: string | null;
  readonly events: ReadonlySet<NoticeEvent>;
  /** Null: the queue is not told of. */
  readonly queueThreshold: number | null;
  readonly intervalMs: number;
}

/** @throws Wrong, whose part is the key */
export function notificationSettings(name: string, values: Values<typeof notificationTable>): NotificationSettings {
  const { url, format, secret, events, queueThreshold, interval } = values;
  if (secret !== null && (format === 'wecom' || format === 'normal'))
    throw new Wrong(`is of no use with format = "${format}", which has no place for a signature`, 'leave it out, or write format = "json"', 'secret');
  return { name, url, format, secret, events: new Set(events), queueThreshold, intervalMs: interval };
}
