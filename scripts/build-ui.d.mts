/** Leaves the pages in `to`; `from` may hold an earlier build. @returns false when the bundler refused */
export function buildUi(root: string, to: string, options?: { readonly from?: string; readonly force?: boolean }): boolean;
