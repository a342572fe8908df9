"""`/api/v1/audit`: who did what, of all groups."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from tidings.api.http.paging import Limit
from tidings.operations import audit
from tidings.operations.services import Services
from tidings.store.audit import Entry

Before = Annotated[int | None, QueryParameter(description="Only what has a smaller number: the last one of the page before.")]
OfGroup = Annotated[str | None, QueryParameter(description="Only what is about this group.", max_length=200)]


class AuditEntry(msgspec.Struct, frozen=True):
    """What somebody did."""

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


@get("/")
async def list_audit(
    services: NamedDependency[Services], limit: Limit = 50, before: Before = None, group: OfGroup = None
) -> list[AuditEntry]:
    """List who did what, newest first, of all groups or of one."""
    found = await audit.list_entries(services, limit=limit, before=before, group_id=group)
    return [_view(one) for one in found]


def _view(one: Entry) -> AuditEntry:
    return AuditEntry(
        one.number,
        one.at,
        one.group_id,
        one.action,
        one.who.value,
        one.who_id,
        one.address,
        one.subject_id,
        one.subject,
        one.key_id,
        one.key_name,
    )


router = Router("/api/v1/audit", route_handlers=[list_audit], tags=["Audit"])
