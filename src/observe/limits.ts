/** Bytes of finished lines that are handed to the kernel in one write. Larger batches gained nothing when measured. */
export const FLUSH_BYTES = 32 * 1024;
/** How long a line waits at most for company, ms. */
export const FLUSH_MS = 100;
/** Bytes of lines that wait for a slow disk or pipe. Over it lines are dropped and counted: a log must not fill the memory it reports on. */
export const BUFFERED_LOG_BYTES = 4 * 1024 * 1024;
/** How long close() waits for a target that takes nothing, ms. */
export const CLOSE_TIMEOUT_MS = 1_000;
/** Bytes of one client-supplied value in the access log; what is longer is cut and says by how much. Longer than browsers' addresses, shorter than an attack. */
export const LOGGED_VALUE_BYTES = 4 * 1024;
/** Label sets of one metric. Over it everything else is counted as `other`: labels that a client can invent must not grow memory. */
export const LABEL_SETS = 1_000;
/** After a log file could not be moved away, how long it is written on before the next try, ms. */
export const ROTATION_RETRY_MS = 60_000;
/** Sendings of one portion of spans, the first included, before it is dropped. */
export const OTLP_TRIES = 5;
/** How long the last spans may take to be sent when the process ends, ms. */
export const OTLP_CLOSE_MS = 2_000;
/** Lines of the log that are kept for operators, and their bytes in all. */
export const KEPT_LINES = 1_000;
export const KEPT_LINES_BYTES = 1024 * 1024;
