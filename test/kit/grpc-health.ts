// grpc.health.v1 as others speak it: a service and a client of grpc-js, with a codec of their own.
import { Buffer } from 'node:buffer';
import * as grpc from '@grpc/grpc-js';
import type { GrpcClient } from './grpc.ts';

const STATES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const;
/** How a service is. */
export type HealthState = (typeof STATES)[number];

const same = (bytes: Buffer): Buffer => bytes;
const question = (service: string): Buffer => (service === '' ? Buffer.alloc(0) : Buffer.from([0x0a, service.length, ...Buffer.from(service)]));
const answer = (state: HealthState): Buffer => Buffer.from([0x08, STATES.indexOf(state)]);
const read = (bytes: Buffer): HealthState => STATES[bytes.length === 0 ? 0 : bytes[1]!]!;

const CHECK = {
  path: '/grpc.health.v1.Health/Check',
  requestStream: false,
  responseStream: false,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
} as const;

/** Adds a health service to a server: what it says is in the map, and it may be changed. `asked`: who it was asked after. */
export function addHealth(server: grpc.Server, states: ReadonlyMap<string, HealthState>, asked: string[] = []): void {
  server.addService(
    { check: CHECK },
    {
      check: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
        const service = call.request.subarray(2).toString();
        asked.push(service);
        const state = states.get(service);
        if (state === undefined) done({ code: grpc.status.NOT_FOUND, details: 'unknown service' });
        else done(null, answer(state));
      },
    },
  );
}

/** Asks once. @throws the gRPC error */
export function checkHealth({ client }: GrpcClient, service: string): Promise<HealthState> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(CHECK.path, same, read, question(service), (error, state) => (error === null ? resolve(state!) : reject(error)));
  });
}

/** Goes on asking. The call's messages are states. */
export function watchHealth({ client }: GrpcClient, service: string): grpc.ClientReadableStream<HealthState> {
  const call = client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', same, read, question(service));
  call.on('error', () => {});
  return call;
}
