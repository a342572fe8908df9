import type { Paged } from "./history-types.js";
import { byOffset, type Http, part, WALKED } from "./http.js";
import type {
  Erasure,
  ErasureInput,
  RedactionChange,
  RedactionInput,
  RedactionPreview,
  RedactionPreviewInput,
  RedactionRule,
  SubjectInput,
} from "./privacy-types.js";

/** `client.redaction`: what of events and of answers is not kept. */
export class Redaction {
  constructor(private readonly http: Http) {}

  /** Make a rule. It holds for what is routed from then on. */
  create(input: RedactionInput): Promise<RedactionRule> {
    return this.http.request("POST", "/api/v1/redaction-rules", { body: input });
  }

  /** List rules, oldest first. */
  list(page: Paged = {}): Promise<RedactionRule[]> {
    return this.http.request("GET", "/api/v1/redaction-rules", { query: { ...page } });
  }

  /** Read every rule, oldest first. */
  walk(page: Paged = {}): AsyncGenerator<RedactionRule, void, undefined> {
    return this.http.walk("/api/v1/redaction-rules", { limit: WALKED, ...page }, byOffset);
  }

  /** Read a rule. */
  get(id: string): Promise<RedactionRule> {
    return this.http.request("GET", `/api/v1/redaction-rules/${part(id)}`);
  }

  /** Change a rule, for what is routed from then on. */
  update(id: string, changes: RedactionChange): Promise<RedactionRule> {
    return this.http.request("PATCH", `/api/v1/redaction-rules/${part(id)}`, { body: changes });
  }

  /** Delete a rule. What it has kept from being kept does not come back. */
  delete(id: string): Promise<void> {
    return this.http.request("DELETE", `/api/v1/redaction-rules/${part(id)}`);
  }

  /** Show what a rule would do to an event that happened. */
  preview(input: RedactionPreviewInput): Promise<RedactionPreview> {
    return this.http.request("POST", "/api/v1/redaction-rules/preview", { body: input, repeatable: true });
  }
}

/** `client.erasures`: what is kept of somebody, taken out of all places. */
export class Erasures {
  constructor(private readonly http: Http) {}

  /** Begin to erase what is kept of a subject, as a job; with `dry_run` it only counts. */
  begin(input: ErasureInput): Promise<Erasure> {
    return this.http.request("POST", "/api/v1/erasures", { body: input });
  }

  /** Find the erasures of a subject, newest first. */
  find(subject: SubjectInput): Promise<Erasure[]> {
    return this.http.request("POST", "/api/v1/erasures/find", { body: subject, repeatable: true });
  }

  /** List erasures, newest first. */
  list(page: Paged = {}): Promise<Erasure[]> {
    return this.http.request("GET", "/api/v1/erasures", { query: { ...page } });
  }

  /** Read every erasure, newest first. */
  walk(page: Paged = {}): AsyncGenerator<Erasure, void, undefined> {
    return this.http.walk("/api/v1/erasures", { limit: WALKED, ...page }, byOffset);
  }

  /** Read how far an erasure has come, and its report. */
  get(id: string): Promise<Erasure> {
    return this.http.request("GET", `/api/v1/erasures/${part(id)}`);
  }

  /** End an erasure early. What it has erased stays erased. */
  cancel(id: string): Promise<Erasure> {
    return this.http.request("POST", `/api/v1/erasures/${part(id)}/cancel`);
  }
}
