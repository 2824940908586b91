import { Buffer } from 'node:buffer';
import type { ReplySink, RequestSink } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import { type RequestHead, ResponseHead } from '../http/head.ts';
import { METRICS_TYPE } from '../observe/metrics.ts';
import type { Candidate, Upstream } from '../upstream/upstream.ts';
import { type Location, plainLocation } from '../proxy/location.ts';
import type { House } from './house.ts';

/** Shows the metrics at a path of a server (`prometheus_metrics`): an upstream that is ourselves. */
export function operatorsLocation({ metrics }: House): Location {
  return plainLocation({ name: 'prometheus_metrics', upstream: new Inside(() => metrics.render()) });
}

class Inside implements Upstream {
  readonly name = '';
  readonly keepsHeads = false;
  readonly #candidate: Candidate;

  constructor(render: () => string) {
    const endpoint = { id: 'windlass', open: (head: RequestHead, reply: ReplySink) => answerSoon(head.method, reply, render) };
    this.#candidate = { endpoint, replyFields: '', agentId: '', watch: null, loads: null };
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

/** An endpoint never answers before its open() has returned. */
function answerSoon(method: string, reply: ReplySink, render: () => string): RequestSink {
  let live = true;
  setImmediate(() => {
    if (live) {
      const isRead = method === 'GET' || method === 'HEAD';
      const body = Buffer.from(isRead ? render() : 'only GET and HEAD are answered here\n');
      const fields = isRead ? ['Content-Type', METRICS_TYPE] : ['Content-Type', 'text/plain', 'Allow', 'GET, HEAD'];
      reply.head(ResponseHead.make(isRead ? 200 : 405, [...fields, 'Cache-Control', 'no-store'], body.length));
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
