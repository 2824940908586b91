// Every process the bench starts, and the certainty that none outlives it.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

const tailBytes = 4000;
const graceMs = 3000;

/** A program under test or a helper of the bench. */
export class Child {
  /** @type {import('node:child_process').ChildProcess} */ process;
  /** The end of what it printed, for the error message when it dies. */ tail = '';
  stdout = '';
  /** @type {Promise<number | null>} */ exited;
  hasExited = false;
  expectedToExit = false;

  /** @param {string} name @param {string} command @param {string[]} args @param {{ cwd?: string, env?: Record<string, string>, forks?: boolean }} [options] forks: its own children do the work */
  constructor(name, command, args, options = {}) {
    this.name = name;
    this.forks = options.forks ?? false;
    this.process = spawn(command, args, { cwd: options.cwd, env: { ...process.env, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] });
    const keep = (/** @type {Buffer} */ chunk) => {
      this.tail = (this.tail + chunk.toString()).slice(-tailBytes);
    };
    this.process.stdout?.on('data', (/** @type {Buffer} */ chunk) => {
      this.stdout = (this.stdout + chunk.toString()).slice(-64 * 1024);
      keep(chunk);
    });
    this.process.stderr?.on('data', keep);
    this.exited = new Promise((resolve) => {
      this.process.on('error', (error) => {
        this.tail += String(error);
        this.hasExited = true;
        resolve(-1);
      });
      this.process.on('close', (code, signal) => {
        if (signal !== null) this.tail += `\n(killed by ${signal})`;
        this.hasExited = true;
        children.delete(this);
        resolve(code);
      });
    });
    children.add(this);
  }

  /** Whose time and memory count: it, and the workers of a program that forks (nginx). */
  get pids() {
    const own = this.process.pid;
    if (own === undefined) return [];
    return this.forks ? [own, ...childrenOf(own)] : [own];
  }

  /** Throws when it died although nobody asked it to. */
  check() {
    if (this.hasExited && !this.expectedToExit)
      throw new Error(`${this.name} died (exit code ${this.process.exitCode}): ${this.tail.trim().slice(-600)}`);
  }

  /** Ends it: politely, and after a bounded wait by force. */
  async stop() {
    this.expectedToExit = true;
    if (this.hasExited) return;
    const family = this.pids;
    this.process.kill('SIGTERM');
    const timer = setTimeout(() => kill(family), graceMs);
    await this.exited;
    clearTimeout(timer);
  }

  /** Waits for a line of its standard output. @param {RegExp} pattern @param {number} timeoutMs @returns {Promise<RegExpExecArray>} */
  async line(pattern, timeoutMs = 10_000) {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const found = pattern.exec(this.stdout);
      if (found !== null) return found;
      this.check();
      if (Date.now() > end) throw new Error(`${this.name} did not print ${pattern} within ${timeoutMs} ms: ${this.tail.trim()}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** @type {Set<Child>} */
const children = new Set();

/** Runs a program to its end and gives back what it printed; bounded. @param {string} name @param {string} command @param {string[]} args @param {{ timeoutMs: number, env?: Record<string, string>, cwd?: string }} options */
export async function runToEnd(name, command, args, options) {
  const child = new Child(name, command, args, options);
  child.expectedToExit = true;
  const timer = setTimeout(() => kill(child.pids), options.timeoutMs);
  const code = await child.exited;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${child.tail.trim().slice(-600)}`);
  return child.stdout;
}

/** Everything of ours that runs now. */
export function livePids() {
  return [...children].flatMap((child) => child.pids);
}

/** Stops all that still runs. */
export async function stopAll() {
  await Promise.all([...children].map((child) => child.stop()));
}

/** The last resort, synchronous, for the exit handler. */
export function killAll() {
  for (const child of children) kill(child.pids);
}

/** @param {number[]} pids */
function kill(pids) {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // gone already
    }
  }
}

/** @param {number} pid @returns {number[]} */
function childrenOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
