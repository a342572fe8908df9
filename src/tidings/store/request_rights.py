"""What the role of requests may do with our tables: what requests do, and no more.

Rows are kept apart by policies, which stand with the tables in `store/migrations`. What is not named here cannot be reached by
that role at all: what is read of all groups, or of none, is read with our own rights (`Services.wide`,
`store.request_role.as_owner`).

A start takes back what is not named here. Processes of the release before run beside it during an upgrade, so what a release
needs no more stays here until the one after.
"""

from typing import Final

_Right = tuple[str, str]  # a verb, and the column that it is for; '' for all


def _rights(verbs: str, **columns: str) -> frozenset[_Right]:
    """Return rights: verbs for the whole table, and verbs for single columns."""
    whole = {(verb, "") for verb in verbs.split()}
    return frozenset(whole | {(verb, column) for verb, names in columns.items() for column in names.split()})


RIGHTS: Final[dict[str, frozenset[_Right]]] = {
    # What a group has made
    "groups": _rights("select", update="deleting_fault"),  # locked, so that what a group has is counted; nobody writes it
    "webhooks": _rights("select insert update delete"),
    "webhook_versions": _rights("select insert update"),
    "table_subscriptions": _rights("select insert delete"),
    "relay_wishes": _rights("select"),
    "lanes": _rights("select insert update delete"),
    "customer_webhooks": _rights("select insert"),
    "listeners": _rights("select insert update"),
    "listener_sessions": _rights("select"),
    "event_types": _rights("select insert update delete"),
    "cron_jobs": _rights("select insert update delete"),
    "cron_runs": _rights("select insert update"),
    "collections": _rights("select insert update delete"),
    "integrations": _rights("select insert update delete"),
    "integration_objects": _rights("select insert update"),
    "integration_notices": _rights("select insert"),
    "integration_refusals": _rights("select"),
    "backfills": _rights("select insert update"),
    "recoveries": _rights("select insert update"),
    "bins": _rights("select insert update delete"),
    "bin_requests": _rights("select delete"),
    # What happened to it
    "events": _rights("select"),
    "event_kinds": _rights("select"),
    "deliveries": _rights("select insert delete"),
    "queue": _rights("select insert update delete"),
    "attempts": _rights("select insert"),
    "statistics": _rights("select"),
    "published": _rights("select insert"),
    "outbox": _rights("insert"),
    "audit": _rights("insert"),
    "group_limits": _rights("select"),
    "stored_changes": _rights("insert"),
    "group_egress": _rights("select"),
    "redaction_rules": _rights("select insert update delete"),
    "erasures": _rights("select insert update"),
    "sealed_payloads": _rights("select"),
    # Views, which keep groups apart themselves
    "under_way": _rights("select"),
    "own_events": _rights("select"),
    "counted_deliveries": _rights("select"),
    "counted_queue": _rights("select"),
    "walked_events": _rights("select"),
    "walked_deliveries": _rights("select"),
    "walked_queue": _rights("select"),
    # Of no group: numbers, which webhooks changed, and limits of whoever has none of his own
    "routes_version": _rights("select update"),
    "webhook_changes": _rights("insert"),
    "counters": _rights("select insert update"),
    "workers": _rights("", select="id heartbeat_at"),
    "default_limits": _rights("select"),
    "api_key_changes": _rights("", select="limits_version"),
}
