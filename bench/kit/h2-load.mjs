// One load run of gRPC calls: h2load (nghttp2-client), which POSTs one message on each stream.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { runToEnd } from './children.mjs';

/** Whether h2load is installed. */
export const hasH2load = spawnSync('h2load', ['--version']).error === undefined;

/** What the service answers. */
const ANSWER_BYTES = 105;

/** Makes the loader. The message has 100 bytes. @param {string} dir @param {number} streams on each connection at once @returns {typeof import('./load.mjs').load} */
export function grpcLoad(dir, streams) {
  const file = join(dir, 'message');
  const message = Buffer.alloc(105, 'b');
  message[0] = 0;
  message.writeUInt32BE(100, 1);
  writeFileSync(file, message);
  return async ({ port, path, connections, seconds }) => {
    const fields = [
      'te: trailers',
      'content-type: application/grpc',
      'grpc-timeout: 30S',
      'user-agent: grpc-c++/1.51.1',
      'x-request-id: 0af7651916cd43dd8448eb211c80319c',
    ];
    const args = ['-t1', `-c${connections}`, `-m${streams}`, `-D${seconds}`, '-d', file, ...fields.flatMap((field) => ['-H', field])];
    const printed = await runToEnd('h2load', 'h2load', [...args, `http://127.0.0.1:${port}${path}`], { timeoutMs: (seconds + 20) * 1000 });
    const counts = /requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/.exec(printed);
    const mean = /time for request:\s+\S+\s+(\S+?)(us|ms|s)\s+(\S+?)(us|ms|s)/.exec(printed);
    if (counts === null || mean === null) throw new Error(`h2load printed no result: ${printed.slice(-400)}`);
    const [done = 0, , failed = 0, errored = 0, timedOut = 0] = counts.slice(1).map(Number);
    const data = Number(/traffic: .* \((\d+)\) data$/m.exec(printed)?.[1]);
    const wrong = failed + errored + timedOut;
    // A call that failed has the status 200 as well, but no message.
    const empty = data < done * ANSWER_BYTES ? `${done} calls brought ${data} bytes` : null;
    const few = done < 3 * connections * streams ? `only ${done} calls on ${connections * streams} streams: they hang` : null;
    return {
      requests: done,
      bytes: 0,
      seconds,
      // It tells no percentiles.
      p50Us: NaN,
      p99Us: NaN,
      maxUs: Number(mean[1]) * unitUs(mean[2]),
      invalid: wrong > 0 ? `${wrong} of ${done} calls failed` : (empty ?? few),
    };
  };
}

/** @param {string | undefined} unit */
function unitUs(unit) {
  return unit === 's' ? 1e6 : unit === 'ms' ? 1e3 : 1;
}
