/**
 * Receive in Next.js, or wherever a route is a function of a web Request.
 *
 * ```ts
 * export const runtime = "nodejs";
 * export const POST = webhook(receiver, async (event) => { … });
 * ```
 */
import type { Handler, Receiver } from "./receiving/receiver.js";
import { take } from "./receiving/web.js";

/** Make a route handler of a function that takes an event. */
export function webhook<T = unknown>(receiver: Receiver, handler: Handler<T>): (request: Request) => Promise<Response> {
  return (request) => take(receiver, handler, request, request);
}
