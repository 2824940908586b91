// A gRPC service and its client, both of grpc-js: nothing of ours is in them. Messages are bytes, so that no schema is needed.
import { Buffer } from 'node:buffer';
import * as grpc from '@grpc/grpc-js';
import type { Kit } from './kit.ts';

const same = (bytes: Buffer): Buffer => bytes;

function method(name: string, requestStream: boolean, responseStream: boolean): grpc.MethodDefinition<Buffer, Buffer> {
  return {
    path: `/test.Service/${name}`,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

const UNARY = method('Unary', false, false);
const COLLECT = method('Collect', true, false);
const EMIT = method('Emit', false, true);
const TALK = method('Talk', true, true);

/** A call as the service sees it. */
export interface SeenCall {
  readonly method: 'Unary' | 'Collect' | 'Emit' | 'Talk';
  readonly metadata: grpc.Metadata;
  readonly host: string;
  /** What its deadline leaves when it comes, ms; Infinity without one. */
  readonly leftMs: number;
  /** Bytes of its messages so far; of Emit, of those that were sent. */
  bytes: number;
  /** It was cancelled, or its connection is gone. */
  readonly cancelled: Promise<void>;
}

type AnyCall = NodeJS.EventEmitter & Pick<grpc.ServerUnaryCall<Buffer, Buffer>, 'metadata' | 'getDeadline' | 'getHost' | 'sendMetadata'>;

/**
 * The service. What it does is asked for in metadata: `x-echo…` come back in the head and `x-trail…` in the trailers, `x-fail` is a status to end with
 * (`x-message`, `x-details-bin`), `x-hang` never to answer, `x-early` not to wait for the end of the request.
 */
export class GrpcOrigin {
  readonly server: grpc.Server;
  readonly calls: SeenCall[] = [];
  port = 0;
  /** Told of each call. */
  #arrivals: (() => void)[] = [];

  constructor() {
    this.server = new grpc.Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
    this.server.addService(
      { unary: UNARY, collect: COLLECT, emit: EMIT, talk: TALK },
      {
        unary: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
          const seen = this.#begin('Unary', call);
          seen.bytes = call.request.length;
          this.#finish(call, (error, trailers) => (error === null ? done(null, call.request, trailers) : done(error)));
        },
        collect: (call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
          const seen = this.#begin('Collect', call);
          let messages = 0;
          call.on('data', (message: Buffer) => {
            messages++;
            seen.bytes += message.length;
          });
          call.on('end', () =>
            this.#finish(call, (error, trailers) =>
              error === null ? done(null, Buffer.from(`${messages} messages, ${seen.bytes} bytes`), trailers) : done(error),
            ),
          );
        },
        emit: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
          const seen = this.#begin('Emit', call);
          const [count = 0, size = 0] = call.request.toString().split(' ').map(Number);
          let sent = 0;
          const more = (): void => {
            while (sent < count && !call.cancelled) {
              seen.bytes += size;
              if (!call.write(Buffer.alloc(size, ++sent & 0xff))) return void call.once('drain', more);
            }
            this.#finish(call, (error, trailers) => (error === null ? call.end(trailers) : call.emit('error', error)));
          };
          more();
        },
        talk: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
          const seen = this.#begin('Talk', call);
          const early = call.metadata.get('x-early').length > 0;
          call.on('data', (message: Buffer) => {
            seen.bytes += message.length;
            if (early) {
              this.#finish(call, (error, trailers) => (error === null ? call.end(trailers) : call.emit('error', error)));
              return;
            }
            if (call.write(message)) return;
            call.pause();
            call.once('drain', () => call.resume());
          });
          call.on('end', () => this.#finish(call, (error, trailers) => (error === null ? call.end(trailers) : call.emit('error', error))));
        },
      },
    );
  }

  #begin(name: SeenCall['method'], call: AnyCall): SeenCall {
    const { metadata } = call;
    const deadline = Number(call.getDeadline());
    const seen: SeenCall = {
      method: name,
      metadata,
      host: call.getHost(),
      leftMs: deadline - Date.now(),
      bytes: 0,
      cancelled: new Promise((resolve) => call.once('cancelled', () => resolve())),
    };
    call.on('error', () => {});
    this.calls.push(seen);
    const head = picked(metadata, 'x-echo');
    if (head !== null) call.sendMetadata(head);
    for (const arrived of this.#arrivals.splice(0)) arrived();
    return seen;
  }

  #finish({ metadata }: AnyCall, end: (error: grpc.ServerErrorResponse | null, trailers: grpc.Metadata) => void): void {
    if (metadata.get('x-hang').length > 0) return;
    const trailers = picked(metadata, 'x-trail') ?? new grpc.Metadata();
    const [code] = metadata.get('x-fail');
    if (code === undefined) {
      end(null, trailers);
      return;
    }
    const [details] = metadata.get('x-details-bin');
    if (details !== undefined) trailers.set('grpc-status-details-bin', details);
    const message = String(metadata.get('x-message')[0] ?? '');
    end({ name: 'Error', message, code: Number(code), details: decodeURIComponent(message), metadata: trailers }, trailers);
  }

  /** Call number i, when it has come. */
  async arrived(i: number): Promise<SeenCall> {
    while (this.calls.length <= i) await new Promise<void>((resolve) => this.#arrivals.push(resolve));
    return this.calls[i]!;
  }

  /** Calls of no client's go on after this, without a word to anybody. */
  kill(): void {
    this.server.forceShutdown();
  }
}

