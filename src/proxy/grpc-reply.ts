import { Buffer } from 'node:buffer';
import { GRPC_TYPE, grpcOfHttpStatus, grpcStatusOf, isGrpcType, pushbackOf, readGrpcWebType } from '../http/grpc.ts';
import { REASONS } from '../http/write.ts';
import type { Reply } from './plugin.ts';

/**
 * A plugin's own answer as the client of a gRPC request can read it (rule R3): the status becomes one of gRPC's in the head, the text its message. What is
 * gRPC already stays as it is.
 */
export function grpcReply(reply: Reply): Reply {
  const given: string[] = [...(reply.headers ?? [])];
  for (const line of (reply.lines?.text ?? '').split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) given.push(line.slice(0, colon), line.slice(colon + 2));
  }
  const type = valueOf(given, 'content-type');
  if (isGrpcType(type) || readGrpcWebType(type) !== null) return reply;
  const headers = ['content-type', GRPC_TYPE, ...grpcStatusOf(grpcOfHttpStatus(reply.status), messageOf(reply, given))];
  const retryAfter = valueOf(given, 'retry-after');
  if (/^[0-9]{1,9}$/.test(retryAfter)) headers.push(...pushbackOf(Number(retryAfter)));
  for (let i = 0; i < given.length; i += 2) {
    // What describes the body that is no more, and what would say another status than this.
    if (!/^(?:content-|grpc-)/i.test(given[i]!)) headers.push(given[i]!, given[i + 1]!);
  }
  return { status: 200, headers };
}

function valueOf(fields: readonly string[], name: string): string {
  for (let i = 0; i < fields.length; i += 2) if (fields[i]!.toLowerCase() === name) return fields[i + 1]!;
  return '';
}

/** What the body says to people, if it says it briefly; else what the status is called. */
function messageOf({ status, body }: Reply, fields: readonly string[]): string {
  const reason = `${status} ${REASONS[status] ?? ''}`.trim();
  const isWhole = typeof body === 'string' || body instanceof Uint8Array;
  if (!isWhole || body.length > MESSAGE_BYTES) return reason;
  const said = saidBy(typeof body === 'string' ? body : Buffer.from(body).toString('utf8'), valueOf(fields, 'content-type'));
  return said === '' ? reason : said;
}

function saidBy(text: string, type: string): string {
  if (/^text\/plain\b/i.test(type)) return text.trim();
  if (!/^application\/(?:[\w.-]+\+)?json\b/i.test(type)) return '';
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown };
    return typeof detail === 'string' ? detail : '';
  } catch {
    return '';
  }
}

/** A body longer than this is no message. */
const MESSAGE_BYTES = 4096;
