"""The one table of what can be done with a server, from which the commands are made.

A test holds it against the API's own document: every route, every parameter of a search and every field of a body is here, or
named there with the reason why not. One table, and so longer than other modules: it is read beside that document.
"""

from typing import Final

from tidings.cli.remote.grammar import Thing, Verb

_DELIVERY_SEARCH: Final = "since until type table record_id text status event_id failure response_status"
_EVENT_SEARCH: Final = "since until type table record_id subject external_id text"
_WEBHOOK: Final = (
    "name description url enabled:flag profile events:list secret asymmetric:flag signature:json body_template jwt_enabled:flag auth:json client_certificate:json ca_certificates "
    "method headers:map timeout_seconds:number retry:json concurrency:int rate_per_second:number ordered:flag"
)
_SAMPLE: Final = "event table schema record:json old_record:json data:json"
_JOB: Final = (
    "name schedule timezone type url method headers:map body contentType retryLimit:int jwtEnabled:flag sql database timeout:number "
    "missed active:flag"
)
_COLLECTION: Final = "name type schema:list options:json author"
_CAPTURE: Final = "group_by unknown_groups exclude:list rename:map changed:list when:either"
_RECOVER: Final = "since until missing:flag rate_per_second:number"
_DELIVERIES: Final = "Id=id:id Status=status:state Event=event Answer=response_status:code When=created_at:time Tries=attempts:count Webhook=webhook_id:webhook Error=error"
_EVENTS: Final = (
    "Id=id:id Type=type When=occurred_at:time Deliveries=delivery_count:count Source=source Table=table Subject=subject"
)
_SURE: Final = "Delete {}? Nothing brings it back."

WEBHOOKS: Final = Thing(
    "webhooks", "webhook", "Who is told, and of what.",
    "Id=id:id State=health.state:state Name=name Events=events:list Waiting=health.waiting:count Url=url Profile=profile Changed=updated_at:time",
    (
        Verb("list", "GET", "/api/v1/webhooks", "List webhooks, newest first.", shows="many", pages="last:id"),
        Verb("get", "GET", "/api/v1/webhooks/{webhook_id}", "Show a webhook, with its health."),
        Verb("create", "POST", "/api/v1/webhooks", "Create a webhook. Its secret is in the answer.", body=_WEBHOOK),
        Verb("edit", "PATCH", "/api/v1/webhooks/{webhook_id}", "Change a webhook.", body=_WEBHOOK, edits=True),
        Verb("delete", "DELETE", "/api/v1/webhooks/{webhook_id}", "Delete a webhook; what waits for it is cancelled.",
             shows="nothing", asks=_SURE, done="deleted"),
        Verb("pause", "PATCH", "/api/v1/webhooks/{webhook_id}", "Send it nothing until it is resumed.", sends={"enabled": False}),
        Verb("resume", "PATCH", "/api/v1/webhooks/{webhook_id}", "Send to it again.", sends={"enabled": True}),
        Verb("test", "POST", "/api/v1/webhooks/{webhook_id}/test", "Send a sample and wait for what comes of it.", body=_SAMPLE, waits=True),
        Verb("preview", "POST", "/api/v1/webhooks/{webhook_id}/preview", "Show the exact request it would send; nothing is sent.",
             body=f"{_WEBHOOK} event_id {_SAMPLE}"),
        Verb("preview-new", "POST", "/api/v1/webhooks/preview", "Show the request of a webhook that is not saved.",
             body=f"{_WEBHOOK} event_id {_SAMPLE}"),
        Verb("dry-run", "POST", "/api/v1/webhooks/{webhook_id}/dry-run", "List what of the last days it would have been sent.",
             query="days", body=_WEBHOOK, shows="many", columns="Id=id:id Type=type When=occurred_at:time Told_as=name Table=table Subject=subject",
             pages="member:cursor", inside="events"),
        Verb("dry-run-new", "POST", "/api/v1/webhooks/dry-run", "List what a webhook that is not saved would have been sent.",
             query="days", body=_WEBHOOK, shows="many", columns="Id=id:id Type=type When=occurred_at:time Told_as=name Table=table Subject=subject",
             pages="member:cursor", inside="events"),
        Verb("deliveries", "GET", "/api/v1/webhooks/{webhook_id}/deliveries", "List its deliveries, newest first.",
             query=_DELIVERY_SEARCH, shows="many", columns=_DELIVERIES, pages="header"),
        Verb("statistics", "GET", "/api/v1/webhooks/{webhook_id}/statistics", "Show how its attempts fared.", query="since until step"),
        Verb("secret", "GET", "/api/v1/webhooks/{webhook_id}/secret", "Show the secret that verifies its deliveries."),
        Verb("rotate", "POST", "/api/v1/webhooks/{webhook_id}/secret/rotate", "Give it another secret; both verify for a while.",
             body="secret overlap_seconds:number"),
        Verb("versions", "GET", "/api/v1/webhooks/{webhook_id}/versions", "List what was changed of it, and when.", shows="many",
             columns="Version=version:id Since=created_at:time Until=superseded_at:time Changes=changes:json", pages="last:version"),
        Verb("recover", "POST", "/api/v1/webhooks/{webhook_id}/recover", "Begin to send it again what it did not acknowledge.", body=_RECOVER),
    ),
    label="name",
    hides="is_active max_retries retry_backoff_seconds scope",
)  # fmt: skip

