/** Bounds of forward_auth. */

/** What the service may answer when it says no: a login page. */
export const BODY_BYTES = 256 * 1024;
/** Connections to it; more questions wait, within their time. */
export const SOCKETS = 256;
/** Longest that may be waited for it, ms: below what a plugin may take (PLUGIN_MS). */
export const TIMEOUT_MAX_MS = 25_000;
