"""Redaction rules as rows."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from tidings.core.errors import ConflictError
from tidings.core.redaction import Redaction, Rule, read_mark
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("redaction")

MAX_RULES: Final = 100  # of a group: each is asked for every event

_ARRAYS: Final = ("events", "fields", "headers")


async def version(connection: Connection) -> int:
    """Return how often rules were changed, or something was erased."""
    number: int = await connection.fetchval(_SQL["version"])
    return number


async def moved(connection: Connection) -> None:
    """Have processes forget the events that they remember, in the caller's transaction."""
    await connection.execute(_SQL["moved"])


async def all_rules(connection: Connection) -> dict[str, tuple[Rule, ...]]:
    """Return the rules of all groups that have any."""
    return _by_group(await connection.fetch(_SQL["all"]))


async def rules_of(connection: Connection, group_ids: Collection[str]) -> dict[str, tuple[Rule, ...]]:
    """Return the rules of those of these groups that have any."""
    return _by_group(await connection.fetch(_SQL["of_groups"], list(group_ids)))


async def list_rules(connection: Connection, group_id: str, *, limit: int, offset: int = 0) -> list[Rule]:
    """Return a page of a group's rules, oldest first."""
    return [_rule(row) for row in await connection.fetch(_SQL["list"], group_id, limit, offset)]


async def get(connection: Connection, group_id: str, rule_id: UUID, *, is_locked: bool = False) -> Rule | None:
    """Return a rule of a group."""
    statement = _SQL["lock"] if is_locked else _SQL["get"]
    row = await connection.fetchrow(statement, group_id, rule_id)
    return None if row is None else _rule(row)


async def add(connection: Connection, rule: Rule) -> None:
    """Write down a new rule.

    Raises:
        ConflictError: The group has as many as it may have.
    """
    await connection.execute(_SQL["lock_group"], rule.group_id)
    if await connection.fetchval(_SQL["count"], rule.group_id) >= MAX_RULES:
        raise ConflictError(
            f"Group {rule.group_id!r} has {MAX_RULES} redaction rules, and can have no more. Join some of them."
        )
    await connection.execute(_SQL["add"], *_values(rule, rule.created_at))


async def change(connection: Connection, rule: Rule) -> None:
    """Write down what a rule is now."""
    await connection.execute(_SQL["change"], *_values(rule, rule.updated_at))


async def delete(connection: Connection, group_id: str, rule_id: UUID) -> str | None:
    """Delete a rule, and return what it was called; None: there was none."""
    name: str | None = await connection.fetchval(_SQL["delete"], group_id, rule_id)
    return name


async def marks(connection: Connection, event_ids: Sequence[UUID]) -> dict[UUID, tuple[str, Redaction | None]]:
    """Return the types of events, and what rules did to each."""
    if not event_ids:
        return {}
    rows = await connection.fetch(_SQL["marks"], event_ids, min(event_ids), max(event_ids))
    return {row["id"]: (row["type"], read_mark(row["redaction"])) for row in rows}


def _by_group(rows: Sequence[Any]) -> dict[str, tuple[Rule, ...]]:
    found: dict[str, tuple[Rule, ...]] = {}
    for row in rows:
        found[row["group_id"]] = (*found.get(row["group_id"], ()), _rule(row))
    return found


def _rule(row: Any) -> Rule:
    fields = {name: row[name] for name in Rule.__struct_fields__}
    return Rule(**fields | {name: tuple(fields[name]) for name in _ARRAYS})


def _values(rule: Rule, at: datetime) -> tuple[Any, ...]:
    return (
        rule.id, rule.group_id, rule.name, list(rule.events), rule.webhook_id, list(rule.fields), rule.subject,
        list(rule.headers), rule.responses, rule.resend_hours, rule.payload_hours, at,
    )  # fmt: skip
