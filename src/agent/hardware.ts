import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import os from 'node:os';
import type { Hardware } from '../tunnel/session.ts';

/** How long nvidia-smi may take, ms: a wedged driver must not keep the agent from its work. */
const GPU_TIMEOUT_MS = 3_000;
/** GPUs reported at most, and characters of a name. */
const GPUS = 64;
const NAME_LENGTH = 128;

/** What this machine has. Never fails: what cannot be found out is left empty. */
export async function readHardware(): Promise<Hardware> {
  const cpus = os.cpus();
  return {
    cpuCores: os.availableParallelism(),
    cpuModel: (cpus[0]?.model ?? '').trim().slice(0, NAME_LENGTH),
    memoryBytes: os.totalmem(),
    gpus: await readGpus(),
    platform: os.platform(),
    arch: os.arch(),
  };
}

async function readGpus(): Promise<string[]> {
  const asked = await fromNvidiaSmi();
  const names = asked.length > 0 ? asked : await fromProc();
  return names.slice(0, GPUS).map((name) => name.replace(/[^\x20-\x7e]/g, '').slice(0, NAME_LENGTH));
}

function fromNvidiaSmi(): Promise<string[]> {
  return new Promise((resolve) => {
    execFile('nvidia-smi', ['--query-gpu=name', '--format=csv,noheader'], { timeout: GPU_TIMEOUT_MS }, (error, stdout) => {
      resolve(error === null ? lines(stdout) : []);
    });
  });
}

/** Without nvidia-smi (in many containers) the driver's own files still name the cards. */
async function fromProc(): Promise<string[]> {
  const folder = '/proc/driver/nvidia/gpus';
  try {
    const names: string[] = [];
    for (const card of await readdir(folder)) {
      const model = /^Model:\s*(.+)$/m.exec(await readFile(`${folder}/${card}/information`, 'utf8'))?.[1];
      if (model !== undefined) names.push(model.trim());
    }
    return names;
  } catch {
    return [];
  }
}

function lines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
