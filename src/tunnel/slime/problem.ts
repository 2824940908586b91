import { Buffer } from 'node:buffer';
import type { ReplySink, RequestSink } from '../../http/exchange.ts';
import type { Failure } from '../../http/failure.ts';
import { ResponseHead } from '../../http/head.ts';
import { REASONS } from '../../http/write.ts';

/** Answers an agent's request with why not, in problem+json. */
export function answerProblem(agent: ReplySink, failure: Failure): void {
  const { status, detail, code, retryAfterS } = failure;
  const body = problemBody(status, detail, code);
  const fields = ['Content-Type', 'application/problem+json'];
  if (retryAfterS > 0) fields.push('Retry-After', String(retryAfterS));
  if (status === 401) fields.push('WWW-Authenticate', 'Slime-Agent-Token');
  agent.head(ResponseHead.make(status, fields, body.length));
  agent.write(body);
  agent.end();
}

/** A problem as RFC 9457 has it. */
export function problemBody(status: number, detail: string, code: string): Buffer {
  return Buffer.from(`${JSON.stringify({ type: 'about:blank', title: REASONS[status] ?? 'Error', status, detail, code })}\n`);
}

/** A sink for what is not read any more. */
export const UNREAD: RequestSink = Object.freeze({
  get writer() {
    return null;
  },
  set writer(_writer) {},
  write: () => true,
  end: () => {},
  abort: () => {},
  settled: () => {},
});
