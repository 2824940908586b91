/** Bounds of static files. */

/** Entries that a listing shows. */
export const LISTED = 2_000;
/** How many of them are looked at at once. */
export const LOOKED_AT = 32;
/** Read buffers that are kept for the next file. */
export const SPARE_BUFFERS = 16;
/** A file that was changed so recently may change again within the same tick of its clock: its tag is weak, ms. */
export const SETTLED_MS = 2_000;
