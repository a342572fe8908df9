import { TidingsError, type ErrorBody } from "./errors.js";

export interface RequestOptions {
  /** Milliseconds one try may take. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

export interface HttpOptions {
  url: string;
  apiKey: string | undefined;
  fetch: typeof fetch;
  timeoutMs: number;
  retries: number;
  group: string | undefined;
}

type Query = Record<string, string | number | boolean | undefined>;

const RETRY_STATUSES = new Set([429, 502, 503, 504]);
const FIRST_PAUSE_MS = 200;

/**
 * JSON over HTTP. What cannot be done twice is tried once; everything else again when the network or the server is unwell.
 */
export class Http {
  constructor(private readonly options: HttpOptions) {}

  get<T>(path: string, query: Query = {}, options?: RequestOptions): Promise<T> {
    return this.send<T>("GET", path, undefined, true, query, options);
  }

  /** `repeatable`: doing it twice is the same as once, so it may be tried again. */
  post<T>(path: string, body: unknown, repeatable = false, options?: RequestOptions): Promise<T> {
    return this.send<T>("POST", path, body, repeatable, {}, options);
  }

  patch<T>(path: string, body: unknown, options?: RequestOptions): Promise<T> {
    return this.send<T>("PATCH", path, body, true, {}, options);
  }

  delete<T>(path: string, options?: RequestOptions): Promise<T> {
    return this.send<T>("DELETE", path, undefined, true, {}, options);
  }

  setKey(key: string): void {
    this.options.apiKey = key;
  }

  private async send<T>(
    method: string,
    path: string,
    body: unknown,
    repeatable: boolean,
    query: Query,
    options: RequestOptions = {},
  ): Promise<T> {
    const url = this.options.url + path + asSearch(query);
    for (let attempt = 0; ; attempt++) {
      const isLast = !repeatable || attempt >= this.options.retries;
      try {
        const response = await this.once(method, url, body, options);
        if (!RETRY_STATUSES.has(response.status) || isLast) return await answerOf<T>(response, method === "DELETE" && attempt > 0);
        await pause(retryAfterMs(response) ?? FIRST_PAUSE_MS * 2 ** attempt);
      } catch (error) {
        if (error instanceof TidingsError) throw error;
        if (options.signal?.aborted) throw error;
        if (isLast) throw unreachable(url, error);
        await pause(FIRST_PAUSE_MS * 2 ** attempt);
      }
    }
  }

  private once(method: string, url: string, body: unknown, options: RequestOptions): Promise<Response> {
    const headers: Record<string, string> = { accept: "application/json" };
    if (this.options.apiKey) headers["authorization"] = `Bearer ${this.options.apiKey}`;
    if (this.options.group) headers["x-tidings-group"] = this.options.group;
    if (body !== undefined) headers["content-type"] = "application/json";
    const limit = AbortSignal.timeout(options.timeoutMs ?? this.options.timeoutMs);
    const signal = options.signal ? either(options.signal, limit) : limit;
    const init: RequestInit = { method, headers, signal };
    if (body !== undefined) init.body = body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body);
    return this.options.fetch(url, init);
  }
}

function asSearch(query: Query): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  return given.length ? "?" + new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString() : "";
}

function either(one: AbortSignal, other: AbortSignal): AbortSignal {
  const controller = new AbortController();
  for (const signal of [one, other]) {
    if (signal.aborted) controller.abort(signal.reason);
    else signal.addEventListener("abort", () => controller.abort(signal.reason), { once: true });
  }
  return controller.signal;
}

async function answerOf<T>(response: Response, wasTriedBefore: boolean): Promise<T> {
  const text = await response.text();
  let content: unknown = text;
  try {
    content = text ? JSON.parse(text) : undefined;
  } catch {
    // a proxy's page, not ours
  }
  if (response.ok) return content as T;
  if (response.status === 404 && wasTriedBefore) return undefined as T; // the try that got no answer did it
  const said = (typeof content === "object" && content !== null ? content : {}) as Partial<ErrorBody>;
  const message = typeof said.error === "string" ? said.error : `The server answered HTTP ${response.status}.`;
  throw new TidingsError(message, response.status, said.code ?? "HTTP_ERROR", said.field, content);
}

function retryAfterMs(response: Response): number | undefined {
  const seconds = Number(response.headers.get("retry-after"));
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 30) * 1000 : undefined;
}

function unreachable(url: string, cause: unknown): TidingsError {
  const isTimeout = cause instanceof Error && cause.name === "TimeoutError";
  const what = isTimeout ? "did not answer in time" : "cannot be reached";
  return new TidingsError(`${new URL(url).origin} ${what}.`, 0, isTimeout ? "TIMEOUT" : "UNREACHABLE", undefined, undefined, { cause });
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
