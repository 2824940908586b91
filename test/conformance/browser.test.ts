// A browser's WebSocket and EventSource over TLS and HTTP/2. Needs Chromium (Debian package chromium).
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type http from 'node:http';
import { expect, test } from 'vitest';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit, metric } from '../kit/kit.ts';
import { soon, until } from '../kit/until.ts';
import { type Peer, type PeerOrigin, startPeers } from '../kit/ws-peers.ts';

const made = kit();
const FIXTURES = new URL('../fixtures/', import.meta.url).pathname;
const PAIR = { certFile: `${FIXTURES}one.pem`, keyFile: `${FIXTURES}one.key` };
const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome'].find((name) => spawnSync(name, ['--version']).status === 0);
if (CHROMIUM === undefined) console.warn('SKIPPED: no Chromium here (apt-get install chromium): nothing was seen of browsers');
const TIMEOUT_MS = 60_000;

const PAGE = `<!doctype html><title>test</title><script>
const said = (body) => fetch('/said', { method: 'POST', body: JSON.stringify(body) });
const hears = (target, name) => new Promise((resolve) => target.addEventListener(name, resolve, { once: true }));
(async () => {
  const out = { page: performance.getEntriesByType('navigation')[0].nextHopProtocol };
  const socket = new WebSocket('wss://' + location.host + '/socket', ['first', 'second']);
  socket.binaryType = 'arraybuffer';
  await hears(socket, 'open');
  out.protocol = socket.protocol;
  out.extensions = socket.extensions;
  await said({ open: true });
  socket.send('äb€');
  out.text = (await hears(socket, 'message')).data;
  const bytes = new Uint8Array(1024 * 1024).map((_, i) => i * 7);
  socket.send(bytes);
  const back = new Uint8Array((await hears(socket, 'message')).data);
  out.binary = back.length === bytes.length && back.every((byte, i) => byte === bytes[i]);
  socket.send('close');
  const closed = await hears(socket, 'close');
  out.close = [closed.code, closed.reason, closed.wasClean];
  const broken = new WebSocket('wss://' + location.host + '/socket');
  await hears(broken, 'open');
  broken.send('break');
  out.broken = (await hears(broken, 'close')).code;
  const events = new EventSource('/events');
  out.events = [];
  for (let i = 0; i < 4; i++) {
    const event = await hears(events, 'message');
    out.events.push(event.lastEventId + ' ' + event.data);
  }
  events.close();
  await said(out);
})().catch((error) => said({ error: String(error) }));
</script>`;

/** What the page has said, and who came back with which event. */
interface Seen {
  readonly said: Record<string, unknown>[];
  readonly lastEventIds: (string | undefined)[];
  readonly streamsOver: () => number;
  /** The page goes on once its WebSocket has been looked at. */
  goOn: () => void;
}

function service(): { seen: Seen; answer: (request: http.IncomingMessage, response: http.ServerResponse) => void; serve: (peer: Peer) => void } {
  let over = 0;
  const seen: Seen = { said: [], lastEventIds: [], streamsOver: () => over, goOn: () => {} };
  return {
    seen,
    serve: (peer) =>
      peer.on('message', (data: Buffer, isBinary: boolean) => {
        const text = isBinary ? '' : data.toString();
        if (text === 'close') peer.close(4001, 'as you wish');
        else if (text === 'break') peer.terminate();
        else peer.send(data, { binary: isBinary });
      }),
    answer: (request, response) => {
      if (request.url === '/said') {
        let body = '';
        request.on('data', (chunk: Buffer) => (body += chunk.toString()));
        request.on('end', () => {
          seen.said.push(JSON.parse(body) as Record<string, unknown>);
          if (seen.said.length === 1) seen.goOn = () => void response.end();
          else response.end();
        });
      } else if (request.url === '/events') {
        const last = request.headers['last-event-id'];
        seen.lastEventIds.push(last === undefined ? undefined : String(last));
        response.on('close', () => over++);
        response.writeHead(200, { 'Content-Type': 'text/event-stream' });
        const from = Number(last ?? 0);
        response.write(`retry: 20\nid: ${from + 1}\ndata: event ${from + 1}\n\n`);
        // The first stream ends by itself, the one that follows when the page leaves.
        setTimeout(() => {
          response.write(`id: ${from + 2}\ndata: event ${from + 2}\n\n`);
          if (last === undefined) response.end();
        }, 50);
      } else if (request.url === '/') {
        response.setHeader('Content-Type', 'text/html; charset=utf-8');
        response.end(PAGE);
      } else {
        response.statusCode = 404;
        response.end();
      }
    },
  };
}

interface Door {
  readonly port: number;
  readonly adminAddress: { readonly port: number } | null;
}

async function throughGateway(origin: PeerOrigin): Promise<Door> {
  const gateway = await startGatewayOf(
    made,
    `[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
tls_cert = "${PAIR.certFile}"
tls_key = "${PAIR.keyFile}"
[locations.all]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
`,
  );
  return { port: gateway.port(), adminAddress: gateway.adminAddress };
}

async function throughTunnel(origin: PeerOrigin): Promise<Door> {
  const hub = await made.startHubWith({ tls: PAIR });
  await made.startAgentFor(hub, origin, {
    slots: 16,
    hubs: [parseUpstreamUrl(`https://localhost:${hub.address.port}`)],
    caFile: `${FIXTURES}ca.pem`,
  });
  return { port: hub.address.port, adminAddress: hub.adminAddress };
}

async function visit(url: string): Promise<void> {
  const home = made.folder();
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--no-first-run'];
  const browser = spawn(CHROMIUM!, [...flags, '--ignore-certificate-errors', '--remote-debugging-port=0', `--user-data-dir=${home}`, url], {
    stdio: 'ignore',
    env: { ...process.env, HOME: home },
    detached: true,
  });
  made.later(async () => {
    if (browser.exitCode !== null) return;
    const gone = once(browser, 'exit');
    // Its children are of its own process group.
    process.kill(-browser.pid!, 'SIGKILL');
    await soon('the browser to end', gone);
  });
}

test.runIf(CHROMIUM !== undefined).each([
  ['windlass run', throughGateway],
  ['hub and agent', throughTunnel],
])(
  "Chromium's WebSocket and EventSource work through %s over TLS and HTTP/2",
  async (_, start) => {
    const { seen, serve, answer } = service();
    const origin = await startPeers(made, serve, answer);
    const door = await start(origin);
    await visit(`https://127.0.0.1:${door.port}/`);
    await until('the page to have its WebSocket', () => seen.said[0], TIMEOUT_MS);
    expect(seen.said[0]).toEqual({ open: true });
    // It came over the connection of the page, as an extended CONNECT (RFC 8441).
    expect(await metric(door, 'windlass_upgraded_connections')).toBe(1);
    expect(await metric(door, 'windlass_connections')).toBe(await metric(door, 'windlass_http2_connections'));
    seen.goOn();
    const found = await until('what the page found', () => seen.said[1], TIMEOUT_MS);
    expect(found).toEqual({
      page: 'h2',
      protocol: 'second',
      extensions: expect.stringContaining('permessage-deflate') as unknown,
      text: 'äb€',
      binary: true,
      close: [4001, 'as you wish', true],
      broken: 1006,
      events: ['1 event 1', '2 event 2', '3 event 3', '4 event 4'],
    });
    expect(seen.lastEventIds).toEqual([undefined, '2']);
    await until('the origin to hear that the page has left', () => seen.streamsOver() === 2);
  },
  TIMEOUT_MS + 30_000,
);
