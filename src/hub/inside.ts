import { Buffer } from 'node:buffer';
import type { Handler, ReplySink, RequestSink } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import { type RequestHead, ResponseHead } from '../http/head.ts';
import type { Candidate, Upstream } from '../upstream/upstream.ts';
import { answer, discard, problem } from '../admin/answer.ts';
import type { Pages } from '../admin/basics.ts';

/** A text that is shown. */
export interface Page {
  readonly type: string;
  /** Made when it is sent. */
  readonly text: () => string;
}

/** An upstream that is ourselves. `open` never answers before it has returned, as endpoints do. */
export class Inside implements Upstream {
  readonly name = '';
  readonly keepsHeads = false;
  readonly #candidate: Candidate;

  constructor(open: Handler['open']) {
    this.#candidate = { endpoint: { id: 'windlass', open }, replyFields: '', agentId: '', watch: null, loads: null };
  }

  pick(): Candidate {
    return this.#candidate;
  }

  lacking(): Failure {
    return new Failure('internal', 'we are always here');
  }

  wait(): Failure {
    return this.lacking();
  }

  leave(): void {}

  letGo(): boolean {
    return false;
  }
}

/** An upstream that answers with pages, and 404 where there is none. */
export function answersWith(pages: Pages): Upstream {
  return new Inside((head, reply) => {
    const page = pages(head) ?? problem(404, 'not_found', 'nothing is here');
    const isHead = head.method === 'HEAD';
    let live = true;
    setImmediate(() => {
      if (live) answer(reply, page, isHead);
      else reply.settled();
    });
    return {
      ...discard(),
      abort() {
        live = false;
      },
    };
  });
}

/** For an Inside: shows what `look` makes of a request, to GET and HEAD. Null: 404. */
export function shows(look: (head: RequestHead) => Page | null): Handler['open'] {
  return (head, reply) => answerSoon(head.method, look(head), reply);
}

function answerSoon(method: string, page: Page | null, reply: ReplySink): RequestSink {
  let live = true;
  setImmediate(() => {
    if (live) {
      const isRead = method === 'GET' || method === 'HEAD';
      const status = !isRead ? 405 : page === null ? 404 : 200;
      const body = Buffer.from(status === 200 ? page!.text() : status === 404 ? 'nothing is here\n' : 'only GET and HEAD are answered here\n');
      const fields = ['Content-Type', status === 200 ? page!.type : 'text/plain', ...(isRead ? [] : ['Allow', 'GET, HEAD'])];
      reply.head(ResponseHead.make(status, [...fields, 'Cache-Control', 'no-store'], body.length));
      if (method !== 'HEAD') reply.write(body);
      reply.end();
    }
    reply.settled();
  });
  return {
    writer: null,
    write: () => true,
    end() {},
    abort() {
      live = false;
    },
    settled() {},
  };
}
