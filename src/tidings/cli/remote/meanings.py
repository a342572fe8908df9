"""What each option that is a field of a body means, in a sentence, with the values there are.

The API says the same at more length in its own document. It is not read from there, because a command that only shows its help
would then import half a server. A test holds that every field is here, and that the values are those that the engine takes.
"""

from typing import Final

_SECONDS: Final = "seconds: 0.1 to 300"
_SINCE: Final = "From this time of the events on: 2h, 2026-11-21T03:42:37Z."
_UNTIL: Final = "Before this time of the events; now, unless told."

# By the field; by `thing.field`, or `thing verb.field`, where that means something else by it.
MEANINGS: Final[dict[str, str]] = {
    "access": "What its holder may do: read, manage (webhooks for published events) or full (tables and collections too).",
    "active": "Whether it fires at its times.",
    "asymmetric": "Sign with the installation's ed25519 key too (v1a).",
    "author": "Who wrote it, for those who read.",
    "body": "What it sends, as text or JSON.",
    "bins.body": "The body to answer with: at most 65536 bytes.",
    "body_template": "JSON with placeholders such as {{record.title}} in its strings, instead of the profile's body.",
    "bound_to": "The one group that it is for; else all of them.",
    "brand": "How the pages look: {name, accent, logo}.",
    "changed": "A column; an UPDATE counts only when one of these changed. May be given again.",
    "complete": "There are no other objects of these types: those that are missing were deleted.",
    "concurrency": "How many attempts may be under way at once: 1 to 1000.",
    "contentType": "json, text, form, or a media type.",
    "content_type": "The media type to answer with.",
    "data": "What the event says: any JSON.",
    "database": "Accepted for clients that send it; SQL runs in the database of the group's connection.",
    "delay_seconds": "How long the answer is put off: at most 30 s.",
    "description": "For people.",
    "drop": "A field whose values this change may lose. May be given again.",
    "enabled": "Whether it sends.",
    "integrations.enabled": "Whether it takes in notices.",
    "event": "The event's type, by the names of the profile; with --table: INSERT, UPDATE or DELETE.",
    "event_id": "The event.",
    "events": "What it hears: a type, 'order.*', '*', '{\"table\": \"orders\"}', '{\"collection\": \"posts\"}'; may be "
    "given again.",
    "example": "An example of its data.",
    "exclude": "A column that is written nowhere. May be given again.",
    "expires_in": "How many seconds it is good for: 60 to 86400.",
    "keys.expires_in": "Seconds from now until it expires: a minute to ten years.",
    "failure": "Only where the last attempt failed so: timeout, dns, connect, tls, reset; with commas.",
    "group_by": "The column that names the group a row's event belongs to.",
    "headers": "A header of every request. May be given again.",
    "id": "Its id.",
    "events.id": "Your own id, by which publishing again sends nothing again.",
    "ids": "An id; may be given again.",
    "jwtEnabled": "Send a token of this installation as Authorization: Bearer.",
    "jwt_enabled": "Send a token of this installation as Authorization: Bearer.",
    "leaked": "The old keys are published no longer than they sign; else a day longer.",
    "method": "POST, PUT, PATCH, DELETE or GET.",
    "missed": "Of times that passed while nothing ran: once fires the last one on return, skip none.",
    "missing": "Also what the webhook never had a delivery of.",
    "name": "For people.",
    "webhooks.name": "For people; the host of its URL, unless told.",
    "collections.name": "Of its table, and in paths.",
    "integrations.name": "In the URL for its notices.",
    "listeners.name": "Clients of one name share its deliveries.",
    "keys.name": "What it is for.",
    "objects": "An object as it is there: {type, id, data, version?}. May be given again.",
    "old_record": "The row before an UPDATE or DELETE.",
    "options": "{triggers: [{action, url, method, headers, body, retryLimit, jwtEnabled}]}.",
    "ordered": "One at a time in the order of events; a failing delivery holds back those behind it.",
    "origins": "An origin whose pages may show it in a frame: https://app.example.com. May be given again.",
    "overlap_seconds": "How long the present one is good beside the new: up to 30 days; 0: it ends at once.",
    "signing-keys.overlap_seconds": "How long the new keys are published before they sign: up to 30 days; 0: at once.",
    "webhooks.overlap_seconds": "How long the present secret verifies beside the new: up to 30 days.",
    "platform": "stripe, github, standard or hmac.",
    "profile": "How deliveries look: standard, cloudevents, cloudevents-structured, vivreal, vivreal-content, fluxbase, "
    "fluxbase-t or vski.",
    "bins.profile": "By whose rules requests should be signed: standard, cloudevents, cloudevents-structured, vivreal, "
    "vivreal-content, fluxbase, fluxbase-t or vski.",
    "webhooks": "How many webhooks the group may have.",
    "events_per_second": "How many events may be published in a second.",
    "events_burst": "How many of them may come at once after a pause; without it as many as in a second.",
    "stored_bytes": "How many bytes of records and of receivers' answers may be kept.",
    "payload_bytes": "How many bytes the data of one event may have.",
    "rate_per_second": "How many attempts may start in a second, over all workers.",
    "webhooks recover.rate_per_second": "How many go into the queue in a second.",
    "deliveries.rate_per_second": "How many go into the queue in a second.",
    "record": "The row after an INSERT or UPDATE.",
    "record_id": "Only of the row with this id.",
    "rename": "A column and the name it has in events. May be given again.",
    "response_status": "Only where the last response had these statuses: 404, 5xx; with commas.",
    "retry": "{delays: [seconds]}, or {base, factor, max, tries}; jitter lengthens each delay by up to that share.",
    "retryLimit": "How often to try again: 1 to 100.",
    "schedule": "Five fields: minute, hour, day of month, month, day of week (Sunday is 0 or 7).",
    "schema": "A JSON Schema that data must match to be published.",
    "collections.schema": "A field: {name, type, required?, unique?, values?, collection?, was?}. May be given again.",
    "webhooks.schema": "The table's schema.",
    "scope": "Accepted for clients that send it: user or global. A webhook hears its whole group.",
    "scopes": "What it may do; may be given again: webhooks:read, webhooks:write, events:publish, events:read, "
    "deliveries:read, deliveries:retry, collections:read, collections:write, sources:read, sources:write, groups:read, "
    "groups:write, tables:admin or admin.",
    "secret": "What signs; made, unless told. Others see what is typed: --input reads it from a file.",
    "bins.secret": "What requests should be signed with; a public key (whpk_…) for v1a and tokens.",
    "integrations.secret": "What the other system signs with; made, unless told (not for Stripe).",
    "settings": "For platform hmac: {header, format, id_header?, deployed_types?}; for the others deployed_types alone.",
    "signature": "Sent instead of the profile's own: {header, format}; format is hex, sha256=hex, base64 or t=,v1=.",
    "bins.signature": "What requests should have, instead of the profile's: {header, format}; format is hex, sha256=hex, "
    "base64 or t=,v1=.",
    "since": _SINCE,
    "sql": "What is run, as the role of the group's connection.",
    "bins.status": "The status to answer with: 200 to 599.",
    "deliveries.status": "Only in these states: pending, sending, retrying, succeeded, failed or cancelled, with commas; "
    "failed and retrying, unless told.",
    "subject": "What it is about.",
    "table": "The table's name.",
    "text": "Only where this stands in the record's JSON; at least 3 characters.",
    "timeout": f"How long a request, or the SQL, may take, in {_SECONDS}.",
    "timeout_seconds": f"For a whole exchange, from DNS to the response's last byte, in {_SECONDS}.",
    "timezone": "The zone of its hours, such as Europe/Berlin.",
    "type": "The event's type: resource.action.",
    "collections.type": "base, or auth: its records can sign in.",
    "deliveries.type": "Only these types or families: order.paid, 'order.*'; with commas.",
    "jobs.type": "http or sql.",
    "unknown_groups": "Rows of groups that do not exist: make the group, or ignore the row.",
    "until": _UNTIL,
    "url": "Where it sends: https, and a public address unless others are allowed.",
    "webhook_id": "The webhook, by its id or name.",
    "bins.webhook_id": "Verify with this webhook's secret, by its rules, instead; its id or name.",
    "listeners.webhook_id": "Hear what this webhook hears, as that is told it; its id or name.",
    "when": 'An SQL condition on new and old: bare text for all operations, or for some: {"UPDATE": "new.total > 1"}.',
}


def meaning(thing: str, verb: str, field: str) -> str:
    """Return what a field of the body of a verb means."""
    places = (f"{thing} {verb}.{field}", f"{thing}.{field}", field)
    return next(MEANINGS[place] for place in places if place in MEANINGS)
