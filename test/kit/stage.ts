import type http from 'node:http';
import type { RawClient } from './client.ts';
import type { HttpOrigin, Seen } from './http-origin.ts';
import type { Kit, Listening } from './kit.ts';
import { until } from './until.ts';

/** A request that an origin has and has not answered. */
export interface Held {
  readonly request: http.IncomingMessage;
  readonly response: http.ServerResponse;
  readonly seen: Seen;
}

/** An origin that answers nothing by itself: the test does, through `held`. */
export interface HoldingOrigin {
  readonly origin: HttpOrigin;
  /** Every request, in order of arrival. */
  readonly held: readonly Held[];
  /** Waits for request number `n` (from 0). */
  readonly arrived: (n: number) => Promise<Held>;
}

/** Starts an origin that holds every request. */
export async function startHolding(kit: Pick<Kit, 'startOrigin'>): Promise<HoldingOrigin> {
  const held: Held[] = [];
  const origin = await kit.startOrigin((request, response, seen) => {
    request.resume();
    held.push({ request, response, seen });
  });
  return { origin, held, arrived: (n) => until(`request ${n} at the origin`, () => held[n]) };
}

/** A client that has sent one GET. */
export async function asks(kit: Pick<Kit, 'rawClient'>, to: Listening, target = '/', fields: readonly string[] = []): Promise<RawClient> {
  const client = await kit.rawClient(to);
  return client.send(get(target, fields));
}

/** The text of a GET. */
export function get(target = '/', fields: readonly string[] = []): string {
  return `GET ${target} HTTP/1.1\r\nHost: app.example\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;
}

/** The value of a field of an answer; undefined when it is not there once. */
export function field(answer: { readonly fields: readonly (readonly [string, string])[] }, name: string): string | undefined {
  const values = answer.fields.filter(([one]) => one.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
  return values.length === 1 ? values[0] : undefined;
}
