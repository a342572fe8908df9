"""What a role that owns nothing needs to run Tidings: what our statements do, and no more.

The role that owns the schema needs nothing of this. What takes an owner is done by functions that have the owner's rights
(migration 0049). `store.request_rights` is the same for requests, which are one group's.
"""

from typing import Final

# Tables and sequences, by the verbs that statements use on them. A lock on rows takes UPDATE.
_READ = "migrations under_way walked_events walked_deliveries walked_queue own_events counted_deliveries counted_queue"
_WRITTEN_ONCE = "customer_webhooks signers"
_READ_AND_CHANGED = "audit_head default_limits routes_version privacy_version api_key_changes"
_NEVER_DELETED = (
    "api_key_uses attempts backfills certificate_warnings events integration_refusals listeners settings signing_keys"
)
_NEVER_CHANGED = (
    "audit audit_chain backfill_busy bin_requests erasure_waits group_overruns integration_notices portal_links "
    "landed_flights relay_flights relay_wishes table_subscriptions unreadable webhook_changes"
)
_TAKEN_AWAY = "audit_pending backfill_changes"
_ALL = (
    "api_keys bins captured_tables collections counters cron_jobs cron_runs deliveries erasures event_kinds event_types "
    "flights group_egress group_limits group_paces group_rates groups integration_objects integrations lanes "
    "listener_sessions member_roles members outbox outbox_rejected payload_ends published queue recoveries redaction_rules "
    "sealed_payloads sessions statistics stored_bytes stored_changes webhook_counters webhook_versions webhooks workers"
)


def _rights() -> dict[str, frozenset[str]]:
    verbs = {
        _READ: "select",
        _WRITTEN_ONCE: "select insert",
        _READ_AND_CHANGED: "select update",
        _NEVER_DELETED: "select insert update",
        _NEVER_CHANGED: "select insert delete",
        _TAKEN_AWAY: "select delete",
        _ALL: "select insert update delete",
        "outbox_id_seq statistics_part": "usage",
    }
    return {name: frozenset(given.split()) for names, given in verbs.items() for name in names.split()}


RIGHTS: Final = _rights()

# Functions, whoever else may call them. The last row has the owner's rights.
FUNCTIONS: Final = (
    "added", "announce_due", "authorities_end", "capture", "capture_bound", "certificate_end", "client_certificate_end",
    "first_id_of", "is_bound", "is_long", "lock_lanes_to_route",
    "maker_may", "mask_of", "masked", "member", "outbox_groups", "outbox_turns", "outbox_turns_of", "payload_is_there",
    "places", "ring", "row_of", "shaped", "shaped_strange", "take_events", "told_as",
    "change_records", "drop_days_before", "drop_guard", "drop_leaving", "ensure_day", "make_guard", "make_leaving",
)  # fmt: skip
