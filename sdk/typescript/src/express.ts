/**
 * Receive in Express 4 and 5.
 *
 * ```ts
 * app.post("/webhooks", webhook(receiver, async (event) => { … }));
 * ```
 *
 * The body is read here. Where `express.json()` or `express.raw()` has read it before, that is taken: deliveries are written so that
 * `JSON.stringify` gives back their bytes.
 */
import { type Handler, MAX_BODY_BYTES, type Receiver, TOO_LARGE } from "./receiving/receiver.js";

/** What is asked of Express's request. It is the event's `request`. */
export interface ExpressRequest extends AsyncIterable<Uint8Array> {
  headers: Record<string, string | string[] | undefined>;
  readableEnded: boolean;
  body?: unknown;
}

/** What is asked of Express's response. */
export interface ExpressResponse {
  status(code: number): ExpressResponse;
  set(headers: Record<string, string>): ExpressResponse;
  end(text?: string): unknown;
}

/** Make a route's function of one that takes an event. What that throws goes to Express's error handlers. */
export function webhook<T = unknown>(
  receiver: Receiver,
  handler: Handler<T>,
): (request: ExpressRequest, response: ExpressResponse, next: (error?: unknown) => void) => Promise<void> {
  return async (request, response, next) => {
    try {
      const body = await bodyOf(request);
      const { status, text, headers } = body === undefined ? TOO_LARGE : await receiver.handle<T>(body, request.headers, handler, request);
      response.status(status).set(headers).end(text);
    } catch (error) {
      next(error);
    }
  };
}

/** The body's bytes; undefined: it is too large, and the rest is not kept. */
async function bodyOf(request: ExpressRequest): Promise<string | Uint8Array | undefined> {
  const { body } = request;
  if (request.readableEnded) return body instanceof Uint8Array || typeof body === "string" ? body : JSON.stringify(body);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  return length > MAX_BODY_BYTES ? undefined : Buffer.concat(chunks);
}
