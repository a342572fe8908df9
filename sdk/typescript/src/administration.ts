import { byCursor, byLast, byOffset, byPlace, type Http, part, WALKED } from "./http.js";
import type { AfterPaged, Page, Paged } from "./history-types.js";
import type {
  ApiKey,
  ApiKeyInput,
  ApiKeyRotation,
  AuditEntry,
  AuditExported,
  AuditFilters,
  AuditStretch,
  AuditVerification,
  EgressRules,
  Examined,
  Fault,
  FaultsPaged,
  Group,
  GroupLimits,
  Judgement,
  Jwks,
  KeyRotation,
  KeysPaged,
  Limits,
  LimitsInput,
  MadeApiKey,
  MadePortalLink,
  Narrowing,
  NarrowingInput,
  Member,
  MemberInput,
  MemberRoleInput,
  PortalLink,
  PortalLinkInput,
  PortalSession,
  SealedEntry,
  SetAsideEvent,
  SetAsidePaged,
  SigningKey,
} from "./source-types.js";

/** `client.groups`: customers or tenants. */
export class Groups {
  constructor(private readonly http: Http) {}

  /** Create a group. */
  create(id: string): Promise<Group> {
    return this.http.request("POST", "/api/v1/groups", { body: { id } });
  }

  /** List groups, in order of their ids. */
  list(page: AfterPaged = {}): Promise<Group[]> {
    return this.http.request("GET", "/api/v1/groups", { query: { ...page } });
  }

  /** Read every group, in order of their ids. */
  walk(page: AfterPaged = {}): AsyncGenerator<Group, void, undefined> {
    return this.http.walk("/api/v1/groups", { limit: WALKED, ...page }, byLast("id"));
  }

  /** Read a group. */
  get(id: string): Promise<Group> {
    return this.http.request("GET", `/api/v1/groups/${part(id)}`);
  }

  /** Begin to delete a group. `confirm`: its id again, since nothing brings it back. `everything`: with all it has. */
  async delete(id: string, input: { confirm: string; everything?: boolean }): Promise<void> {
    await this.http.request("DELETE", `/api/v1/groups/${part(id)}`, { query: input });
  }
}

/** `client.limits`: what groups may have and do, and what is used of it. */
export class GroupsLimits {
  constructor(private readonly http: Http) {}

  /** Read the limits of a group, and what is used of them. */
  get(groupId: string): Promise<GroupLimits> {
    return this.http.request("GET", `/api/v1/groups/${part(groupId)}/limits`);
  }

  /** Change limits of a group; those that are left out stay, and null takes one away. */
  set(groupId: string, input: LimitsInput): Promise<GroupLimits> {
    return this.http.request("PATCH", `/api/v1/groups/${part(groupId)}/limits`, { body: input });
  }

  /** Take away a group's own limits, so that those of all groups hold for it. */
  reset(groupId: string): Promise<GroupLimits> {
    return this.http.request("DELETE", `/api/v1/groups/${part(groupId)}/limits`);
  }

  /** Read the limits of all groups that have none of their own. */
  getDefaults(): Promise<Limits> {
    return this.http.request("GET", "/api/v1/limits");
  }

  /** Change the limits of all groups that have none of their own; those that are left out stay. */
  setDefaults(input: LimitsInput): Promise<Limits> {
    return this.http.request("PATCH", "/api/v1/limits", { body: input });
  }
}

/** `client.keys`: what opens the API, each with what it may do. */
export class Keys {
  constructor(private readonly http: Http) {}

  /** Make a key. The answer holds it, this once. */
  create(input: ApiKeyInput): Promise<MadeApiKey> {
    return this.http.request("POST", "/api/v1/keys", { body: input });
  }

  /** List keys, newest first, those that were revoked or expired lately among them. */
  list(page: KeysPaged = {}): Promise<ApiKey[]> {
    return this.http.request("GET", "/api/v1/keys", { query: { ...page } });
  }

  /** Read every key, newest first. */
  walk(page: KeysPaged = {}): AsyncGenerator<ApiKey, void, undefined> {
    return this.http.walk("/api/v1/keys", { limit: WALKED, ...page }, byOffset);
  }

  /** Read a key, with when it was last used. */
  get(id: string): Promise<ApiKey> {
    return this.http.request("GET", `/api/v1/keys/${part(id)}`);
  }

  /** Read the key that this client has: what it may do, and for how long. */
  getCurrent(): Promise<ApiKey> {
    return this.http.request("GET", "/api/v1/keys/current");
  }

  /** Call a key otherwise. What is on record keeps the name of then. */
  update(id: string, changes: { name: string }): Promise<ApiKey> {
    return this.http.request("PATCH", `/api/v1/keys/${part(id)}`, { body: changes });
  }

