import type { HeaderList, RequestHead } from '../http/head.ts';
import type { JsonSchema } from '../schema/kind.ts';

/** What somebody may do, ascending: look; run what is there; change what there is and who may come in. */
export const ROLES = ['read', 'operate', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** Who asks. */
export interface Asker {
  readonly name: string;
  readonly role: Role;
  /** How it has shown who it is. */
  readonly by: 'session' | 'token';
}

/** A request that may be answered: who asks is known and allowed to, its body is read and of the right form. */
export interface AdminRequest {
  /** Null only where anybody may ask. */
  readonly asker: Asker | null;
  /** The parts of the path in braces, decoded. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** JSON, or text where the route takes text; null without a body. */
  readonly body: unknown;
  /** `If-Match`, without quotes; null = not given. */
  readonly ifMatch: string | null;
  readonly head: RequestHead;
  /** Under which path the console stands: '' at the listener for operators, such as `/ops` at a location. */
  readonly base: string;
}

/** Where events of a stream go. */
export interface EventOut {
  /** `data` is sent as JSON. Who does not take what waits for it misses events, and is told how many. */
  send(event: string, data: unknown): void;
  end(): void;
}

/** JSON, a text, or an event stream: `events` is called once and gives back what ends it. */
export type AdminAnswer = {
  /** 200 when absent. */
  readonly status?: number;
  /** Without quotes. */
  readonly etag?: string;
  readonly fields?: HeaderList;
} & ({ readonly json: unknown } | { readonly text: string; readonly type: string } | { readonly events: (out: EventOut) => () => void });

/** One thing that the admin API can do. Its table is what the router, the OpenAPI document and the tests of who may do what are made of. */
export interface AdminRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Under /api/v1, such as `/agents/{id}`. */
  readonly path: string;
  /** The least role; `anybody` needs no proof and must tell nothing. */
  readonly role: Role | 'anybody';
  /** One sentence. */
  readonly summary: string;
  /** Names and meanings of query parameters. */
  readonly query?: Readonly<Record<string, string>>;
  /** Form of the JSON body; `text`: any text. Absent: none is taken. Objects with `properties` take no others, unless `additionalProperties` says so. */
  readonly body?: JsonSchema | 'text';
  /** What is kept in the audit log beside who, when, what and the path; absent: nothing more. Never a secret. */
  audit?(request: AdminRequest): string;
  /** @throws Problem */
  handle(request: AdminRequest): AdminAnswer | Promise<AdminAnswer>;
}

/** Why a request is not answered as it wished: becomes application/problem+json (RFC 9457). */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  /** Further members of the answer, such as what stands there now. */
  readonly more: Readonly<Record<string, unknown>>;

  constructor(status: number, code: string, detail: string, more: Readonly<Record<string, unknown>> = {}) {
    super(detail);
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.more = more;
  }
}