EVENTS: Final = Thing(
    "events", "event", "What happened.", _EVENTS,
    (
        Verb("list", "GET", "/api/v1/events", "List events, newest first.", query=_EVENT_SEARCH, shows="many", pages="header"),
        Verb("get", "GET", "/api/v1/events/{event_id}", "Show an event."),
        Verb("publish", "POST", "/api/v1/events", "Publish an event.", body="type data:json subject id"),
        Verb("publish-batch", "POST", "/api/v1/events/batch", "Publish up to 10,000 events, one line of JSON for each.", body="*"),
    ),
)  # fmt: skip

DELIVERIES: Final = Thing(
    "deliveries", "delivery", "What became of each event for each webhook.", _DELIVERIES,
    (
        Verb("list", "GET", "/api/v1/deliveries", "List deliveries, newest first.", query=f"{_DELIVERY_SEARCH} webhook_id", shows="many", pages="header"),
        Verb("get", "GET", "/api/v1/deliveries/{delivery_id}", "Show a delivery."),
        Verb("attempts", "GET", "/api/v1/deliveries/{delivery_id}/attempts", "List its attempts, oldest first.", shows="many", pages="whole",
             columns="No=number:id Answer=response_status:code Took=total_ms:ms When=started_at:time Failure=failure Error=error"),
        Verb("attempt", "GET", "/api/v1/deliveries/{delivery_id}/attempts/{number}", "Show an attempt, its request and its response."),
        Verb("retry", "POST", "/api/v1/deliveries/{delivery_id}/retry", "Send it again, with the same id."),
        Verb("retry-all", "POST", "/api/v1/deliveries/retry", "Begin to send many again: by ids, or all that a search finds.",
             body="ids:list since until type table record_id text status webhook_id event_id failure response_status rate_per_second:number"),
    ),
    hides="event_type table_name attempt attempt_number status_code http_status_code response_code error_message",
)  # fmt: skip

RECOVERIES: Final = Thing(
    "recoveries", "recovery", "Jobs that send many deliveries again.",
    "Id=id:id State=state:state Done=progress:share Queued=queued_count:count Begun=created_at:time Webhook=webhook_id:webhook Error=error",
    (
        Verb("list", "GET", "/api/v1/recoveries", "List recoveries, newest first.", shows="many", pages="last:id"),
        Verb("get", "GET", "/api/v1/recoveries/{recovery_id}", "Show how far a recovery has come."),
        Verb("cancel", "POST", "/api/v1/recoveries/{recovery_id}/cancel", "End it early; what it has put into the queue is delivered."),
    ),
)  # fmt: skip

LISTENERS: Final = Thing(
    "listeners", "listener", "Who receives by `tidings listen`.",
    "Id=id:id Name=name Events=events:list Waiting=waiting:count Held=held_until:time Clients=clients:count Heard=heard_at:time Webhook=webhook_id:webhook Profile=profile",
    (
        Verb("list", "GET", "/api/v1/listeners", "List listeners.", shows="many", pages="whole"),
        Verb("get", "GET", "/api/v1/listeners/{listener_id}", "Show a listener."),
        Verb("create", "POST", "/api/v1/listeners", "Make a listener, or find the one of a name.", body="name webhook_id events:list profile"),
        Verb("skip", "POST", "/api/v1/listeners/{listener_id}/skip", "Cancel what waits for it.", asks="Cancel all that waits for {}?"),
        Verb("delete", "DELETE", "/api/v1/listeners/{listener_id}", "Delete a listener; what waits for it is cancelled.",
             shows="nothing", asks=_SURE, done="deleted"),
    ),
    label="name",
)  # fmt: skip

