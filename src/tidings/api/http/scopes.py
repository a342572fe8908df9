"""Which scope each operation of the API needs: one table, of which door, document and `docs/scopes.md` are made.

A route that is not in it needs `admin` of all groups, and a test says what to add. `any` is every key that is good. A `*`
behind a scope: the operation is about the installation and not about a group, so a key that is for one group does not open
it.
"""

from typing import Final

from tidings.core.scopes import UNDECLARED, Need, Scope

_ANY: Final = "any"

_TABLE: Final = """
any               GET     /api/v1/keys/current
admin             GET     /api/v1/keys
admin             POST    /api/v1/keys
admin             GET     /api/v1/keys/{key_id}
admin             PATCH   /api/v1/keys/{key_id}
admin             POST    /api/v1/keys/{key_id}/rotate
admin             DELETE  /api/v1/keys/{key_id}
admin             GET     /api/v1/members
admin             POST    /api/v1/members
admin             GET     /api/v1/members/{member_id}
admin             PATCH   /api/v1/members/{member_id}
admin             DELETE  /api/v1/members/{member_id}
admin*            GET     /api/v1/sessions
admin*            DELETE  /api/v1/sessions/{session_id}

webhooks:read     GET     /api/v1/webhooks
webhooks:write    POST    /api/v1/webhooks
webhooks:read     GET     /api/v1/webhooks/{webhook_id}
webhooks:write    PATCH   /api/v1/webhooks/{webhook_id}
webhooks:write    PUT     /api/v1/webhooks/{webhook_id}
webhooks:write    DELETE  /api/v1/webhooks/{webhook_id}
webhooks:write    POST    /api/v1/webhooks/{webhook_id}/test
webhooks:write,events:read POST /api/v1/webhooks/preview
webhooks:write,events:read POST /api/v1/webhooks/{webhook_id}/preview
webhooks:write,events:read POST /api/v1/webhooks/dry-run
webhooks:write,events:read POST /api/v1/webhooks/{webhook_id}/dry-run
webhooks:write    GET     /api/v1/webhooks/{webhook_id}/secret
webhooks:write    POST    /api/v1/webhooks/{webhook_id}/secret/rotate
webhooks:read     GET     /api/v1/webhooks/{webhook_id}/versions
webhooks:write    POST    /api/v1/webhooks/{webhook_id}/diagnose
webhooks:read     GET     /api/v1/bins
webhooks:write    POST    /api/v1/bins
webhooks:read     GET     /api/v1/bins/{bin_id}
webhooks:write    PATCH   /api/v1/bins/{bin_id}
webhooks:write    DELETE  /api/v1/bins/{bin_id}
deliveries:read   GET     /api/v1/bins/{bin_id}/requests
deliveries:read   GET     /api/v1/bins/{bin_id}/requests/{number}
webhooks:write    DELETE  /api/v1/bins/{bin_id}/requests
webhooks:read     GET     /api/v1/signing-keys
admin*            POST    /api/v1/signing-keys/rotate

events:publish    POST    /api/v1/events
events:publish    POST    /api/v1/events/batch
events:read       GET     /api/v1/events
events:read       GET     /api/v1/events/{event_id}
events:read       GET     /api/v1/events/{event_id}/explain

deliveries:read   GET     /api/v1/deliveries
deliveries:read   GET     /api/v1/deliveries/{delivery_id}
deliveries:read   GET     /api/v1/deliveries/{delivery_id}/attempts
deliveries:read   GET     /api/v1/deliveries/{delivery_id}/attempts/{number}
deliveries:read   GET     /api/v1/attempts/stream
deliveries:read   GET     /api/v1/webhooks/{webhook_id}/deliveries
deliveries:read   GET     /api/v1/webhooks/{webhook_id}/statistics
deliveries:read   GET     /api/v1/statistics
deliveries:retry  POST    /api/v1/deliveries/retry
deliveries:retry  POST    /api/v1/deliveries/{delivery_id}/retry
deliveries:retry  POST    /api/v1/webhooks/{webhook_id}/recover
webhooks:read     GET     /api/v1/listeners
webhooks:write    POST    /api/v1/listeners
webhooks:read     GET     /api/v1/listeners/{listener_id}
webhooks:write    DELETE  /api/v1/listeners/{listener_id}
webhooks:write    POST    /api/v1/listeners/{listener_id}/skip
webhooks:write    POST    /api/v1/listeners/{listener_id}/take
webhooks:write    POST    /api/v1/listeners/{listener_id}/results
deliveries:read   GET     /api/v1/recoveries
deliveries:read   GET     /api/v1/recoveries/{recovery_id}
deliveries:retry  POST    /api/v1/recoveries/{recovery_id}/cancel

tables:admin*     GET     /api/v1/tables
tables:admin*     GET     /api/v1/tables/{table}
tables:admin*     PUT     /api/v1/tables/{table}
tables:admin*     DELETE  /api/v1/tables/{table}
tables:admin*     POST    /api/v1/tables/{table}/backfill
tables:admin      GET     /api/v1/backfills
tables:admin      GET     /api/v1/backfills/{backfill_id}
tables:admin      POST    /api/v1/backfills/{backfill_id}/cancel

privacy:read      GET     /api/v1/redaction-rules
privacy:write     POST    /api/v1/redaction-rules
privacy:read      GET     /api/v1/redaction-rules/{rule_id}
privacy:write     PATCH   /api/v1/redaction-rules/{rule_id}
privacy:write     DELETE  /api/v1/redaction-rules/{rule_id}
privacy:write     POST    /api/v1/redaction-rules/preview
privacy:read      GET     /api/v1/erasures
privacy:write     POST    /api/v1/erasures
privacy:write     POST    /api/v1/erasures/find
privacy:read      GET     /api/v1/erasures/{erasure_id}
privacy:write     POST    /api/v1/erasures/{erasure_id}/cancel

collections:read  GET     /api/v1/collections
collections:write POST    /api/v1/collections
collections:read  GET     /api/v1/collections/{collection}
collections:write PATCH   /api/v1/collections/{collection}
collections:write DELETE  /api/v1/collections/{collection}
collections:read  POST    /api/v1/collections/{collection}/auth
collections:read  GET     /api/v1/collections/{collection}/records
collections:write POST    /api/v1/collections/{collection}/records
collections:write PATCH   /api/v1/collections/{collection}/records
collections:write DELETE  /api/v1/collections/{collection}/records
collections:read  GET     /api/v1/collections/{collection}/records/{record_id}
collections:write PATCH   /api/v1/collections/{collection}/records/{record_id}
collections:write DELETE  /api/v1/collections/{collection}/records/{record_id}

sources:read      GET     /api/v1/cron
sources:write     POST    /api/v1/cron
sources:read      GET     /api/v1/cron/{job_id}
sources:write     PATCH   /api/v1/cron/{job_id}
sources:write     DELETE  /api/v1/cron/{job_id}
sources:write     POST    /api/v1/cron/{job_id}/run
sources:read      GET     /api/v1/cron/{job_id}/runs
sources:read      GET     /api/v1/integrations
sources:write     POST    /api/v1/integrations
sources:read      GET     /api/v1/integrations/{name}
sources:write     PATCH   /api/v1/integrations/{name}
sources:write     DELETE  /api/v1/integrations/{name}
sources:read      GET     /api/v1/integrations/{name}/objects
sources:write     POST    /api/v1/integrations/{name}/sync
sources:read      GET     /api/v1/event-types
sources:read      GET     /api/v1/event-types/{name}
sources:write     PUT     /api/v1/event-types/{name}
sources:write     DELETE  /api/v1/event-types/{name}

groups:read       GET     /api/v1/groups
groups:write*     POST    /api/v1/groups
groups:read       GET     /api/v1/groups/{group_id}
groups:write*     DELETE  /api/v1/groups/{group_id}
groups:read       GET     /api/v1/groups/{group_id}/limits
groups:write*     PATCH   /api/v1/groups/{group_id}/limits
groups:write*     DELETE  /api/v1/groups/{group_id}/limits
groups:read*      GET     /api/v1/limits
groups:write*     PATCH   /api/v1/limits
webhooks:write    POST    /api/v1/groups/{group_id}/portal-link
groups:read       GET     /api/v1/portal-links
webhooks:write    DELETE  /api/v1/portal-links/{link_id}

admin*            GET     /api/v1/egress
admin*            POST    /api/v1/egress/judge
admin*            GET     /api/v1/groups/{group_id}/egress
admin*            PUT     /api/v1/groups/{group_id}/egress
admin             GET     /api/v1/audit
admin             GET     /api/v1/audit/export
admin*            GET     /api/v1/audit/verification
admin*            GET     /api/v1/diagnosis
admin*            GET     /api/v1/set-aside
admin*            GET     /api/v1/set-aside/settings
admin*            POST    /api/v1/set-aside/settings/{kind}/{setting_id}/retry
admin*            DELETE  /api/v1/set-aside/settings/{kind}/{setting_id}
admin*            GET     /api/v1/set-aside/{number}
admin*            POST    /api/v1/set-aside/{number}/route
admin*            DELETE  /api/v1/set-aside/{number}

webhooks:read     GET     /api/webhooks
webhooks:write    POST    /api/webhooks
webhooks:read     GET     /api/webhooks/{webhook_id}
webhooks:write    PATCH   /api/webhooks/{webhook_id}
webhooks:write    DELETE  /api/webhooks/{webhook_id}
deliveries:read   GET     /api/webhooks/logs
"""

# What other systems call the same: these need what the paths of ours need.
_ALSO: Final = {"/api/collections": "/api/v1/collections", "/api/cron": "/api/v1/cron"}


def _read(table: str) -> dict[tuple[str, str], Need]:
    needs: dict[tuple[str, str], Need] = {}
    for line in filter(None, table.splitlines()):
        names, method, path = line.split()
        scopes = names.removesuffix("*").split(",")
        needs[method, path] = Need(tuple(Scope(scope) for scope in scopes if scope != _ANY), names.endswith("*"))
        for other, ours in _ALSO.items():
            if path == ours or path.startswith(f"{ours}/"):
                needs[method, other + path.removeprefix(ours)] = needs[method, path]
    return needs


NEEDS: Final = _read(_TABLE)


def needed(method: str, path: str) -> Need:
    """Return what an operation needs; `admin` where nobody has said.

    Args:
        path: As the API's document has it, with the names of what stands in it in braces.
    """
    return NEEDS.get((method, path), UNDECLARED)
