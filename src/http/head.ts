// HOT: one RequestHead and one ResponseHead are filled per exchange; both are scratch objects that are filled again by the next one.
import { Buffer } from 'node:buffer';
import type { ClientCertificate } from './client-certificate.ts';
import type { FailureCode } from './failure.ts';
import { CONTENT_LENGTH, ID_COUNT, idOfName, TOKEN, VALUE } from './names.ts';

/** `length` of a head without a body. */
export const NO_BODY = -1;
/** `length` of a head whose body ends when it ends (chunked, or until the connection closes). */
export const UNKNOWN_LENGTH = -2;

/** Ints per field: name start, name end, value start, value end, id | flags. Offsets into `bytes`. */
export const STRIDE = 5;
/** Flag in the fifth int: the field is not passed on. */
export const REMOVED = 0x10000;
const ID_MASK = 0xffff;

const EMPTY = Buffer.alloc(0);
const NO_WORDS = new DataView(new ArrayBuffer(0));
/** Of heads that no parser fills: made ones are many, and have no received fields. */
const NO_FIELDS = new Int32Array(0);
const NO_NAMES = new Uint16Array(ID_COUNT);
/** Memory of a copy: most heads fit. */
const STORE_BYTES = 2048;
const NAME_SHAPE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Flat list of names and values: [name, value, name, value …]. */
export type HeaderList = readonly string[];

/**
 * One field line with its CRLF: the only way a field that we make becomes text.
 * @throws RangeError when name or value could break out of the line (CR, LF, NUL, controls): rule 19 of the threat table.
 */
export function fieldLine(name: string, value: string): string {
  if (!NAME_SHAPE.test(name)) throw new RangeError(`not a field name: ${JSON.stringify(name)}`);
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c > 255 || VALUE[c] === 0) throw new RangeError(`field ${name} has a forbidden character at position ${i}`);
  }
  return `${name}: ${value}\r\n`;
}

/**
 * A message head: its text as received, a table of offsets into it, and what was changed since.
 * Strings are made only for what somebody asks for. Valid until the call that delivers it returns: hold `keep()` instead.
 */
export abstract class Head {
  bytes: Buffer = EMPTY;
  /** `bytes` once more, for reading four at a time; and the memory that they stand in, for views of them, which a Buffer makes at twice the cost. */
  words: DataView = NO_WORDS;
  memory: ArrayBufferLike = NO_WORDS.buffer;
  memoryAt = 0;
  #wordsOf: Buffer = EMPTY;
  /** The head's text is bytes[start..end), blank line included. */
  start = 0;
  end = 0;
  /** HTTP/1.x: the x. */
  minor = 1;
  fields: Int32Array;
  count = 0;
  /** By name id: index + 1 of the first field of that name, 0 when there is none (or it was removed). */
  readonly first: Uint16Array;
  /** Fields that were added: text, since it is only ever written. Each line ends with CRLF. */
  tail = '';
  /** Bytes of the body, or NO_BODY, or UNKNOWN_LENGTH. */
  length = NO_BODY;
  /** What the `Upgrade` field asks for or grants, with `Connection: upgrade`; '' when nothing. */
  upgrade = '';
  /** May the connection be used again after this message? */
  keepAlive = true;
  /** The parser took out fields for the underscores in their names. */
  underscored = false;
  /** Set by the parser when the head is refused. */
  problem: FailureCode | null = null;
  problemDetail = '';
  /** Memory of a head that is a copy. */
  #store: Buffer = EMPTY;
  /** Made when somebody asks for a name while there is a tail. */
  #tailLines: TailLines | null = null;

  /** `fieldCapacity`: 0 = nothing is ever parsed or copied into it. */
  constructor(fieldCapacity: number) {
    this.fields = fieldCapacity === 0 ? NO_FIELDS : new Int32Array(fieldCapacity * STRIDE);
    this.first = fieldCapacity === 0 ? NO_NAMES : new Uint16Array(ID_COUNT);
  }

  has(id: number): boolean {
    return this.first[id] !== 0;
  }

  /** The value of the first field of that id; '' when absent. Latin-1. */
  value(id: number): string {
    const at = this.first[id]!;
    if (at === 0) return '';
    const f = (at - 1) * STRIDE;
    return this.bytes.latin1Slice(this.fields[f + 2]!, this.fields[f + 3]!);
  }

