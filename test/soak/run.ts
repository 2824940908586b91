import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Children } from './child.ts';
import { inFlightPicture, page, rows, waitingPicture } from './report.ts';
import { runSoak } from './soak.ts';

const [main, root] = process.argv.slice(2);
const { env } = process;
const report = resolve(root!, env['SOAK_REPORT'] ?? 'docs/soak.md');
const start = performance.now();

function say(text: string): void {
  console.log(`${String(Math.round((performance.now() - start) / 1_000)).padStart(5)} s  ${text}`);
}

const children = new Children(main!);
// Exit handlers end all children.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130));

const result = await runSoak(
  {
    requests: Number(env['SOAK_REQUESTS'] ?? 1_000_000),
    seed: Number(env['SOAK_SEED'] ?? 1),
    calmShare: 0.2,
    chaosEveryMs: 1_200,
    long: true,
    workMs: 45,
    departures: 1_000,
    crowd: 500,
    overEight: 20_000,
    say,
  },
  children,
);

const folder = dirname(report);
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'soak-in-flight.svg'), inFlightPicture(result));
writeFileSync(join(folder, 'soak-waiting.svg'), waitingPicture(result));
writeFileSync(report, page(result, { inFlight: 'soak-in-flight.svg', waiting: 'soak-waiting.svg' }));
const found = rows(result);
for (const { what, bound, figure, met } of found) console.log(`${met ? 'met   ' : 'MISSED'} ${what}: ${figure} (at most ${bound})`);
console.log(`written: ${report}`);
process.exit(found.every(({ met }) => met) ? 0 : 1);
