/** A connector that takes what no other takes. */
export const CATCH_ALL = '*';

/** Characters of a route, and of a domain. */
const ROUTE_LENGTH = 200;
const DOMAIN_LENGTH = 253;

/** A route as connectors register it, without the slashes around it; `*` when it is empty. @returns null when it is none */
export function routeOf(given: string): string | null {
  const route = given.trim().replace(/^\/+|\/+$/g, '');
  if (route === '' || route === CATCH_ALL) return CATCH_ALL;
  if (route.length > ROUTE_LENGTH || !/^[\w.\-/]+$/.test(route) || route.includes('//')) return null;
  for (const segment of route.split('/')) if (segment.endsWith('.') || segment.includes('..')) return null;
  return route;
}

/** A domain as connectors register it, in lower case; `*` for any. @returns null when it is none */
export function domainOf(given: string): string | null {
  const domain = given.trim().toLowerCase();
  if (domain === '' || domain === CATCH_ALL) return CATCH_ALL;
  return domain.length <= DOMAIN_LENGTH && /^(?:\*\.)?[a-z\d_-]+(?:\.[a-z\d_-]+)*$/.test(domain) ? domain : null;
}
