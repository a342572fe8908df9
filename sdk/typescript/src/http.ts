import { TidingsError, type ErrorBody } from "./errors.js";
import type { Found } from "./types.js";

export interface RequestOptions {
  /** Milliseconds one try may take. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** The headers of the delivery that led to this call, so that a loop is found: its `baggage` is handed on. */
  causedBy?: Headers | Record<string, string | string[] | undefined>;
}

export interface HttpOptions {
  url: string;
  apiKey: string | undefined;
  fetch: typeof fetch;
  timeoutMs: number;
  retries: number;
  group: string | undefined;
}

type Word = string | number | boolean | Date;
type Query = Record<string, Word | Word[] | undefined>;

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

  /** A page of a list, with what its headers tell. */
  async page<T>(path: string, query: Query): Promise<Found<T>> {
    const { content, headers } = await this.answered<T[]>("GET", path, undefined, true, query);
    const told = (name: string): string | undefined => headers.get(`tidings-${name}`) ?? undefined;
    return { items: content, next: told("next"), prev: told("prev"), searchedTo: told("searched-to"), count: told("count") };
  }

  /** Every entry of a list, page by page. */
  async *walk<T>(path: string, query: Query): AsyncGenerator<T, void, undefined> {
    for (let asked = query; ; ) {
      const page = await this.page<T>(path, asked);
      yield* page.items;
      if (page.next === undefined) return;
      asked = { ...query, offset: undefined, cursor: page.next };
    }
  }

  /** `repeatable`: doing it twice is the same as once, so it may be tried again. */
  post<T>(path: string, body: unknown, repeatable = false, options?: RequestOptions): Promise<T> {
    return this.send<T>("POST", path, body, repeatable, {}, options);
  }

  /** A question that needs a body: nothing comes of asking twice. */
  ask<T>(path: string, body: unknown, query: Query): Promise<T> {
    return this.send<T>("POST", path, body, true, query);
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
    return (await this.answered<T>(method, path, body, repeatable, query, options)).content;
  }

  private async answered<T>(
    method: string,
    path: string,
    body: unknown,
    repeatable: boolean,
    query: Query,
    options: RequestOptions = {},
  ): Promise<{ content: T; headers: Headers }> {
    const url = this.options.url + path + asSearch(query);
    for (let attempt = 0; ; attempt++) {
      const isLast = !repeatable || attempt >= this.options.retries;
      try {
        const response = await this.once(method, url, body, options);
        if (!RETRY_STATUSES.has(response.status) || isLast)
          return { content: await answerOf<T>(response, method === "DELETE" && attempt > 0), headers: response.headers };
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
    if (this.options.group) headers["x-tidings-group"] = encodeURIComponent(this.options.group);
    if (body !== undefined) headers["content-type"] = "application/json";
    const baggage = baggageOf(options.causedBy);
    if (baggage) headers["baggage"] = baggage;
    const limit = AbortSignal.timeout(options.timeoutMs ?? this.options.timeoutMs);
    const signal = options.signal ? either(options.signal, limit) : limit;
    const init: RequestInit = { method, headers, signal };
    if (body !== undefined) init.body = body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body);
    return this.options.fetch(url, init);
  }
}

function baggageOf(headers: RequestOptions["causedBy"]): string {
  if (!headers) return "";
  const value = headers instanceof Headers ? headers.get("baggage") : headers["baggage"];
  return Array.isArray(value) ? value.join(",") : (value ?? "");
}

function asSearch(query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    for (const word of Array.isArray(value) ? value : [value])
      if (word !== undefined) search.append(name, word instanceof Date ? word.toISOString() : String(word));
  const text = search.toString();
  return text ? `?${text}` : "";
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
