import { Buffer } from 'node:buffer';
import type { ReplySink, RequestSink, Writer } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import type { Hardware } from '../session.ts';
import { slimeLimits } from './limits.ts';
import { answerProblem } from './problem.ts';

const GIB = 1024 ** 3;
/** Characters of a name, and names, that are kept. */
const NAME_LENGTH = 100;
const NAMES = 64;

/** The body of an agent's first request: what its machine has. */
export class HardwareReport implements RequestSink {
  writer: Writer | null = null;
  readonly #reply: ReplySink;
  readonly #read: (hardware: Hardware | null) => void;
  #parts: Buffer[] = [];
  #bytes = 0;
  #over = false;

  /** `read` gets null when the agent says nothing. */
  constructor(reply: ReplySink, read: (hardware: Hardware | null) => void) {
    this.#reply = reply;
    this.#read = read;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#over) return true;
    this.#bytes += chunk.length;
    if (this.#bytes > slimeLimits.reportBytes) this.#refuse(new Failure('body_too_large', `a report has at most ${slimeLimits.reportBytes} bytes`));
    else this.#parts.push(Buffer.from(chunk));
    return true;
  }

  end(): void {
    if (this.#over) return;
    const text = Buffer.concat(this.#parts).toString('utf8').trim();
    const hardware = text === '' ? null : parseHardware(text);
    if (hardware === undefined) {
      this.#refuse(new Failure('bad_request', 'the hardware report is no JSON object'));
      return;
    }
    this.#over = true;
    this.#read(hardware);
  }

  #refuse(failure: Failure): void {
    this.#over = true;
    this.#parts = [];
    answerProblem(this.#reply, failure);
  }

  abort(): void {
    this.#over = true;
    this.#parts = [];
  }

  settled(): void {}
}

/** What a report says, as far as it makes sense; undefined: it is none. Null: it says nothing. */
export function parseHardware(text: string): Hardware | null | undefined {
  let report: unknown;
  try {
    report = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (report === null) return null;
  if (typeof report !== 'object' || Array.isArray(report)) return undefined;
  const { CPUCores, CPUThreads, MemoryPhysicalGB, MemoryUsableGB, GPUNames, PlatformArch, PlatformOS } = report as Record<string, unknown>;
  return {
    cpuCores: Math.floor(numberOf(CPUCores) || numberOf(CPUThreads)),
    cpuModel: '',
    memoryBytes: Math.round((numberOf(MemoryPhysicalGB) || numberOf(MemoryUsableGB)) * GIB),
    gpus: Array.isArray(GPUNames)
      ? GPUNames.slice(0, NAMES)
          .map(nameOf)
          .filter((name) => name !== '')
      : [],
    platform: nameOf(PlatformOS),
    arch: nameOf(PlatformArch),
  };
}

/** A hub's answer to join is empty; what is said to it is this. Addresses of network cards are nobody's business. */
export function hardwareReport(hardware: Hardware | null): string {
  if (hardware === null) return '';
  const gigabytes = Math.round((hardware.memoryBytes / GIB) * 10) / 10;
  return JSON.stringify({
    CPUCores: hardware.cpuCores,
    CPUThreads: hardware.cpuCores,
    MemoryUsableGB: Math.floor(gigabytes),
    MemoryPhysicalGB: Math.floor(gigabytes),
    GPUNames: hardware.gpus,
    MacAddresses: [],
    PlatformArch: hardware.arch,
    PlatformOS: hardware.platform,
  });
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 && value < 2 ** 40 ? value : 0;
}

function nameOf(value: unknown): string {
  return typeof value === 'string' ? value.replace(/[\p{C}]/gu, '').slice(0, NAME_LENGTH) : '';
}
