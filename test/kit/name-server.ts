import { once } from 'node:events';
import dgram from 'node:dgram';
import type { AddressInfo } from 'node:net';

/** Records by name: IPv4 and IPv6 addresses; `servfail` answers with an error of the server; a name that is not there does not exist. */
export type Zone = Map<string, { readonly a?: readonly string[]; readonly aaaa?: readonly string[]; readonly ttlS?: number } | 'servfail'>;

const A = 1;
const AAAA = 28;
const NO_SUCH_NAME = 3;
const SERVER_FAILURE = 2;

/** A name server on loopback (UDP) that answers from a zone, which a test may change. */
export class NameServer {
  readonly zone: Zone = new Map();
  /** Names that were asked for, with the type of the record. */
  readonly asked: string[] = [];
  readonly #socket: dgram.Socket;

  private constructor(socket: dgram.Socket) {
    this.#socket = socket;
    socket.on('message', (message, from) => socket.send(this.#answer(message), from.port, from.address));
  }

  static async start(): Promise<NameServer> {
    const socket = dgram.createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new NameServer(socket);
  }

  /** As it stands in dns_server. */
  get address(): string {
    return `127.0.0.1:${(this.#socket.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#socket.close();
  }

  #answer(query: Buffer): Buffer {
    const labels: string[] = [];
    let at = 12;
    while (query[at] !== 0) {
      labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!));
      at += query[at]! + 1;
    }
    const type = query.readUInt16BE(at + 1);
    const name = labels.join('.').toLowerCase();
    this.asked.push(`${name} ${type === AAAA ? 'AAAA' : 'A'}`);
    const question = query.subarray(12, at + 5);
    const found = this.zone.get(name);
    const records = typeof found === 'object' ? ((type === A ? found.a : type === AAAA ? found.aaaa : []) ?? []) : [];
    const header = Buffer.alloc(12);
    query.copy(header, 0, 0, 2);
    header[2] = 0x84;
    header[3] = 0x80 | (found === undefined ? NO_SUCH_NAME : found === 'servfail' ? SERVER_FAILURE : 0);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(records.length, 6);
    const ttlS = typeof found === 'object' ? (found.ttlS ?? 60) : 0;
    return Buffer.concat([header, question, ...records.map((ip) => record(type, ttlS, ip))]);
  }
}

function record(type: number, ttlS: number, ip: string): Buffer {
  const data = type === A ? Buffer.from(ip.split('.').map(Number)) : ipv6(ip);
  const fixed = Buffer.alloc(12);
  // A pointer to the name in the question.
  fixed.writeUInt16BE(0xc00c, 0);
  fixed.writeUInt16BE(type, 2);
  fixed.writeUInt16BE(1, 4);
  fixed.writeUInt32BE(ttlS, 6);
  fixed.writeUInt16BE(data.length, 10);
  return Buffer.concat([fixed, data]);
}

function ipv6(text: string): Buffer {
  const [before, after] = text.split('::') as [string, string | undefined];
  const groups = (part: string | undefined): number[] =>
    part === undefined || part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const [left, right] = [groups(before), groups(after)];
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}
