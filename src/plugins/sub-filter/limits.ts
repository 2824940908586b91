/** Bounds of replacing in bodies. */

/** Filters of one plugin. */
export const FILTERS = 32;
/** Characters of what is looked for, and of what stands in its place. */
export const TEXT_CHARS = 4_096;
/** Bytes that pass the filters at once. */
export const SLICE_BYTES = 16 * 1024;
/** What one slice may become in one filter: filters that feed each other can grow without end. */
export const GROWN_CHARS = 16 * 1024 * 1024;
/** A pattern looks at whole lines up to this length; longer ones pass in pieces, of which a quarter stays for the next. */
export const LINE_CHARS = 64 * 1024;
