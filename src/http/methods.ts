/** Methods that may be sent twice (RFC 9110 9.2.2), for the retry rule R1; the others only while provably nothing of them began. */
export const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);