  /** All values of a name (lower case) joined with ', '; undefined when absent. Makes no string but the value. */
  get(name: string): string | undefined {
    let found: string | undefined;
    const id = idOfName(name);
    if (id === 0 || this.first[id] !== 0) {
      const { fields } = this;
      for (let f = 0, last = this.count * STRIDE; f < last; f += STRIDE) {
        const of = fields[f + 4]!;
        if (of !== id || (id === 0 && !this.isNamed(f, name))) continue;
        const value = this.bytes.latin1Slice(fields[f + 2]!, fields[f + 3]!);
        found = found === undefined ? value : `${found}, ${value}`;
      }
    }
    const { tail } = this;
    if (tail === '') return found;
    const lines = (this.#tailLines ??= new TailLines());
    lines.read(tail);
    for (let i = 0; i < lines.count; i++) {
      const at = lines.starts[i]!;
      if (!isLineOf(tail, at, name)) continue;
      const value = tail.slice(at + name.length + 2, tail.indexOf('\r\n', at));
      found = found === undefined ? value : `${found}, ${value}`;
    }
    return found;
  }

  /** Visits all fields that will be passed on, added ones last; names in lower case. For cold paths. */
  each(visit: (name: string, value: string) => void): void {
    const { bytes, fields } = this;
    for (let i = 0; i < this.count; i++) {
      const f = i * STRIDE;
      if ((fields[f + 4]! & REMOVED) !== 0) continue;
      visit(bytes.latin1Slice(fields[f]!, fields[f + 1]!).toLowerCase(), bytes.latin1Slice(fields[f + 2]!, fields[f + 3]!));
    }
    if (this.tail !== '') {
      for (const line of this.tail.split('\r\n')) {
        const colon = line.indexOf(':');
        if (colon > 0) visit(line.slice(0, colon).toLowerCase(), line.slice(colon + 2));
      }
    }
  }

  /** All that will be passed on, as a flat list. For cold paths. */
  list(): string[] {
    const out: string[] = [];
    this.each((name, value) => out.push(name, value));
    return out;
  }

  /** Removes all received fields of that id. */
  remove(id: number): void {
    if (this.first[id] === 0) return;
    this.first[id] = 0;
    const { fields } = this;
    for (let f = 4; f < this.count * STRIDE; f += STRIDE) if (fields[f] === id) fields[f] = id | REMOVED;
  }

  /** Removes all fields of that name (lower case), added ones too. */
  removeName(name: string): void {
    const id = idOfName(name);
    if (id !== 0) this.remove(id);
    else {
      for (let i = 0; i < this.count; i++) {
        const f = i * STRIDE;
        if (this.isNamed(f, name)) this.fields[f + 4] = this.fields[f + 4]! | REMOVED;
      }
    }
    if (hasLine(this.tail, name)) {
      let tail = '';
      for (const line of this.tail.split('\r\n')) {
        if (line !== '' && line.slice(0, line.indexOf(':')).toLowerCase() !== name) tail += `${line}\r\n`;
      }
      this.tail = tail;
    }
  }

  /** @throws RangeError, see fieldLine */
  add(name: string, value: string): void {
    this.tail += fieldLine(name, value);
  }

  /** @throws RangeError, see fieldLine */
  set(name: string, value: string): void {
    const line = fieldLine(name, value);
    this.removeName(name.toLowerCase());
    this.tail += line;
  }

  /** Says the body's length anew: what plugins that change a body call. */
  setLength(length: number): void {
    this.remove(CONTENT_LENGTH);
    this.length = length;
  }

  /** Is the field at fields[f] of this name (lower case)? */
  isNamed(f: number, name: string): boolean {
    const from = this.fields[f]!;
    if (this.fields[f + 1]! - from !== name.length) return false;
    for (let i = 0; i < name.length; i++) if (TOKEN[this.bytes[from + i]!] !== name.charCodeAt(i)) return false;
    return true;
  }

  /** Back to empty, before the parser fills it. */
  reset(bytes: Buffer, start: number): void {
    this.#standIn(bytes);
    this.start = start;
    this.end = start;
    this.count = 0;
    this.first.fill(0);
    this.tail = '';
    this.length = NO_BODY;
    this.upgrade = '';
    this.keepAlive = true;
    this.underscored = false;
    this.problem = null;
  }

  #standIn(bytes: Buffer): void {
    this.bytes = bytes;
    // Nearly always the same buffer: all small reads share one.
    if (bytes === this.#wordsOf) return;
    this.#wordsOf = bytes;
    this.memory = bytes.buffer;
    this.memoryAt = bytes.byteOffset;
    this.words = new DataView(this.memory, this.memoryAt, bytes.length);
  }

  /** Is it a copy, in memory of its own? */
  get isCopy(): boolean {
    return this.#store.length > 0 && this.bytes === this.#store;
  }

  protected keepInto(copy: Head): void {
    const { start, count } = this;
    const length = this.end - start;
    // A copy that has been one before brings its memory along.
    if (copy.#store.length < length) copy.#store = Buffer.allocUnsafeSlow(Math.max(length, STORE_BYTES));
    if (copy.fields.length < count * STRIDE) copy.fields = new Int32Array(count * STRIDE);
    copy.#store.set(this.bytes.subarray(start, this.end));
    copy.#standIn(copy.#store);
    copy.start = 0;
    copy.end = length;
    copy.minor = this.minor;
    copy.count = count;
    const from = this.fields;
    const to = copy.fields;
    for (let f = 0, last = count * STRIDE; f < last; f += STRIDE) {
      to[f] = from[f]! - start;
      to[f + 1] = from[f + 1]! - start;
      to[f + 2] = from[f + 2]! - start;
      to[f + 3] = from[f + 3]! - start;
      to[f + 4] = from[f + 4]!;
    }
    copy.first.set(this.first);
    copy.tail = this.tail;
    copy.length = this.length;
    copy.upgrade = this.upgrade;
    copy.keepAlive = this.keepAlive;
  }

  /** The id of field number i, removed or not. */
  idAt(i: number): number {
    return this.fields[i * STRIDE + 4]! & ID_MASK;
  }
}

/** Where the lines of a tail start: of one request many names are asked for, and the tail is the same. */
class TailLines {
  #text = '';
  readonly starts: number[] = [];
  count = 0;

  read(text: string): void {
    if (text === this.#text) return;
    this.#text = text;
    let count = 0;
    for (let at = 0, end = 0; end >= 0 && at < text.length; at = end + 1) {
      this.starts[count++] = at;
      end = text.indexOf('\n', at);
    }
    this.count = count;
  }
}

/** Is there a line of that name (lower case) among added ones? Most removals are of names that are not there. */
function hasLine(lines: string, name: string): boolean {
  for (let at = 0; at < lines.length; at = lines.indexOf('\n', at) + 1) if (isLineOf(lines, at, name)) return true;
  return false;
}

/** Is the line at `at` one of that name (lower case)? */
function isLineOf(lines: string, at: number, name: string): boolean {
  if (lines.charCodeAt(at + name.length) !== COLON) return false;
  for (let i = 0; i < name.length; i++) if (TOKEN[lines.charCodeAt(at + i)] !== name.charCodeAt(i)) return false;
  return true;
}

const COLON = 0x3a;

/** Who is at the other end of a client's connection: facts of the connection, the same for all its requests. */
export interface Peer {
  /** Text of the remote address, IPv4-mapped IPv6 written as IPv4; '' for a unix socket. What a PROXY header says, where one is expected. */
  address: string;
  port: number;
  readonly scheme: 'http' | 'https';
  /** What is spoken on the connection: HTTP/1.0 and 1.1, or HTTP/2. */
  http2: boolean;
  /** Port of ours that was dialled. */
  readonly localPort: number;
  /** And the address, written like the peer's; '' when nobody knows. */
  localAddress: string;
  /** May this peer tell us who its client is (trusted proxy)? */
  trusted: boolean;
  /** Who said so, for whoever wants to know whether somebody else must be asked by now. */
  judge: unknown;
  /** Number of the connection at its listener, from 1; 0 where there is none. */
  connection: number;
  /** When it was accepted, monotonic ms. */
  openedMs: number;
  /** Requests that came on it so far, this one included. */
  requests: number;
  /** `TLSv1.3`, and the cipher by its OpenSSL name; '' without TLS. */
  tlsVersion: string;
  tlsCipher: string;
  /** What the TLS handshake took, ms. */
  handshakeMs: number;
  /** The certificate that it has shown, checked; null = none. */
  certificate: ClientCertificate | null;
  /** It carries answers of a service for somebody whom we know: bodies may pause and be of any length, and between requests it stays. */
  patient: boolean;
  /** Called when the connection is over: we ended it, or the other end did, or it was lost. */
  over: ((how: 'ours' | 'theirs' | 'lost') => void) | null;
  /** Scratch of http/forwarded.ts: the forwarding fields of the last request on this connection and the Host they are for. */
  forwardedFor: string;
  forwardedTail: string;
}

export function makePeer(address: string, port: number, localPort: number, scheme: 'http' | 'https', trusted: boolean): Peer {
  return {
    address: plainAddress(address),
    port,
    localPort,
    localAddress: '',
    scheme,
    http2: false,
    trusted,
    judge: null,
    patient: false,
    over: null,
    connection: 0,
    openedMs: 0,
    requests: 0,
    tlsVersion: '',
    tlsCipher: '',
    handshakeMs: 0,
    certificate: null,
    forwardedFor: '\0',
    forwardedTail: '',
  };
}

/** An IPv4 address that a dual-stack socket writes as IPv6, as what it is. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}

const NOBODY: Peer = makePeer('', 0, 0, 'http', false);

export class RequestHead extends Head {
  method = 'GET';
  /** The method as the text has it, and where the request line begins. */
  textMethod = '';
  lineStart = 0;
  targetStart = 0;
  targetEnd = 0;
  /** The target when it is not the text's own: resolved dot segments, an absolute form's path, a rewrite. */
  newTarget: string | null = null;
  authorityStart = 0;
  authorityEnd = 0;
  newAuthority: string | null = null;
  /** The client waits for 100 before it sends the body. */
  expectContinue = false;
  /** The client takes trailers (`TE: trailers`). */
  trailers = false;
  peer: Peer = NOBODY;
  /** Address of the client as far as we believe it; '' = that of the peer (see `client`). */
  claimedClient = '';

  constructor(fieldCapacity = 128) {
    super(fieldCapacity);
  }

  /** Request target in origin form, query included, as it is matched and forwarded. `*` for OPTIONS. */
  get target(): string {
    return this.newTarget ?? this.bytes.latin1Slice(this.targetStart, this.targetEnd);
  }

  /** The target without its query. */
  get path(): string {
    const target = this.target;
    const query = target.indexOf('?');
    return query < 0 ? target : target.slice(0, query);
  }

  /** Host and port as the client wrote them; '' when an HTTP/1.0 client named none. */
  get authority(): string {
    return this.newAuthority ?? this.bytes.latin1Slice(this.authorityStart, this.authorityEnd);
  }

  /** Address of the client: the peer's, or what trusted proxies in front of us say. */
  get client(): string {
    return this.claimedClient === '' ? this.peer.address : this.claimedClient;
  }

  /** Is the body nothing at all, or of zero bytes? */
  get bodiless(): boolean {
    return this.length === NO_BODY || this.length === 0;
  }

  override reset(bytes: Buffer, start: number): void {
    super.reset(bytes, start);
    this.newTarget = null;
    this.newAuthority = null;
    this.authorityStart = this.authorityEnd = 0;
    this.expectContinue = false;
    this.trailers = false;
    this.claimedClient = '';
  }

  /** A copy that may be held: for requests that wait or may be sent again. `copy`: one that nobody holds any more. */
  keep(copy: RequestHead = new RequestHead(Math.max(1, this.count))): RequestHead {
    this.keepInto(copy);
    copy.method = this.method;
    copy.textMethod = this.textMethod;
    copy.lineStart = this.lineStart - this.start;
    copy.targetStart = this.targetStart - this.start;
    copy.targetEnd = this.targetEnd - this.start;
    copy.newTarget = this.newTarget;
    copy.authorityStart = this.authorityStart - this.start;
    copy.authorityEnd = this.authorityEnd - this.start;
    copy.newAuthority = this.newAuthority;
    copy.expectContinue = this.expectContinue;
    copy.trailers = this.trailers;
    copy.peer = this.peer;
    copy.claimedClient = this.claimedClient;
    return copy;
  }
}

export class ResponseHead extends Head {
  status = 0;
  /** The status as the text has it. */
  textStatus = 0;
  reasonStart = 0;
  reasonEnd = 0;
  /** The body came in chunks (so its end is certain). */
  chunked = false;
  /** How long the sender says it keeps the connection, s; 0 when it says nothing. */
  keepAliveS = 0;

  constructor(fieldCapacity = 128) {
    super(fieldCapacity);
  }

  get reason(): string {
    return this.bytes.latin1Slice(this.reasonStart, this.reasonEnd);
  }

  /** A head of our own making. `length`: bytes of the body that follows, NO_BODY or UNKNOWN_LENGTH. @throws RangeError, see fieldLine */
  static make(status: number, fields: HeaderList, length: number): ResponseHead {
    const head = new ResponseHead(0);
    head.status = status;
    head.length = length;
    for (let i = 0; i < fields.length; i += 2) head.tail += fieldLine(fields[i]!, fields[i + 1]!);
    return head;
  }

  override reset(bytes: Buffer, start: number): void {
    super.reset(bytes, start);
    this.status = 0;
    this.keepAliveS = 0;
  }

  keep(): ResponseHead {
    const copy = new ResponseHead(Math.max(1, this.count));
    this.keepInto(copy);
    copy.status = this.status;
    copy.textStatus = this.textStatus;
    copy.reasonStart = this.reasonStart - this.start;
    copy.reasonEnd = this.reasonEnd - this.start;
    return copy;
  }
}
