// HOT: runs per answer of upstreams that are balanced by spare capacity.
import { Buffer } from 'node:buffer';
import type { HeaderList } from '../http/head.ts';
import { LOAD_MOST, LOAD_REPORT_CHARACTERS } from './limits.ts';

/** Fields of an answer, head or trailers, that carry a report of load (ORCA, the Open Request Cost Aggregation of xDS). */
export const LOAD_FIELD = 'endpoint-load-metrics';
export const LOAD_FIELD_BINARY = 'endpoint-load-metrics-bin';

/** What of a report counts here; NaN = not told. */
interface Figures {
  application: number;
  cpu: number;
  named: number;
}

/**
 * The load in a report: `TEXT k=v, …`, `JSON {…}` or `BIN base64`. Of application_utilization, cpu_utilization and the named metric `load` the first
 * that is over 0; 0 when those told are 0. Null: it says nothing of load, or nothing that can be believed.
 */
export function reportedLoad(value: string): number | null {
  if (value.length > LOAD_REPORT_CHARACTERS) return null;
  const [, form, rest] = /^\s*(TEXT|JSON|BIN)\s+(.*)$/is.exec(value) ?? [];
  switch (form?.toUpperCase()) {
    case 'TEXT':
      return loadOf(fromText(rest!));
    case 'JSON':
      return loadOf(fromJson(rest!));
    case 'BIN':
      return reportedLoadBinary(rest!);
    default:
      return null;
  }
}

/** The same of an OrcaLoadReport in protobuf, as base64 with or without padding. There 0 is what is not told. */
export function reportedLoadBinary(value: string): number | null {
  if (value.length > LOAD_REPORT_CHARACTERS || !/^[\w+/-]*={0,2}$/.test(value)) return null;
  return loadOf(fromProtobuf(Buffer.from(value, 'base64')));
}

/** What the trailers of an answer report; null = nothing. */
export function loadInTrailers(trailers: HeaderList): number | null {
  let load: number | null = null;
  for (let i = 0; i < trailers.length; i += 2) {
    const name = trailers[i]!.toLowerCase();
    if (name === LOAD_FIELD) load = reportedLoad(trailers[i + 1]!) ?? load;
    else if (name === LOAD_FIELD_BINARY) load = reportedLoadBinary(trailers[i + 1]!) ?? load;
  }
  return load;
}

/** Trailers without the reports. */
export function withoutReports(trailers: HeaderList): HeaderList {
  const rest: string[] = [];
  for (let i = 0; i < trailers.length; i += 2) {
    const name = trailers[i]!.toLowerCase();
    if (name !== LOAD_FIELD && name !== LOAD_FIELD_BINARY) rest.push(trailers[i]!, trailers[i + 1]!);
  }
  return rest;
}

/** A report with one figure that cannot be is not believed at all. */
function loadOf(figures: Figures | null): number | null {
  if (figures === null) return null;
  let load: number | null = null;
  for (const figure of [figures.application, figures.cpu, figures.named]) {
    if (Number.isNaN(figure)) continue;
    if (!(figure >= 0 && figure <= LOAD_MOST)) return null;
    if (load === null || load === 0) load = figure;
  }
  return load;
}

/** What cannot be read as a number, to be refused by loadOf() for not being one that may be. */
const ODD = -1;

/** A decimal number; anything else, `NaN` included, is odd. */
function figureOf(value: unknown): number {
  if (typeof value === 'number') return Number.isNaN(value) ? ODD : value;
  return typeof value === 'string' && /^\s*\d{0,20}(?:\.\d{0,40})?(?:[eE][-+]?\d{1,3})?\s*$/.test(value) && /\d/.test(value) ? Number(value) : ODD;
}

function nothing(): Figures {
  return { application: Number.NaN, cpu: Number.NaN, named: Number.NaN };
}

function fromText(text: string): Figures | null {
  const figures = nothing();
  for (const item of text.split(',')) {
    const at = item.indexOf('=');
    if (at < 0) {
      if (item.trim() === '') continue;
      return null;
    }
    const figure = figureOf(item.slice(at + 1));
    switch (item.slice(0, at).trim()) {
      case 'application_utilization':
        figures.application = figure;
        break;
      case 'cpu_utilization':
        figures.cpu = figure;
        break;
      case 'named_metrics.load':
        figures.named = figure;
        break;
    }
  }
  return figures;
}

/** Names as in the proto or in camelCase, numbers also as text: protobuf's JSON may be either. */
function fromJson(text: string): Figures | null {
  let report: unknown;
  try {
    report = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isTable(report)) return null;
  const figures = nothing();
  const application = report['application_utilization'] ?? report['applicationUtilization'];
  const cpu = report['cpu_utilization'] ?? report['cpuUtilization'];
  const metrics = report['named_metrics'] ?? report['namedMetrics'];
  const named = isTable(metrics) ? metrics['load'] : undefined;
  if (application !== undefined && application !== null) figures.application = figureOf(application);
  if (cpu !== undefined && cpu !== null) figures.cpu = figureOf(cpu);
  if (named !== undefined && named !== null) figures.named = figureOf(named);
  return figures;
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Field numbers of xds.data.orca.v3.OrcaLoadReport. */
const CPU_UTILIZATION = 1;
const NAMED_METRICS = 8;
const APPLICATION_UTILIZATION = 9;

function fromProtobuf(bytes: Buffer): Figures | null {
  const figures = nothing();
  const isWhole = eachField(bytes, (number, value) => {
    if (typeof value === 'number') {
      if (number === CPU_UTILIZATION) figures.cpu = figureOf(value);
      else if (number === APPLICATION_UTILIZATION) figures.application = figureOf(value);
    } else if (number === NAMED_METRICS) {
      let key = '';
      let figure = 0;
      eachField(value, (of, part) => {
        if (of === 1 && typeof part !== 'number') key = part.toString('latin1');
        else if (of === 2 && typeof part === 'number') figure = figureOf(part);
      });
      if (key === 'load') figures.named = figure;
    }
  });
  return isWhole ? figures : null;
}

/** Visits the doubles and the byte strings of a message. @returns false when it is none */
function eachField(bytes: Buffer, visit: (number: number, value: number | Buffer) => void): boolean {
  let at = 0;
  /** The next varint; -1 when there is none. Fields and lengths of more than 28 bits are not for such small messages. */
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) return -1;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    return -1;
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag < 8) return false;
    switch (tag & 7) {
      case 0: {
        // A number that may be of 64 bits: nobody asks for it.
        let more = true;
        for (let i = 0; i < 10 && more; i++) more = (bytes[at++] ?? 0) >= 128;
        if (more) return false;
        break;
      }
      case 1:
        if (at + 8 > bytes.length) return false;
        visit(tag >> 3, bytes.readDoubleLE(at));
        at += 8;
        break;
      case 2: {
        const length = varint();
        if (length < 0 || at + length > bytes.length) return false;
        visit(tag >> 3, bytes.subarray(at, at + length));
        at += length;
        break;
      }
      case 5:
        at += 4;
        break;
      default:
        return false;
    }
  }
  return at === bytes.length;
}
