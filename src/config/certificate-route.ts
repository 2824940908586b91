import { type Kind, scalar } from '../schema/kind.ts';
import { Wrong } from '../schema/wrong.ts';

/** `NAME=ROUTE`: a route that the holder of a certificate may register. A name may have several. */
export const certificateRoute: Kind<readonly [string, string]> = scalar(
  'NAME=ROUTE',
  'name in a certificate and a route, such as billing.example=billing',
  (given) => {
    const at = given.lastIndexOf('=');
    if (at < 1 || at === given.length - 1) throw new Wrong('is no name and route', 'write NAME=ROUTE, such as billing.example=billing');
    return [given.slice(0, at).trim(), given.slice(at + 1).trim()];
  },
  { format: ([name, route]) => `${name}=${route}` },
);

/** By name. */
export function certificateRoutes(pairs: readonly (readonly [string, string])[]): ReadonlyMap<string, readonly string[]> {
  const routes = new Map<string, string[]>();
  for (const [name, route] of pairs) routes.set(name, [...(routes.get(name) ?? []), route]);
  return routes;
}