/** The entries whose names begin so; null when there are none. */
function picked(metadata: grpc.Metadata, prefix: string): grpc.Metadata | null {
  const found = new grpc.Metadata();
  let any = false;
  for (const name of Object.keys(metadata.getMap())) {
    if (!name.startsWith(prefix)) continue;
    for (const value of metadata.get(name)) found.add(name, value);
    any = true;
  }
  return any ? found : null;
}

/** Starts the service on loopback; with a certificate it speaks TLS. `more`: other services beside it; `port`: one that was free before. */
export async function startGrpcOrigin(
  { later }: Kit,
  pair?: { cert: Buffer; key: Buffer },
  more?: (server: grpc.Server) => void,
  port = 0,
): Promise<GrpcOrigin> {
  const origin = new GrpcOrigin();
  more?.(origin.server);
  const credentials =
    pair === undefined
      ? grpc.ServerCredentials.createInsecure()
      : grpc.ServerCredentials.createSsl(null, [{ cert_chain: pair.cert, private_key: pair.key }]);
  origin.port = await new Promise<number>((resolve, reject) => {
    origin.server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  later(() => origin.kill());
  return origin;
}

/** What a call with one answer brought. */
export interface Answered {
  readonly message: Buffer;
  readonly head: grpc.Metadata;
  readonly trailers: grpc.Metadata;
}

/** A client of the service. */
export class GrpcClient {
  readonly client: grpc.Client;

  constructor(port: number, credentials: grpc.ChannelCredentials, options: grpc.ClientOptions) {
    this.client = new grpc.Client(`127.0.0.1:${port}`, credentials, {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      // What comes back is what was sent, and not what the client made of it by trying again.
      'grpc.enable_retries': 0,
      // A channel of its own: others may have another idea of the same port.
      'grpc.use_local_subchannel_pool': 1,
      ...options,
    });
  }

  unary(message: Buffer | string, metadata: Record<string, Meta> = {}, options: grpc.CallOptions = {}): Promise<Answered> {
    return new Promise((resolve, reject) => this.beginUnary(message, metadata, options, resolve, reject));
  }

  /** The same, for who wants to cancel it. */
  beginUnary(
    message: Buffer | string,
    metadata: Record<string, Meta>,
    options: grpc.CallOptions,
    resolve: (answered: Answered) => void,
    reject: (error: grpc.ServiceError) => void,
  ): grpc.ClientUnaryCall {
    const call = this.client.makeUnaryRequest(UNARY.path, same, same, Buffer.from(message), metadataOf(metadata), options, (error, value) => {
      if (error !== null) reject(error);
      else answered(call, value!, resolve);
    });
    headOf(call);
    return call;
  }

  /** Sends all of these. */
  collect(messages: readonly Buffer[], metadata: Record<string, Meta> = {}, options: grpc.CallOptions = {}): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const call = this.client.makeClientStreamRequest(COLLECT.path, same, same, metadataOf(metadata), options, (error, value) => {
        if (error !== null) reject(error);
        else answered(call, value!, resolve);
      });
      headOf(call);
      for (const message of messages) call.write(message);
      call.end();
    });
  }

  /** `count` messages of `size` bytes come back. */
  emit(count: number, size: number, metadata: Record<string, Meta> = {}, options: grpc.CallOptions = {}): grpc.ClientReadableStream<Buffer> {
    const call = this.client.makeServerStreamRequest(EMIT.path, same, same, Buffer.from(`${count} ${size}`), metadataOf(metadata), options);
    call.on('error', () => {});
    return call;
  }

  talk(metadata: Record<string, Meta> = {}, options: grpc.CallOptions = {}): grpc.ClientDuplexStream<Buffer, Buffer> {
    const call = this.client.makeBidiStreamRequest(TALK.path, same, same, metadataOf(metadata), options);
    call.on('error', () => {});
    return call;
  }
}

