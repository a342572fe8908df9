import { byNumber, byOffset, type Http, part, WALKED } from "./http.js";
import type { Paged } from "./history-types.js";
import type {
  Collection,
  CollectionInput,
  CollectionRecord,
  Credentials,
  RecordFilters,
  RecordPage,
  Session,
} from "./source-types.js";

/** `client.collections`: content with a schema, whose changes are events. */
export class Collections {
  constructor(private readonly http: Http) {}

  /** Create a collection. */
  create(input: CollectionInput): Promise<Collection> {
    return this.http.request("POST", "/api/v1/collections", { body: input });
  }

  /** List collections, in order of their names. */
  list(page: Paged = {}): Promise<Collection[]> {
    return this.http.request("GET", "/api/v1/collections", { query: { ...page } });
  }

  /** Read every collection, in order of their names. */
  walk(page: Paged = {}): AsyncGenerator<Collection, void, undefined> {
    return this.http.walk("/api/v1/collections", { limit: WALKED, ...page }, byOffset);
  }

  /** Read a collection. */
  get(collection: string): Promise<Collection> {
    return this.http.request("GET", `/api/v1/collections/${part(collection)}`);
  }

  /** Change what is named; the rest stays. A change of the schema that would lose data is refused, with what to do. */
  update(collection: string, change: CollectionInput): Promise<Collection> {
    return this.http.request("PATCH", `/api/v1/collections/${part(collection)}`, { body: change });
  }

  /** Delete a collection with all its records and triggers. `confirm`: its name again, since nothing brings it back. */
  async delete(collection: string, input: { confirm: string }): Promise<void> {
    await this.http.request("DELETE", `/api/v1/collections/${part(collection)}`, { query: input });
  }

  /** Tell whether somebody has an e-mail address and its password, in a collection of type `auth`. */
  authenticate(collection: string, credentials: Credentials): Promise<Session> {
    return this.http.request("POST", `/api/v1/collections/${part(collection)}/auth`, { body: credentials, repeatable: true });
  }
}

/** `client.records`: what is in collections. */
export class Records {
  constructor(private readonly http: Http) {}

  /** Create a record. */
  create(collection: string, record: Record<string, unknown>): Promise<CollectionRecord> {
    return this.http.request("POST", `/api/v1/collections/${part(collection)}/records`, { body: record });
  }

  /** Create several records: all or none. Each is an event of its own. */
  createMany(collection: string, records: readonly Record<string, unknown>[]): Promise<CollectionRecord[]> {
    return this.http.request("POST", `/api/v1/collections/${part(collection)}/records`, { body: records });
  }

  /** List records. */
  list(collection: string, filters: RecordFilters = {}): Promise<RecordPage> {
    return this.http.request("GET", `/api/v1/collections/${part(collection)}/records`, { query: { ...filters } });
  }

  /** Read every record that fits. */
  walk(collection: string, filters: RecordFilters = {}): AsyncGenerator<CollectionRecord, void, undefined> {
    return this.http.walk(`/api/v1/collections/${part(collection)}/records`, { perPage: WALKED, ...filters }, byNumber);
  }

  /** Read a record. */
  get(collection: string, id: string): Promise<CollectionRecord> {
    return this.http.request("GET", `/api/v1/collections/${part(collection)}/records/${part(id)}`);
  }

  /** Change what is named of a record; the rest stays. */
  update(collection: string, id: string, change: Record<string, unknown>): Promise<CollectionRecord> {
    return this.http.request("PATCH", `/api/v1/collections/${part(collection)}/records/${part(id)}`, { body: change });
  }

  /** Change several records, each with its `id` and what changes of it: all or none. Each is an event of its own. */
  updateMany(collection: string, records: readonly Record<string, unknown>[]): Promise<CollectionRecord[]> {
    return this.http.request("PATCH", `/api/v1/collections/${part(collection)}/records`, { body: records });
  }

  /** Delete a record. */
  async delete(collection: string, id: string): Promise<void> {
    await this.http.request("DELETE", `/api/v1/collections/${part(collection)}/records/${part(id)}`);
  }

  /** Delete several records: all or none. Each is an event of its own. */
  async deleteMany(collection: string, ids: readonly string[]): Promise<void> {
    await this.http.request("DELETE", `/api/v1/collections/${part(collection)}/records`, { body: { ids } });
  }
}
