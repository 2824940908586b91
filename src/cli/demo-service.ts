import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The service that the demo puts behind its agent. */
export interface DemoService {
  readonly port: number;
  /** Ends it, and what it is answering. */
  close(): Promise<void>;
}

/** Tokens a second: slow enough to see them come, fast enough to be done in two seconds. */
const TOKENS_PER_SECOND = 20;
const BODY_BYTES_MAX = 1024 * 1024;
const MODEL = 'demo';
const SENTENCE =
  'A hub took your request, gave it to a free slot of an agent that had dialled out to it, and every token you read came back through that one connection.';
const TOKENS: readonly string[] = SENTENCE.match(/\S+\s*/g)!;

/** A small "model" that says one sentence token by token, and plain JSON beside it, on a free loopback port. */
export async function startDemoService(): Promise<DemoService> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').replace(/\?.*/, '');
    const route = `${request.method === 'HEAD' ? 'GET' : request.method} ${path}`;
    if (route === 'GET /') json(response, 200, { service: 'windlass demo', try: ['/v1/models', '/v1/stream', '/v1/chat/completions'] });
    else if (route === 'GET /v1/models') json(response, 200, { object: 'list', data: [{ id: MODEL, object: 'model', owned_by: 'windlass' }] });
    else if (route === 'GET /v1/stream') stream(response, (token) => (token === null ? 'event: end\ndata: {}\n\n' : event({ token })));
    else if (route === 'POST /v1/chat/completions') chat(request, response);
    else json(response, 404, { error: { message: `no ${path} here`, type: 'not_found' } });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The shape that clients of language models know. */
function chat(request: IncomingMessage, response: ServerResponse): void {
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (text: string) => {
    if (body.length <= BODY_BYTES_MAX) body += text;
  });
  request.on('end', () => {
    const asked = body.length > BODY_BYTES_MAX ? null : parsed(body);
    const common = { id: 'chatcmpl-demo', created: Math.floor(Date.now() / 1000), model: MODEL };
    if (asked === null) json(response, 400, { error: { message: 'the body is not a JSON object', type: 'invalid_request_error' } });
    else if (asked.stream === true) {
      const chunk = (delta: object, finish: string | null): string =>
        event({ ...common, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] });
      stream(response, (token) => (token === null ? `${chunk({}, 'stop')}data: [DONE]\n\n` : chunk({ content: token }, null)));
    } else {
      const message = { role: 'assistant', content: SENTENCE };
      const usage = { prompt_tokens: 0, completion_tokens: TOKENS.length, total_tokens: TOKENS.length };
      json(response, 200, { ...common, object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }], usage });
    }
  });
}

function parsed(body: string): { stream?: unknown } | null {
  try {
    const value = JSON.parse(body) as unknown;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** Sends `say(token)` for each token in its time, then `say(null)`. Stops when the reader has left. */
function stream(response: ServerResponse, say: (token: string | null) => string): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  let next = 0;
  const timer = setInterval(() => {
    if (next < TOKENS.length) response.write(say(TOKENS[next++]!));
    else {
      clearInterval(timer);
      response.end(say(null));
    }
  }, 1000 / TOKENS_PER_SECOND);
  response.on('close', () => clearInterval(timer));
}

function event(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

function json(response: ServerResponse, status: number, value: object): void {
  const text = `${JSON.stringify(value)}\n`;
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}
