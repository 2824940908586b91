import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';
import { expect, test } from 'vitest';
import { kit, metric, metricBecomes, type Served, tokenFor } from '../kit/kit.ts';

const { startHubWith, startAgentFor, later } = kit();

/** A short run stands among the other tests; `npm run mixed` makes a long one. */
const REQUESTS = Number(process.env['MIXED_REQUESTS'] ?? 3_000);
const SEED = Number(process.env['MIXED_SEED'] ?? 1);
/** Nearly twice as many as there are slots. */
const WORKERS = 128;
const SLOTS = [1, 4, 64] as const;
const LARGEST_BYTES = 10 * 1024 * 1024;

/** Both ends know all bodies: slices of this. */
const BYTES = randomBytes(2 * LARGEST_BYTES);

/** Pseudo-random, so that a run can be repeated. */
function random(seed: number): () => number {
  let state = (seed * 2_654_435_761) >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Mostly small, sometimes large, seldom as large as may be. */
function size(next: () => number): number {
  const kind = next();
  const most = kind < 0.7 ? 4 * 1024 : kind < 0.95 ? 80 * 1024 : kind < 0.995 ? 1024 * 1024 : LARGEST_BYTES;
  return Math.floor(next() * (most + 1));
}

function slice(from: number, bytes: number): Buffer {
  return BYTES.subarray(from, from + bytes);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** An upstream that knows how many it serves at once, and which POSTs it has had. */
class Origin {
  readonly server: http.Server;
  readonly posts = new Set<string>();
  readonly wrong: string[] = [];
  running = 0;
  most = 0;
  served = 0;

  constructor() {
    this.server = http.createServer((request, response) => this.#serve(request, response));
    this.server.keepAliveTimeout = 30_000;
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    this.served++;
    this.most = Math.max(this.most, ++this.running);
    response.on('close', () => this.running--);
    response.on('error', () => {});
    request.on('error', () => {});
    const query = new URL(request.url!, 'http://origin').searchParams;
    const number = (name: string): number => Number(query.get(name));
    const id = query.get('id')!;
    if (request.method === 'POST') {
      if (this.posts.has(id)) this.wrong.push(`POST ${id} came twice`);
      this.posts.add(id);
    }
    const hash = createHash('sha256');
    request.on('data', (chunk: Buffer) => hash.update(chunk));
    request.on('end', () => void setTimeout(answer, number('work')));
    const answer = (): void => {
      if (request.method === 'POST' && hash.digest('hex') !== sha256(slice(number('upfrom'), number('up'))))
        this.wrong.push(`POST ${id} had wrong bytes`);
      const body = slice(number('from'), number('size'));
      response.setHeader('X-Id', id);
      switch (query.get('how')) {
        case 'length':
          response.setHeader('Content-Length', body.length);
          response.end(body);
          break;
        case 'events':
          this.#events(response, body);
          break;
        default:
          this.#pieces(response, body, 0);
      }
    };
  }

  #pieces(response: http.ServerResponse, body: Buffer, from: number): void {
    for (let at = from; at < body.length;) {
      const end = Math.min(body.length, at + 1 + ((at * 7 + 77_777) % 50_021));
      const room = response.write(body.subarray(at, end));
      at = end;
      if (!room) {
        response.once('drain', () => this.#pieces(response, body, at));
        return;
      }
    }
    response.end();
  }

  #events(response: http.ServerResponse, body: Buffer): void {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const step = Math.max(1, Math.ceil(body.length / 10));
    let at = 0;
    const next = (): void => {
      if (response.destroyed) return;
      if (at >= body.length) {
        response.end();
        return;
      }
      response.write(body.subarray(at, (at += step)));
      setImmediate(next);
    };
    next();
  }
}

interface Tally {
  right: number;
  busy: number;
  left: number;
  bytes: number;
  readonly wrong: string[];
}

/** One request and what may become of it. */
function ask(hub: Served, agent: http.Agent, id: number, next: () => number, tally: Tally): Promise<void> {
  const method = (['GET', 'GET', 'HEAD', 'POST', 'POST'] as const)[Math.floor(next() * 5)]!;
  const how = (['length', 'chunks', 'events'] as const)[Math.floor(next() * 3)]!;
  const bytes = size(next);
  const from = Math.floor(next() * LARGEST_BYTES);
  const up = method === 'POST' ? size(next) : 0;
  const upfrom = Math.floor(next() * LARGEST_BYTES);
  const byLength = next() < 0.5;
  const waits = next() < 0.8;
  const leaves = next() < 0.12 ? Math.floor(next() * 3) : -1;
  const leavesAt = next();
  const slow = next() < 0.05;
  const headers: http.OutgoingHttpHeaders = { Host: 'app.example' };
  if (waits) headers['Slime-Block'] = '1';
  if (method === 'POST' && byLength) headers['Content-Length'] = up;
  const work = next() < 0.3 ? 0 : Math.floor(next() * 100);
  const path = `/?id=${id}&work=${work}&how=${how}&size=${bytes}&from=${from}&up=${up}&upfrom=${upfrom}`;
  const what = `${method} ${id} (${how}, ${bytes} down, ${up} up${byLength ? ' by length' : ''})`;
  return new Promise((resolve) => {
    let over = false;
    const end = (wrong?: string): void => {
      if (over) return;
      over = true;
      if (wrong !== undefined) tally.wrong.push(`${what}: ${wrong}`);
      resolve();
    };
    const request = http.request({ host: '127.0.0.1', port: hub.address.port, method, path, headers, agent });
    const leave = (): void => {
      if (over) return;
      tally.left++;
      request.destroy();
      end();
    };
    request.setTimeout(60_000, () => {
      end('no sign of life for a minute');
      request.destroy();
    });
    request.on('error', (error) => end(`failed: ${error.message}`));
    request.on('response', (response) => {
      const status = response.statusCode!;
      const hash = createHash('sha256');
      let heard = 0;
      const leaveAfter = leaves === 2 ? Math.floor(leavesAt * bytes) : Number.POSITIVE_INFINITY;
      response.on('data', (chunk: Buffer) => {
        hash.update(chunk);
        heard += chunk.length;
        if (heard > leaveAfter) leave();
        else if (slow) {
          response.pause();
          setTimeout(() => response.resume(), 1);
        }
      });
      response.on('error', (error) => end(`broke off after ${heard} bytes: ${error.message}`));
      response.on('end', () => {
        if (over) return;
        tally.bytes += heard;
        if (!response.complete) end(`ended before it was complete, after ${heard} bytes`);
        else if (status === 503 && !waits) {
          tally.busy++;
          end();
        } else if (status !== 200) end(`status ${status}`);
        else if (response.headers['x-id'] !== String(id)) end(`the answer to ${String(response.headers['x-id'])}`);
        else if (method === 'HEAD' ? heard !== 0 : heard !== bytes || hash.digest('hex') !== sha256(slice(from, bytes)))
          end(`wrong bytes (${heard})`);
        else {
          tally.right++;
          end();
        }
      });
    });
    if (leaves === 0) setTimeout(leave, leavesAt * 20);
    if (method !== 'POST') {
      request.end();
      return;
    }
    const body = slice(upfrom, up);
    const cutAt = leaves === 1 ? Math.floor(leavesAt * up) : Number.POSITIVE_INFINITY;
    const send = (start: number): void => {
      for (let at = start; at < up;) {
        if (over) return;
        if (at >= cutAt) {
          setImmediate(leave);
          return;
        }
        const stop = Math.min(up, at + 1 + ((at * 13 + 33_333) % 40_009));
        const room = request.write(body.subarray(at, stop));
        at = stop;
        if (!room) {
          request.once('drain', () => send(at));
          return;
        }
      }
      request.end();
    };
    send(0);
  });
}

test(
  'a mixed load over agents of 1, 4 and 64 slots: no wrong byte, nothing cut short unnoticed, no slot exceeded, nothing left behind',
  { timeout: 1_800_000 },
  async () => {
    const hub = await startHubWith({ drainTimeoutMs: 5_000 });
    const origins: Origin[] = [];
    const agents = [];
    for (const slots of SLOTS) {
      const origin = new Origin();
      origin.server.listen(0, '127.0.0.1');
      await once(origin.server, 'listening');
      later(() => {
        origin.server.closeAllConnections();
        origin.server.close();
      });
      origins.push(origin);
      agents.push(await startAgentFor(hub, origin, { slots, token: tokenFor({ id: `t${slots}` }), adminAddr: { host: '127.0.0.1', port: 0 } }));
    }
    const keepAlive = new http.Agent({ keepAlive: true, maxSockets: WORKERS });
    later(() => keepAlive.destroy());
    const tally: Tally = { right: 0, busy: 0, left: 0, bytes: 0, wrong: [] };
    const start = performance.now();
    let sent = 0;
    await Promise.all(
      Array.from({ length: WORKERS }, async (_, worker) => {
        const next = random(SEED * 1_000 + worker);
        while (sent < REQUESTS && tally.wrong.length < 20) await ask(hub, keepAlive, sent++, next, tally);
      }),
    );
    const seconds = (performance.now() - start) / 1_000;
    console.log(
      `mixed: ${sent} requests in ${seconds.toFixed(1)} s (seed ${SEED}): ${tally.right} right, ${tally.busy} found no slot, ${tally.left} left, ` +
        `${Math.round(tally.bytes / 1024 / 1024)} MiB down; most at once ${origins.map(({ most }, i) => `${most}/${SLOTS[i]}`).join(', ')}; ${tally.wrong.length} wrong`,
    );
    expect(tally.wrong).toEqual([]);
    expect(tally.right + tally.busy + tally.left).toBe(sent);
    keepAlive.destroy();
    for (const [i, origin] of origins.entries()) {
      expect(origin.wrong).toEqual([]);
      expect(origin.most).toBeLessThanOrEqual(SLOTS[i]!);
      expect(origin.served).toBeGreaterThan(0);
    }
    // No POST on two upstreams either.
    const posts = origins.flatMap(({ posts }) => [...posts]);
    expect(new Set(posts).size).toBe(posts.length);
    for (const gauge of [
      'windlass_requests_in_flight',
      'windlass_queue_size',
      'windlass_agent_slots{state="busy"}',
      'windlass_buffered_bytes',
      'windlass_connections',
    ])
      await metricBecomes(hub, gauge, (value) => value === 0);
    expect(await metric(hub, 'windlass_agent_slots{state="free"}')).toBe(69);
    for (const agent of agents) await metricBecomes(agent, 'windlass_buffered_bytes', (value) => value === 0);
    for (const origin of origins) expect(origin.running).toBe(0);
    expect(hub.log.filter(({ level }) => level === 'error')).toEqual([]);
  },
);
