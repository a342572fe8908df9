/**
 * Receive in Hono.
 *
 * ```ts
 * app.post("/webhooks", webhook(receiver, async (event) => { … }));
 * ```
 */
import type { Handler, Receiver } from "./receiving/receiver.js";
import { take } from "./receiving/web.js";

/** What is asked of Hono's context. It is the event's `request`. */
export interface HonoContext {
  req: { raw: Request };
}

/** Make a handler of a function that takes an event. */
export function webhook<T = unknown>(receiver: Receiver, handler: Handler<T>): (context: HonoContext) => Promise<Response> {
  return (context) => take(receiver, handler, context.req.raw, context);
}
