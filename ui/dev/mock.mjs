#!/usr/bin/env node
// A server that says what the admin API says, for work on the pages and for their tests: `node ui/dev/mock.mjs [--port 9999] [--agents 40]`.
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { liveRoutes, makeWorld } from './mock-live.mjs';
import { Refusal } from './refusal.mjs';

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
};
const BODY_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Starts one on loopback. `files` is the folder of built pages, `under` the path it all stands below, `loggedIn` lets everybody in without a login.
 * `routes` come before those that are there: `{ 'GET /agents/{id}': ({ parameters, query, body, world, events }) => json }`.
 */
export async function startMock({
  port = 0,
  files = fileURLToPath(new URL('../../dist/ui/', import.meta.url)),
  under = '/',
  loggedIn = false,
  role = 'admin',
  routes = {},
  tickMs = 1_000,
  ...shape
} = {}) {
  const world = makeWorld(shape);
  const sessions = new Set(loggedIn ? ['*'] : []);
  const streams = new Set();
  const requests = [];
  const table = compile({ ...liveRoutes, ...(await others()), ...routes });
  const who = () => ({ user: 'alice', role, by: 'session', csrf: 'mock-csrf', expiresAtMs: Date.now() + 1_800_000 });

  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://mock');
    if (!url.pathname.startsWith(under)) return void response.writeHead(404).end();
    const path = url.pathname.slice(under.length - 1);
    requests.push(`${request.method} ${path}${url.search}`);
    if (!path.startsWith('/api/v1/')) return void sendFile(response, files, path);
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (piece) => {
      if (text.length < BODY_BYTES_MAX) text += piece;
    });
    request.on('end', () => {
      void answer(request, response, path.slice('/api/v1'.length), url.searchParams, text).catch((error) => {
        const status = error.status ?? 500;
        json(
          response,
          status,
          { type: 'about:blank', title: error.code ?? 'error', status, code: error.code ?? 'error', detail: error.message, ...error.more },
          'application/problem+json',
        );
      });
    });
  });

  async function answer(request, response, path, query, text) {
    const { method } = request;
    if (path === '/session' && method === 'POST') {
      const { user, password } = JSON.parse(text);
      if (user !== 'alice' || password !== 'open') throw new Refusal(401, 'wrong_login', 'user or password is wrong');
      return login(response);
    }
    if (path === '/session/ticket' && method === 'POST') {
      if (JSON.parse(text).ticket !== 'good')
        throw new Refusal(401, 'ticket_used', 'this link has been used, or is older than five minutes; make another with `windlass console`');
      return login(response);
    }
    const cookie = /windlass_session=([^;]+)/.exec(request.headers.cookie ?? '')?.[1] ?? '*';
    if (!sessions.has(cookie)) throw new Refusal(401, 'no_session', 'log in first');
    if (method !== 'GET' && request.headers['windlass-csrf'] !== 'mock-csrf') throw new Refusal(403, 'csrf', 'the header Windlass-CSRF is missing');
    if (path === '/session' && method === 'GET') return json(response, 200, who());
    if (path === '/session' && method === 'DELETE') {
      sessions.delete(cookie);
      return json(response, 200, {});
    }
    if (path === '/events') return stream(response, (send) => world.follow(send));
    for (const { method: wanted, pattern, names, handle } of table) {
      const found = method === wanted ? pattern.exec(path) : null;
      if (found === null) continue;
      const parameters = Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(found[i + 1])]));
      const type = request.headers['content-type'] ?? '';
      const body = text === '' ? null : type.includes('json') ? JSON.parse(text) : text;
      const ifMatch = request.headers['if-match']?.replaceAll('"', '') ?? null;
      const says = await handle({ parameters, query, body, ifMatch, world, who: who() });
      if (typeof says === 'function') return stream(response, says);
      if (typeof says === 'string') {
        response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' });
        return void response.end(says);
      }
      return json(response, 200, says ?? {});
    }
    throw new Refusal(404, 'no_such_route', `there is no ${method} ${path} here`);
  }

  function login(response) {
    const id = Math.random().toString(36).slice(2);
    sessions.add(id);
    response.setHeader('Set-Cookie', `windlass_session=${id}; HttpOnly; SameSite=Strict; Path=${under}`);
    json(response, 200, who());
  }

  function stream(response, follow) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    response.write(': here\n\n');
    const end = follow((event, data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
    streams.add(response);
    response.on('close', () => {
      streams.delete(response);
      end();
    });
  }

  const timer = setInterval(() => world.tick(), tickMs);
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${under}`,
    port: server.address().port,
    world,
    requests,
    /** Everybody must log in again. */
    forget: () => sessions.clear(),
    close: () =>
      new Promise((resolve) => {
        clearInterval(timer);
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What those who work on other screens have put beside this file. */
async function others() {
  const file = new URL('./mock-config.mjs', import.meta.url);
  return existsSync(file) ? (await import(file.href)).configRoutes : {};
}

function compile(routes) {
  return Object.entries(routes)
    .toReversed()
    .map(([key, handle]) => {
      const [method, path] = key.split(' ');
      const names = [];
      const pattern = new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{(\w+)\}/g, (_, name) => (names.push(name), '([^/]+)'))}$`);
      return { method, pattern, names, handle };
    })
    .toSorted((a, b) => a.names.length - b.names.length);
}

function json(response, status, value, type = 'application/json') {
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' });
  response.end(JSON.stringify(value));
}

function sendFile(response, folder, path) {
  const name = normalize(decodeURIComponent(path)).replace(/^[/\\]+/, '') || 'index.html';
  const file = join(folder, name);
  const headers = {
    'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
    'Content-Security-Policy': POLICY,
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': name.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-store',
  };
  if (!file.startsWith(folder) || !existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
  if (existsSync(`${file}.br`)) {
    response.writeHead(200, { ...headers, 'Content-Encoding': 'br' });
    return response.end(readFileSync(`${file}.br`));
  }
  response.writeHead(200, headers);
  return createReadStream(file).pipe(response);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const given = (name, otherwise) => {
    const at = process.argv.indexOf(`--${name}`);
    return at < 0 ? otherwise : Number(process.argv[at + 1]);
  };
  const mock = await startMock({ port: given('port', 9999), agents: given('agents', 40) });
  console.log(`${mock.url}#ticket=good\n(or alice, open)`);
}
