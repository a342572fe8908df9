import { ApiError, type ErrorBody } from "./errors.js";
import type { Page } from "./history-types.js";

/** How a client asks: where, as whom, how long and how often. */
export interface HttpOptions {
  url: string;
  apiKey: string | undefined;
  group: string | undefined;
  home: string | undefined;
  fetch: typeof fetch;
  timeoutMs: number;
  retries: number;
  signal: AbortSignal | undefined;
}

/** What a query carries; what is undefined or null is left out. */
export type Query = Readonly<Record<string, unknown>>;

/** How a list says where its next page is: a page's entries, and what to ask for the next one. */
export type Turn = <T>(content: unknown, headers: Headers, query: Query) => { items: T[]; next: Query | undefined };

/** What is said of a request beside its method and path. */
export interface Asked {
  body?: unknown;
  query?: Query | undefined;
  /** Doing it twice is the same as once, so it may be tried again; by its method when absent. */
  repeatable?: boolean;
  /** Milliseconds it takes at least by its nature; the client's own timeout where that is longer. */
  timeoutMs?: number;
  /** The headers of the delivery that led to it. */
  causedBy?: CausedBy["causedBy"];
}

/** What led to a call: the headers of the delivery that it answers, so that a loop is found. Their `baggage` and `traceparent` are handed on. */
export interface CausedBy {
  causedBy?: { get(name: string): string | null } | Record<string, string | string[] | undefined> | undefined;
}

/** How many entries a walk asks for at once, unless told. */
export const WALKED = 100;

const RETRY_STATUSES = new Set([429, 502, 503, 504]);
const FIRST_PAUSE_MS = 200;

/** An id or name as one part of a path. */
export const part = (value: string | number): string => encodeURIComponent(String(value));

/** Go on where the header `Tidings-Next` says. */
export const byCursor: Turn = <T>(content: unknown, headers: Headers, query: Query) => {
  const cursor = headers.get("tidings-next");
  return { items: content as T[], next: cursor === null ? undefined : { ...query, offset: undefined, cursor } };
};

/** Go on behind the place that the header `Tidings-Next` says. */
export const byPlace: Turn = <T>(content: unknown, headers: Headers, query: Query) => {
  const after = headers.get("tidings-next");
  return { items: content as T[], next: after === null ? undefined : { ...query, after } };
};

/** Go on after the last entry of a page, which a field of it identifies. */
export function byLast(field: string, name = "cursor"): Turn {
  return <T>(content: unknown, headers: Headers, query: Query) => {
    const items = content as T[];
    const cursor = headers.get("tidings-next"); // of all homes of a fleet
    if (cursor !== null) return { items, next: { ...query, offset: undefined, cursor } };
    if (items.length < Number(query["limit"] ?? WALKED)) return { items, next: undefined };
    return { items, next: { ...query, offset: undefined, [name]: (items.at(-1) as Record<string, unknown>)[field] } };
  };
}

/** Go on after as many entries as were read. */
export const byOffset: Turn = <T>(content: unknown, _: Headers, query: Query) => {
  const items = content as T[];
  const isLast = items.length < Number(query["limit"] ?? WALKED);
  return { items, next: isLast ? undefined : { ...query, offset: Number(query["offset"] ?? 0) + items.length } };
};

/** Go on with the next page's number. The entries are the answer, or its `items`. */
export const byNumber: Turn = <T>(content: unknown, _: Headers, query: Query) => {
  const items = Array.isArray(content) ? (content as T[]) : (content as { items: T[] }).items;
  const isLast = items.length < Number(query["perPage"] ?? WALKED);
  return { items, next: isLast ? undefined : { ...query, page: Number(query["page"] ?? 1) + 1 } };
};

/** Go on where the answer's `cursor` says; its entries are a member of it. */
export function byMember(name: string): Turn {
  return <T>(content: unknown, _: Headers, query: Query) => {
    const said = content as Record<string, unknown>;
    return { items: said[name] as T[], next: said["cursor"] == null ? undefined : { ...query, cursor: said["cursor"] } };
  };
}

/** JSON over HTTP. What cannot be done twice is tried once; everything else again when the network or the server is unwell. */
export class Http {
  constructor(readonly options: HttpOptions) {}

  /** Make a request and return its answer. */
  async request<T>(method: string, path: string, asked: Asked = {}): Promise<T> {
    return (await this.answered(method, path, asked)).content as T;
  }

  /** A page of a list, with what its headers tell. */
  async page<T>(path: string, query?: Query): Promise<Page<T>> {
    const { content, headers } = await this.answered("GET", path, { query });
    const told = (name: string): string | undefined => headers.get(`tidings-${name}`) ?? undefined;
    return { items: content as T[], next: told("next"), prev: told("prev"), searchedTo: told("searched-to"), count: told("count") };
  }

