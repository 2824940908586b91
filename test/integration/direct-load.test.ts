import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { RawClient } from '../kit/client.ts';
import { kit, metric, metricBecomes } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const { startOrigin, startDirect, rawClient } = kit();

/** Requests of the normal run; LOAD_REQUESTS for a long one. */
const REQUESTS = Number(process.env['LOAD_REQUESTS'] ?? 2_000);
const WORKERS = 24;
const LARGEST_BYTES = 1024 * 1024;

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Pseudo-random, so that a run can be repeated: LOAD_SEED. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test(
  'a mixed load is answered right to the last byte: none lost, none cut short unnoticed, none mixed up',
  async () => {
    const bytes = randomBytes(LARGEST_BYTES);
    // The origin says what it got, and sends back as much as it is asked for.
    const origin = await startOrigin((request, response, seen) => {
      const url = new URL(request.url!, 'http://origin');
      const size = Number(url.searchParams.get('size'));
      const from = Number(url.searchParams.get('from'));
      const head = { 'X-Id': url.searchParams.get('id')! };
      const answer = () => {
        const body = bytes.subarray(from, from + size);
        const got = { ...head, 'X-Got': seen.bytes, 'X-Hash': seen.sha256 };
        switch (url.searchParams.get('how')) {
          case 'chunks':
            response.writeHead(200, got);
            for (let at = 0; at < body.length; at += 10_000) response.write(body.subarray(at, at + 10_000));
            response.end();
            break;
          case 'break':
            response.writeHead(200, { ...got, ...(size % 2 === 0 ? { 'Content-Length': size + 1 } : {}) });
            response.write(body, () => response.socket?.resetAndDestroy());
            break;
          case 'events': {
            response.writeHead(200, { ...got, 'Content-Type': 'text/event-stream' });
            let at = 0;
            const next = () => {
              if (response.destroyed) return;
              if (at >= body.length) response.end();
              else {
                response.write(body.subarray(at, (at += Math.ceil(size / 8))));
                setImmediate(next);
              }
            };
            next();
            break;
          }
          default:
            response.writeHead(200, { ...got, 'Content-Length': size });
            response.end(body);
        }
      };
      request.on('close', () => {
        if (seen.complete === true) answer();
      });
      request.resume();
    });
    const proxy = await startDirect({ to: origin });
    const rand = random(Number(process.env['LOAD_SEED'] ?? Date.now()));
    const counts = { whole: 0, cut: 0, left: 0, broken: 0 };
    let id = 0;

    async function one(client: RawClient): Promise<boolean> {
      const n = id++;
      const size = Math.floor(rand() ** 4 * LARGEST_BYTES);
      const from = Math.floor(rand() * (LARGEST_BYTES - size));
      const how = ['length', 'length', 'chunks', 'events', 'break'][Math.floor(rand() * (rand() < 0.3 ? 5 : 4))]!;
      const upload = rand() < 0.4 ? bytes.subarray(0, Math.floor(rand() ** 4 * LARGEST_BYTES)) : null;
      const chunked = rand() < 0.5;
      const leaves = rand() < 0.1;
      const target = `/?id=${n}&size=${size}&from=${from}&how=${how}`;
      client.send(`${upload === null ? 'GET' : 'POST'} ${target} HTTP/1.1\r\nHost: a\r\n`);
      if (upload === null) client.send('\r\n');
      else if (!chunked) client.send(`Content-Length: ${upload.length}\r\n\r\n`).send(upload);
      else {
        client.send('Transfer-Encoding: chunked\r\n\r\n');
        for (let at = 0; at < upload.length; at += 70_000) {
          const piece = upload.subarray(at, at + 70_000);
          client
            .send(`${piece.length.toString(16)}\r\n`)
            .send(piece)
            .send('\r\n');
        }
        client.send('0\r\n\r\n');
      }
      if (leaves) {
        await new Promise((resolve) => setTimeout(resolve, rand() * 5));
        if (rand() < 0.5) client.reset();
        else client.socket.destroy();
        counts.left++;
        return false;
      }
      const answer = await client.answer();
      if (how === 'break') {
        // Cut before its head (502), or after; never whole.
        expect(answer.status === 502 || !answer.complete).toBe(true);
        counts.broken++;
        return answer.complete && client.ending === 'open';
      }
      expect(answer.status).toBe(200);
      expect(answer.complete).toBe(true);
      const field = (name: string) => answer.fields.find(([one]) => one === name)?.[1];
      expect(field('X-Id')).toBe(String(n));
      expect(field('X-Got')).toBe(String(upload?.length ?? 0));
      expect(field('X-Hash')).toBe(sha256(upload ?? Buffer.alloc(0)));
      expect(answer.body.length).toBe(size);
      expect(answer.body.equals(bytes.subarray(from, from + size))).toBe(true);
      counts.whole++;
      return true;
    }

    async function worker(): Promise<void> {
      while (id < REQUESTS) {
        const client = await rawClient(proxy);
        for (let n = 0; n < 25 && id < REQUESTS; n++) if (!(await one(client))) break;
        client.socket.destroy();
      }
    }
    await Promise.all(Array.from({ length: WORKERS }, worker));

    expect(counts.whole).toBeGreaterThan(REQUESTS / 2);
    expect(counts.left).toBeGreaterThan(REQUESTS / 20);
    expect(counts.broken).toBeGreaterThan(0);
    await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
    await metricBecomes(proxy, 'windlass_connections', (value) => value === 0);
    await metricBecomes(proxy, 'windlass_buffered_bytes', (value) => value === 0);
    await until('the origin to have nothing to do', () => origin.running === 0);
    expect(origin.mostRunning).toBeLessThanOrEqual(2 * WORKERS);
    expect(origin.refused).toBe(0);
    // A POST is sent once, whatever happens.
    const posts = origin.requests.filter(({ method }) => method === 'POST').map(({ url }) => url);
    expect(new Set(posts).size).toBe(posts.length);
    expect(await metric(proxy, 'windlass_requests_total{code="2xx"}')).toBeGreaterThanOrEqual(counts.whole);
  },
  REQUESTS > 2_000 ? 3_600_000 : 60_000,
);
