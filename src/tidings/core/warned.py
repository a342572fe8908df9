"""What an answer says beside what was asked: that somebody will hear less than whoever asked may think.

A call that is done may still surprise: rows that go to another group from now on, a name that nothing is called by, a webhook
that is paused. Each is a code for programs, a sentence with the remedy, and the field that it comes from. What is wrong is
refused instead. Nothing is read here: who hears what is an argument.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from tidings.core.capture import TableName, TableSettings
from tidings.core.event import DEFAULT_GROUP
from tidings.core.filters import TableFilter, TypeFilter
from tidings.core.webhook import Subscription

MAX_WARNINGS: Final = 10  # of one answer
NAMED: Final = 3  # webhooks that are called by name in one
CAPTURED: Final = "captured"


class Warned(msgspec.Struct, frozen=True):
    """Something that whoever asked should know.

    Attributes:
        code: A stable name for programs.
        message: What is so, and what to do, in a sentence or two.
        field: The field of the call or the answer that it is about.
    """

    code: str
    message: str
    field: str


def of_webhook(
    webhook: Subscription,
    states: Mapping[TableName, tuple[str, str | None]],
    settings: Mapping[TableName, TableSettings],
    unknown: Mapping[str, str],
    *,
    elsewhere: Collection[TableName] = (),
    source: str | None = None,
) -> list[Warned]:
    """Return what its owner should know of a webhook that was made or changed.

    Args:
        states: Of each table that it names, how it is captured and why not.
        settings: Of those of the tables that have any.
        unknown: Types and families of it that nothing is called by, each with what it may be instead, or an empty text.
        elsewhere: Tables that are in no database but a fleet's sources, where their settings are too: nothing is known of them.
        source: What this database is called in the fleet where it is a source; None: it is none.
    """
    found = []
    if source is not None:
        found.append(
            Warned(
                "MADE_AT_SOURCE",
                f"This database is the source {source!r} of a fleet: what happens here is delivered from the fleet's homes, "
                "and this webhook hears nothing. Make it at the home of its group.",
                "events",
            )
        )
    if not webhook.enabled:
        found.append(
            Warned(
                "WEBHOOK_PAUSED",
                "The webhook is disabled: nothing is sent to it, and what happens meanwhile makes no deliveries for it. "
                "Enable it with enabled: true; `recover` with missing: true sends what it missed.",
                "enabled",
            )
        )
    for at, wanted in enumerate(webhook.events):
        if isinstance(wanted, TypeFilter) and wanted.name in unknown:
            found.append(
                Warned(
                    "NO_SUCH_TYPE",
                    f"Nothing called {wanted.name!r} has happened in group {webhook.group_id!r}, and its catalogue has no such "
                    f"type; the webhook waits for the first. {unknown[wanted.name]}".rstrip(),
                    f"events[{at}]",
                )
            )
        if (
            isinstance(wanted, TableFilter)
            and wanted.table != "*"
            and (wanted.schema or "public", wanted.table) not in elsewhere
        ):
            found += _of_table_named(webhook, at, wanted, states, settings)
    return found[:MAX_WARNINGS]


def _of_table_named(
    webhook: Subscription,
    at: int,
    wanted: TableFilter,
    states: Mapping[TableName, tuple[str, str | None]],
    settings: Mapping[TableName, TableSettings],
) -> list[Warned]:
    name = (wanted.schema or "public", wanted.table)
    field, shown = f"events[{at}]", ".".join(name)
    state, reason = states.get(name, (CAPTURED, None))
    if state != CAPTURED and webhook.enabled:  # of one that is disabled nothing has to be captured
        return [
            Warned("TABLE_NOT_CAPTURED", f"Changes of {shown} are not captured now ({state}). {reason or ''}".rstrip(), field)
        ]
    column = settings[name].group_column if name in settings else None
    if column is not None and webhook.group_id == DEFAULT_GROUP:
        return [
            Warned(
                "ROWS_OF_OTHER_GROUPS",
                f"Rows of {shown} belong to the groups that their {column} names. This webhook is of group {DEFAULT_GROUP!r} "
                f"and hears those alone that name it; make one in each group (X-Tidings-Group) for the others.",
                field,
            )
        ]
    if column is None and webhook.group_id != DEFAULT_GROUP:
        return [
            Warned(
                "ROWS_OF_OTHER_GROUPS",
                f"All rows of {shown} belong to group {DEFAULT_GROUP!r}, so this webhook of group {webhook.group_id!r} "
                "hears none of them. Say with group_by of the table which column names their group.",
                field,
            )
        ]
    return []


def of_grouping(before: TableSettings, after: TableSettings, losing: Sequence[str], *, are_more: bool) -> list[Warned]:
    """Return what whoever groups a table's rows otherwise should know.

    Args:
        losing: Names of webhooks that hear the table and were told of rows that are others' now.
        are_more: There are more of them.
    """
    if before.group_column == after.group_column or not losing:
        return []
    shown = ".".join(after.name)
    named = ", ".join(repr(name) for name in losing[:NAMED]) + (" and others" if are_more or len(losing) > NAMED else "")
    if after.group_column is None:
        rows = f"All rows of {shown} belong to group {DEFAULT_GROUP!r} now"
    else:
        rows = f"A row of {shown} belongs to the group that its {after.group_column} names now"
    return [
        Warned(
            "ROWS_TAKEN_FROM_WEBHOOKS",
            f"{rows}. Webhooks that heard it so far hear only rows of their own group from now on, which may be none: {named}. "
            "Make webhooks in the groups that are to hear it (X-Tidings-Group), or write group_by as it was.",
            "group_by",
        )
    ]


def of_backfill(skipped_count: int) -> list[Warned]:
    """Return what a backfill's reader should know."""
    if not skipped_count:
        return []
    return [
        Warned(
            "ROWS_SKIPPED",
            f"{skipped_count} rows were not sent by the backfill. A row is left out that was changed or deleted since the "
            "backfill began (its own event tells of it), that belongs to another group by group_by, or that the table's "
            "condition leaves out.",
            "skipped_count",
        )
    ]


def sentences(warnings: Iterable[Warned]) -> str:
    """Return warnings as text for people."""
    return " ".join(one.message for one in warnings)