  /** Every entry of a list, page by page. */
  async *walk<T>(path: string, query: Query, turn: Turn = byCursor, method = "GET", body?: unknown): AsyncGenerator<T, void, undefined> {
    for (let left: Query | undefined = query; left !== undefined; ) {
      const { content, headers } = await this.answered(method, path, { query: left, body, repeatable: true });
      const turned: { items: T[]; next: Query | undefined } = turn<T>(content, headers, left);
      yield* turned.items;
      left = turned.next;
    }
  }

  private async answered(method: string, path: string, asked: Asked): Promise<{ content: unknown; headers: Headers }> {
    const { url: server, retries, signal } = this.options;
    const url = server + path + asSearch(asked.query ?? {});
    const tries = asked.repeatable ?? method !== "POST" ? retries + 1 : 1;
    for (let attempt = 1; ; attempt++) {
      const isLast = attempt >= tries;
      try {
        const response = await this.once(method, url, asked);
        if (!RETRY_STATUSES.has(response.status) || isLast)
          return { content: await answerOf(response, method === "DELETE" && attempt > 1), headers: response.headers };
        await pause(retryAfterMs(response) ?? FIRST_PAUSE_MS * 2 ** (attempt - 1));
      } catch (error) {
        if (error instanceof ApiError) throw error;
        if (signal?.aborted) throw error;
        if (isLast) throw unreachable(url, error);
        await pause(FIRST_PAUSE_MS * 2 ** (attempt - 1));
      }
    }
  }

  private once(method: string, url: string, { body, timeoutMs = 0, causedBy }: Asked): Promise<Response> {
    const headers: Record<string, string> = { accept: "application/json" };
    if (this.options.apiKey) headers["authorization"] = `Bearer ${this.options.apiKey}`;
    if (this.options.group) headers["x-tidings-group"] = encodeURIComponent(this.options.group);
    if (this.options.home) headers["x-tidings-home"] = encodeURIComponent(this.options.home);
    if (body !== undefined) headers["content-type"] = "application/json";
    for (const name of ["baggage", "traceparent"]) {
      const value = headerOf(causedBy, name);
      if (value) headers[name] = value;
    }
    const limit = AbortSignal.timeout(Math.max(this.options.timeoutMs, timeoutMs));
    const signal = this.options.signal ? either(this.options.signal, limit) : limit;
    const init: RequestInit = { method, headers, signal };
    if (body !== undefined) init.body = body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body);
    return this.options.fetch(url, init);
  }
}

export function headerOf(headers: CausedBy["causedBy"], name: string): string {
  if (!headers) return "";
  const value = typeof headers.get === "function" ? headers.get(name) : (headers as Record<string, string | string[] | undefined>)[name];
  return Array.isArray(value) ? value.join(",") : (value ?? "");
}

function asSearch(query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    for (const word of Array.isArray(value) ? value : [value])
      if (word !== undefined && word !== null) search.append(name, word instanceof Date ? word.toISOString() : String(word));
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

async function answerOf(response: Response, wasTriedBefore: boolean): Promise<unknown> {
  const text = await response.text();
  const areLines = response.headers.get("content-type")?.startsWith("application/x-ndjson");
  let content: unknown = text;
  try {
    if (areLines) content = text.split("\n").filter(Boolean).map((line) => JSON.parse(line) as unknown);
    else content = text ? JSON.parse(text) : undefined;
  } catch {
    // a proxy's page, not ours
  }
  if (response.ok) return content;
  if (response.status === 404 && wasTriedBefore) return undefined; // the try that got no answer did it
  const said = (typeof content === "object" && content !== null ? content : {}) as Partial<ErrorBody>;
  const message = typeof said.error === "string" ? said.error : `The server answered HTTP ${response.status}.`;
  throw new ApiError(message, response.status, said.code ?? "HTTP_ERROR", said.field, content);
}

function retryAfterMs(response: Response): number | undefined {
  const said = response.headers.get("retry-after") ?? "";
  const seconds = Number(said);
  return said !== "" && Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds, 30) * 1000 : undefined;
}

function unreachable(url: string, cause: unknown): ApiError {
  const isTimeout = cause instanceof Error && cause.name === "TimeoutError";
  const what = isTimeout ? "did not answer in time" : "cannot be reached";
  return new ApiError(`${new URL(url).origin} ${what}.`, 0, isTimeout ? "TIMEOUT" : "UNREACHABLE", undefined, undefined, { cause });
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
