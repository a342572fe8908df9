import { byNumber, byOffset, type Http, part, WALKED } from "./http.js";
import type {
  Backfill,
  EventType,
  EventTypeInput,
  Integration,
  IntegrationInput,
  IntegrationObject,
  Job,
  JobInput,
  JobPage,
  Numbered,
  ObjectFilters,
  Run,
  SyncInput,
  SyncResult,
  Table,
  TableInput,
} from "./source-types.js";
import type { Paged } from "./history-types.js";

/** `client.eventTypes`: what events say, described. */
export class EventTypes {
  constructor(private readonly http: Http) {}

  /** List the event types that are described, ours among them. */
  list(): Promise<EventType[]> {
    return this.http.request("GET", "/api/v1/event-types");
  }

  /** Read an event type. */
  get(name: string): Promise<EventType> {
    return this.http.request("GET", `/api/v1/event-types/${part(name)}`);
  }

  /** Describe an event type. What is published from then on must satisfy its schema. */
  put(name: string, input: EventTypeInput): Promise<EventType> {
    return this.http.request("PUT", `/api/v1/event-types/${part(name)}`, { body: input });
  }

  /** Delete the description of an event type. */
  async delete(name: string): Promise<void> {
    await this.http.request("DELETE", `/api/v1/event-types/${part(name)}`);
  }
}

/** `client.tables`: how the rows of tables become events. */
export class Tables {
  constructor(private readonly http: Http) {}

  /** List the tables that are captured, or have settings. */
  list(): Promise<Table[]> {
    return this.http.request("GET", "/api/v1/tables");
  }

  /** Read how a table is captured: `orders`, or `sales.orders` outside `public`. */
  get(table: string): Promise<Table> {
    return this.http.request("GET", `/api/v1/tables/${part(table)}`);
  }

  /** Say how a table is captured. Changes committed after this answer are told so; none is lost meanwhile. */
  put(table: string, input: TableInput): Promise<Table> {
    return this.http.request("PUT", `/api/v1/tables/${part(table)}`, { body: input });
  }

  /**
   * Capture the table as any other again: whole rows, into group `default`. `warnings` say who hears less of it. Nothing comes back
   * when an earlier try of this call had done it, whose answer was lost.
   */
  delete(table: string): Promise<Table | undefined> {
    return this.http.request("DELETE", `/api/v1/tables/${part(table)}`);
  }

  /** Send a table's present rows to a webhook as insertions, and go on with their changes, without gap or overlap. */
  backfill(table: string, input: { webhook_id: string }): Promise<Backfill> {
    return this.http.request("POST", `/api/v1/tables/${part(table)}/backfill`, { body: input });
  }
}

/** `client.backfills`: jobs that send the present rows of tables. */
export class Backfills {
  constructor(private readonly http: Http) {}

  /** List backfills, newest first. */
  list(page: Paged = {}): Promise<Backfill[]> {
    return this.http.request("GET", "/api/v1/backfills", { query: { ...page } });
  }

  /** Read every backfill, newest first. */
  walk(page: Paged = {}): AsyncGenerator<Backfill, void, undefined> {
    return this.http.walk("/api/v1/backfills", { limit: WALKED, ...page }, byOffset);
  }

  /** Read how far a backfill has come. */
  get(id: string): Promise<Backfill> {
    return this.http.request("GET", `/api/v1/backfills/${part(id)}`);
  }

  /** End a backfill early. What it has written is delivered. */
  cancel(id: string): Promise<Backfill> {
    return this.http.request("POST", `/api/v1/backfills/${part(id)}/cancel`);
  }
}

/** `client.jobs`: what happens by a schedule. */
export class Jobs {
  constructor(private readonly http: Http) {}

  /** Create a job. From this answer on each of its ticks happens once. */
  create(input: JobInput): Promise<Job> {
    return this.http.request("POST", "/api/v1/cron", { body: input });
  }

