import { type Http, part } from "./http.js";
import type { AttemptTold, Listener, ListenerInput, Recorded, Skipped, TakeInput, Taken } from "./history-types.js";

/**
 * `client.listeners`: who is given deliveries when they ask, where nobody can call them. `tidings listen` is made of these.
 */
export class Listeners {
  constructor(private readonly http: Http) {}

  /** Make a listener, or find the one of a name. It hears `events`, or what the webhook hears. */
  create(listener: ListenerInput): Promise<Listener> {
    return this.http.request("POST", "/api/v1/listeners", { body: listener, repeatable: true });
  }

  /** List the listeners, by name. */
  list(): Promise<Listener[]> {
    return this.http.request("GET", "/api/v1/listeners");
  }

  /** Read a listener. */
  get(id: string): Promise<Listener> {
    return this.http.request("GET", at(id));
  }

  /** Delete a listener; what waits for it is cancelled. */
  async delete(id: string): Promise<void> {
    await this.http.request("DELETE", at(id));
  }

  /** Cancel what waits for it. */
  skip(id: string): Promise<Skipped> {
    return this.http.request("POST", `${at(id)}/skip`);
  }

  /**
   * Lease deliveries, ready to be sent. Name in `held` what you have: what you were given beside that comes again. Ask again
   * within 30 seconds, or the deliveries go to others.
   */
  take(id: string, asked: TakeInput): Promise<Taken> {
    return this.http.request("POST", `${at(id)}/take`, { body: asked, repeatable: true });
  }

  /** Tell what came of deliveries that were leased to a session. */
  record(id: string, session: string, results: AttemptTold[]): Promise<Recorded> {
    return this.http.request("POST", `${at(id)}/results`, { body: { session, results } });
  }
}

function at(id: string): string {
  return `/api/v1/listeners/${part(id)}`;
}
