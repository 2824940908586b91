import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Kit } from '../../kit/kit.ts';
import { soon } from '../../kit/until.ts';

/** What clients and servers are written in. */
export type Language = 'python' | 'node';

/** Where the programs and the service's proto lie. */
const FOLDER = fileURLToPath(new URL('.', import.meta.url));
/** Whichever Python has gRPC: that of Debian's packages, as a rule. */
const PYTHONS = ['/usr/bin/python3', 'python3'];

/** A Python with grpcio and its tools; null = this machine has none. */
export function findPython(): string | null {
  return PYTHONS.find((python) => spawnSync(python, ['-c', 'import grpc, grpc_tools']).status === 0) ?? null;
}

/** Makes the modules of the proto, as the service's own build does. @returns the folder they are in */
export function generate(python: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'windlass-pi-'));
  const args = ['-m', 'grpc_tools.protoc', `-I${FOLDER}`, `--python_out=${folder}`, `--grpc_python_out=${folder}`, 'tts.proto'];
  const { status, stderr } = spawnSync(python, args, { cwd: FOLDER, encoding: 'utf8' });
  if (status !== 0) {
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`the proto cannot be compiled: ${stderr}`);
  }
  return folder;
}

/** How a call ended. */
export interface Outcome {
  readonly code: number;
  readonly details: string;
  readonly reply: { readonly success: boolean; readonly message: string } | null;
  readonly initial: Readonly<Record<string, string>>;
  readonly trailers: Readonly<Record<string, string>>;
}

export interface Chunk {
  /** Base64. */
  readonly audio: string;
  readonly index: number;
}

/** A stream that runs. */
export interface Stream {
  send(text: string): void;
  end(): void;
  /** The next chunks. @throws when the stream ends before */
  chunks(count: number): Promise<readonly Chunk[]>;
  readonly outcome: Promise<Outcome>;
}

export interface Client {
  call(method: string, request: object, more?: { metadata?: object; timeout?: number }): Promise<Outcome>;
  open(metadata?: object): Stream;
}

export interface Server {
  readonly name: string;
  readonly port: number;
  /** At once, as a machine does that loses its power. */
  kill(): Promise<void>;
  /** A new one, at the same port. */
  revive(): Promise<void>;
}

/** Programs in one language. */
export class Programs {
  readonly #language: Language;
  readonly #python: string;
  readonly #generated: string;
  readonly #kit: Kit;

  /** `python` and `generated`: of findPython() and generate(); '' for Node. */
  constructor(language: Language, kit: Kit, python: string, generated: string) {
    this.#language = language;
    this.#kit = kit;
    this.#python = python;
    this.#generated = generated;
  }

  #spawn(program: string, args: readonly string[]): ChildProcess {
    const isPython = this.#language === 'python';
    const command = isPython ? this.#python : process.execPath;
    const path = join(FOLDER, `${program}.${isPython ? 'py' : 'mjs'}`);
    // Proxies of the environment are not for loopback.
    const env = { PATH: process.env['PATH'], PYTHONPATH: this.#generated, PYTHONDONTWRITEBYTECODE: '1' };
    const child = spawn(command, [path, ...args], { env, stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin!.on('error', () => {});
    this.#kit.later(() => child.kill('SIGKILL'));
    return child;
  }

  async server(name: string, load?: number): Promise<Server> {
    const start = async (port: number): Promise<{ child: ChildProcess; port: number }> => {
      const child = this.#spawn('server', [String(port), name, ...(load === undefined ? [] : [String(load)])]);
      const [line] = (await soon(`${name} to listen`, once(child.stdout!, 'data'))) as [Buffer];
      return { child, port: Number(line.toString()) };
    };
    let { child, port } = await start(0);
    return {
      name,
      port,
      kill: async () => {
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
      },
      revive: async () => {
        ({ child, port } = await start(port));
      },
    };
  }

  /** One channel to this port. */
  client(port: number): Client {
    const child = this.#spawn('client', [`127.0.0.1:${port}`]);
    const calls = new Map<number, Call>();
    let ids = 0;
    readline.createInterface({ input: child.stdout! }).on('line', (line) => {
      const { id, ...said } = JSON.parse(line) as { id: number } & (Outcome | Chunk);
      calls.get(id)!.take(said);
    });
    const order = (line: object): void => void child.stdin!.write(`${JSON.stringify(line)}\n`);
    const begin = (line: object): { id: number; call: Call } => {
      const id = ids++;
      const call = new Call();
      calls.set(id, call);
      order({ id, ...line });
      return { id, call };
    };
    return {
      call: (method, request, more = {}) => {
        const { call } = begin({ do: 'unary', method, request, metadata: { user_token: 'secret' }, ...more });
        return soon(method, call.outcome, CALL_MS);
      },
      open: (metadata = { user_token: 'secret' }) => {
        const { id, call } = begin({ do: 'open', metadata });
        return {
          send: (text) => order({ id, do: 'send', text }),
          end: () => order({ id, do: 'end' }),
          chunks: (count) => soon(`${count} chunks`, call.chunks(count), CALL_MS),
          outcome: call.outcome,
        };
      },
    };
  }
}

/** Longest that a call may take, ms: Python starts slowly on a busy machine. */
const CALL_MS = 15_000;

/** What was heard of a call. */
class Call {
  readonly #chunks: Chunk[] = [];
  #wanted: { count: number; resolve(chunks: readonly Chunk[]): void; reject(error: Error): void } | null = null;
  #end: (outcome: Outcome) => void = () => {};
  readonly outcome: Promise<Outcome> = new Promise((resolve) => {
    this.#end = resolve;
  });

  take(said: Outcome | Chunk): void {
    if ('audio' in said) {
      this.#chunks.push(said);
      this.#give();
    } else {
      this.#end(said);
      this.#wanted?.reject(new Error(`the stream ended before: ${JSON.stringify(said)}`));
    }
  }

  chunks(count: number): Promise<readonly Chunk[]> {
    return new Promise((resolve, reject) => {
      this.#wanted = { count, resolve, reject };
      this.#give();
    });
  }

  #give(): void {
    if (this.#wanted === null || this.#chunks.length < this.#wanted.count) return;
    const wanted = this.#wanted;
    this.#wanted = null;
    wanted.resolve(this.#chunks.splice(0, wanted.count));
  }
}