_RULE: Final = "name events:list webhook_id fields:list subject:flag headers:list responses resend_hours:int payload_hours:int"
REDACTION: Final = Thing(
    "redaction", "redaction rule", "What of events and of answers is not kept.",
    "Id=id:id Name=name Events=events:list Fields=fields:list Responses=responses Payload_hours=payload_hours:count Webhook=webhook_id:webhook",
    (
        Verb("list", "GET", "/api/v1/redaction-rules", "List redaction rules, oldest first.", shows="many", pages="offset"),
        Verb("get", "GET", "/api/v1/redaction-rules/{rule_id}", "Show a redaction rule."),
        Verb("create", "POST", "/api/v1/redaction-rules", "Make a redaction rule, for what is routed from then on.", body=_RULE),
        Verb("edit", "PATCH", "/api/v1/redaction-rules/{rule_id}", "Change a redaction rule.", body=_RULE, edits=True),
        Verb("delete", "DELETE", "/api/v1/redaction-rules/{rule_id}", "Delete a redaction rule.", shows="nothing", asks=_SURE, done="deleted"),
        Verb("preview", "POST", "/api/v1/redaction-rules/preview", "Show what a rule would do to an event that happened.", body="rule:json event_id"),
    ),
    label="name",
)  # fmt: skip

_ERASURES: Final = "Id=id:id State=state:state Stage=stage Field=field Dry_run=dry_run:flag Begun=created_at:time Ended=finished_at:time Subject=subject_hash Error=error"
ERASURES: Final = Thing(
    "erasures", "erasure", "What is kept of somebody, taken out of all places.",
    _ERASURES,
    (
        Verb("list", "GET", "/api/v1/erasures", "List erasures, newest first.", shows="many", pages="offset"),
        Verb("get", "GET", "/api/v1/erasures/{erasure_id}", "Show how far an erasure has come, and its report."),
        Verb("begin", "POST", "/api/v1/erasures", "Begin to erase what is kept of a subject; with --dry-run only count.",
             body="value:private field dry_run:flag pending", asks="Erase what is kept of this subject? Nothing brings it back."),
        Verb("find", "POST", "/api/v1/erasures/find", "Find the erasures of a subject.", body="value:private field", shows="many", pages="whole",
             columns=_ERASURES),
        Verb("cancel", "POST", "/api/v1/erasures/{erasure_id}/cancel", "End it early; what it has erased stays erased."),
    ),
)  # fmt: skip

TABLES: Final = Thing(
    "tables", "table", "Tables of yours whose rows are captured.",
    "Table=table:id Schema=schema Operations=operations:list Group_by=group_by Exclude=exclude:list Changed=changed:list Fault=fault",
    (
        Verb("list", "GET", "/api/v1/tables", "List the tables that are captured.", shows="many", pages="whole"),
        Verb("get", "GET", "/api/v1/tables/{table}", "Show how a table is captured."),
        Verb("create", "PUT", "/api/v1/tables/{table}", "Say how a table is captured.", body=_CAPTURE),
        Verb("edit", "PUT", "/api/v1/tables/{table}", "Change how a table is captured.", body=_CAPTURE, edits=True, whole=True),
        Verb("delete", "DELETE", "/api/v1/tables/{table}", "Forget how a table is captured; its rows stay.", shows="nothing",
             asks="Forget what was said of table {}? It is captured as others are from then on.", done="forgotten"),
        Verb("backfill", "POST", "/api/v1/tables/{table}/backfill", "Begin to send a webhook the rows that there are.", body="webhook_id"),
    ),
    key="table",
)  # fmt: skip

