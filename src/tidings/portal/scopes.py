"""Which scopes each page needs of a key that somebody signed in with: one table, as the API has one.

A page shows more than one call of the API answers, so some need several. A page that is not in the table needs `admin` of all
groups, and a test says what to add. `any` is every key that opens a page at all. A `*` behind a scope: the page is about the
installation, so a session that may act for one group alone does not see it. Customers come by links, and pages say of
themselves what they see.
"""

from typing import Final

from tidings.core.api_key import check_allowed
from tidings.core.errors import ForbiddenError
from tidings.core.roles import roles_with
from tidings.core.scopes import UNDECLARED, Need, Scope, granted
from tidings.store.sessions import Session

_TABLE: Final = """
admin*                          GET       /
any                             GET       /sign-in
any                             GET POST  /sign-out
any                             GET       /account
any                             POST      /account/sessions/end
any                             GET       /sources
any                             GET POST  /gallery
any                             GET       /docs
any                             GET       /docs/openapi.json
any                             GET       /brand.css
any                             GET       /home
groups:read                     GET       /groups
webhooks:read,events:read,deliveries:read  GET  /search
deliveries:read                 GET       /live

webhooks:read                   GET       /webhooks
webhooks:write                  GET POST  /webhooks/new
webhooks:write                  POST      /webhooks/new/preview
webhooks:write                  POST      /webhooks/check
webhooks:read,deliveries:read   GET       /webhooks/{webhook_id}
webhooks:read,deliveries:read   GET       /webhooks/{webhook_id}/ready
webhooks:read,deliveries:read   GET       /webhooks/{webhook_id}/first
webhooks:write                  GET POST  /webhooks/{webhook_id}/edit
webhooks:write                  POST      /webhooks/{webhook_id}/edit/preview
webhooks:write                  POST      /webhooks/{webhook_id}/pause
webhooks:write                  POST      /webhooks/{webhook_id}/resume
webhooks:write                  GET       /webhooks/{webhook_id}/secrets
webhooks:write                  POST      /webhooks/{webhook_id}/secrets/reveal
webhooks:write                  POST      /webhooks/{webhook_id}/secrets/rotate
webhooks:read                   GET       /webhooks/{webhook_id}/versions
webhooks:write                  GET POST  /webhooks/{webhook_id}/delete
webhooks:write                  GET POST  /webhooks/{webhook_id}/test
webhooks:write                  GET POST  /webhooks/{webhook_id}/diagnose
webhooks:write,events:read      GET       /webhooks/{webhook_id}/dry-run
deliveries:retry                GET POST  /webhooks/{webhook_id}/recover
deliveries:retry                POST      /webhooks/{webhook_id}/recover/count

deliveries:read                 GET       /deliveries
deliveries:read                 GET       /deliveries/counts
deliveries:retry                POST      /deliveries/retry
deliveries:read                 GET       /deliveries/{delivery_id}
deliveries:retry                POST      /deliveries/{delivery_id}/retry
deliveries:read                 GET       /deliveries/{delivery_id}/attempts/{number}/{part}
deliveries:retry                GET POST  /recover
deliveries:read                 GET       /recoveries
deliveries:read                 GET       /recoveries/{recovery_id}
deliveries:retry                POST      /recoveries/{recovery_id}/cancel

events:read,deliveries:read     GET       /events
events:read,deliveries:read     GET       /events/{event_id}
events:read                     GET       /events/{event_id}/record
events:read                     GET       /events/{event_id}/old-record
events:read,webhooks:read       GET       /events/{event_id}/explain

tables:admin*                   GET       /sources/tables
tables:admin*                   GET       /sources/tables/table
tables:admin*                   POST      /sources/tables/backfill
tables:admin*                   POST      /sources/tables/backfill/cancel
tables:admin*                   GET POST  /sources/new/table
tables:admin*                   GET POST  /sources/tables/table/edit
tables:admin*                   POST      /sources/tables/reset
collections:read                GET       /sources/collections
collections:read                GET       /sources/collections/{name}
collections:write               GET POST  /sources/collections/{name}/add
collections:read                GET       /sources/collections/{name}/records/{record_id}
collections:write               POST      /sources/collections/{name}/records/{record_id}
collections:write               POST      /sources/collections/{name}/records/{record_id}/delete
collections:write               GET POST  /sources/new/collection
collections:write               GET POST  /sources/collections/{name}/edit
collections:write               GET POST  /sources/collections/{name}/delete
sources:read                    GET       /sources/jobs
sources:read                    GET       /sources/jobs/{job_id}
sources:write                   POST      /sources/jobs/{job_id}/run
sources:write                   POST      /sources/jobs/{job_id}/switch
sources:write                   GET POST  /sources/new/job
sources:write                   POST      /sources/new/job/ticks
sources:write                   GET POST  /sources/jobs/{job_id}/edit
sources:write                   GET POST  /sources/jobs/{job_id}/delete
sources:read                    GET       /sources/integrations
sources:read                    GET       /sources/integrations/{name}
sources:write                   POST      /sources/integrations/{name}/switch
sources:write                   GET POST  /sources/new/integration
sources:write                   GET POST  /sources/integrations/{name}/edit
sources:write                   GET POST  /sources/integrations/{name}/delete
sources:read                    GET       /sources/catalogue
sources:write                   GET POST  /sources/new/type
sources:write                   GET POST  /sources/catalogue/type
sources:write                   GET POST  /sources/catalogue/type/delete

admin*                          GET       /settings
admin*                          POST      /settings/sessions/end
groups:read                     GET       /settings/groups
groups:write*                   POST      /settings/groups
groups:write*                   GET POST  /settings/groups/delete
groups:read                     GET       /settings/limits
groups:write*                   POST      /settings/limits
groups:write*                   POST      /settings/limits/reset
groups:read*                    GET       /settings/limits/defaults
groups:write*                   POST      /settings/limits/defaults
groups:read                     GET       /settings/links
webhooks:write                  POST      /settings/links
webhooks:write                  POST      /settings/links/end
admin                           GET POST  /settings/api-keys
admin                           GET       /settings/api-keys/{key_id}
admin                           POST      /settings/api-keys/{key_id}/rename
admin                           POST      /settings/api-keys/{key_id}/rotate
admin                           POST      /settings/api-keys/{key_id}/revoke
admin                           GET POST  /settings/members
admin                           GET       /settings/members/{member_id}
admin                           POST      /settings/members/{member_id}/role
admin                           POST      /settings/members/{member_id}/remove
admin*                          POST      /settings/members/{member_id}/sessions/end
webhooks:read                   GET       /settings/bins
webhooks:write                  GET POST  /settings/bins/new
webhooks:read,deliveries:read   GET       /settings/bins/{bin_id}
webhooks:write                  GET POST  /settings/bins/{bin_id}/edit
webhooks:write                  POST      /settings/bins/{bin_id}/clear
webhooks:write                  GET POST  /settings/bins/{bin_id}/delete
webhooks:read                   GET       /settings/listeners
webhooks:write                  POST      /settings/listeners/{listener_id}/skip
webhooks:write                  POST      /settings/listeners/{listener_id}/delete
admin*                          GET POST  /settings/egress
webhooks:read                   GET       /settings/keys
admin*                          POST      /settings/keys/rotate
admin*                          GET       /settings/set-aside
admin*                          GET       /settings/set-aside/{number}
admin*                          POST      /settings/set-aside/{number}/route
admin*                          POST      /settings/set-aside/{number}/discard
admin*                          POST      /settings/set-aside/settings/{kind}/{setting_id}/retry
admin*                          GET       /settings/fleet
privacy:read                    GET       /settings/redaction
privacy:write                   GET POST  /settings/redaction/new
privacy:read                    GET       /settings/redaction/{rule_id}
privacy:write                   POST      /settings/redaction/{rule_id}
privacy:write                   POST      /settings/redaction/{rule_id}/delete
privacy:read                    GET       /settings/erasures
privacy:write                   POST      /settings/erasures
privacy:read                    GET       /settings/erasures/{erasure_id}
privacy:write                   POST      /settings/erasures/{erasure_id}/cancel
admin                           GET       /settings/audit
admin*                          GET       /settings/audit/verification
admin*                          GET       /settings/about
"""

