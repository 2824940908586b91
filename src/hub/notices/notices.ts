import { hostname, networkInterfaces } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import type { NotificationSettings } from '../../config/sections/notification.ts';
import type { Log } from '../../observe/log.ts';
import type { Registry } from '../../observe/metrics.ts';
import type { Loop } from '../../std/loop.ts';
import type { Timed } from '../../std/sweeper.ts';
import { noticeLimits } from './limits.ts';
import { Lookout, type LookoutSources } from './lookout.ts';
import type { Speaker } from './message.ts';
import type { Notice } from './notice.ts';
import { QueueWatch } from './queue-watch.ts';
import { type NoticeCounts, Receiver } from './receiver.ts';

export interface NoticesOptions {
  readonly loop: Loop;
  readonly log: Log;
  readonly metrics: Registry;
  readonly sources: LookoutSources & {
    /** Requests that wait for a slot. */
    waiting(): number;
  };
  /** Is the program stopping? Then it is no news that agents go. */
  readonly isEnding: () => boolean;
}

interface Told {
  readonly settings: NotificationSettings;
  readonly receiver: Receiver;
  readonly queue: QueueWatch | null;
}

/** Tells of what happens to those whom the configuration names. While it names nobody, nothing is looked at. */
export class Notices implements Timed {
  due = Infinity;
  place = -1;
  readonly #options: NoticesOptions;
  readonly #counts = new Map<string, NoticeCounts>();
  #told = new Map<string, Told>();
  #lookout: Lookout | null = null;
  #name = '';

  constructor(options: NoticesOptions) {
    this.#options = options;
    options.metrics.computed('counter', 'windlass_notifications_total', 'Notices by what became of them.', ['notification', 'result'], (emit) => {
      for (const [name, { sent, failed, dropped }] of this.#counts) {
        emit(sent, name, 'sent');
        emit(failed, name, 'failed');
        emit(dropped, name, 'dropped');
      }
    });
  }

  /** These are told from now on. Who is told as before goes on, with all that waits for it. `name`: of the gateway. */
  renew(name: string, notifications: ReadonlyMap<string, NotificationSettings>): void {
    this.#name = name;
    const { loop, log, sources } = this.#options;
    const before = this.#told;
    this.#told = new Map();
    for (const [key, settings] of notifications) {
      const known = before.get(key);
      if (known !== undefined && isDeepStrictEqual(known.settings, settings)) {
        this.#told.set(key, known);
        continue;
      }
      let counts = this.#counts.get(key);
      if (counts === undefined) this.#counts.set(key, (counts = { sent: 0, failed: 0, dropped: 0 }));
      const receiver = new Receiver({ settings, speaker: () => this.#speaker(), log, clock: loop.clock, counts });
      this.#told.set(key, { settings, receiver, queue: settings.queueThreshold === null ? null : new QueueWatch(settings.queueThreshold) });
    }
    for (const [key, { receiver }] of before) if (this.#told.get(key)?.receiver !== receiver) receiver.close();
    for (const key of this.#counts.keys()) if (!notifications.has(key)) this.#counts.delete(key);
    if (this.#told.size === 0) {
      this.#lookout = null;
      loop.sweeper.remove(this);
      return;
    }
    if (this.#lookout === null) {
      this.#lookout = new Lookout(sources, (notice) => this.#tellAll(notice));
      this.#lookout.begin();
    }
    this.#lookout.certificatesChanged();
    this.due = loop.clock.now() + noticeLimits.lookMs;
    loop.sweeper.add(this);
  }

  /** Tells whoever wants to hear of it, soon. Never throws. */
  tell(notice: Omit<Notice, 'atMs'>): void {
    this.#tellAll({ ...notice, atMs: this.#options.loop.clock.wall() });
  }

  /** A certificate has changed. */
  certificatesChanged(): void {
    this.#lookout?.certificatesChanged();
  }

  expired(now: number): void {
    this.due = now + noticeLimits.lookMs;
    const { loop, log, sources, isEnding } = this.#options;
    if (isEnding()) return;
    try {
      this.#lookout?.look(now, loop.clock.wall());
      const waiting = sources.waiting();
      for (const { settings, receiver, queue } of this.#told.values()) {
        const became = queue?.look(waiting, now) ?? null;
        if (became === null) continue;
        const message =
          became === 'long'
            ? `${waiting} requests wait for a slot: ${settings.queueThreshold} or more for some seconds`
            : `${waiting} requests wait for a slot: the queue is short again`;
        receiver.tell({ event: became === 'long' ? 'queue_long' : 'queue_short', atMs: loop.clock.wall(), subject: 'queue', message });
      }
    } catch (error) {
      log.error(
        { error: (error as Error).stack ?? String(error) },
        'what is to be told of could not be looked at: a defect of ours, please report it',
      );
    }
  }

  close(): void {
    this.#options.loop.sweeper.remove(this);
    for (const { receiver } of this.#told.values()) receiver.close();
    this.#told.clear();
  }

  #tellAll(notice: Notice): void {
    for (const { receiver } of this.#told.values()) receiver.tell(notice);
  }

  #speaker(): Speaker {
    return { name: this.#name, hostname: hostname(), ip: ownAddress() };
  }
}

function ownAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { family, internal, address } of addresses ?? []) if (family === 'IPv4' && !internal) return address;
  }
  return '';
}
