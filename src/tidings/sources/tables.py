"""Events from tables: which tables are captured, for which operations, and keeping their triggers so.

The triggers wanted follow from the webhooks alone (`wanted_triggers`), so they are compared and put right as a whole,
never counted up and down. A webhook that is created or changed does that in its own transaction: when it exists, its
tables are captured.
"""

import logging
from collections.abc import Iterable

import msgspec

from tidings.core.errors import BusyError, InvalidInputError
from tidings.core.webhook import Filter, TableFilter, Webhook
from tidings.store import capture, webhooks
from tidings.store.capture import FoundTable, Installed, TableName
from tidings.store.database import Connection
from tidings.store.secrets import SecretBox

logger = logging.getLogger("tidings.capture")


class TableState(msgspec.Struct, frozen=True):
    """How a table that a webhook names is doing: `captured`, `missing`, `disabled` or `waiting`."""

    schema: str
    table: str
    state: str
    reason: str | None = None


class Plan(msgspec.Struct, frozen=True):
    """What is to be done to the triggers."""

    install: list[tuple[FoundTable, frozenset[str]]]
    remove: list[TableName]


async def resolve_filters(connection: Connection, filters: Iterable[Filter]) -> tuple[Filter, ...]:
    """Return the filters with the schema of each table found out.

    A name without a schema is looked for in `public`; when it is not there and has a dot, its first part is taken for
    the schema.

    Raises:
        InvalidInputError: There is no such table, or it cannot be captured.
    """
    resolved: list[Filter] = []
    for position, wanted in enumerate(filters):
        if not isinstance(wanted, TableFilter) or wanted.table == "*":
            resolved.append(wanted)
            continue
        found = await capture.find_tables(connection, _candidates(wanted))
        table = next((found[name] for name in _candidates(wanted) if name in found), None)
        field = f"events[{position}].table"
        if table is None:
            raise InvalidInputError(
                field, f"There is no table {'.'.join(_candidates(wanted)[0])}. Create it first, or correct the name."
            )
        if table.refusal is not None:
            raise InvalidInputError(field, table.refusal)
        schema, name = table.name
        resolved.append(msgspec.structs.replace(wanted, schema=schema, table=name))
    return tuple(resolved)


def _candidates(wanted: TableFilter) -> list[TableName]:
    if wanted.schema is not None:
        return [(wanted.schema, wanted.table)]
    names = [("public", wanted.table)]
    schema, dot, table = wanted.table.partition(".")
    if dot:
        names.append((schema, table))
    return names


def wanted_triggers(subscriptions: Iterable[Webhook]) -> dict[TableName, frozenset[str]]:
    """Return the tables that enabled webhooks name, with all operations any of them wants."""
    wanted: dict[TableName, frozenset[str]] = {}
    for webhook in subscriptions:
        for item in webhook.events if webhook.enabled else ():
            if isinstance(item, TableFilter) and item.table != "*":
                name = (item.schema or "public", item.table)
                wanted[name] = wanted.get(name, frozenset()) | set(item.operations)
    return wanted


def plan_triggers(
    wanted: dict[TableName, frozenset[str]],
    found: dict[TableName, FoundTable],
    installed: dict[TableName, Installed],
) -> Plan:
    """Return what makes the installed triggers those that are wanted. Tables that do not exist are left out."""
    install = []
    for name, operations in wanted.items():
        table, present = found.get(name), installed.get(name)
        if table is None or table.refusal is not None:
            continue
        if present is None or present.operations != operations or not present.is_named_right:
            install.append((table, operations))
    return Plan(install, [name for name in installed if name not in wanted])


async def keep_in_step(connection: Connection, box: SecretBox, *, needed_by: Webhook | None = None) -> Plan:
    """Put triggers where webhooks want them and take the others away, in the caller's transaction.

    What cannot be done now, because a table is locked or forbidden to us, is left for the janitor and shows in the
    state of the table, except where it is needed now.

    Args:
        needed_by: A webhook that is made or changed: its tables must be captured when this returns.

    Raises:
        BusyError: A table that is needed is locked by someone else's transaction.
        InvalidInputError: Our role may not make triggers on a table that is needed.
    """
    await capture.lock(connection)
    wanted = wanted_triggers(await webhooks.all_webhooks(connection, box))
    found = await capture.find_tables(connection, list(wanted))
    plan = plan_triggers(wanted, found, await capture.installed(connection))
    needed = wanted_triggers([needed_by] if needed_by else [])
    for table, operations in plan.install:
        try:
            async with connection.transaction():
                await capture.install(connection, table, operations)
        except (BusyError, InvalidInputError) as error:
            if table.name in needed:
                raise
            logger.warning("%s is not captured for now: %s", ".".join(table.name), error.message)
        else:
            logger.info("capturing %s of %s", ", ".join(sorted(operations)), ".".join(table.name))
    for name in plan.remove:
        try:
            async with connection.transaction():
                await capture.remove(connection, name)
        except (BusyError, InvalidInputError) as error:
            logger.info("trigger on %s is taken away later: %s", ".".join(name), error.message)
    return plan


async def table_states(connection: Connection, webhook: Webhook) -> list[TableState]:
    """Return how each table that a webhook names is doing."""
    wanted = wanted_triggers([webhook])
    found = await capture.find_tables(connection, list(wanted))
    installed = await capture.installed(connection)
    return [_state(name, operations, found.get(name), installed.get(name)) for name, operations in wanted.items()]


def _state(name: TableName, operations: frozenset[str], found: FoundTable | None, installed: Installed | None) -> TableState:
    schema, table = name
    if found is None:
        return TableState(schema, table, "missing", "The table does not exist (any more).")
    if installed is None or not operations <= installed.operations:
        return TableState(schema, table, "waiting", found.refusal or "The trigger is put there within a minute.")
    if not installed.is_enabled:
        return TableState(schema, table, "disabled", "The trigger tidings_capture is disabled; ENABLE TRIGGER it.")
    return TableState(schema, table, "captured")
