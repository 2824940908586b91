import { REASON_CHARACTERS } from './limits.ts';

/** What an error of a socket says of the endpoint, in words. Its text may come from there, so it is bounded. */
export function reasonOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  const known = code === undefined ? undefined : REASONS.get(code);
  if (known !== undefined) return known;
  // Where a name has several addresses, Node collects an error for each.
  const first = error instanceof AggregateError && error.errors[0] instanceof Error ? error.errors[0] : null;
  if (first !== null) return reasonOf(first);
  const [line] = error.message.split('\n');
  return (line === '' || line === undefined ? (code ?? error.name) : line).slice(0, REASON_CHARACTERS);
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'the connection is refused'],
  ['ECONNRESET', 'the connection is reset'],
  ['EPIPE', 'the connection is reset'],
  ['EHOSTUNREACH', 'the host cannot be reached'],
  ['ENETUNREACH', 'the network cannot be reached'],
  ['ETIMEDOUT', 'connecting takes too long'],
  ['ENOTFOUND', 'its name has no address'],
  ['EAI_AGAIN', 'its name cannot be resolved now'],
  ['EMFILE', 'this process has no file descriptors left for the probe'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'its certificate is for another name'],
  ['CERT_HAS_EXPIRED', 'its certificate has expired'],
  ['CERT_NOT_YET_VALID', 'its certificate is not valid yet'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'its certificate is signed by itself'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'its certificate is signed by nobody who is believed'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'its certificate is signed by nobody who is believed'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'its certificate is signed by nobody who is believed'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'it does not speak TLS'],
  ['ERR_HTTP2_ERROR', 'it does not speak HTTP/2'],
  ['HPE_HEADER_OVERFLOW', 'the head of its answer is too long'],
]);
