import type { Paged } from "./history-types.js";
import { byLast, byOffset, type Http, part, WALKED } from "./http.js";
import type { Bin, BinInput, BinRequestFilters, CaughtRequest } from "./source-types.js";

/** `client.bins`: addresses that take any request, keep it for a day and answer as told. */
export class Bins {
  constructor(private readonly http: Http) {}

  /** Make a bin. Its `url`, which nobody can guess, takes any request. */
  create(input: BinInput = {}): Promise<Bin> {
    return this.http.request("POST", "/api/v1/bins", { body: input });
  }

  /** List bins, newest first. */
  list(page: Paged = {}): Promise<Bin[]> {
    return this.http.request("GET", "/api/v1/bins", { query: { ...page } });
  }

  /** Read every bin, newest first. */
  walk(page: Paged = {}): AsyncGenerator<Bin, void, undefined> {
    return this.http.walk("/api/v1/bins", { limit: WALKED, ...page }, byOffset);
  }

  /** Read a bin. */
  get(id: string): Promise<Bin> {
    return this.http.request("GET", `/api/v1/bins/${part(id)}`);
  }

  /** Change what a bin answers, or what it verifies with. */
  update(id: string, changes: BinInput): Promise<Bin> {
    return this.http.request("PATCH", `/api/v1/bins/${part(id)}`, { body: changes });
  }

  /** Delete a bin with all that came to it. */
  async delete(id: string): Promise<void> {
    await this.http.request("DELETE", `/api/v1/bins/${part(id)}`);
  }

  /** List what came to a bin, newest first; with `after` what came later than that, oldest first. */
  listRequests(id: string, filters: BinRequestFilters = {}): Promise<CaughtRequest[]> {
    return this.http.request("GET", `/api/v1/bins/${part(id)}/requests`, { query: { ...filters } });
  }

  /** Read all that came to a bin, newest first; with `after` what came later than that, oldest first. */
  walkRequests(id: string, filters: BinRequestFilters = {}): AsyncGenerator<CaughtRequest, void, undefined> {
    const turn = byLast("number", filters.after === undefined ? "before" : "after");
    return this.http.walk(`/api/v1/bins/${part(id)}/requests`, { limit: WALKED, ...filters }, turn);
  }

  /** Read one request, with whether its signature was as expected, and if not, why. */
  getRequest(id: string, number: number): Promise<CaughtRequest> {
    return this.http.request("GET", `/api/v1/bins/${part(id)}/requests/${part(number)}`);
  }

  /** Take away all that came to a bin. */
  async clear(id: string): Promise<void> {
    await this.http.request("DELETE", `/api/v1/bins/${part(id)}/requests`);
  }
}
