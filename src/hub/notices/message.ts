import { createHmac } from 'node:crypto';
import type { NoticeEvent, NotificationSettings } from '../../config/sections/notification.ts';
import { noticeLimits } from './limits.ts';
import { levelOf, type Notice, type NoticeLevel } from './notice.ts';

/** Who speaks. */
export interface Speaker {
  /** Of the gateway, as `name` in [basic] says. */
  readonly name: string;
  readonly hostname: string;
  /** An address of this machine; '' when it has none. */
  readonly ip: string;
}

/** A notice that happened so many times since the last message, the time being that of the last. */
export interface CountedNotice extends Notice {
  readonly count: number;
}

/** One request to a receiver. */
export interface NoticeRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Delivery {
  /** The same for every try. */
  readonly id: string;
  readonly notices: readonly CountedNotice[];
  /** How many more there were that nobody kept. */
  readonly omitted: number;
}

/** What is sent of a delivery at this moment (Unix ms): its signature holds the time. */
export function requestsOf(settings: NotificationSettings, speaker: Speaker, delivery: Delivery, nowMs: number): readonly NoticeRequest[] {
  const { url, format, secret } = settings;
  switch (format) {
    case 'json':
      return [jsonRequest(url.href, secret, speaker, delivery, nowMs)];
    case 'wecom':
      return [plainRequest(url.href, { msgtype: 'markdown', markdown: { content: markdownOf(speaker, delivery, noticeLimits.wecomBytes) } })];
    case 'dingtalk': {
      const text = markdownOf(speaker, delivery, Infinity);
      return [plainRequest(dingtalkUrl(url, secret, nowMs), { msgtype: 'markdown', markdown: { title: titleOf(speaker, delivery), text } })];
    }
    case 'normal':
      return delivery.notices.map((notice) =>
        plainRequest(url.href, {
          name: speaker.name,
          level: PINGAP_LEVELS[levelOf(notice.event)],
          hostname: speaker.hostname,
          ip: speaker.ip,
          category: PINGAP_CATEGORIES[notice.event],
          message: cut(notice.message),
        }),
      );
  }
}

/** What a receiver reckons with the same secret: hex of HMAC-SHA256 over the seconds, a dot and the body. */
export function signatureOf(secret: string, seconds: number, body: string): string {
  return createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex');
}

function jsonRequest(url: string, secret: string | null, speaker: Speaker, { id, notices, omitted }: Delivery, nowMs: number): NoticeRequest {
  const body = JSON.stringify({
    version: 1,
    id,
    name: speaker.name,
    hostname: speaker.hostname,
    notices: notices.map(({ event, atMs, subject, message, count }) => ({
      event,
      level: levelOf(event),
      at: new Date(atMs).toISOString(),
      subject: cut(subject),
      message: cut(message),
      count,
    })),
    omitted,
  });
  const seconds = Math.floor(nowMs / 1000);
  return {
    url,
    headers: {
      'content-type': 'application/json',
      'windlass-delivery': id,
      'windlass-timestamp': String(seconds),
      ...(secret === null ? {} : { 'windlass-signature': `sha256=${signatureOf(secret, seconds, body)}` }),
    },
    body,
  };
}

function plainRequest(url: string, value: unknown): NoticeRequest {
  return { url, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}

/** A robot with a secret wants the time (ms) and its signature in the address. */
function dingtalkUrl(url: URL, secret: string | null, nowMs: number): string {
  if (secret === null) return url.href;
  const signed = new URL(url);
  signed.searchParams.set('timestamp', String(nowMs));
  signed.searchParams.set('sign', createHmac('sha256', secret).update(`${nowMs}\n${secret}`).digest('base64'));
  return signed.href;
}

function titleOf({ name }: Speaker, { notices }: Delivery): string {
  const worst = notices.find(({ event }) => levelOf(event) === 'error') ?? notices.find(({ event }) => levelOf(event) === 'warning') ?? notices[0];
  return `${markdownText(name)}: ${worst === undefined ? 'notices' : markdownText(worst.message)}`.slice(0, TITLE_CHARS);
}

const TITLE_CHARS = 100;

function markdownOf(speaker: Speaker, { notices, omitted }: Delivery, maxBytes: number): string {
  const head = `**${markdownText(speaker.name)}** on ${markdownText(speaker.hostname)}`;
  const lines = notices.map(({ event, message, count, atMs }) => {
    const times = count === 1 ? '' : ` (${count} times)`;
    return `> ${SIGNS[levelOf(event)]} ${markdownText(message)}${times}, ${new Date(atMs).toISOString()}`;
  });
  for (let shown = lines.length; ; shown--) {
    const more = omitted + lines.length - shown;
    const text = [head, ...lines.slice(0, shown), ...(more === 0 ? [] : [`> and ${more} more`])].join('\n');
    if (shown === 0 || Buffer.byteLength(text) <= maxBytes) return text;
  }
}

const SIGNS: { readonly [K in NoticeLevel]: string } = { info: '✅', warning: '⚠️', error: '❌' };

/** Names come from others: what Markdown, HTML and mentions are made of is shown by signs that look alike. */
function markdownText(text: string): string {
  return cut(text).replaceAll(/[<>[\]()*_`~#@|\\!]/g, (sign) => LOOKALIKES[sign] ?? ' ');
}

const LOOKALIKES: Readonly<Record<string, string>> = {
  '<': '‹',
  '>': '›',
  '[': '［',
  ']': '］',
  '(': '（',
  ')': '）',
  '*': '∗',
  _: '＿',
  '`': 'ˋ',
  '~': '∼',
  '#': '＃',
  '@': '＠',
  '|': '¦',
  '\\': '＼',
  '!': '！',
};

/** One line of bounded length. */
function cut(text: string): string {
  const plain = text.replaceAll(/[\p{C}\u2028\u2029]+/gu, ' ');
  return plain.length > noticeLimits.messageChars ? `${plain.slice(0, noticeLimits.messageChars)}…` : plain;
}

const PINGAP_LEVELS: { readonly [K in NoticeLevel]: string } = { info: 'info', warning: 'warn', error: 'error' };

/** Pingap's name for what we tell of. */
const PINGAP_CATEGORIES: { readonly [K in NoticeEvent]: string } = {
  endpoint_unhealthy: 'backend_status',
  endpoint_healthy: 'backend_status',
  upstream_down: 'upstream_status',
  upstream_up: 'upstream_status',
  agent_lost: 'backend_status',
  agent_joined: 'backend_status',
  reload_failed: 'reload_config_fail',
  reload_succeeded: 'reload_config',
  certificate_expiring: 'tls_validity',
  certificate_failed: 'lets_encrypt',
  certificate_renewed: 'lets_encrypt',
  queue_long: 'upstream_status',
  queue_short: 'upstream_status',
};
