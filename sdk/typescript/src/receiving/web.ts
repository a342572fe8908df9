import { type Handler, MAX_BODY_BYTES, type Receiver, TOO_LARGE } from "./receiver.js";

/** Take a delivery that came as a web Request; return the Response. */
export async function take<T>(receiver: Receiver, handler: Handler<T>, request: Request, original: unknown): Promise<Response> {
  const body = await bodyOf(request);
  const { status, text, headers } = body === undefined ? TOO_LARGE : await receiver.handle<T>(body, request.headers, handler, original);
  return new Response(status === 204 ? null : text, { status, headers });
}

/** The body; undefined: it is too large, and the rest is not read. */
async function bodyOf(request: Request): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = request.body?.getReader();
  for (let chunk = await reader?.read(); chunk !== undefined && !chunk.done; chunk = await reader?.read()) {
    chunks.push(chunk.value);
    length += chunk.value.length;
    if (length > MAX_BODY_BYTES) {
      await reader?.cancel();
      return undefined;
    }
  }
  return Buffer.concat(chunks);
}
