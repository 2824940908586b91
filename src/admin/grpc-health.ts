import { Buffer } from 'node:buffer';
import type { Loop } from '../std/loop.ts';
import type { Timed } from '../std/sweeper.ts';
import type { Handler, ReplySink, RequestSink, Writer } from '../http/exchange.ts';
import {
  GRPC_INVALID_ARGUMENT,
  GRPC_NOT_FOUND,
  GRPC_OK,
  GRPC_RESOURCE_EXHAUSTED,
  GRPC_TYPE,
  GRPC_UNIMPLEMENTED,
  grpcStatusOf,
  headOnly,
  isGrpc,
} from '../http/grpc.ts';
import { type RequestHead, ResponseHead, UNKNOWN_LENGTH } from '../http/head.ts';
import { healthAnswer, requestedService } from '../upstream/health/grpc-message.ts';
import { answer, problem } from './answer.ts';

/** Where the paths of gRPC's health service begin. */
export const GRPC_HEALTH = '/grpc.health.v1.Health/';

/** Bytes of a question: it is the name of a service. */
const QUESTION_BYTES = 4096;
/** How often whoever watches is looked at, ms. A change is told no later than this, and short ones may not be told at all. */
const LOOK_MS = 500;
/** Who may watch at once. */
const WATCHES = 1000;

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

/** Can this service (`''`: the whole program) do its work? Null: there is none of that name. */
export type Serving = (service: string) => boolean | null;

/** gRPC's health service, `grpc.health.v1`: Check and Watch. For a server that speaks HTTP/2, and over HTTP/1.1 for who takes trailers there. */
export class GrpcHealth implements Handler {
  readonly loop: Loop;
  readonly serving: Serving;
  watches = 0;

  constructor(loop: Loop, serving: Serving) {
    this.loop = loop;
    this.serving = serving;
  }

  open(request: RequestHead, reply: ReplySink): RequestSink {
    return new Question(this, request, reply);
  }
}

/** One call. It is answered when the whole question is there, which is never while it is being opened. */
class Question implements RequestSink, Timed {
  readonly #health: GrpcHealth;
  readonly #reply: ReplySink;
  readonly #method: string;
  readonly #isGrpc: boolean;
  #chunks: Buffer[] = [];
  #bytes = 0;
  writer: Writer | null = null;
  #isOver = false;
  /** While it watches. */
  #service = '';
  #said = -1;
  /** Whoever watches does not read: nothing more is told until there is room. */
  #isFull = false;
  due = Number.POSITIVE_INFINITY;
  place = -1;

  constructor(health: GrpcHealth, request: RequestHead, reply: ReplySink) {
    this.#health = health;
    this.#reply = reply;
    this.#isGrpc = isGrpc(request) && request.method === 'POST';
    this.#method = request.path.slice(GRPC_HEALTH.length);
  }

  write(chunk: Uint8Array): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes <= QUESTION_BYTES) this.#chunks.push(Buffer.from(chunk));
    return true;
  }

  end(): void {
    if (this.#isOver) return;
    if (!this.#isGrpc) {
      this.#isOver = true;
      answer(this.#reply, problem(415, 'unsupported', 'Here is a gRPC service: POST application/grpc.'));
      return;
    }
    const isCheck = this.#method === 'Check';
    const service = this.#bytes > QUESTION_BYTES ? null : requestedService(Buffer.concat(this.#chunks));
    this.#chunks = [];
    if (!isCheck && this.#method !== 'Watch') this.#refuse(GRPC_UNIMPLEMENTED, 'the health service has Check and Watch');
    else if (service === null) this.#refuse(GRPC_INVALID_ARGUMENT, 'this is no HealthCheckRequest');
    else if (isCheck) this.#check(service);
    else this.#watch(service);
  }

  #check(service: string): void {
    const serving = this.#health.serving(service);
    if (serving === null) {
      this.#refuse(GRPC_NOT_FOUND, 'no service of this name is known here');
      return;
    }
    this.#begin();
    this.#reply.write(healthAnswer(serving ? SERVING : NOT_SERVING));
    this.#reply.end(grpcStatusOf(GRPC_OK, ''));
    this.#finish();
  }

  #watch(service: string): void {
    const health = this.#health;
    if (health.watches >= WATCHES) {
      this.#refuse(GRPC_RESOURCE_EXHAUSTED, `${WATCHES} others watch already`);
      return;
    }
    health.watches++;
    this.#service = service;
    this.#reply.writer = {
      drained: () => {
        this.#isFull = false;
      },
    };
    this.#begin();
    this.expired(health.loop.clock.now());
    health.loop.sweeper.add(this);
  }

  /** Says how the service is, when that is not what has been said. */
  expired(now: number): void {
    this.due = now + LOOK_MS;
    if (this.#isFull) return;
    const serving = this.#health.serving(this.#service);
    const status = serving === null ? SERVICE_UNKNOWN : serving ? SERVING : NOT_SERVING;
    if (status === this.#said) return;
    this.#said = status;
    this.#isFull = !this.#reply.write(healthAnswer(status));
  }

  #begin(): void {
    this.#reply.head(ResponseHead.make(200, ['content-type', GRPC_TYPE], UNKNOWN_LENGTH));
  }

  #refuse(status: number, message: string): void {
    this.#reply.head(headOnly(grpcStatusOf(status, message)));
    this.#reply.end();
    this.#finish();
  }

  abort(): void {
    if (!this.#isOver) this.#finish();
  }

  settled(): void {
    this.abort();
  }

  /** Nothing of it runs here any more. */
  #finish(): void {
    this.#isOver = true;
    if (this.place >= 0) {
      this.#health.loop.sweeper.remove(this);
      this.#health.watches--;
    }
    this.#reply.settled();
  }
}
