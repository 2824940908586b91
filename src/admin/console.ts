import type { Handler, ReplySink, RequestSink } from '../http/exchange.ts';
import type { RequestHead } from '../http/head.ts';
import type { AdminApi } from './api.ts';
import { type Answer, answer, discard, problem } from './answer.ts';
import type { Files } from './files.ts';
import { type HostRule, hostProblem } from './host-rule.ts';

/** Under the console's base: where the API is. */
export const API_PATH = '/api/v1';

/** What the console is made of. */
export interface ConsoleParts {
  readonly api: AdminApi;
  /** The pages. */
  readonly files: Files;
}

/** The console at one place: the API, and pages that use it. Never answers before `open` has returned. */
export class ConsoleDoor implements Handler {
  readonly #parts: ConsoleParts;
  readonly #base: string;
  readonly #hosts: () => HostRule;

  /** `base`: under which path, such as `/ops`; '' = all of them. */
  constructor(parts: ConsoleParts, base: string, hosts: () => HostRule) {
    this.#parts = parts;
    this.#base = base;
    this.#hosts = hosts;
  }

  open(head: RequestHead, reply: ReplySink): RequestSink {
    const refused = hostProblem(head, this.#hosts());
    if (refused !== null) return later(head, reply, problem(refused.status, refused.code, refused.detail));
    const whole = head.path;
    const base = this.#base;
    // What is relative in a page is relative to its last slash.
    if (whole === base) return later(head, reply, { status: 308, fields: ['Location', `${base}/`], body: '' });
    if (!whole.startsWith(`${base}/`)) return later(head, reply, problem(404, 'not_found', `The console is at ${base}/.`));
    const path = whole.slice(base.length);
    if (path === API_PATH || path.startsWith(`${API_PATH}/`)) return this.#parts.api.open(head, path.slice(API_PATH.length), base, reply);
    return this.#parts.files.open(head, path, reply);
  }
}

/** Answers when `open` has returned, unless the client has left by then. */
function later(head: RequestHead, reply: ReplySink, made: Answer): RequestSink {
  const isHead = head.method === 'HEAD';
  let isOver = false;
  setImmediate(() => {
    if (isOver) return;
    isOver = true;
    answer(reply, made, isHead);
  });
  return {
    ...discard(),
    abort() {
      if (isOver) return;
      isOver = true;
      reply.settled();
    },
  };
}
