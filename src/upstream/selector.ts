// HOT: bind() runs per request of an upstream whose selector has captures or @announced.
import type { Selector, SelectorTerm } from '../schema/selector.ts';
import { labelItems } from '../tunnel/labels.ts';
import type { AgentIdentity } from '../tunnel/session.ts';
import type { Captures } from './upstream.ts';

/**
 * All that selectors may ask of an agent, each as one string, so that a selector with its captures filled in is a few strings of which every one
 * must be among the agent's.
 */
export function factsOf(agent: AgentIdentity): ReadonlySet<string> {
  const facts = new Set<string>([`id=${agent.id}`, `name=${agent.name}`]);
  for (const scope of agent.scopes) facts.add(`scope=${scope}`);
  for (const [label, value] of agent.labels) {
    facts.add(labelFact(label, value));
    for (const item of labelItems(label, value)) facts.add(labelFact(label, item));
  }
  const hosts = labelItems('host', agent.labels.get('host') ?? '');
  const routes = labelItems('route', agent.labels.get('route') ?? '');
  if (hosts.length === 0 && routes.length === 0) return facts;
  for (const host of hosts.length === 0 ? [''] : hosts)
    for (const route of routes.length === 0 ? [''] : routes) facts.add(announcedFact(plainHost(host), route === '' ? '' : plainRoute(route)));
  return facts;
}

/** That an agent announces this host (lower case, `*.` in front of a domain, '' = any) and this route (as plainRoute() writes it, '' = any path). */
export function announcedFact(host: string, route: string): string {
  return `@${host}\0${route}`;
}

/** Host and route of an announcedFact(); null when the fact is another. */
export function readAnnounced(fact: string): { readonly host: string; readonly route: string } | null {
  if (!fact.startsWith('@')) return null;
  const at = fact.indexOf('\0');
  return { host: fact.slice(1, at), route: fact.slice(at + 1) };
}

/** A route with a slash in front and none at its end; '' for `/`. */
export function plainRoute(route: string): string {
  const from = route.startsWith('/') ? route : `/${route}`;
  return from.endsWith('/') ? from.slice(0, -1) : from;
}

/** A host in lower case, without port and without a dot at its end. */
export function plainHost(host: string): string {
  const name = host.replace(/:\d*$/, '').toLowerCase();
  return name.endsWith('.') ? name.slice(0, -1) : name;
}

/** What the terms of a selector ask for, for one request. @returns null when a capture that they need is missing or empty */
export function bind({ terms }: Selector, captures: Captures): string[] | null {
  const facts: string[] = [];
  for (let i = 0; i < terms.length; i++) {
    const term = terms[i]!;
    let value = term.value[0]!;
    for (let j = 1; j < term.value.length; j += 2) {
      const found = captures?.get(term.value[j]!) ?? '';
      if (found === '') return null;
      value += found + term.value[j + 1]!;
    }
    facts.push(factOf(term, value));
  }
  return facts;
}

function factOf(term: SelectorTerm, value: string): string {
  return term.of === 'label' ? labelFact(term.label, value) : `${term.of}=${value}`;
}

/** That an agent has this label with this value. */
export function labelFact(label: string, value: string): string {
  const plain = label === 'route' ? plainRoute(value) : label === 'host' ? plainHost(value) : value;
  return `label.${label}=${plain}`;
}
