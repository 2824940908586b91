/** The server has said no, and why; or (`status` 0) nobody has answered. */
export class ApiError extends Error {
  readonly status: number;
  /** Such as `not_found`; '' when there is none. */
  readonly code: string;
  /** What the answer said beside that. */
  readonly more: Readonly<Record<string, unknown>>;

  constructor(status: number, code: string, detail: string, more: Readonly<Record<string, unknown>> = {}) {
    super(detail);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.more = more;
  }

  /** Nobody has answered: the server is away, not against it. */
  get away(): boolean {
    return this.status === 0;
  }
}

/** Makes the error of an answer that is not 2xx, whatever stands in it. */
export async function problemOf(answer: Response): Promise<ApiError> {
  const text = await answer.text().catch(() => '');
  if (/\bjson\b/.test(answer.headers.get('content-type') ?? '')) {
    try {
      const { detail, title, code, type: _type, status: _status, ...more } = JSON.parse(text) as Record<string, unknown>;
      const says = [detail, title].find((value): value is string => typeof value === 'string' && value !== '');
      return new ApiError(answer.status, typeof code === 'string' ? code : '', says ?? `HTTP ${answer.status}`, more);
    } catch {
      // Somebody between us and the server has answered.
    }
  }
  const line = text.trim().split('\n')[0] ?? '';
  const readable = line !== '' && line.length < 300 && !line.startsWith('<');
  return new ApiError(answer.status, '', readable ? line : `HTTP ${answer.status} ${answer.statusText}`.trim());
}