  /** Give a key another secret. The present one is good beside it until the overlap ends. */
  rotate(id: string, rotation: ApiKeyRotation = {}): Promise<MadeApiKey> {
    return this.http.request("POST", `/api/v1/keys/${part(id)}/rotate`, { body: rotation });
  }

  /** End a key. Within a second it opens nothing any more. */
  async revoke(id: string): Promise<void> {
    await this.http.request("DELETE", `/api/v1/keys/${part(id)}`);
  }
}

/** `client.members`: who may sign in to the portal by the provider, and what they are. */
export class Members {
  constructor(private readonly http: Http) {}

  /** Let somebody sign in, or give a member a role for more groups. Nothing is sent to them. */
  invite(input: MemberInput): Promise<Member> {
    return this.http.request("POST", "/api/v1/members", { body: input });
  }

  /** List members, in order of their addresses. */
  list(page: Paged = {}): Promise<Member[]> {
    return this.http.request("GET", "/api/v1/members", { query: { ...page } });
  }

  /** Read every member, in order of their addresses. */
  walk(page: Paged = {}): AsyncGenerator<Member, void, undefined> {
    return this.http.walk("/api/v1/members", { limit: WALKED, ...page }, byOffset);
  }

  /** Read a member. */
  get(id: string): Promise<Member> {
    return this.http.request("GET", `/api/v1/members/${part(id)}`);
  }

  /** Say what a member is in some groups, or in all; the role `none` takes away the one they have. */
  setRole(id: string, input: MemberRoleInput): Promise<Member> {
    return this.http.request("PATCH", `/api/v1/members/${part(id)}`, { body: input });
  }

  /** Remove a member, who is signed out everywhere. */
  async remove(id: string): Promise<void> {
    await this.http.request("DELETE", `/api/v1/members/${part(id)}`);
  }
}

/** `client.sessions`: browsers that are signed in to the portal, of all groups. */
export class Sessions {
  constructor(private readonly http: Http) {}

  /** List those who are signed in, newest first; customers, who come by portal links, are not among them. */
  list(page: Paged = {}): Promise<PortalSession[]> {
    return this.http.request("GET", "/api/v1/sessions", { query: { ...page } });
  }

  /** Read every session, newest first. */
  walk(page: Paged = {}): AsyncGenerator<PortalSession, void, undefined> {
    return this.http.walk("/api/v1/sessions", { limit: WALKED, ...page }, byOffset);
  }

  /** End a session. */
  async end(id: string): Promise<void> {
    await this.http.request("DELETE", `/api/v1/sessions/${part(id)}`);
  }
}

/** `client.portalLinks`: what shows customers their own webhooks in the portal. */
export class PortalLinks {
  constructor(private readonly http: Http) {}

  /** Make a link that shows a customer this group's webhooks, deliveries and tests in the portal, and nothing else. */
  create(group: string, input: PortalLinkInput = {}): Promise<MadePortalLink> {
    return this.http.request("POST", `/api/v1/groups/${part(group)}/portal-link`, { body: input });
  }

  /** List the group's links whose time is not over, newest first. */
  list(page: Paged = {}): Promise<PortalLink[]> {
    return this.http.request("GET", "/api/v1/portal-links", { query: { ...page } });
  }

  /** Read every link of the group whose time is not over, newest first. */
  walk(page: Paged = {}): AsyncGenerator<PortalLink, void, undefined> {
    return this.http.walk("/api/v1/portal-links", { limit: WALKED, ...page }, byOffset);
  }

  /** End a link before its time, and what was opened with it. */
  async delete(id: string): Promise<void> {
    await this.http.request("DELETE", `/api/v1/portal-links/${part(id)}`);
  }
}

/** `client.signingKeys`: what signs `v1a` signatures and tokens. */
export class SigningKeys {
  constructor(private readonly http: Http) {}

  /** List the public keys, the last to sign first. */
  list(): Promise<SigningKey[]> {
    return this.http.request("GET", "/api/v1/signing-keys");
  }

  /** Make new keys, which sign when receivers have had time to read them. */
  rotate(rotation: KeyRotation = {}): Promise<SigningKey[]> {
    return this.http.request("POST", "/api/v1/signing-keys/rotate", { body: rotation });
  }

  /** Read the keys that tokens verify by, as a JSON Web Key Set: what `verify` takes for profile `vski`. */
  getJwks(): Promise<Jwks> {
    return this.http.request("GET", "/.well-known/jwks.json");
  }
}

/** `client.setAside`: what could be neither routed nor delivered, and settings that cannot be read; of all groups. */
export class SetAside {
  constructor(private readonly http: Http) {}

