/** Whose doing a failure is: the first question in every incident. */
export type Blame = 'client' | 'hub' | 'agent' | 'upstream';

/** One row of the table: [HTTP status, gRPC status, Proxy-Status error (RFC 9209 2.3) or '', blame, may it be tried again elsewhere?]. */
type Row = readonly [status: number, grpc: number, proxyStatus: string, blame: Blame, retry: Retry];

/**
 * When another try is allowed, provided no byte of an answer went out (rule R1 of docs/reliability.md):
 * `no` never; `safe` only when the request is idempotent and its body is kept; `always` because provably nothing of it began.
 */
export type Retry = 'no' | 'safe' | 'always';

/**
 * Every failure there is. Codes are part of the interface: they stand in answers, logs and metrics.
 * A status of 499 or 598 never goes on the wire.
 */
export const failures = {
  // what the client sent
  bad_request: [400, 3, 'http_request_error', 'client', 'no'],
  method_not_allowed: [405, 12, 'http_request_error', 'client', 'no'],
  request_timeout: [408, 4, 'http_request_error', 'client', 'no'],
  body_too_large: [413, 8, 'http_request_error', 'client', 'no'],
  target_too_long: [414, 3, 'http_request_error', 'client', 'no'],
  expectation_failed: [417, 3, 'http_request_error', 'client', 'no'],
  head_too_large: [431, 3, 'http_request_error', 'client', 'no'],
  unauthorized: [401, 16, 'http_request_denied', 'client', 'no'],
  forbidden: [403, 7, 'http_request_denied', 'client', 'no'],
  not_implemented: [501, 12, 'http_request_error', 'client', 'no'],
  version_not_supported: [505, 3, 'http_request_error', 'client', 'no'],
  too_many_requests: [429, 8, 'http_request_denied', 'hub', 'no'],
  loop_detected: [508, 13, 'proxy_loop_detected', 'hub', 'no'],
  websocket_version: [426, 3, 'http_request_error', 'client', 'no'],
  upgrade_idle: [408, 4, 'connection_read_timeout', 'client', 'no'],
  client_gone: [499, 1, 'connection_terminated', 'client', 'no'],
  client_stalled: [499, 1, 'connection_write_timeout', 'client', 'no'],
  // where to send it
  no_location: [404, 12, 'destination_not_found', 'hub', 'no'],
  unknown_agent: [404, 12, 'destination_not_found', 'hub', 'no'],
  no_agent: [503, 14, 'destination_unavailable', 'hub', 'no'],
  no_healthy_endpoint: [503, 14, 'destination_unavailable', 'upstream', 'no'],
  taken_out: [503, 14, 'destination_unavailable', 'hub', 'no'],
  no_free_slot: [503, 14, 'connection_limit_reached', 'hub', 'no'],
  queue_full: [503, 8, 'connection_limit_reached', 'hub', 'no'],
  queue_timeout: [503, 14, 'connection_limit_reached', 'hub', 'no'],
  cancelled: [503, 1, 'http_request_denied', 'hub', 'no'],
  draining: [503, 14, 'destination_unavailable', 'hub', 'no'],
  overload: [503, 8, 'connection_limit_reached', 'hub', 'no'],
  internal: [500, 13, 'proxy_internal_error', 'hub', 'no'],
  deadline: [504, 4, 'http_response_timeout', 'upstream', 'no'],
  // the tunnel
  refused: [502, 14, 'connection_refused', 'agent', 'always'],
  forbidden_target: [403, 7, 'http_request_denied', 'agent', 'no'],
  tunnel_lost: [502, 14, 'connection_terminated', 'agent', 'safe'],
  tunnel_lost_unsent: [502, 14, 'connection_terminated', 'agent', 'always'],
  tunnel_error: [502, 14, 'http_protocol_error', 'agent', 'no'],
  // the upstream
  connect_refused: [502, 14, 'connection_refused', 'upstream', 'always'],
  connect_failed: [502, 14, 'destination_ip_unroutable', 'upstream', 'always'],
  connect_timeout: [504, 14, 'connection_timeout', 'upstream', 'always'],
  name_not_found: [502, 14, 'dns_error', 'upstream', 'always'],
  tls_failed: [502, 14, 'tls_certificate_error', 'upstream', 'always'],
  no_http2: [502, 14, 'http_protocol_error', 'upstream', 'always'],
  grpc_needs_http2: [501, 12, 'http_protocol_error', 'hub', 'no'],
  out_of_descriptors: [503, 14, 'connection_limit_reached', 'hub', 'always'],
  upstream_refused: [502, 14, 'destination_unavailable', 'upstream', 'always'],
  upstream_closed: [502, 14, 'connection_terminated', 'upstream', 'safe'],
  upstream_reset: [502, 14, 'connection_terminated', 'upstream', 'safe'],
  bad_response: [502, 14, 'http_protocol_error', 'upstream', 'safe'],
  first_byte_timeout: [504, 4, 'http_response_timeout', 'upstream', 'safe'],
  upstream_stalled: [504, 4, 'connection_read_timeout', 'upstream', 'no'],
  upgrade_refused: [502, 14, 'http_upgrade_failed', 'upstream', 'no'],
} as const satisfies Record<string, Row>;

export type FailureCode = keyof typeof failures;

/** Why an exchange ended badly. Made once, at the place that knows; turned into an answer in one place (proxy/rescue.ts). */
export class Failure {
  readonly code: FailureCode;
  /** One line for people: what happened, with the numbers, and never a secret. */
  readonly detail: string;
  /** Seconds for Retry-After, or 0. */
  readonly retryAfterS: number;
  /** HTTP status: that of the table, unless an operator chose another for this case. */
  readonly status: number;

  constructor(code: FailureCode, detail: string, retryAfterS = 0, status: number = failures[code][0]) {
    this.code = code;
    this.detail = detail;
    this.retryAfterS = retryAfterS;
    this.status = status;
  }

  get grpcStatus(): number {
    return failures[this.code][1];
  }

  get proxyStatus(): string {
    return failures[this.code][2];
  }

  get blame(): Blame {
    return failures[this.code][3];
  }

  get retry(): Retry {
    return failures[this.code][4];
  }
}

export function isFailureCode(code: string): code is FailureCode {
  return Object.hasOwn(failures, code);
}
