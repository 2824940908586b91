import type { World } from '../../src/cli/world.ts';

/** A world of memory: what was written, hidden and asked for can be looked at. */
export interface FakeWorld extends World {
  readonly out: () => string;
  readonly err: () => string;
  /** Arguments as they were shown after hiding; null = nothing was hidden. */
  readonly hidden: () => readonly string[] | null;
  readonly exits: readonly number[];
  readonly listening: () => number;
  signal(name: 'SIGTERM' | 'SIGINT' | 'SIGHUP'): void;
  /** An error that nobody caught. */
  crash(error: unknown): void;
}

/** `files`: path to text. A path that is not there does not exist. */
export function fakeWorld(env: Record<string, string> = {}, files: Record<string, string> = {}): FakeWorld {
  let out = '';
  let err = '';
  let hidden: readonly string[] | null = null;
  const exits: number[] = [];
  const listeners = new Set<{ name: string; callback: () => void }>();
  const crashListeners = new Set<(error: unknown) => void>();
  return {
    env: { ...env },
    stdout: { write: (text) => void (out += text) },
    stderr: { write: (text) => void (err += text) },
    columns: 100,
    readText: (path) => {
      const text = Object.hasOwn(files, path) ? files[path] : undefined;
      if (text === undefined) throw new Error('does not exist');
      return text;
    },
    hideArguments: (words) => void (hidden = words),
    onSignal: (name, callback) => {
      const listener = { name, callback };
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    onCrash: (callback) => {
      crashListeners.add(callback);
      return () => void crashListeners.delete(callback);
    },
    program: ['/usr/bin/node', '/usr/bin/windlass'],
    runProgram: () => Promise.resolve(false),
    terminal: () => null,
    exit: (code) => void exits.push(code),
    out: () => out,
    err: () => err,
    hidden: () => hidden,
    exits,
    listening: () => listeners.size + crashListeners.size,
    signal: (name) => {
      for (const listener of listeners) if (listener.name === name) listener.callback();
    },
    crash: (error) => {
      for (const callback of crashListeners) callback(error);
    },
  };
}