  /** List what was set aside, newest first. */
  list(page: SetAsidePaged = {}): Promise<SetAsideEvent[]> {
    return this.http.request("GET", "/api/v1/set-aside", { query: { ...page } });
  }

  /** Read everything that was set aside, newest first. */
  walk(page: SetAsidePaged = {}): AsyncGenerator<SetAsideEvent, void, undefined> {
    return this.http.walk("/api/v1/set-aside", { limit: WALKED, ...page }, byLast("number", "before"));
  }

  /** Read what was set aside under a number, with the row as it was. */
  get(number: number): Promise<SetAsideEvent> {
    return this.http.request("GET", `/api/v1/set-aside/${part(number)}`);
  }

  /** Put it back where it was taken from. When its reason still holds, it is set aside again, under another number. */
  async route(number: number): Promise<void> {
    await this.http.request("POST", `/api/v1/set-aside/${part(number)}/route`);
  }

  /** Discard it for good: it is told to nobody. */
  async delete(number: number): Promise<void> {
    await this.http.request("DELETE", `/api/v1/set-aside/${part(number)}`);
  }

  /** List settings that cannot be read, kind by kind. They come back by themselves once they can. */
  listSettings(page: FaultsPaged = {}): Promise<Fault[]> {
    return this.http.request("GET", "/api/v1/set-aside/settings", { query: { ...page } });
  }

  /** Read a setting again. What waited for it goes on; a refusal says why it still cannot be read. */
  async retrySetting(kind: string, id: string): Promise<void> {
    await this.http.request("POST", `/api/v1/set-aside/settings/${part(kind)}/${part(id)}/retry`);
  }

  /** Remove a webhook with what waits for it, a job, an integration, or the settings of a table. */
  async deleteSetting(kind: string, id: string): Promise<void> {
    await this.http.request("DELETE", `/api/v1/set-aside/settings/${part(kind)}/${part(id)}`);
  }
}

/** `client.audit`: who did what. */
export class Audit {
  constructor(private readonly http: Http) {}

  /** List who did what, newest first, of all groups or of one. */
  list(filters: AuditFilters = {}): Promise<AuditEntry[]> {
    return this.http.request("GET", "/api/v1/audit", { query: { ...filters } });
  }

  /** Read all that was done, newest first. */
  walk(filters: AuditFilters = {}): AsyncGenerator<AuditEntry, void, undefined> {
    return this.http.walk("/api/v1/audit", { ...filters }, byCursor);
  }

  /**
   * Read a page of sealed entries, in the order of the chain. Go on with `after`: the page's `next`; undefined: all is read.
   * A page may be empty and go on nevertheless.
   */
  export(asked: AuditExported = {}): Promise<Page<SealedEntry>> {
    return this.http.page("/api/v1/audit/export", { ...asked });
  }

  /** Read all sealed entries in the order of the chain, a page at a time: each once, and none before another later. */
  walkExport(asked: AuditExported = {}): AsyncGenerator<SealedEntry, void, undefined> {
    return this.http.walk("/api/v1/audit/export", { ...asked }, byPlace);
  }

  /** Verify a stretch of the audit: nothing of it was changed, removed, inserted or reordered. Go on with `next`. */
  verify(stretch: AuditStretch = {}): Promise<AuditVerification> {
    return this.http.request("GET", "/api/v1/audit/verification", { query: { ...stretch } });
  }
}

/** `client.diagnosis`: what is wrong with the installation. */
export class Installation {
  constructor(private readonly http: Http) {}

  /** Read what is wrong, each with its remedy. Hosts that webhooks name are connected to; nothing is sent to them. */
  get(): Promise<Examined> {
    return this.http.request("GET", "/api/v1/diagnosis");
  }
}

/** `client.egress`: what the installation may call, and what groups may not call although it may. */
export class Egress {
  constructor(private readonly http: Http) {}

  /** Read what the settings allow to be called. */
  get(): Promise<EgressRules> {
    return this.http.request("GET", "/api/v1/egress");
  }

  /** Tell whether a URL of the group's may be called. Its name is looked up, and nobody is called. */
  judge(url: string): Promise<Judgement> {
    return this.http.request("POST", "/api/v1/egress/judge", { body: { url } });
  }

  /** Read what a group may not call although the installation may. */
  getNarrowing(group: string): Promise<Narrowing> {
    return this.http.request("GET", `/api/v1/groups/${part(group)}/egress`);
  }

  /** Narrow what a group may call. It widens nothing; an empty one narrows nothing. */
  narrow(group: string, input: NarrowingInput = {}): Promise<Narrowing> {
    return this.http.request("PUT", `/api/v1/groups/${part(group)}/egress`, { body: input });
  }
}
