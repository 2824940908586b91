// HOT: begin() and finished() run once per request when there is a journal.
import type { AccessLog, AccessRecord } from '../observe/access-log.ts';
import type { Notes } from '../http/exchange.ts';
import type { HeaderList, Peer, RequestHead, ResponseHead } from '../http/head.ts';

/** Writes one line per request. The core tells it of every request once; a site without a journal spends nothing on it. */
export interface Journal {
  /** A request came: called before anything changes its head. `head` is null when it could not be read; `notes` is read again at the end. */
  begin(head: RequestHead | null, notes: Notes, peer: Peer): Entry;
}

/** What a journal keeps of one request. Heads are scratch: it takes from them what its line needs, and no more. */
export interface Entry {
  /** The head as it goes on to the upstream, after rewrites and edits. Not called when it was not changed. */
  changed(head: RequestHead): void;
  /** The head as an endpoint gets it, at each attempt. */
  sent(head: RequestHead): void;
  /** The head of the answer, as it goes to the client where no plugin changes it. Not called when none came. */
  answered(head: ResponseHead): void;
  /** The head of the answer behind the plugins of its location, or that of a plugin's own. */
  passed(head: ResponseHead): void;
  /** Its trailers, where it has any, before they go out. */
  trailed(trailers: HeaderList): void;
  /** Once, last. `status`: as logged (499 for a client that left); `location` and `upstream`: names, '' when there is none. */
  finished(status: number, nowMs: number, location: string, upstream: string): void;
}

/** The line of `hub run`: see AccessLog. */
export class AccessJournal implements Journal {
  readonly log: AccessLog;
  readonly wall: () => number;
  readonly record: AccessRecord = emptyRecord();

  constructor(log: AccessLog, wall: () => number) {
    this.log = log;
    this.wall = wall;
  }

  begin(head: RequestHead | null, notes: Notes, peer: Peer): Entry {
    return head === null
      ? new AccessEntry(this, notes, '-', '-', '-', peer.http2 ? '2.0' : '1.1', peer.address)
      : new AccessEntry(this, notes, head.method, head.target, head.authority, versionOf(head, peer), head.client);
  }
}

class AccessEntry implements Entry {
  readonly #journal: AccessJournal;
  readonly #notes: Notes;
  readonly #method: string;
  readonly #target: string;
  readonly #host: string;
  readonly #version: string;
  readonly #client: string;

  constructor(journal: AccessJournal, notes: Notes, method: string, target: string, host: string, version: string, client: string) {
    this.#journal = journal;
    this.#notes = notes;
    this.#method = method;
    this.#target = target;
    this.#host = host;
    this.#version = version;
    this.#client = client;
  }

  changed(): void {}

  sent(): void {}

  answered(): void {}

  passed(): void {}

  trailed(): void {}

  finished(status: number, nowMs: number): void {
    const { record, log, wall } = this.#journal;
    const notes = this.#notes;
    record.wallMs = wall();
    record.client = this.#client;
    record.method = this.#method;
    record.target = this.#target;
    record.version = this.#version;
    record.status = status;
    record.replyBytes = notes.replyBytes;
    record.requestBytes = notes.requestBytes;
    record.totalMs = nowMs - notes.startMs;
    record.waitMs = notes.waitedMs;
    record.agent = notes.agent;
    record.endpoint = notes.endpoint;
    record.attempts = notes.attempts;
    record.failure = notes.failure === null ? '' : notes.failure.code;
    record.host = this.#host;
    record.tries = notes.tries;
    log.write(record);
  }
}

function emptyRecord(): AccessRecord {
  return {
    wallMs: 0,
    client: '',
    method: '',
    target: '',
    version: '1.1',
    status: 0,
    replyBytes: 0,
    requestBytes: 0,
    totalMs: 0,
    waitMs: 0,
    agent: '',
    endpoint: '',
    attempts: 0,
    failure: '',
    host: '',
    tries: '',
  };
}

/** What the client spoke: its head is text of HTTP/1.1 either way. */
export function versionOf({ minor }: RequestHead, { http2 }: Peer): string {
  return http2 ? '2.0' : minor === 0 ? '1.0' : '1.1';
}
