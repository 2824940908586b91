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
