import { Buffer } from 'node:buffer';
import type { Hardware } from '../session.ts';
import type { TunnelLimits } from '../limits.ts';
import { plainText } from './frames.ts';

/** The version of the protocol that this code speaks. */
export const VERSION = 1;

/** What an agent says of itself. */
export interface Hello {
  readonly versions: readonly number[];
  /** Name and version of the program, for people; '' = it does not say. */
  readonly software: string;
  readonly agent: string;
  readonly instance: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly hardware: Hardware | null;
  readonly slots: { readonly total: number; readonly free: number };
}

/** Another hub that an agent is to dial as well. */
export interface Sibling {
  /** Its hub id. */
  readonly id: string;
  /** As for `--hub`. */
  readonly address: string;
}

/** What a hub answers. */
export interface Welcome {
  readonly version: number;
  readonly hub: string;
  readonly session: string;
  readonly siblings: readonly Sibling[];
}

/** The payload of BYE and GOAWAY: why, and when it is worth coming back. */
export interface Farewell {
  /** For programs. */
  readonly code: string;
  /** For people. */
  readonly reason: string;
  readonly retryAfterMs: number;
}

const ID = /^[\x21-\x7e]{1,128}$/;
const LABEL_NAME = /^[A-Za-z0-9._/-]+$/;

export function writeHello(hello: Hello): Buffer {
  return Buffer.from(
    JSON.stringify({
      versions: hello.versions,
      features: [],
      software: hello.software,
      agent: hello.agent,
      instance: hello.instance,
      labels: Object.fromEntries(hello.labels),
      hardware: hello.hardware,
      slots: hello.slots,
    }),
  );
}

/** @returns what the agent says, or in one line why that is refused */
export function readHello(bytes: Buffer, start: number, end: number, limits: TunnelLimits): Hello | string {
  const value = parseObject(bytes, start, end);
  if (value === null) return 'HELLO is no JSON object';
  const { versions, agent, instance, slots } = value;
  if (!Array.isArray(versions) || !versions.includes(VERSION)) return `no common version: this hub speaks ${VERSION}`;
  if (typeof agent !== 'string' || !ID.test(agent)) return 'the agent id is not 1 to 128 visible ASCII characters';
  if (typeof instance !== 'string' || !ID.test(instance)) return 'the instance is not 1 to 128 visible ASCII characters';
  if (!isObject(slots) || !isCount(slots['total'], limits.slotCount) || !isCount(slots['free'], slots['total']))
    return `slots are not {total, free} with 0 <= free <= total <= ${limits.slotCount}`;
  const labels = new Map<string, string>();
  const given = value['labels'] ?? {};
  if (!isObject(given)) return 'labels are no object';
  for (const [name, text] of Object.entries(given)) {
    if (labels.size === limits.labelCount) return `more than ${limits.labelCount} labels`;
    if (!LABEL_NAME.test(name) || name.length > limits.labelNameBytes) return 'the name of a label is not 1 to 64 of A-Z a-z 0-9 . _ / -';
    if (typeof text !== 'string' || Buffer.byteLength(text) > limits.labelValueBytes || plainText(text, text.length) !== text)
      return `the value of label ${name} is no line of at most ${limits.labelValueBytes} bytes`;
    labels.set(name, text);
  }
  const software = value['software'];
  return {
    versions: [VERSION],
    software: typeof software === 'string' ? plainText(software, 64) : '',
    agent,
    instance,
    labels,
    hardware: readHardware(value['hardware']),
    slots: { total: slots['total'], free: slots['free'] },
  };
}

/** Claims for people to look at: what is not as expected counts as unknown. */
function readHardware(value: unknown): Hardware | null {
  if (!isObject(value)) return null;
  const text = (name: string): string => (typeof value[name] === 'string' ? plainText(value[name], 128) : '');
  const count = (name: string): number => (isCount(value[name], Number.MAX_SAFE_INTEGER) ? value[name] : 0);
  const gpus = Array.isArray(value['gpus']) ? value['gpus'].slice(0, 32).map((gpu) => (typeof gpu === 'string' ? plainText(gpu, 128) : '')) : [];
  return {
    cpuCores: count('cpuCores'),
    cpuModel: text('cpuModel'),
    memoryBytes: count('memoryBytes'),
    gpus,
    platform: text('platform'),
    arch: text('arch'),
  };
}

export function writeWelcome(welcome: Welcome): Buffer {
  return Buffer.from(
    JSON.stringify({ version: welcome.version, hub: welcome.hub, session: welcome.session, siblings: welcome.siblings, features: [] }),
  );
}

/** @returns null when it cannot be read or speaks a version we did not offer */
export function readWelcome(bytes: Buffer, start: number, end: number): Welcome | null {
  const value = parseObject(bytes, start, end);
  if (value === null || value['version'] !== VERSION) return null;
  const { hub, session } = value;
  if (typeof hub !== 'string' || typeof session !== 'string') return null;
  return { version: VERSION, hub: plainText(hub, 128), session: plainText(session, 128), siblings: readSiblings(value['siblings']) };
}

/** Siblings that an agent takes from one hub. */
const SIBLINGS = 64;

/** Entries that are not as they should be do not count. */
function readSiblings(value: unknown): Sibling[] {
  const siblings: Sibling[] = [];
  if (!Array.isArray(value)) return siblings;
  for (const entry of value as unknown[]) {
    if (siblings.length === SIBLINGS) break;
    if (!isObject(entry)) continue;
    const { id, address } = entry;
    if (typeof id === 'string' && ID.test(id) && typeof address === 'string' && address.length <= 1_024) siblings.push({ id, address });
  }
  return siblings;
}

export function writeFarewell(farewell: Farewell): Buffer {
  return Buffer.from(JSON.stringify(farewell));
}

/** @returns null when it cannot be read */
export function readFarewell(bytes: Buffer, start: number, end: number, limits: TunnelLimits): Farewell | null {
  const value = parseObject(bytes, start, end);
  if (value === null) return null;
  const { code, reason, retryAfterMs } = value;
  return {
    code: typeof code === 'string' ? plainText(code, 64) : '',
    reason: typeof reason === 'string' ? plainText(reason, limits.detailLength) : '',
    retryAfterMs: isCount(retryAfterMs, Number.MAX_SAFE_INTEGER) ? retryAfterMs : 0,
  };
}

function parseObject(bytes: Buffer, start: number, end: number): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8', start, end));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
}
