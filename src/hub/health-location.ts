import type { Candidate } from '../upstream/upstream.ts';
import { type Location, plainLocation } from '../proxy/location.ts';
import type { House } from './house.ts';
import { Inside } from './inside.ts';

/** gRPC's health service as a location of a server (`grpc_health`). */
export function healthLocation(house: House): Location {
  return plainLocation({ name: 'grpc_health', upstream: new HealthService(house) });
}

class HealthService extends Inside {
  readonly #service: Candidate;

  constructor({ health }: House) {
    super(() => null);
    this.#service = {
      endpoint: { id: 'windlass', open: (head, reply) => health.open(head, reply) },
      replyFields: '',
      agentId: '',
      watch: null,
      loads: null,
    };
  }

  override pick(): Candidate {
    return this.#service;
  }
}
