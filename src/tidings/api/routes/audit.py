"""`/api/v1/audit`: who did what; searched, exported and verified."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from tidings.api.http.access import VOUCHED, key_of
from tidings.api.http.paging import Limit, instant, with_all_homes
from tidings.core.audit import sought
from tidings.core.voucher import vouched
from tidings.operations import audit, everywhere
from tidings.operations.across import NEXT_BEFORE
from tidings.operations.audit import MAX_EXPORTED, MAX_VERIFIED
from tidings.operations.services import Services
from tidings.store.audit import Entry
from tidings.store.audit_chain import Sealed

_LARGEST = 2**62

Before = Annotated[int | None, QueryParameter(description="Only what has a smaller number.")]
OfGroup = Annotated[str | None, QueryParameter(description="Only what is about this group.", max_length=200)]
ByWho = Annotated[str | None, QueryParameter(description="Only by such: `key`, `session`, `member`, `link` or `system`.")]
WhoId = Annotated[UUID | None, QueryParameter(description="Only by this key, session, member or portal link.")]
WithKey = Annotated[str | None, QueryParameter(description="Only with this key: its id, or what it was called then.")]
ActionNames = Annotated[
    list[str] | None,
    QueryParameter(name="action", description="Only these actions or families, with commas: `webhook.deleted`, `secret.*`."),
]
SubjectId = Annotated[UUID | None, QueryParameter(description="Only what was done to the thing with this id.")]
Subject = Annotated[str | None, QueryParameter(description="Only what was done to what was called so then: `orders`.")]
Address = Annotated[str | None, QueryParameter(description="Only what came from this address.")]
Since = Annotated[datetime | None, QueryParameter(description="Only from this time on, such as 2026-11-21T03:42:37Z.")]
Until = Annotated[datetime | None, QueryParameter(description="Only before this time.")]
CursorText = Annotated[str | None, QueryParameter(description="From `Tidings-Next` of this query.", min_length=1)]
After = Annotated[int, QueryParameter(ge=0, le=_LARGEST, description="Only behind this place of the chain.")]
ExportLimit = Annotated[int, QueryParameter(ge=1, le=MAX_EXPORTED, description="How many entries at most.")]
VerifyLimit = Annotated[int, QueryParameter(ge=1, le=MAX_VERIFIED, description="How many entries are verified at most.")]
HeadText = Annotated[
    str | None, QueryParameter(max_length=100, description="A `head` that was noted earlier: the chain has to have it still.")
]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody did. `changes`: field to what it was and what it is; what is secret is hidden, what is long is cut.
    `home`: in a list of all homes of a fleet, whose number it is.
    """

    number: int
    at: datetime
    group: str | None
    action: str
    who: str
    who_id: UUID | None
    address: str
    subject_id: UUID | None
    subject: str
    key_id: UUID | None
    key_name: str
    changes: dict[str, tuple[Any, Any]]
    home: str | None = None


class SealedEntry(AuditEntry, frozen=True, kw_only=True):
    """An entry with its seal: its place in the chain, and the hash over it and all before."""

    place: int
    sealed_at: datetime
    hash: str


class AuditFault(msgspec.Struct, frozen=True):
    """The first place where the audit is not as it was written.

    `kind`: `changed`, `removed`, `inserted`, `reordered` or `head`.
    """

    kind: str
    place: int | None
    number: int | None
    sentence: str


class AuditVerification(msgspec.Struct, frozen=True):
    """What came of verifying a stretch of the audit. `next`: the `after` to go on with; null: the end, or a fault.

    `head`: where the chain ends. Noted elsewhere, it shows later that the audit was not put back to an earlier state.
    """

    is_intact: bool
    checked: int
    verified_to: int
    verified_at: datetime | None
    next: int | None
    waiting: int
    head: str
    fault: AuditFault | None


