import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from './until.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The program as it is shipped, built from the sources as they are now into a folder of its own. */
export class Program {
  readonly #folder = join(root, `dist.test-${process.pid}-${Math.random().toString(36).slice(2, 8)}.tmp`);
  readonly main = join(this.#folder, 'cli', 'main.js');
  readonly #children: ChildProcess[] = [];

  /** Types are another gate's business. @throws when the compiler makes nothing */
  build(): void {
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { stdout } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', this.#folder], { cwd: root, encoding: 'utf8' });
    if (!existsSync(this.main)) throw new Error(`the build failed:\n${stdout}`);
  }

  /** Runs it. `descriptors`: how many files it may have open at once. */
  run(argv: readonly string[], descriptors?: number): RunningProgram {
    const command = [process.execPath, this.main, ...argv];
    const options = { env: { PATH: process.env['PATH'], HOME: this.#folder }, stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'] };
    const child =
      descriptors === undefined
        ? spawn(command[0]!, command.slice(1), options)
        : spawn('/bin/sh', ['-c', `ulimit -n ${descriptors}; exec "$@"`, 'sh', ...command], options);
    this.#children.push(child);
    return new RunningProgram(child);
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Node reads all of the program before its first line: on a busy machine that takes long, ms. */
const START_TIMEOUT_MS = 30_000;

/** A process of it. */
export class RunningProgram {
  readonly child: ChildProcess;
  err = '';

  constructor(child: ChildProcess) {
    this.child = child;
    child.stderr!.on('data', (data: Buffer) => {
      this.err += data.toString();
    });
    child.stdout!.resume();
  }

  get alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** The port in the log line with this text. */
  async port(line: string): Promise<number> {
    const [, port] = await until(
      `the log line "${line}"`,
      () => {
        if (!this.alive) throw new Error(`it ended: ${this.err}`);
        const found = this.err.split('\n').find((one) => one.includes(line));
        return found === undefined ? null : /http:\/\/127\.0\.0\.1:(\d+)/.exec(found);
      },
      START_TIMEOUT_MS,
    );
    return Number(port);
  }

  /** Processor time used so far, ms. Linux only. */
  get cpuMs(): number {
    const stat = readFileSync(`/proc/${this.child.pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // In ticks of 10 ms.
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }
}
