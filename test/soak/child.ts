import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Everything that was started, so that it can be ended: by handle, nothing else. */
export class Children {
  /** The program: `…/cli/main.js`. */
  readonly #main: string;
  readonly #living = new Set<Child>();
  readonly folder = mkdtempSync(join(tmpdir(), 'windlass-soak-'));
  readonly secretFile = join(this.folder, 'secret');
  readonly tokenFile = join(this.folder, 'token');
  /** Lines of the program's log that tell of a defect. */
  readonly complaints: string[] = [];

  constructor(main: string) {
    this.#main = main;
    process.once('exit', this.#onExit);
    writeFileSync(this.secretFile, 'a secret that only the soak knows\n', { mode: 0o600 });
    const { stdout } = spawnSync(process.execPath, [main, 'hub', 'register', '--secret-file', this.secretFile, '--name', 'soak'], {
      encoding: 'utf8',
      env: this.#env(),
    });
    writeFileSync(this.tokenFile, `${stdout.trim().split('\n').at(-1)}\n`, { mode: 0o600 });
  }

  /** `command`: its words; `settings`: its flags. `said`: hears each line of standard output. */
  start(name: string, command: string, settings: Readonly<Record<string, string>>, said: (line: string) => void = () => {}): Child {
    const flags = Object.entries({ ...settings, 'log-format': 'json' }).map(([flag, value]) => `--${flag}=${value}`);
    const handle = spawn(process.execPath, [this.#main, ...command.split(' '), ...flags], { env: this.#env(), stdio: ['ignore', 'pipe', 'pipe'] });
    const child = new Child(name, handle, said, (line) => {
      if (this.complaints.length < 50) this.complaints.push(`${name}: ${line}`);
    });
    this.#living.add(child);
    void child.ended.then(() => this.#living.delete(child));
    return child;
  }

  #env(): NodeJS.ProcessEnv {
    return { PATH: process.env['PATH'], HOME: this.folder };
  }

  readonly #onExit = (): void => this.close();

  /** Kills whatever still runs. Done at the exit of this process in any case. */
  close(): void {
    process.off('exit', this.#onExit);
    for (const child of this.#living) child.signal('SIGKILL');
    this.#living.clear();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What a well program never says. */
const COMPLAINT = /"level":"error"|broke the protocol/;

/** A process of the program. */
export class Child {
  readonly name: string;
  readonly #handle: ChildProcess;
  readonly ended: Promise<void>;
  alive = true;
  readonly #lines: string[] = [];
  #waiting: { text: string; found: (line: string) => void; failed: (error: Error) => void }[] = [];

  constructor(name: string, handle: ChildProcess, said: (line: string) => void, complain: (line: string) => void) {
    this.name = name;
    this.#handle = handle;
    byLine(handle.stdout!, said);
    byLine(handle.stderr!, (line) => {
      if (COMPLAINT.test(line)) complain(line);
      if (this.#lines.length < 20) this.#lines.push(line);
      const [found] = this.#waiting.filter(({ text }) => line.includes(text));
      if (found === undefined) return;
      this.#waiting = this.#waiting.filter((one) => one !== found);
      found.found(line);
    });
    this.ended = new Promise((resolve) => {
      handle.once('exit', () => {
        this.alive = false;
        for (const { text, failed } of this.#waiting) failed(new Error(`${name} ended before it said "${text}":\n${this.#lines.join('\n')}`));
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#handle.pid!;
  }

  /** The next log line with this text, or one of the first that has it. */
  line(text: string): Promise<string> {
    const found = this.#lines.find((line) => line.includes(text));
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve, reject) => this.#waiting.push({ text, found: resolve, failed: reject }));
  }

  /** The port in such a line. */
  async port(text: string): Promise<number> {
    return Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(await this.line(text))![1]);
  }

  signal(name: NodeJS.Signals): void {
    if (this.alive) this.#handle.kill(name);
  }

  /** Memory that is resident, bytes; 0 when it cannot be told. */
  get residentBytes(): number {
    try {
      const kib = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'latin1'))?.[1];
      return Number(kib ?? 0) * 1024;
    } catch {
      return 0;
    }
  }
}

function byLine(stream: NodeJS.ReadableStream, said: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('latin1');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) said(line);
  });
}
