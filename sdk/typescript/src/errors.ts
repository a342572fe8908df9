/** What the server says of a request it could not do. */
export interface ErrorBody {
  error: string;
  code?: string;
  field?: string;
  [more: string]: unknown;
}

/** A request failed: the server refused it (`status` 400 and more), or none answered (`status` 0). */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    message: string,
    /** The HTTP status; 0 when there was no answer. */
    readonly status: number,
    /** Stable name for programs, such as `INVALID_INPUT` or `TIMEOUT`. */
    readonly code: string,
    /** The field at fault, when one is. */
    readonly field: string | undefined,
    /** The whole answer. */
    readonly details: unknown,
    options?: { cause?: unknown },
  ) {
    super(message, options as ErrorOptions);
  }
}
