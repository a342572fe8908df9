import { randomUUID } from "node:crypto";
import { byLast, byMember, type CausedBy, type Http, part, WALKED } from "./http.js";
import type {
  AllStatisticsFilters,
  BatchResult,
  DeliveryFilters,
  Event,
  EventFilters,
  EventInput,
  ExplainAsked,
  Explained,
  Page,
  Published,
  Recovery,
  RetryInput,
  Statistics,
  Walked,
  WebhookExplained,
} from "./history-types.js";
import type { Attempt, Delivery } from "./types.js";

/** `client.events`: what happened, and publishing more of it. */
export class Events {
  constructor(private readonly http: Http) {}

  /** Publish an event. It gets an id when it has none, so that trying again cannot publish it twice. */
  publish(event: EventInput, { causedBy }: CausedBy = {}): Promise<Published> {
    return this.http.request("POST", "/api/v1/events", { body: identified(event), repeatable: true, causedBy });
  }

  /** Publish up to 10,000 events in one call; what cannot be accepted keeps none of the others. */
  publishBatch(events: Iterable<EventInput>, { causedBy }: CausedBy = {}): Promise<BatchResult> {
    const lines = Array.from(events, (event) => JSON.stringify(identified(event)));
    return this.http.request("POST", "/api/v1/events/batch", {
      body: new TextEncoder().encode(lines.join("\n")),
      repeatable: true,
      causedBy,
    });
  }

  /** List events, newest first. */
  async list(filters: EventFilters = {}): Promise<Event[]> {
    return (await this.page(filters)).items;
  }

  /** List events, with the cursors of the pages around. */
  page(filters: EventFilters = {}): Promise<Page<Event>> {
    return this.http.page("/api/v1/events", { ...filters });
  }

  /** Read every event that fits, newest first. */
  walk(filters: EventFilters = {}): AsyncGenerator<Event, void, undefined> {
    return this.http.walk("/api/v1/events", { ...filters });
  }

  /** Read an event. */
  get(id: string): Promise<Event> {
    return this.http.request("GET", `/api/v1/events/${part(id)}`);
  }

  /** Read for each webhook whether an event goes to it, and why: those it goes to first, then the nearest. */
  explain(id: string, asked: ExplainAsked = {}): Promise<Explained> {
    return this.http.request("GET", `/api/v1/events/${part(id)}/explain`, { query: { ...asked } });
  }

  /** Read for every webhook whether an event goes to it, and why. */
  walkExplain(id: string, asked: ExplainAsked = {}): AsyncGenerator<WebhookExplained, void, undefined> {
    return this.http.walk(`/api/v1/events/${part(id)}/explain`, { ...asked }, byMember("webhooks"));
  }
}

function identified(event: EventInput): EventInput {
  return { ...event, id: event.id ?? randomUUID() };
}

/** `client.deliveries`: events on their way to webhooks. */
export class Deliveries {
  constructor(private readonly http: Http) {}

  /** List deliveries, newest first. */
  async list(filters: DeliveryFilters = {}): Promise<Delivery[]> {
    return (await this.page(filters)).items;
  }

  /** List deliveries, with the cursors of the pages around. */
  page(filters: DeliveryFilters = {}): Promise<Page<Delivery>> {
    return this.http.page("/api/v1/deliveries", { ...filters });
  }

  /** Read every delivery that fits, newest first. */
  walk(filters: DeliveryFilters = {}): AsyncGenerator<Delivery, void, undefined> {
    return this.http.walk("/api/v1/deliveries", { ...filters });
  }

  /** Read a delivery. */
  get(id: string): Promise<Delivery> {
    return this.http.request("GET", `/api/v1/deliveries/${part(id)}`);
  }

  /** List a delivery's attempts, oldest first. */
  listAttempts(id: string): Promise<Attempt[]> {
    return this.http.request("GET", `/api/v1/deliveries/${part(id)}/attempts`);
  }

  /** Read one attempt, with the request as it was sent. */
  getAttempt(id: string, number: number): Promise<Attempt> {
    return this.http.request("GET", `/api/v1/deliveries/${part(id)}/attempts/${part(number)}`);
  }

  /** Send a delivery again, with the same id. */
  retry(id: string): Promise<Delivery> {
    return this.http.request("POST", `/api/v1/deliveries/${part(id)}/retry`);
  }

  /** Send many deliveries again, as a job: up to 1,000 by their ids, or all that a search finds. */
  retryAll(input: RetryInput): Promise<Recovery> {
    return this.http.request("POST", "/api/v1/deliveries/retry", { body: input });
  }
}

/** `client.recoveries`: jobs that send many deliveries again. */
export class Recoveries {
  constructor(private readonly http: Http) {}

  /** List recoveries, newest first. `cursor`: the last id of the page before. */
  list(page: Walked = {}): Promise<Recovery[]> {
    return this.http.request("GET", "/api/v1/recoveries", { query: { ...page } });
  }

  /** Read every recovery, newest first. */
  walk(page: Walked = {}): AsyncGenerator<Recovery, void, undefined> {
    return this.http.walk("/api/v1/recoveries", { limit: WALKED, ...page }, byLast("id"));
  }

  /** Read how far a recovery has come. */
  get(id: string): Promise<Recovery> {
    return this.http.request("GET", `/api/v1/recoveries/${part(id)}`);
  }

  /** End a recovery early. What it has put into the queue is delivered. */
  cancel(id: string): Promise<Recovery> {
    return this.http.request("POST", `/api/v1/recoveries/${part(id)}/cancel`);
  }
}

/** `client.statistics`: how attempts fared. */
export class AttemptStatistics {
  constructor(private readonly http: Http) {}

  /** Read how attempts fared, of all webhooks or of one; of the last day when nothing is said. */
  get(asked: AllStatisticsFilters = {}): Promise<Statistics> {
    return this.http.request("GET", "/api/v1/statistics", { query: { ...asked } });
  }
}
