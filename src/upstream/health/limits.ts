/** Bounds of health checks, beside those that their URLs set. */

/** The first probe of an endpoint comes within this, ms: long enough to spread those of a large file, short enough that a dead endpoint is soon known. */
export const FIRST_PROBE_MS = 1000;
/** Bytes of an answer's body that a probe reads to its end, for the origin's sake; of a longer one the connection is cut. */
export const BODY_BYTES = 64 * 1024;
/** Bytes of a health service's answer: it is two bytes and five of framing. */
export const GRPC_ANSWER_BYTES = 4 * 1024;
/** Characters of a reason in logs and answers. */
export const REASON_CHARACTERS = 200;
