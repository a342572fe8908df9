import { Audit, Egress, Groups, GroupsLimits, Installation, Keys, Members, PortalLinks, Sessions, SetAside, SigningKeys } from "./administration.js";
import { Bins } from "./bins.js";
import { Collections, Records } from "./content.js";
import { AttemptStatistics, Deliveries, Events, Recoveries } from "./history.js";
import { Http } from "./http.js";
import { Listeners } from "./listening.js";
import { Erasures, Redaction } from "./privacy.js";
import { Backfills, EventTypes, Integrations, Jobs, Tables } from "./sources.js";
import { Webhooks } from "./webhooks.js";

/** Where a client's server is, as whom it asks, how long and how often. */
export interface ClientOptions {
  /** Where the server is, such as `https://tidings.example.com`. */
  url: string;
  /** The key of a person or program. */
  apiKey?: string | undefined;
  /** Whose webhooks and events it is about; `default` when absent. */
  group?: string | undefined;
  /** The home of a fleet that answers, for what is about an installation; whichever is reached when absent. */
  home?: string | undefined;
  /** Milliseconds one try may take; 30,000 when absent. */
  timeoutMs?: number;
  /** How often to try again what can be done twice, when the network or the server is unwell; 2 when absent. */
  retries?: number;
  /** Ends what is under way. */
  signal?: AbortSignal | undefined;
  /** Instead of the global `fetch`. */
  fetch?: typeof fetch;
}

/**
 * A client of one server. Making it sends nothing.
 *
 * What can be done twice is tried again when the network or the server is unwell; the rest is tried once.
 */
export class Client {
  protected readonly http: Http;
  /** Who is told of what, and where. */
  readonly webhooks: Webhooks;
  /** Events on their way to webhooks. */
  readonly deliveries: Deliveries;
  /** What happened, and publishing more of it. */
  readonly events: Events;
  /** Who is given deliveries when they ask. */
  readonly listeners: Listeners;
  /** Jobs that send many deliveries again. */
  readonly recoveries: Recoveries;
  /** What of events and of answers is not kept. */
  readonly redaction: Redaction;
  /** What is kept of somebody, taken out of all places. */
  readonly erasures: Erasures;
  /** How attempts fared. */
  readonly statistics: AttemptStatistics;
  /** What events say, described. */
  readonly eventTypes: EventTypes;
  /** How the rows of tables become events. */
  readonly tables: Tables;
  /** Jobs that send the present rows of tables. */
  readonly backfills: Backfills;
  /** Content with a schema. */
  readonly collections: Collections;
  /** What is in collections. */
  readonly records: Records;
  /** What happens by a schedule. */
  readonly jobs: Jobs;
  /** Other systems that send notices. */
  readonly integrations: Integrations;
  /** Addresses that take any request, for trying. */
  readonly bins: Bins;
  /** Customers or tenants. */
  readonly groups: Groups;
  /** What groups may have and do, and what is used of it. */
  readonly limits: GroupsLimits;
  /** What opens the API. */
  readonly keys: Keys;
  readonly members: Members;
  readonly sessions: Sessions;
  /** What shows customers their own webhooks. */
  readonly portalLinks: PortalLinks;
  /** What signs `v1a` signatures and tokens. */
  readonly signingKeys: SigningKeys;
  /** What could be neither routed nor delivered, and settings that cannot be read. */
  readonly setAside: SetAside;
  /** Who did what. */
  readonly audit: Audit;
  readonly egress: Egress;
  /** What is wrong with the installation. */
  readonly diagnosis: Installation;

  /** @throws TypeError `url` is missing, or `timeoutMs` or `retries` is none. */
  constructor(options: ClientOptions) {
    const { url, timeoutMs = 30_000, retries = 2 } = options;
    if (!url) throw new TypeError("url is required: where the Tidings server is, such as http://localhost:8080.");
    if (!(retries >= 0)) throw new TypeError(`retries is ${retries}; write 0 for none.`);
    if (!(timeoutMs > 0)) throw new TypeError(`timeoutMs is ${timeoutMs}; write a number of milliseconds above 0.`);
    this.http = new Http({
      url: url.replace(/\/+$/, ""),
      apiKey: options.apiKey,
      group: options.group,
      home: options.home,
      timeoutMs,
      retries,
      signal: options.signal,
      fetch: options.fetch ?? ((...call) => globalThis.fetch(...call)),
    });
    this.webhooks = new Webhooks(this.http);
    this.deliveries = new Deliveries(this.http);
    this.events = new Events(this.http);
    this.listeners = new Listeners(this.http);
    this.recoveries = new Recoveries(this.http);
    this.redaction = new Redaction(this.http);
    this.erasures = new Erasures(this.http);
    this.statistics = new AttemptStatistics(this.http);
    this.eventTypes = new EventTypes(this.http);
    this.tables = new Tables(this.http);
    this.backfills = new Backfills(this.http);
    this.collections = new Collections(this.http);
    this.records = new Records(this.http);
    this.jobs = new Jobs(this.http);
    this.integrations = new Integrations(this.http);
    this.bins = new Bins(this.http);
    this.groups = new Groups(this.http);
    this.limits = new GroupsLimits(this.http);
    this.keys = new Keys(this.http);
    this.members = new Members(this.http);
    this.sessions = new Sessions(this.http);
    this.portalLinks = new PortalLinks(this.http);
    this.signingKeys = new SigningKeys(this.http);
    this.setAside = new SetAside(this.http);
    this.audit = new Audit(this.http);
    this.egress = new Egress(this.http);
    this.diagnosis = new Installation(this.http);
  }

  /** A client with other options; what is not named stays. */
  withOptions(options: Partial<ClientOptions>): this {
    const made = this.constructor as new (options: ClientOptions) => this;
    return new made({ ...this.http.options, ...options });
  }
}