export function grpcClient({ later }: Kit, port: number, ca?: Buffer, options: grpc.ClientOptions = {}): GrpcClient {
  const credentials = ca === undefined ? grpc.credentials.createInsecure() : grpc.credentials.createSsl(ca);
  const client = new GrpcClient(port, credentials, options);
  later(() => client.client.close());
  return client;
}

/** A value of metadata, or several of one name. */
export type Meta = string | Buffer | readonly (string | Buffer)[];

export function metadataOf(values: Record<string, Meta>): grpc.Metadata {
  const metadata = new grpc.Metadata();
  for (const [name, given] of Object.entries(values)) {
    for (const value of Array.isArray(given) ? (given as readonly (string | Buffer)[]) : [given as string | Buffer]) metadata.add(name, value);
  }
  return metadata;
}

const HEAD = Symbol('head');

/** The head comes before the answer, and only as an event. */
function headOf(call: grpc.ClientUnaryCall | grpc.ClientWritableStream<Buffer>): void {
  call.on('metadata', (head: grpc.Metadata) => Object.assign(call, { [HEAD]: head }));
}

function answered(call: grpc.ClientUnaryCall | grpc.ClientWritableStream<Buffer>, message: Buffer, resolve: (answered: Answered) => void): void {
  call.on('status', ({ metadata }: grpc.StatusObject) => {
    resolve({ message, head: (call as { [HEAD]?: grpc.Metadata })[HEAD] ?? new grpc.Metadata(), trailers: metadata });
  });
}

/** How a call ends: never rejects. */
export function statusOf(
  call: grpc.ClientReadableStream<Buffer> | grpc.ClientDuplexStream<Buffer, Buffer> | grpc.ClientUnaryCall,
): Promise<grpc.StatusObject> {
  return new Promise((resolve) => call.once('status', resolve));
}

/** How a promised answer fails. @throws when it does not */
export async function failureOf(answer: Promise<Answered>): Promise<grpc.ServiceError> {
  try {
    await answer;
  } catch (error) {
    return error as grpc.ServiceError;
  }
  throw new Error('the call succeeded');
}

/** All messages that come. */
export async function messagesOf(call: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const messages: Buffer[] = [];
  for await (const message of call) messages.push(message);
  return messages;
}