BACKFILLS: Final = Thing(
    "backfills", "backfill", "Present rows of a table, sent as events.",
    "Id=id:id State=state:state Table=table Rows=row_count:count Of=estimated_rows:count Begun=created_at:time Webhook=webhook_id:webhook Error=error",
    (
        Verb("list", "GET", "/api/v1/backfills", "List backfills, newest first.", shows="many", pages="offset"),
        Verb("get", "GET", "/api/v1/backfills/{backfill_id}", "Show how far a backfill has come."),
        Verb("cancel", "POST", "/api/v1/backfills/{backfill_id}/cancel", "End a backfill early."),
    ),
)  # fmt: skip

COLLECTIONS: Final = Thing(
    "collections", "collection", "Tables that Tidings makes.",
    "Name=name:id Type=type Fields=schema:names Changed=updated:time Id=id",
    (
        Verb("list", "GET", "/api/v1/collections", "List collections.", shows="many", pages="offset"),
        Verb("get", "GET", "/api/v1/collections/{collection}", "Show a collection."),
        Verb("create", "POST", "/api/v1/collections", "Make a collection.", body=_COLLECTION),
        Verb("edit", "PATCH", "/api/v1/collections/{collection}", "Change a collection.", body=f"{_COLLECTION} drop:list", edits=True),
        Verb("delete", "DELETE", "/api/v1/collections/{collection}", "Delete a collection and its records.", query="confirm",
             shows="nothing", asks="Delete {} and all its records? Nothing brings them back.", done="deleted"),
    ),
    key="name",
)  # fmt: skip

RECORDS: Final = Thing(
    "records", "record", "Rows of collections.", "",
    (
        Verb("list", "GET", "/api/v1/collections/{collection}/records", "List records.", query="filter sort", shows="many",
             pages="numbers", inside="items"),
        Verb("get", "GET", "/api/v1/collections/{collection}/records/{record_id}", "Show a record."),
        Verb("create", "POST", "/api/v1/collections/{collection}/records", "Make a record, or many from a list.", body="*"),
        Verb("edit", "PATCH", "/api/v1/collections/{collection}/records/{record_id}", "Change a record.", body="*", edits=True),
        Verb("edit-many", "PATCH", "/api/v1/collections/{collection}/records", "Change many records, from a list.", body="*",
             shows="many", pages="whole"),
        Verb("delete", "DELETE", "/api/v1/collections/{collection}/records/{record_id}", "Delete a record.", shows="nothing",
             asks=_SURE, done="deleted"),
        Verb("delete-many", "DELETE", "/api/v1/collections/{collection}/records", "Delete many records.", body="ids:list",
             shows="nothing", asks="Delete these records of {}? Nothing brings them back.", done="without them"),
    ),
)  # fmt: skip

JOBS: Final = Thing(
    "jobs", "job", "What is done by the clock.",
    "Id=id:id Name=name Schedule=schedule Next=next:time Active=active:flag Type=type Timezone=timezone Url=url Fault=fault",
    (
        Verb("list", "GET", "/api/v1/cron", "List jobs.", shows="many", pages="numbers", inside="items"),
        Verb("get", "GET", "/api/v1/cron/{job_id}", "Show a job."),
        Verb("create", "POST", "/api/v1/cron", "Make a job.", body=_JOB),
        Verb("edit", "PATCH", "/api/v1/cron/{job_id}", "Change a job.", body=_JOB, edits=True),
        Verb("delete", "DELETE", "/api/v1/cron/{job_id}", "Delete a job.", shows="nothing", asks=_SURE, done="deleted"),
        Verb("pause", "PATCH", "/api/v1/cron/{job_id}", "Leave out its times until it is resumed.", sends={"active": False}),
        Verb("resume", "PATCH", "/api/v1/cron/{job_id}", "Do it again at its times.", sends={"active": True}),
        Verb("run", "POST", "/api/v1/cron/{job_id}/run", "Do it now.", then="{} is fired. What came of it: tidings jobs runs {}"),
        Verb("runs", "GET", "/api/v1/cron/{job_id}/runs", "List when it was done.", shows="many", pages="numbers",
             columns="Scheduled=scheduled:time Status=status:state Fired=fired:time Finished=finished:time Event=event Error=error"),
    ),
    label="name",
)  # fmt: skip

