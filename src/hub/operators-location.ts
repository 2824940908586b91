import type { RequestHead } from '../http/head.ts';
import { ACCEPT } from '../http/names.ts';
import { EXPOSITION_TYPES, expositionFor } from '../observe/exposition.ts';
import { type Location, plainLocation } from '../proxy/location.ts';
import type { House } from './house.ts';
import { Inside, type Page, shows } from './inside.ts';

/** Shows the metrics at a path of a server (`prometheus_metrics`): an upstream that is ourselves. */
export function operatorsLocation({ metrics }: House): Location {
  const page = (head: RequestHead): Page => {
    const as = expositionFor(head.value(ACCEPT));
    return { type: EXPOSITION_TYPES[as], text: () => metrics.render(as) };
  };
  return plainLocation({ name: 'prometheus_metrics', upstream: new Inside(shows(page)) });
}

/** gRPC's health service as a location of a server (`grpc_health`). */
export function healthLocation({ health }: House): Location {
  return plainLocation({ name: 'grpc_health', upstream: new Inside((head, reply) => health.open(head, reply)) });
}
