#!/usr/bin/env node
import { run } from './run.ts';
import { processWorld } from './world.ts';

// `windlass help | head` closes our output early: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});
// Who reads our log may go away; the hub stays.
process.stderr.on('error', () => {});

process.exitCode = await run(process.argv.slice(2), processWorld());
// Whatever still holds the process (there should be nothing) does so for a second only; output that is on its way gets that long.
setTimeout(() => process.exit(), 1000).unref();