@get("/")
async def list_audit(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    *,
    limit: Limit = 50,
    before: Before = None,
    cursor: CursorText = None,
    group: OfGroup = None,
    who: ByWho = None,
    who_id: WhoId = None,
    with_key: WithKey = None,
    action: ActionNames = None,
    subject_id: SubjectId = None,
    subject: Subject = None,
    address: Address = None,
    since: Since = None,
    until: Until = None,
) -> Response[list[AuditEntry]]:
    """List who did what, newest first, of all groups or of one; in a fleet of all homes, unless `before` names a number of
    this one. A page may have fewer than `limit` and go on nevertheless: it says so in `Tidings-Next`, and in
    `Tidings-Searched-To` how far was looked; `Tidings-Homes-Away` names homes that did not answer.
    """
    asked = sought(
        group_id=group,
        who=who,
        who_id=who_id,
        with_key=with_key,
        actions=action or (),
        subject_id=subject_id,
        subject=subject,
        address=address,
        since=since,
        until=until,
    )
    if everywhere.is_asked(services) and before is None:
        found = await everywhere.search_audit(services, vouched(key_of(request)), asked, limit=limit, cursor=cursor or "")
        return with_all_homes(request, found, [AuditEntry(**_fields(one), home=home) for home, one in found.items])
    page = await audit.search(services, asked, limit=limit, cursor=cursor, before=before)
    headers: dict[str, str] = {}
    if page.cursor is not None:
        names = {"cursor", "before"}
        kept = [(name, value) for name, value in request.query_params.multi_items() if name not in names]
        headers = {
            "Tidings-Next": page.cursor,
            "Link": f'<{request.url.path}?{urlencode([*kept, ("cursor", page.cursor)])}>; rel="next"',
        }
        if VOUCHED in request.scope:  # a home puts what all have together, and goes on by the number
            headers[NEXT_BEFORE] = str(page.before)
    if page.searched_to is not None:
        headers["Tidings-Searched-To"] = instant(page.searched_to)
    return Response([AuditEntry(**_fields(one)) for one in page.entries], headers=headers)


@get("/export", media_type="application/x-ndjson")
async def export_audit(
    services: NamedDependency[Services],
    *,
    after: After = 0,
    limit: ExportLimit = MAX_EXPORTED,
    group: OfGroup = None,
    since: Since = None,
    until: Until = None,
) -> Response[bytes]:
    """Read sealed entries in the order of the chain, a line of JSON each, with their seals. `Tidings-Next` has the `after` to
    go on with; without it there is no more. A page may be empty and go on.
    """
    asked = sought(group_id=group, since=since, until=until)
    page = await audit.export(services, asked, after=after, limit=limit)
    lines = b"".join(msgspec.json.encode(_sealed(one)) + b"\n" for one in page.entries)
    headers = {} if page.after is None else {"Tidings-Next": str(page.after)}
    return Response(lines, headers=headers, media_type="application/x-ndjson")


@get("/verification")
async def verify_audit(
    services: NamedDependency[Services], *, after: After = 0, limit: VerifyLimit = MAX_VERIFIED, head: HeadText = None
) -> AuditVerification:
    """Verify a stretch of the audit: nothing of it was changed, removed, inserted or reordered. Go on with `next`."""
    found = await audit.verify(services, after=after, limit=limit, head=head)
    fault = found.fault
    return AuditVerification(
        fault is None,
        found.checked,
        found.verified_to,
        found.verified_at,
        found.next,
        found.waiting,
        found.head,
        None if fault is None else AuditFault(fault.kind.value, fault.place, fault.number, fault.sentence),
    )


def _fields(one: Entry) -> dict[str, Any]:
    fields = msgspec.structs.asdict(one)
    group = fields.pop("group_id")
    return fields | {"group": group, "who": one.who.value}


def _sealed(one: Sealed) -> SealedEntry:
    seal = one.seal
    return SealedEntry(**_fields(one.entry), place=seal.place, sealed_at=seal.sealed_at, hash=seal.hash.hex())


router = Router("/api/v1/audit", route_handlers=[list_audit, export_audit, verify_audit], tags=["Audit"])
