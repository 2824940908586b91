// What an access log costs.
import { join } from 'node:path';

import { besideNginx } from '../kit/beside-nginx.mjs';
import { startDirect } from '../kit/programs.mjs';

/** @param {import('./requests.mjs').Bench} bench @returns {Promise<import('../kit/report.mjs').Finding[]>} */
export function logs(bench) {
  const name = 'direct + log';
  return besideNginx(bench, {
    title: 'Access log to a file: direct, 64 connections, 1 KiB, 13 header fields',
    ratio: 'ratio to nginx (without a log)',
    targets: new Map([[name, { measure: 'direct with access log, CPU per request / nginx', atMost: 1.6 }]]),
    start: async (originPort) => [
      await startDirect(originPort),
      await startDirect(originPort, { name, flags: ['--access-log', join(bench.dir, 'access.log')] }),
    ],
  });
}
