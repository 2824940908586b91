import { ApiError } from './problem.ts';

/** Whatever was thrown, as what pages show. */
export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError(0, 'page', String(error));
}