INTEGRATIONS: Final = Thing(
    "integrations", "integration", "Systems that send to Tidings.",
    "Name=name:id Platform=platform Enabled=enabled:flag Url=url Changed=updated_at:time",
    (
        Verb("list", "GET", "/api/v1/integrations", "List integrations.", shows="many", pages="offset"),
        Verb("get", "GET", "/api/v1/integrations/{name}", "Show an integration, with the URL for its notices."),
        Verb("create", "POST", "/api/v1/integrations", "Make an integration.", body="name platform secret settings:json enabled:flag"),
        Verb("edit", "PATCH", "/api/v1/integrations/{name}", "Change an integration.", body="name platform secret settings:json enabled:flag", edits=True),
        Verb("delete", "DELETE", "/api/v1/integrations/{name}", "Delete an integration.", shows="nothing", asks=_SURE, done="deleted"),
        Verb("pause", "PATCH", "/api/v1/integrations/{name}", "Take in no notices until it is resumed.", sends={"enabled": False}),
        Verb("resume", "PATCH", "/api/v1/integrations/{name}", "Take in its notices again.", sends={"enabled": True}),
        Verb("sync", "POST", "/api/v1/integrations/{name}/sync", "Say what objects there are.", body="objects:list complete:flag"),
        Verb("objects", "GET", "/api/v1/integrations/{name}/objects", "List the objects it knows.", query="type", shows="many",
             pages="offset", columns="Id=id:id Type=type Version=version:count Changed=updated_at:time"),
    ),
    key="name",
)  # fmt: skip

EVENT_TYPES: Final = Thing(
    "event-types", "event type", "What events are called, and how their data looks.",
    "Name=name:id Description=description Built_in=built_in:flag Changed=updated_at:time",
    (
        Verb("list", "GET", "/api/v1/event-types", "List event types.", shows="many", pages="whole"),
        Verb("get", "GET", "/api/v1/event-types/{name}", "Show an event type."),
        Verb("create", "PUT", "/api/v1/event-types/{name}", "Describe an event type.", body="description schema:json example:json"),
        Verb("edit", "PUT", "/api/v1/event-types/{name}", "Change an event type.", body="description schema:json example:json", edits=True, whole=True),
        Verb("delete", "DELETE", "/api/v1/event-types/{name}", "Forget what was said of an event type.", shows="nothing", asks=_SURE, done="deleted"),
    ),
    key="name",
)  # fmt: skip

_BIN: Final = "name status:int delay_seconds:number body content_type profile secret signature:json webhook_id"
BINS: Final = Thing(
    "bins", "bin", "Addresses that take any request, for trying.",
    "Id=id:id Name=name Requests=request_count:count Answer=status Used=used_at:time Url=url Profile=profile Webhook=webhook_id:webhook",
    (
        Verb("list", "GET", "/api/v1/bins", "List request bins, newest first.", shows="many", pages="offset"),
        Verb("get", "GET", "/api/v1/bins/{bin_id}", "Show a bin, with the URL that takes requests."),
        Verb("create", "POST", "/api/v1/bins", "Make a bin: what it answers, and what verifies what comes.", body=_BIN),
        Verb("edit", "PATCH", "/api/v1/bins/{bin_id}", "Change a bin.", body=_BIN, edits=True),
        Verb("delete", "DELETE", "/api/v1/bins/{bin_id}", "Delete a bin with all that came to it.", shows="nothing", asks=_SURE, done="deleted"),
        Verb("requests", "GET", "/api/v1/bins/{bin_id}/requests", "List what came to a bin, newest first.", shows="many",
             columns="No=number:id When=received_at:time Method=method Verdict=verdict.reason Answer=status:code Bytes=body_bytes:count Path=path:bin_path From=address",
             pages="before:number"),
        Verb("request", "GET", "/api/v1/bins/{bin_id}/requests/{number}", "Show one request that came to a bin."),
        Verb("clear", "DELETE", "/api/v1/bins/{bin_id}/requests", "Take away all that came to a bin.", shows="nothing",
             asks="Take away all that came to bin {}?", done="taken away"),
    ),
    label="name",
)  # fmt: skip

