/** Bytes of a body in which the model is looked for: as much as is held of a request that waits. */
export const PEEK_BYTES = 64 * 1024;
/** Longest name of a model, characters. */
export const MODEL_CHARS = 200;
/** End of an answer in which the usage is looked for, bytes: the last event of a stream has some 500. */
export const TAIL_BYTES = 16 * 1024;
/** Longest object of usage, characters. */
export const USAGE_CHARS = 4 * 1024;
/** Models that are listed. */
export const LISTED = 10_000;
