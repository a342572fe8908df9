"""Redaction rules: made, changed, and shown on an event that happened."""

from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET, UnsetType

from tidings.core.audit import Action
from tidings.core.errors import InvalidInputError, NotFoundError
from tidings.core.event import TEST_TYPE, Event
from tidings.core.question import Question
from tidings.core.redaction import (
    DEFAULT_RESEND_HOURS,
    Redaction,
    Rule,
    check_rule,
    read_mark,
    redacted_event,
    redaction_of,
)
from tidings.operations import audit
from tidings.operations.history.search import Asked, Paging, find_events
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.store import history, redaction, webhooks
from tidings.store.database import Connection

_GONE = "There is no redaction rule {}."
LATEST = 50  # events among which one is looked for that a rule is for


class RuleChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of a rule; what is left out stays as it is, or has its default."""

    name: str | UnsetType = UNSET
    events: list[str] | UnsetType = UNSET
    webhook_id: UUID | None | UnsetType = UNSET
    fields: list[str] | UnsetType = UNSET
    subject: bool | UnsetType = UNSET
    headers: list[str] | UnsetType = UNSET
    responses: str | UnsetType = UNSET
    resend_hours: int | UnsetType = UNSET
    payload_hours: int | None | UnsetType = UNSET


class Shown(msgspec.Struct, frozen=True):
    """An event as it is kept now, and as a rule would have it kept. Documents are JSON text."""

    before: Event
    after: Event
    redaction: Redaction


async def create(services: Services, said: RuleChange) -> Rule:
    """Make a rule. What is routed from now on is kept by it; what is kept already stays as it is.

    Raises:
        ConflictError: The group has as many as it may have.
        InvalidInputError: With the field and the remedy.
    """
    async with services.database.transaction() as connection:
        rule = await _checked(services, connection, _made(services, said))
        await redaction.add(connection, rule)
        await audit.note(services, connection, Action.RULE_CREATED, rule.id, rule.name, after=rule)
    return rule


async def change(services: Services, rule_id: UUID, said: RuleChange) -> Rule:
    """Change a rule, for what is routed from now on.

    Raises:
        InvalidInputError: With the field and the remedy.
        NotFoundError: There is none.
    """
    async with services.database.transaction() as connection:
        before = await redaction.get(connection, services.group_id, rule_id, is_locked=True)
        before = there(before, _GONE.format(rule_id))
        changed = _changed(before, said)
        rule = await _checked(services, connection, msgspec.structs.replace(changed, updated_at=services.clock.now()))
        await redaction.change(connection, rule)
        await audit.note(services, connection, Action.RULE_CHANGED, rule.id, rule.name, before=before, after=rule)
    return rule


async def remove(services: Services, rule_id: UUID) -> None:
    """Delete a rule. What was kept by it stays as it is kept.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.transaction() as connection:
        before = await redaction.get(connection, services.group_id, rule_id, is_locked=True)
        before = there(before, _GONE.format(rule_id))
        await redaction.delete(connection, services.group_id, rule_id)
        await audit.note(services, connection, Action.RULE_DELETED, rule_id, before.name, before=before)


async def read(services: Services, rule_id: UUID) -> Rule:
    """Return a rule.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.connection() as connection:
        return there(await redaction.get(connection, services.group_id, rule_id), _GONE.format(rule_id))


async def list_rules(services: Services, *, limit: int, offset: int = 0) -> list[Rule]:
    """Return a page of the group's rules, oldest first."""
    async with services.database.connection() as connection:
        return await redaction.list_rules(connection, services.group_id, limit=limit, offset=offset)


async def preview(services: Services, said: RuleChange, event_id: UUID | None = None) -> Shown:
    """Return what a rule would do to an event: the one that is named, or the latest that the rule is for. Tests of
    webhooks hold samples, which say nothing of what rules are for: they are to be named.

    Nothing is changed. What other rules have hidden of the event stays hidden.

    Raises:
        InvalidInputError: The rule cannot be, with the field and the remedy.
        NotFoundError: There is no such event, or none that the rule is for.
    """
    async with services.database.snapshot() as connection:
        rule = await _checked(services, connection, _made(services, said))
        event = await _event(services, connection, rule, event_id)
    done = redaction_of([rule], event.type, [] if rule.webhook_id is None else [rule.webhook_id])
    if done is None:
        raise InvalidInputError("events", f"The rule is not for {event.type}, which that event is. Name its type in events.")
    after = redacted_event(event, done)
    return Shown(event, after, read_mark(after.redaction) or done)


async def _event(services: Services, connection: Connection, rule: Rule, event_id: UUID | None) -> Event:
    if event_id is not None:
        found = [event for event in await history.events_by_id(connection, [event_id]) if event.group_id == services.group_id]
        return there(next(iter(found), None), f"There is no event {event_id}; history is kept for the days of retention.")
    asked = Asked(Question(group_id=services.group_id))
    ids = (await find_events(services, connection, asked, Paging(LATEST, 0, None, count=False))).page.ids
    events = {event.id: event for event in await history.events_by_id(connection, ids)} if ids else {}
    for id_ in ids:
        if id_ in events and rule.is_for(events[id_].type) and events[id_].external_id != TEST_TYPE:
            return events[id_]
    raise NotFoundError(
        f"None of the latest {LATEST} events is of a type that the rule is for, tests of webhooks left out. Name one by its id."
    )


def _made(services: Services, said: RuleChange) -> Rule:
    now = services.clock.now()
    if said.events is UNSET:
        raise InvalidInputError("events", 'events is missing; write the types that the rule is for, or ["*"] for all.')
    hides = bool(said.fields) if said.fields is not UNSET else False
    rule = Rule(
        id=uuid4(),
        group_id=services.group_id,
        name="redaction",
        events=(),
        responses="none" if hides or said.subject is True else "full",
        resend_hours=DEFAULT_RESEND_HOURS,
        created_at=now,
        updated_at=now,
    )
    return _changed(rule, said)


def _changed(rule: Rule, said: RuleChange) -> Rule:
    given = {name: getattr(said, name) for name in RuleChange.__struct_fields__ if getattr(said, name) is not UNSET}
    return msgspec.structs.replace(
        rule, **{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    )


async def _checked(services: Services, connection: Connection, rule: Rule) -> Rule:
    check_rule(rule)
    webhook_id = rule.webhook_id
    if webhook_id is not None and await webhooks.get_webhook(connection, services.group_id, webhook_id) is None:
        raise InvalidInputError("webhook_id", f"There is no webhook {webhook_id}.")
    return rule
