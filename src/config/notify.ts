import { httpUrl } from '../schema/http-url.ts';
import { choice, integer, list, text } from '../schema/kind.ts';
import { setting, type Values } from '../schema/setting.ts';
import { NOTICE_FORMATS, type NoticeEvent, type NoticeFormat, type NotificationSettings } from './sections/notification.ts';
import { SettingsError } from './settings-error.ts';

/** What a hub without a file can tell of: it has no endpoints of its own, and nothing that is reloaded. */
const HUB_EVENTS = [
  'agent_lost',
  'agent_joined',
  'upstream_down',
  'upstream_up',
  'certificate_expiring',
  'certificate_failed',
  'certificate_renewed',
  'queue_long',
  'queue_short',
] as const satisfies readonly NoticeEvent[];

const NOTICES = 'Being told';

/** The one receiver of notices that a hub may have without a file. */
export const notifyTable = {
  notify: setting<URL | null>({
    kind: httpUrl('https://alerts.example.com/windlass'),
    group: NOTICES,
    help: 'webhook told (POST) of agents that are lost, certificates that expire and such; it may hold a key, as those of group robots do',
    fallback: null,
    fallbackText: 'nobody is told',
    secret: 'line',
  }),
  notifyFormat: setting<NoticeFormat>({
    kind: choice(NOTICE_FORMATS),
    group: NOTICES,
    help: "how it is told; json: ours; wecom, dingtalk: a message of a group robot; normal: Pingap's JSON",
    fallback: 'json',
  }),
  notifySecret: setting<string | null>({
    kind: text('SECRET', 'secret text'),
    group: NOTICES,
    help: 'signs what is sent (HMAC-SHA256); with dingtalk the secret of the robot',
    fallback: null,
    fallbackText: 'not signed',
    secret: 'line',
  }),
  notifyEvents: setting<readonly (typeof HUB_EVENTS)[number][]>({
    kind: list({ ...choice(HUB_EVENTS), word: 'EVENT' }),
    group: NOTICES,
    help: 'what it is told of, such as agent_lost,certificate_expiring',
    fallback: HUB_EVENTS,
    fallbackText: 'everything',
  }),
  notifyQueueThreshold: setting<number | null>({
    kind: integer(1, 1_000_000),
    group: NOTICES,
    help: 'queue_long when so many requests wait for some seconds, queue_short when half as many do again',
    fallback: null,
    fallbackText: 'the queue is not told of',
  }),
} as const;

/** Least time between two messages, ms: what happens meanwhile is told together. */
const INTERVAL_MS = 10_000;

/** Null: nobody is told. @throws SettingsError */
export function notifySettings(values: Values<typeof notifyTable>): NotificationSettings | null {
  const { notify, notifyFormat, notifySecret, notifyEvents, notifyQueueThreshold } = values;
  if (notify === null) {
    const given = notifySecret !== null ? '--notify-secret' : notifyQueueThreshold !== null ? '--notify-queue-threshold' : null;
    if (given !== null) throw new SettingsError([`${given} is of no use without --notify: give --notify-file with the address of who is to be told`]);
    return null;
  }
  if (notifySecret !== null && (notifyFormat === 'wecom' || notifyFormat === 'normal'))
    throw new SettingsError([
      `--notify-secret is of no use with --notify-format ${notifyFormat}, which has no place for a signature; leave it out, or give --notify-format json`,
    ]);
  return {
    name: 'notify',
    url: notify,
    format: notifyFormat,
    secret: notifySecret,
    events: new Set(notifyEvents),
    queueThreshold: notifyQueueThreshold,
    intervalMs: INTERVAL_MS,
  };
}
