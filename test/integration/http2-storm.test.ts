import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { fileTo, startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { connectH2 } from '../kit/h2-client.ts';
import { H2Origin } from '../kit/h2-origin.ts';
import { kit, metricBecomes } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const made = kit();
const FIXTURES = new URL('../fixtures/', import.meta.url);
const PAIR = { cert: readFileSync(new URL('one.pem', FIXTURES), 'utf8'), key: readFileSync(new URL('one.key', FIXTURES), 'utf8') };
const CLIENTS = 4;
const ROUNDS = 12;
const AT_ONCE = 12;

/** The same numbers each time: which clients are rude, and how large things are. */
class Dice {
  #state = 7;

  below(n: number): number {
    this.#state = (Math.imul(this.#state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * n);
  }
}

const dice = new Dice();

function bytesOf(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + size) & 255;
  return bytes;
}

/** `/down?n`: so many bytes. `/up`: the digest of what came. `/early`: an answer to a request that is still being sent. `/cut?n`: breaks off behind so many. `/endless?n`: goes on. */
async function startStormOrigin(): Promise<H2Origin> {
  const origin = await new H2Origin(
    (stream, headers, seen) => {
      const [path, query = '0'] = String(headers[':path']).split('?');
      const size = Number(query);
      if (path === '/up') {
        stream.on('end', () => {
          if (!stream.destroyed) stream.respond({ ':status': 200 });
          if (!stream.destroyed) stream.end(seen.sha256);
        });
        return;
      }
      stream.respond({ ':status': path === '/early' ? 413 : 200 });
      if (path === '/endless') {
        stream.write(bytesOf(size));
        return;
      }
      if (path === '/cut') {
        stream.write(bytesOf(size));
        setTimeout(() => stream.destroy(new Error('cut')), 5);
      } else stream.end(bytesOf(size));
    },
    { pair: PAIR },
  ).listen();
  made.later(() => origin.close());
  return origin;
}

interface Came {
  readonly status: number;
  readonly bytes: Buffer;
  /** Its end came, and no reset. */
  readonly whole: boolean;
}

/** Asks once. `rude`: the client leaves at some moment, in one of the ways in which clients leave. */
function ask(session: http2.ClientHttp2Session, path: string, body: Buffer | null, rude: boolean): Promise<Came> {
  const stream = session.request({ ':path': path, ':method': body === null ? 'GET' : 'POST' }, { endStream: body === null });
  const chunks: Buffer[] = [];
  let status = 0;
  let ended = false;
  stream.on('error', () => {});
  stream.on('response', (head) => (status = Number(head[':status'])));
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    ended = true;
    // A client of Node's that is told to send no more, and has more to send, waits for itself.
    if (!stream.writableFinished) setImmediate(() => stream.destroy());
  });
  if (body !== null) stream.end(body);
  if (rude) {
    const leave = [() => stream.close(http2.constants.NGHTTP2_CANCEL), () => stream.close(), () => stream.destroy()][dice.below(3)]!;
    setTimeout(leave, dice.below(12));
  }
  return new Promise((resolve) =>
    stream.on('close', () => resolve({ status, bytes: Buffer.concat(chunks), whole: ended && stream.rstCode === http2.constants.NGHTTP2_NO_ERROR })),
  );
}

/** What is wrong with what came; '' = nothing. A client that left is told nothing. */
async function oneOf(session: http2.ClientHttp2Session): Promise<string> {
  const rude = dice.below(4) === 0;
  const size = dice.below(8) === 0 ? dice.below(600_000) : dice.below(40_000);
  const kind = ['down', 'down', 'up', 'up', 'early', 'cut'][dice.below(6)]!;
  const takesBody = kind === 'up' || kind === 'early';
  const body = takesBody ? bytesOf(size) : null;
  const came = await ask(session, takesBody ? `/${kind}` : `/${kind}?${size}`, body, rude);
  if (rude) return '';
  const told = `${kind} of ${size}: status ${came.status}, ${came.bytes.length} bytes, ${came.whole ? 'whole' : 'cut'}`;
  if (kind === 'early') return came.status === 413 ? '' : told;
  if (kind === 'cut') return came.whole ? told : '';
  if (kind === 'up') return came.bytes.toString() === createHash('sha256').update(body!).digest('hex') ? '' : told;
  return came.whole && came.bytes.equals(bytesOf(size)) ? '' : told;
}