_LINK: Final = "expires_in:int access brand:json origins:list"
GROUPS: Final = Thing(
    "groups", "group", "Tenants.", "Id=id:id Created=created_at:time Home=home",
    (
        Verb("list", "GET", "/api/v1/groups", "List groups.", shows="many", pages="offset"),
        Verb("get", "GET", "/api/v1/groups/{group_id}", "Show a group."),
        Verb("create", "POST", "/api/v1/groups", "Make a group.", body="id", first="id"),
        Verb("delete", "DELETE", "/api/v1/groups/{group_id}", "Begin to delete a group.", query="confirm everything",
             asks=_SURE, shows="nothing", done="closed, and deleted in the background"),
        Verb("portal-link", "POST", "/api/v1/groups/{group_id}/portal-link", "Make a link that shows a customer this group.", body=_LINK),
    ),
)  # fmt: skip

_LIMITS: Final = "webhooks:int events_per_second:int events_burst:int stored_bytes:int payload_bytes:int"
LIMITS: Final = Thing(
    "limits", "limits", "What groups may have and do, and what is used of it.", "",
    (
        Verb("show", "GET", "/api/v1/groups/{group_id}/limits", "Show the limits of a group, and what is used of them."),
        Verb("set", "PATCH", "/api/v1/groups/{group_id}/limits", "Change limits of a group; --set webhooks=null takes one away.", body=_LIMITS),
        Verb("reset", "DELETE", "/api/v1/groups/{group_id}/limits", "Take away a group's own limits: those of all groups hold for it.",
             asks="Take away the own limits of {}?"),
        Verb("defaults", "GET", "/api/v1/limits", "Show the limits of all groups that have none of their own."),
        Verb("set-defaults", "PATCH", "/api/v1/limits", "Change the limits of all groups that have none of their own.", body=_LIMITS),
    ),
    key="group",
)  # fmt: skip

_NARROWING: Final = "networks:list denied_networks:list ports:list denied_ports:list https_only:flag"
EGRESS: Final = Thing(
    "egress", "egress", "What the installation may call, and what groups may not call although it may.", "",
    (
        Verb("get", "GET", "/api/v1/egress", "Show what the settings allow to be called."),
        Verb("judge", "POST", "/api/v1/egress/judge", "Say whether a URL may be called. Nobody is called.", body="url", first="url"),
        Verb("narrowing", "GET", "/api/v1/groups/{group_id}/egress", "Show what a group may not call although the installation may."),
        Verb("narrow", "PUT", "/api/v1/groups/{group_id}/egress", "Narrow what a group may call; all of it, each time.", body=_NARROWING),
    ),
)  # fmt: skip

PORTAL_LINKS: Final = Thing(
    "portal-links", "portal link", "What shows customers their own webhooks.",
    "Id=id:id Group=group Access=access Expires=expires_at:time Sessions=sessions:count Name=name",
    (
        Verb("list", "GET", "/api/v1/portal-links", "List the portal links of the group that --group names.", shows="many", pages="offset",
             of_group=True),
        Verb("create", "POST", "/api/v1/groups/{group_id}/portal-link", "Make a link that shows a customer a group.", body=_LINK),
        Verb("delete", "DELETE", "/api/v1/portal-links/{link_id}", "End a portal link and the sessions that came by it.",
             shows="nothing", asks="End portal link {} and its sessions?", done="over"),
    ),
)  # fmt: skip

SIGNING_KEYS: Final = Thing(
    "signing-keys", "signing key", "The keys that asymmetric signatures and tokens are made with.",
    "Id=id:id Purpose=purpose State=state:state From=signs_from:time Until=until:time Public_key=public_key",
    (
        Verb("list", "GET", "/api/v1/signing-keys", "List signing keys.", shows="many", pages="whole"),
        Verb("rotate", "POST", "/api/v1/signing-keys/rotate", "Make new keys; they sign when the overlap is over.",
             body="overlap_seconds:int leaked:flag", shows="many", pages="whole", asks="Change the installation's signing keys?"),
    ),
)  # fmt: skip

