import { byLast, byMember, type Http, part, type Query, WALKED } from "./http.js";
import type {
  HeardEvent,
  DryRun,
  Page,
  RecoverInput,
  Recovery,
  Statistics,
  StatisticsFilters,
  Version,
  Walked,
  WebhookDeliveryFilters,
  AfterPaged,
} from "./history-types.js";
import type { Diagnosis } from "./source-types.js";
import type {
  Delivery,
  DryRunInput,
  Preview,
  PreviewInput,
  Rotation,
  Secret,
  TestInput,
  TestResult,
  Webhook,
  WebhookChange,
  WebhookInput,
} from "./types.js";

const ROOT = "/api/v1/webhooks";
const TEST_TIMEOUT_MS = 330_000; // a test waits for the receiver, whose own limit may be five minutes
const DIAGNOSIS_TIMEOUT_MS = 400_000; // such a wait, and those for further answers

const at = (id: string): string => `${ROOT}/${part(id)}`;

/** `client.webhooks`: who is told of what, and where. */
export class Webhooks {
  constructor(protected readonly http: Http) {}

  /** Create a webhook. The answer has its secret. */
  create(input: WebhookInput): Promise<Webhook> {
    return this.http.request("POST", ROOT, { body: input });
  }

  /** List webhooks, newest first, each with its health. */
  list(page: AfterPaged = {}): Promise<Webhook[]> {
    return this.http.request("GET", ROOT, { query: { ...page } });
  }

  /** Read every webhook, newest first. */
  walk(page: AfterPaged = {}): AsyncGenerator<Webhook, void, undefined> {
    return this.http.walk(ROOT, { limit: WALKED, ...page }, byLast("id"));
  }

  /** Read a webhook, with its health and the state of each table it names. */
  get(id: string): Promise<Webhook> {
    return this.http.request("GET", at(id));
  }

  /** Change what is named; the rest stays. */
  update(id: string, change: WebhookChange): Promise<Webhook> {
    return this.http.request("PATCH", at(id), { body: change });
  }

  /** Delete a webhook. Its unfinished deliveries are cancelled; its history stays until retention ends. */
  async delete(id: string): Promise<void> {
    await this.http.request("DELETE", at(id));
  }

  /** Send a test event and wait for what comes of it. It is tried once, paused or not. */
  test(id: string, input: TestInput = {}): Promise<TestResult> {
    return this.http.request("POST", `${at(id)}/test`, { body: input, timeoutMs: TEST_TIMEOUT_MS });
  }

  /**
   * Find out why a webhook's receiver refuses deliveries, by up to twelve requests to it, paused or not.
   *
   * Some are signed wrongly on purpose. They are no deliveries: no history or statistics hear of them.
   */
  diagnose(id: string): Promise<Diagnosis> {
    return this.http.request("POST", `${at(id)}/diagnose`, { timeoutMs: DIAGNOSIS_TIMEOUT_MS });
  }

  /** Read the exact request that a webhook would send, as it is or as fields change it. Nothing is changed or sent. */
  preview(id: string, input: PreviewInput = {}): Promise<Preview> {
    return this.http.request("POST", `${at(id)}/preview`, { body: input, repeatable: true });
  }

  /** Read the exact request that a webhook would send which is not saved yet. */
  previewDraft(input: PreviewInput): Promise<Preview> {
    return this.http.request("POST", `${ROOT}/preview`, { body: input, repeatable: true });
  }

  /** Read what a webhook would have been sent of the last days, as it is or as fields change it. Nothing is sent. */
  dryRun(id: string, asked: DryRunInput = {}): Promise<DryRun> {
    const { query, body } = split(asked);
    return this.http.request("POST", `${at(id)}/dry-run`, { body, query, repeatable: true });
  }

  /** Read every event that a webhook would have been sent of the last days, newest first. */
  walkDryRun(id: string, asked: DryRunInput = {}): AsyncGenerator<HeardEvent, void, undefined> {
    const { query, body } = split(asked);
    return this.http.walk(`${at(id)}/dry-run`, query, byMember("events"), "POST", body);
  }

  /** Read what a webhook would have been sent of the last days that is not saved yet. Nothing is sent or saved. */
  dryRunDraft(asked: DryRunInput): Promise<DryRun> {
    const { query, body } = split(asked);
    return this.http.request("POST", `${ROOT}/dry-run`, { body: body ?? {}, query, repeatable: true });
  }

  /** Read every event that a webhook would have been sent which is not saved yet, newest first. */
  walkDryRunDraft(asked: DryRunInput): AsyncGenerator<HeardEvent, void, undefined> {
    const { query, body } = split(asked);
    return this.http.walk(`${ROOT}/dry-run`, query, byMember("events"), "POST", body ?? {});
  }

  /** Send it all again, as a job, that it did not acknowledge of the events of a time. */
  recover(id: string, input: RecoverInput): Promise<Recovery> {
    return this.http.request("POST", `${at(id)}/recover`, { body: input });
  }

  /** Read the secret that verifies this webhook's deliveries. */
  getSecret(id: string): Promise<Secret> {
    return this.http.request("GET", `${at(id)}/secret`);
  }

  /** Give the webhook another secret; the present one verifies beside it until the overlap ends. */
  rotateSecret(id: string, rotation: Rotation = {}): Promise<Secret> {
    return this.http.request("POST", `${at(id)}/secret/rotate`, { body: rotation });
  }

  /** Read how a webhook's attempts fared; of the last day when nothing is said. */
  getStatistics(id: string, asked: StatisticsFilters = {}): Promise<Statistics> {
    return this.http.request("GET", `${at(id)}/statistics`, { query: { ...asked } });
  }

  /** List a webhook's deliveries, newest first. */
  async listDeliveries(id: string, filters: WebhookDeliveryFilters = {}): Promise<Delivery[]> {
    return (await this.pageDeliveries(id, filters)).items;
  }

  /** List a webhook's deliveries, with the cursors of the pages around. */
  pageDeliveries(id: string, filters: WebhookDeliveryFilters = {}): Promise<Page<Delivery>> {
    return this.http.page(`${at(id)}/deliveries`, { ...filters });
  }

  /** Read every delivery of a webhook that fits, newest first. */
  walkDeliveries(id: string, filters: WebhookDeliveryFilters = {}): AsyncGenerator<Delivery, void, undefined> {
    return this.http.walk(`${at(id)}/deliveries`, { ...filters });
  }

  /** List what a webhook was, and what changed when, newest first. */
  listVersions(id: string, page: Walked = {}): Promise<Version[]> {
    return this.http.request("GET", `${at(id)}/versions`, { query: { ...page } });
  }

  /** Read every version of a webhook, newest first. */
  walkVersions(id: string, page: Walked = {}): AsyncGenerator<Version, void, undefined> {
    return this.http.walk(`${at(id)}/versions`, { limit: WALKED, ...page }, byLast("version"));
  }
}

function split({ days, limit, cursor, ...webhook }: DryRunInput): { query: Query; body: unknown } {
  return { query: { days, limit, cursor }, body: Object.keys(webhook).length ? webhook : undefined };
}
