"""`/api/v1/redaction-rules`: what of events and of answers is not kept."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tidings.api.http.paging import Limit, Offset
from tidings.core.redaction import Rule
from tidings.operations import redaction
from tidings.operations.redaction import RuleChange
from tidings.operations.services import Services


class RuleView(msgspec.Struct, frozen=True):
    """A redaction rule as read."""

    id: UUID
    name: str
    events: tuple[str, ...]
    webhook_id: UUID | None
    fields: tuple[str, ...]
    subject: bool
    headers: tuple[str, ...]
    responses: str
    resend_hours: int
    payload_hours: int | None
    created_at: datetime
    updated_at: datetime


class RedactionPreviewAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule to try, and the event to try it on; null: the latest that it is for."""

    rule: RuleChange
    event_id: UUID | None = None


class KeptEvent(msgspec.Struct, frozen=True):
    """What is kept of an event. `record` and `old_record` are its documents."""

    subject: str | None
    external_id: str | None
    record: msgspec.Raw
    old_record: msgspec.Raw


class RedactionPreview(msgspec.Struct, frozen=True):
    """What a rule would do to an event. `hidden`: the paths by which something would be missing."""

    event_id: UUID
    type: str
    hidden: tuple[str, ...]
    responses: str
    before: KeptEvent
    after: KeptEvent


@get("/")
async def list_redaction_rules(services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0) -> list[RuleView]:
    """List the group's redaction rules, oldest first."""
    return [_view(rule) for rule in await redaction.list_rules(services, limit=limit, offset=offset)]


@post("/", status_code=201)
async def create_redaction_rule(services: NamedDependency[Services], data: JSONBody[RuleChange]) -> RuleView:
    """Make a redaction rule. It holds for what is routed from then on; receivers are sent everything as before."""
    return _view(await redaction.create(services, data))


@get("/{rule_id:uuid}")
async def get_redaction_rule(services: NamedDependency[Services], rule_id: FromPath[UUID]) -> RuleView:
    """Read a redaction rule."""
    return _view(await redaction.read(services, rule_id))


@patch("/{rule_id:uuid}")
async def change_redaction_rule(
    services: NamedDependency[Services], rule_id: FromPath[UUID], data: JSONBody[RuleChange]
) -> RuleView:
    """Change a redaction rule, for what is routed from then on."""
    return _view(await redaction.change(services, rule_id, data))


@delete("/{rule_id:uuid}", status_code=204)
async def delete_redaction_rule(services: NamedDependency[Services], rule_id: FromPath[UUID]) -> None:
    """Delete a redaction rule. What it has kept from being kept does not come back."""
    await redaction.remove(services, rule_id)


@post("/preview", status_code=200)
async def preview_redaction(services: NamedDependency[Services], data: JSONBody[RedactionPreviewAsked]) -> RedactionPreview:
    """Show what a rule would do to an event that happened. Nothing is changed."""
    shown = await redaction.preview(services, data.rule, data.event_id)
    return RedactionPreview(
        shown.before.id,
        shown.before.type,
        shown.redaction.hidden,
        shown.redaction.responses,
        _kept(shown.before),
        _kept(shown.after),
    )


def _kept(event: Any) -> KeptEvent:
    record, old_record = (msgspec.Raw((text or "null").encode()) for text in (event.record, event.old_record))
    return KeptEvent(event.subject, event.external_id, record, old_record)


def _view(rule: Rule) -> RuleView:
    return RuleView(**{name: getattr(rule, name) for name in RuleView.__struct_fields__})


router = Router(
    "/api/v1/redaction-rules",
    route_handlers=[
        list_redaction_rules,
        create_redaction_rule,
        get_redaction_rule,
        change_redaction_rule,
        delete_redaction_rule,
        preview_redaction,
    ],
    tags=["Privacy"],
)