# Where somebody begins whose key does not open the overview, the first that it opens.
_FIRST: Final = (
    "/",
    "/webhooks",
    "/deliveries",
    "/events",
    "/sources/collections",
    "/sources/jobs",
    "/sources/tables",
    "/settings/groups",
    "/settings/redaction",
)


def _read(table: str) -> dict[tuple[str, str], tuple[Need, ...]]:
    needs: dict[tuple[str, str], tuple[Need, ...]] = {}
    for line in filter(None, table.splitlines()):
        names, *methods, path = line.split()
        found = tuple(Need((Scope(name.removesuffix("*")),), name.endswith("*")) for name in names.split(",") if name != "any")
        needs |= {(method, path): found for method in methods}
    return needs


NEEDS: Final = _read(_TABLE)


def check_page(session: Session, method: str, path: str) -> None:
    """Refuse a page to a session whose key does not open it, before anything is looked up.

    Args:
        path: With the names of what stands in it in braces.

    Raises:
        ForbiddenError: With the scope that it lacks.
    """
    for need in NEEDS.get((method, path), (UNDECLARED,)):
        try:
            check_allowed(session.scopes, session.bound_to, need.scopes, is_for_all_groups=need.is_for_all_groups)
        except ForbiddenError as error:
            if session.member_id is None:
                raise
            raise ForbiddenError(_said_to_a_member(error, session), **error.details) from error


def _said_to_a_member(error: ForbiddenError, session: Session) -> str:
    """Return the refusal for somebody who has a role and no key."""
    if Scope(error.details["scope"]) in granted(session.scopes):
        return "This is about the whole installation, and your role is for single groups. Ask an owner of all groups."
    lacking = Scope(error.details["scope"])
    roles = " or ".join(roles_with(lacking))
    return f"Your role here does not include {lacking}, which takes the role {roles}. Ask an owner for it."


def opens(session: Session, path: str) -> bool:
    """Whether a session's key opens a page."""
    return passes(session, "GET", path)


def passes(session: Session, method: str, path: str) -> bool:
    """Whether `check_page` lets a session's key pass."""
    try:
        check_page(session, method, path)
    except ForbiddenError:
        return False
    return True


def first_page(scopes: tuple[Scope, ...], bound_to: str | None) -> str | None:
    """Return where somebody begins who signs in with such a key; None: it opens no page."""
    for path in _FIRST:
        try:
            for need in NEEDS["GET", path]:
                check_allowed(scopes, bound_to, need.scopes, is_for_all_groups=need.is_for_all_groups)
        except ForbiddenError:
            continue
        return path
    return None
