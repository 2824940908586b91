import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../observe/log.ts';

/** As in service workers. `request.signal` is aborted when the application that asked has left. */
export type FetchHandler = (request: Request) => Response | Promise<Response>;

/** How much of a body is read ahead of the handler, bytes. */
const AHEAD_BYTES = 64 * 1024;
/** Fields about the connection, which are not the handler's. */
const OF_CONNECTION = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade']);

/** Has a fetch-style handler answer a request of node:http. Resolves when the answer is out, or given up. */
export async function answerWith(handler: FetchHandler, request: IncomingMessage, response: ServerResponse, log: Log): Promise<void> {
  const gone = new AbortController();
  const left = (): void => {
    if (!response.writableFinished) gone.abort(new DOMException('the client has left', 'AbortError'));
  };
  response.once('close', left);
  let asked: Request;
  try {
    asked = requestOf(request, gone.signal);
  } catch {
    // Methods that fetch forbids (TRACE, CONNECT), targets that are no URL.
    response.writeHead(501, { 'Content-Type': 'text/plain' }).end('a fetch handler cannot be asked this\n');
    return;
  }
  let answer: Response;
  try {
    answer = await handler(asked);
    if (!(answer instanceof Response)) throw new TypeError('the handler returned no Response');
  } catch (error) {
    // Who is told to stop may say so.
    if (gone.signal.aborted) return;
    throw error;
  }
  await send(answer, request, response, gone.signal, log);
}

function requestOf(request: IncomingMessage, signal: AbortSignal): Request {
  const { method = 'GET', rawHeaders, url = '/' } = request;
  const headers = new Headers();
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (!OF_CONNECTION.has(rawHeaders[i]!.toLowerCase())) headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
  // The hub writes it anew, whatever the application has sent.
  const scheme = headers.get('x-forwarded-proto') === 'https' ? 'https' : 'http';
  const target = new URL(url === '*' ? '/' : `${scheme}://${request.headers.host ?? 'localhost'}${url}`, 'http://localhost');
  const hasBody =
    method !== 'GET' &&
    method !== 'HEAD' &&
    (request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0);
  return new Request(target, { method, headers, signal, ...(hasBody ? { body: bodyOf(request), duplex: 'half' } : {}) } as RequestInit);
}

function bodyOf(request: IncomingMessage): ReadableStream<Uint8Array> {
  let isOpen = true;
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        request.on('data', (chunk: Buffer) => {
          if (!isOpen) return;
          controller.enqueue(chunk);
          if (controller.desiredSize! <= 0) request.pause();
        });
        request.pause();
        request.on('end', () => {
          if (isOpen) controller.close();
          isOpen = false;
        });
        const broke = (): void => {
          if (isOpen) controller.error(new Error('the request broke off'));
          isOpen = false;
        };
        request.on('error', broke);
        request.on('close', broke);
      },
      pull: () => void request.resume(),
      cancel: () => {
        // The rest is read and thrown away, so that the connection can go on.
        isOpen = false;
        request.resume();
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: AHEAD_BYTES }),
  );
}

async function send(answer: Response, request: IncomingMessage, response: ServerResponse, gone: AbortSignal, log: Log): Promise<void> {
  const { body } = answer;
  if (response.destroyed) {
    await body?.cancel(gone.reason).catch(() => {});
    return;
  }
  const fields: string[] = [];
  answer.headers.forEach((value, name) => {
    if (!OF_CONNECTION.has(name)) fields.push(name, value);
  });
  response.writeHead(answer.status, answer.statusText, fields);
  if (body === null || request.method === 'HEAD') {
    response.end();
    await body?.cancel().catch(() => {});
    return;
  }
  // Who streams wants its head to be seen before there is a body.
  response.flushHeaders();
  const reader = body.getReader();
  const stop = (): void => void reader.cancel(gone.reason).catch(() => {});
  gone.addEventListener('abort', stop, { once: true });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || gone.aborted) break;
      if (!response.write(value)) await once(response, 'drain', { signal: gone });
    }
    if (!gone.aborted) response.end();
  } catch (error) {
    // An answer that breaks off must not look whole.
    if (!gone.aborted) log.warn({ error: (error as Error).message }, 'the body of an answer broke off');
    response.destroy();
  } finally {
    gone.removeEventListener('abort', stop);
  }
}
