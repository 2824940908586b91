import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { readText } from '../config/read-text.ts';
import type { LogStream } from '../observe/log.ts';
import { processTerminal, type Terminal } from './terminal.ts';

/** What a command touches outside of itself, so that tests can stand in for it. */
export interface World {
  readonly env: Record<string, string | undefined>;
  readonly stdout: LogStream;
  readonly stderr: LogStream;
  /** Characters per line of help. */
  readonly columns: number;
  readText(path: string, maxBytes: number): string;
  /** Shows these words in place of the process's arguments, wherever other users or crash reports could read them. */
  hideArguments(words: readonly string[]): void;
  /** Calls back for every such signal until the returned function is called. */
  onSignal(name: 'SIGTERM' | 'SIGINT' | 'SIGHUP', callback: () => void): () => void;
  /** Calls back for every error that nobody caught, until the returned function is called. While somebody listens the process stays up. */
  onCrash(callback: (error: unknown) => void): () => void;
  /** How this program is started: Node and the script. */
  readonly program: readonly string[];
  /** Runs another program. False when that was not possible or it failed. */
  runProgram(file: string, args: readonly string[]): Promise<boolean>;
  /** Where somebody sits; null when nobody does. */
  terminal(): Terminal | null;
  /** Ends at once. */
  exit(code: number): void;
}

/** What we run answers at once or is stuck, ms. */
const PROGRAM_TIMEOUT_MS = 5_000;

/** The real one. */
export function processWorld(): World {
  return {
    env: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
    columns: Math.min(process.stdout.columns ?? 100, 120),
    readText,
    hideArguments: (words) => {
      process.argv.splice(2, process.argv.length, ...words);
      process.title = ['windlass', ...words].join(' ');
    },
    onSignal: (name, callback) => {
      process.on(name, callback);
      return () => void process.off(name, callback);
    },
    onCrash: (callback) => {
      // A rejection that nobody handles arrives here as well.
      process.on('uncaughtException', callback);
      return () => void process.off('uncaughtException', callback);
    },
    program: [process.execPath, ...(process.argv[1] === undefined ? [] : [resolve(process.argv[1])])],
    runProgram: (file, args) => new Promise((done) => execFile(file, args, { timeout: PROGRAM_TIMEOUT_MS }, (error) => done(error === null))),
    terminal: processTerminal,
    exit: (code) => process.exit(code),
  };
}