/** @returns everything that went wrong */
async function storm(gateway: TestGateway): Promise<string[]> {
  const wrong: string[] = [];
  const client = async (): Promise<void> => {
    let session = connectH2(made.later, gateway.port());
    for (let round = 0; round < ROUNDS; round++) {
      if (session.closed || session.destroyed) session = connectH2(made.later, gateway.port());
      wrong.push(...(await Promise.all(Array.from({ length: 1 + dice.below(AT_ONCE) }, () => oneOf(session)))).filter((what) => what !== ''));
    }
    session.close();
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return wrong;
}

/** Everything of this process that could spin: the gateway, the origin and the clients. */
async function fallsQuiet(): Promise<void> {
  await until('the process to fall quiet', async () => {
    const before = process.cpuUsage();
    await sleep(300);
    const { user, system } = process.cpuUsage(before);
    return user + system < 150_000;
  });
}

async function startStorm(): Promise<{ gateway: TestGateway; file: (location: string) => string }> {
  const origin = await startStormOrigin();
  const file = (location: string): string =>
    fileTo(origin.port, { location, more: 'alpn = "H2"\nsni = "localhost"\nverify_cert = false\nhealth_check = "off"\n' });
  return { gateway: await startGatewayOf(made, file('')), file };
}

test('in a storm of streams, many cut, whoever stays gets all, nothing is left over, and nothing spins', async () => {
  const { gateway } = await startStorm();
  expect(await storm(gateway)).toEqual([]);
  await metricBecomes(gateway, 'windlass_requests_in_flight', (n) => n === 0);
  await metricBecomes(gateway, 'windlass_buffered_bytes', (n) => n === 0);
  await fallsQuiet();
});

test('a storm does not notice reloads', async () => {
  const { gateway, file } = await startStorm();
  let over = false;
  const reloads = (async () => {
    for (let n = 0; !over; n++) {
      await gateway.change(file(n % 2 === 0 ? 'proxy_set_headers = ["X-Turn: odd"]' : ''));
      await sleep(20);
    }
  })();
  const wrong = await storm(gateway);
  over = true;
  await reloads;
  expect(wrong).toEqual([]);
  await metricBecomes(gateway, 'windlass_requests_in_flight', (n) => n === 0);
  await fallsQuiet();
});

test('a gateway that ends in a storm finishes what it has begun', async () => {
  const { gateway } = await startStorm();
  const session = connectH2(made.later, gateway.port());
  const sizes = Array.from({ length: 60 }, () => 1 + dice.below(200_000));
  const answers = sizes.map((size) => ask(session, `/down?${size}`, null, false));
  await metricBecomes(gateway, 'windlass_requests_total{code="2xx"}', (n) => n > 0);
  const closed = gateway.close();
  const came = await Promise.all(answers);
  await closed;
  // GOAWAY tells which streams are not processed: those are refused, and none of the others is cut within the time to drain.
  for (const [i, one] of came.entries()) if (one.whole) expect([i, one.status, one.bytes.length]).toEqual([i, 200, sizes[i]]);
  expect(came.filter(({ whole }) => whole).length).toBeGreaterThan(0);
  await fallsQuiet();
});

test('answers that are cut at the end of the drain do not look complete [rule R2]', async () => {
  const { gateway } = await startStorm();
  const session = connectH2(made.later, gateway.port());
  const codes = Array.from({ length: 20 }, (_, i) => {
    const stream = session.request({ ':path': i === 0 ? '/endless?1000' : '/down?1000000' });
    stream.on('error', () => {});
    // Takes a little now and then, so that a part of it waits everywhere.
    stream.on('data', () => {
      stream.pause();
      setTimeout(() => stream.resume(), 100);
    });
    return new Promise((resolve) => stream.on('close', () => resolve(stream.rstCode)));
  });
  await metricBecomes(gateway, 'windlass_requests_in_flight', (n) => n === 20);
  await gateway.close();
  expect(await Promise.all(codes)).not.toContain(http2.constants.NGHTTP2_NO_ERROR);
});