KEYS: Final = Thing(
    "keys", "key", "What opens the API, and what each key may do.",
    "Id=id:id Name=name Start=start Scopes=scopes:list Bound_to=bound_to Used=used_at:time Expires=expires_at:time Revoked=revoked_at:time",
    (
        Verb("list", "GET", "/api/v1/keys", "List keys, newest first.", query="expires_before unused_since", shows="many",
             pages="offset"),
        Verb("get", "GET", "/api/v1/keys/{key_id}", "Show a key, and when it was last used."),
        Verb("current", "GET", "/api/v1/keys/current", "Show the key that these commands are sent with."),
        Verb("create", "POST", "/api/v1/keys", "Make a key. It is in the answer, this once.", body="name scopes:list bound_to expires_in:int",
             quiet="key"),
        Verb("rename", "PATCH", "/api/v1/keys/{key_id}", "Call a key otherwise.", body="name"),
        Verb("rotate", "POST", "/api/v1/keys/{key_id}/rotate", "Give it another secret; the present one is good for a while.",
             body="overlap_seconds:int expires_in:int", quiet="key"),
        Verb("revoke", "DELETE", "/api/v1/keys/{key_id}", "End a key; within a second it opens nothing.", shows="nothing",
             asks="Revoke key {}? Whoever uses it is refused from now on.", done="revoked"),
    ),
    label="name",
)  # fmt: skip

MEMBERS: Final = Thing(
    "members", "member", "Who may sign in to the portal by the provider, and what they are.",
    "Id=id:id Address=email Name=name Roles=roles:roles Invited=invited_at:time Signed_in=signed_in_at:time",
    (
        Verb("list", "GET", "/api/v1/members", "List members, in order of their addresses.", shows="many", pages="offset"),
        Verb("get", "GET", "/api/v1/members/{member_id}", "Show a member."),
        Verb("invite", "POST", "/api/v1/members", "Let somebody sign in by the provider. Nothing is sent to them.", body="email role groups:list"),
        Verb("role", "PATCH", "/api/v1/members/{member_id}", "Say what a member is, from their next page on.", body="role groups:list"),
        Verb("remove", "DELETE", "/api/v1/members/{member_id}", "Remove a member, who is signed out everywhere.", shows="nothing",
             asks="Remove member {}? They are signed out, and the portal links that they made end.", done="removed"),
    ),
    label="email",
)  # fmt: skip

SESSIONS: Final = Thing(
    "sessions", "session", "Who is signed in to the portal.",
    "Id=id:id By=by Member=member_email Key=key_name From=address Began=began_at:time Seen=seen_at:time Ends=ends_at:time",
    (
        Verb("list", "GET", "/api/v1/sessions", "List the browsers that are signed in, newest first.", shows="many", pages="offset"),
        Verb("end", "DELETE", "/api/v1/sessions/{session_id}", "End a session.", shows="nothing", asks="End session {}?", done="ended"),
    ),
)  # fmt: skip

STATISTICS: Final = Thing(
    "statistics", "statistics", "How attempts fared.", "",
    (Verb("get", "GET", "/api/v1/statistics", "Show how attempts fared, of the last day unless told.", query="webhook_id since until step"),),
)  # fmt: skip

AUDIT: Final = Thing(
    "audit", "entry", "Who did what.",
    "No=number:id When=at:time Action=action Who=who Key=key_name Subject=subject Group=group Address=address Changes=changes:json",
    (
        Verb("list", "GET", "/api/v1/audit", "List who did what, newest first.",
             query="group who who_id with_key action subject_id subject address since until", shows="many", pages="header"),
    ),
    key="number",
    many="entries",
)  # fmt: skip

THINGS: Final[dict[str, Thing]] = {
    thing.name: thing
    for thing in (
        WEBHOOKS, EVENTS, DELIVERIES, LISTENERS, RECOVERIES, REDACTION, ERASURES, TABLES, BACKFILLS, COLLECTIONS, RECORDS, JOBS, INTEGRATIONS,
        EVENT_TYPES, BINS, GROUPS, LIMITS, EGRESS, PORTAL_LINKS, KEYS, MEMBERS, SESSIONS, SIGNING_KEYS, STATISTICS, AUDIT,
    )
}  # fmt: skip

# Which thing an argument names, for completion and for saying which are near. `name` is of the thing itself.
NAMED_BY: Final = {
    "webhook_id": "webhooks", "event_id": "events", "delivery_id": "deliveries", "recovery_id": "recoveries", "listener_id": "listeners", "backfill_id": "backfills",
    "job_id": "jobs", "collection": "collections", "table": "tables", "group_id": "groups", "link_id": "portal-links",
    "bin_id": "bins", "key_id": "keys", "member_id": "members", "session_id": "sessions", "rule_id": "redaction", "erasure_id": "erasures",
}  # fmt: skip
