// @ts-check
import { definePlugin, duration, setting, slot, text } from 'windlass/plugin';

/** When a request came, for the answer. */
const began = /** @type {import('windlass/plugin').Slot<number>} */ (slot('hello.began'));

export default definePlugin({
  name: 'hello',
  summary: 'greets at /hello, marks what passes, and logs what is slow',
  settings: {
    greeting: setting({ kind: text(), group: 'Greeting', help: 'what is said', fallback: 'Hello' }),
    slow: setting({ kind: duration(), group: 'Log', help: 'requests that take longer are logged', fallback: 1000 }),
  },
  // Once per section of the file: work that can be done here need not be done per request.
  create({ greeting, slow }, { clock, log, name }) {
    return {
      request(exchange) {
        exchange.set(began, clock.now());
        const { request } = exchange;
        if (request.path === '/hello') {
          return {
            status: 200,
            headers: ['Content-Type', 'text/plain; charset=utf-8'],
            body: `${greeting}, ${request.parameter('name') ?? 'world'}\n`,
          };
        }
        request.setHeader('X-Hello', name);
      },
      response({ response }) {
        response?.setHeader('X-Hello', name);
      },
      log(exchange) {
        const tookMs = clock.now() - (exchange.get(began) ?? clock.now());
        if (tookMs > slow) log.warn({ tookMs, location: exchange.location, status: exchange.notes.status }, 'a slow request');
      },
    };
  },
});