  /** List jobs, in order of their names. */
  list(page: Numbered = {}): Promise<JobPage> {
    return this.http.request("GET", "/api/v1/cron", { query: { ...page } });
  }

  /** Read every job, in order of their names. */
  walk(page: Numbered = {}): AsyncGenerator<Job, void, undefined> {
    return this.http.walk("/api/v1/cron", { perPage: WALKED, ...page }, byNumber);
  }

  /** Read a job. */
  get(id: string): Promise<Job> {
    return this.http.request("GET", `/api/v1/cron/${part(id)}`);
  }

  /** Change what is named; the rest stays. A changed schedule counts from now. */
  update(id: string, change: JobInput): Promise<Job> {
    return this.http.request("PATCH", `/api/v1/cron/${part(id)}`, { body: change });
  }

  /** Delete a job. What it has sent stays in history; what is not sent yet is cancelled. */
  async delete(id: string): Promise<void> {
    await this.http.request("DELETE", `/api/v1/cron/${part(id)}`);
  }

  /** Fire an http job now, out of turn. Its schedule stays as it is. */
  run(id: string): Promise<Job> {
    return this.http.request("POST", `/api/v1/cron/${part(id)}/run`);
  }

  /** List the ticks of a job that fired, newest first. */
  listRuns(id: string, page: Numbered = {}): Promise<Run[]> {
    return this.http.request("GET", `/api/v1/cron/${part(id)}/runs`, { query: { ...page } });
  }

  /** Read every tick of a job that fired, newest first. */
  walkRuns(id: string, page: Numbered = {}): AsyncGenerator<Run, void, undefined> {
    return this.http.walk(`/api/v1/cron/${part(id)}/runs`, { perPage: WALKED, ...page }, byNumber);
  }
}

/** `client.integrations`: other systems that send notices. */
export class Integrations {
  constructor(private readonly http: Http) {}

  /** Create an integration. Give its `url` and its secret to the system that is to send there. */
  create(input: IntegrationInput): Promise<Integration> {
    return this.http.request("POST", "/api/v1/integrations", { body: input });
  }

  /** List integrations, in order of their names. */
  list(page: Paged = {}): Promise<Integration[]> {
    return this.http.request("GET", "/api/v1/integrations", { query: { ...page } });
  }

  /** Read every integration, in order of their names. */
  walk(page: Paged = {}): AsyncGenerator<Integration, void, undefined> {
    return this.http.walk("/api/v1/integrations", { limit: WALKED, ...page }, byOffset);
  }

  /** Read an integration. */
  get(name: string): Promise<Integration> {
    return this.http.request("GET", `/api/v1/integrations/${part(name)}`);
  }

  /** Change the secret or the settings; `enabled: false` disconnects it, and its notices are refused. */
  update(name: string, change: IntegrationInput): Promise<Integration> {
    return this.http.request("PATCH", `/api/v1/integrations/${part(name)}`, { body: change });
  }

  /** Delete an integration, with what is known of its objects. Events that were made stay. */
  async delete(name: string): Promise<void> {
    await this.http.request("DELETE", `/api/v1/integrations/${part(name)}`);
  }

  /** List an integration's objects as they were told last. */
  listObjects(name: string, filters: ObjectFilters = {}): Promise<IntegrationObject[]> {
    return this.http.request("GET", `/api/v1/integrations/${part(name)}/objects`, { query: { ...filters } });
  }

  /** Read every object of an integration as it was told last. */
  walkObjects(name: string, filters: ObjectFilters = {}): AsyncGenerator<IntegrationObject, void, undefined> {
    return this.http.walk(`/api/v1/integrations/${part(name)}/objects`, { limit: WALKED, ...filters }, byOffset);
  }

  /** Bring an integration's objects up to date with those of the other system: each that differs is an event. */
  sync(name: string, input: SyncInput): Promise<SyncResult> {
    return this.http.request("POST", `/api/v1/integrations/${part(name)}/sync`, { body: input, repeatable: true });
  }
}
