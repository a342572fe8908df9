"""Events from tables: which tables are captured, for which operations, and keeping their triggers so.

The triggers wanted follow from what webhooks name (`tidings.table_subscriptions`) alone, so those of a table are compared and
put right as a whole, never counted up and down. A webhook that is created or changed does that for its own tables in its own
transaction: when it exists, its tables are captured. The janitor looks at all of them.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice

import msgspec

from tidings.core.capture import Binding, TableName, TableSettings, Trigger, check_settings, named_columns, triggers_for
from tidings.core.errors import BusyError, InvalidInputError
from tidings.core.event import DEFAULT_GROUP
from tidings.core.filters import OPERATIONS, CollectionFilter, Filter, TableFilter
from tidings.core.near import MAX_KNOWN, did_you_mean, nearest
from tidings.core.webhook import Subscription
from tidings.store import backfills, capture, collections, conditions, roles
from tidings.store.capture import FoundTable, Installed
from tidings.store.database import Connection, Database
from tidings.store.request_role import as_owner

logger = logging.getLogger("tidings.capture")

_GONE = "The table does not exist (any more)."
TABLES_AT_ONCE = 500  # whose triggers the janitor compares in one transaction


class TableState(msgspec.Struct, frozen=True):
    """How a table that a webhook names is doing: `captured`, `missing`, `disabled`, `waiting`, `stopped`, or `left`.

    `stopped`: its settings do not fit it as it is now, or it has come to its name by being renamed. `reason` says why it is not
    captured; of one that is, that some row of today or yesterday could not be captured as it should. `left`: no webhook
    names it
    any more, and its trigger is still there.
    """

    schema: str
    table: str
    state: str
    reason: str | None = None


class Plan(msgspec.Struct, frozen=True):
    """What is to be done to the triggers of one table."""

    table: TableName
    install: list[Trigger]
    remove: list[str]


async def resolve_filters(
    connection: Connection, filters: Iterable[Filter], group_id: str = DEFAULT_GROUP, *, are_elsewhere: bool = False
) -> tuple[Filter, ...]:
    """Return the filters with the schema of each table found out.

    A name without a schema is looked for in `public`; when it is not there and has a dot, its first part is taken for
    the schema.

    Args:
        are_elsewhere: Tables that are not here may be in another database, a source of the fleet.

    Raises:
        InvalidInputError: There is no such table or collection, or it cannot be captured.
    """
    resolved: list[Filter] = []
    for position, wanted in enumerate(filters):
        if isinstance(wanted, CollectionFilter) and await collections.get(connection, group_id, wanted.collection) is None:
            field = f"events[{position}].collection"
            raise InvalidInputError(field, await _no_collection(connection, group_id, wanted.collection))
        if not isinstance(wanted, TableFilter) or wanted.table == "*":
            resolved.append(wanted)
            continue
        found = await _find(connection, _candidates(wanted))
        table = next((found[name] for name in _candidates(wanted) if name in found), None)
        field = f"events[{position}].table"
        if table is None and are_elsewhere:
            schema, name = _candidates(wanted)[-1]
            resolved.append(msgspec.structs.replace(wanted, schema=schema, table=name))
            continue
        if table is None:
            raise InvalidInputError(field, await _no_table(connection, group_id, wanted))
        if table.refusal is not None:
            raise InvalidInputError(field, table.refusal)
        schema, name = table.name
        resolved.append(msgspec.structs.replace(wanted, schema=schema, table=name))
    return tuple(resolved)


async def _find(connection: Connection, names: Sequence[TableName]) -> dict[TableName, FoundTable]:
    """Return what names stand for. Tables that are collections of any group are told from others."""
    async with as_owner(connection):
        return await capture.find_tables(connection, names)


async def _no_table(connection: Connection, group_id: str, wanted: TableFilter) -> str:
    """Return the sentence that tells that there is no such table, and what may have been meant."""
    told = f"There is no table {'.'.join(_candidates(wanted)[0])}."
    if await collections.get(connection, group_id, wanted.table) is not None:
        return f'{told} {wanted.table!r} is a collection: write {{"collection": {msgspec.json.encode(wanted.table).decode()}}}.'
    async with as_owner(connection):
        tables = await capture.known_tables(connection, MAX_KNOWN)
    known = [".".join(name).removeprefix("public.") for name in tables]
    near = did_you_mean(".".join(_candidates(wanted)[-1]).removeprefix("public."), known)
    if similar := nearest(wanted.table, await collections.names(connection, group_id, MAX_KNOWN)):
        near += f' There is a collection of a like name: {{"collection": {msgspec.json.encode(similar[0]).decode()}}}.'
    return f"{told}{near} Create it first (create table …), or correct the name; it is captured once a webhook names it."


async def _no_collection(connection: Connection, group_id: str, name: str) -> str:
    told = f"There is no collection {name!r}."
    if await _find(connection, [("public", name)]):
        return f'{told} {name!r} is a table: write {{"table": {msgspec.json.encode(name).decode()}}}.'
    near = did_you_mean(name, await collections.names(connection, group_id, MAX_KNOWN))
    return f"{told}{near} Create the collection first."


def _candidates(wanted: TableFilter) -> list[TableName]:
    if wanted.schema is not None:
        return [(wanted.schema, wanted.table)]
    names = [("public", wanted.table)]
    schema, dot, table = wanted.table.partition(".")
    if dot:
        names.append((schema, table))
    return names


def plan_triggers(
    wanted: Mapping[TableName, tuple[Trigger, ...]], installed: Mapping[TableName, list[Installed]]
) -> list[Plan]:
    """Return what makes the installed triggers those that are wanted, table by table."""
    plans = []
    for table in sorted(set(wanted) | set(installed)):
        there = {found.trigger: found for found in installed.get(table, [])}
        names = {trigger.name for trigger in wanted.get(table, ())}
        install = [t for t in wanted.get(table, ()) if t.name not in there or not there[t.name].is_as(t)]
        remove = [name for name in there if name not in names]
        if install or remove:
            plans.append(Plan(table, install, remove))
    return plans


async def keep_in_step(
    connection: Connection,
    *,
    needed_by: Subscription | None = None,
    was: Subscription | None = None,
    needed: TableName | None = None,
    named: Collection[TableName] = (),
) -> list[Plan]:
    """Put triggers where webhooks want them and take the others away, on some tables, in the caller's transaction.

    What cannot be done now, because a table is locked or forbidden to us, is left for the janitor and shows in the
    state of the table, except where it is needed now. It costs nothing when there are no tables to look at.

    Args:
        needed_by: A webhook that is made or changed: its tables must be captured when this returns. It need not be written yet.
        was: A webhook as it was before it was changed or deleted: its tables may need fewer triggers.
        needed: A table whose settings are changed: it must be captured by them when this returns.
        named: Tables that are looked at beside these.

    Raises:
        BusyError: A table that is needed is locked by someone else's transaction.
        InvalidInputError: Our role may not make triggers on a table that is needed, or its settings cannot be read.
    """
    present = needed_by.tables if needed_by else {}
    names = sorted({*present, *(was.tables if was else ()), *([needed] if needed else ()), *named})
    if not names:
        return []
    async with as_owner(connection):
        return await _kept_in_step(connection, names, needed_by=needed_by, changed=needed_by or was, needed=needed)


async def _kept_in_step(
    connection: Connection,
    names: list[TableName],
    *,
    needed_by: Subscription | None,
    changed: Subscription | None,
    needed: TableName | None,
) -> list[Plan]:
    present = needed_by.tables if needed_by else {}
    await capture.lock(connection)
    operations = await capture.subscribed_operations(connection, names, besides=changed.id if changed else None)
    for name, wanted in present.items():
        operations[name] = operations.get(name, frozenset()) | wanted
    installed, settings = await capture.installed(connection, names), await capture.settings_of(connection, names)
    unreadable = {name: own.fault for name, own in settings.items() if own.fault is not None}
    for name, fault in unreadable.items():
        if not present.get(name, frozenset()) <= _told(installed.pop(name, [])):
            raise InvalidInputError("events", fault)
    if unreadable:
        logger.warning("the triggers stay as they are on %d tables: %s", len(unreadable), next(iter(unreadable.values())))
    for own in settings.values():
        if own.binding is not None and own.binding.is_new and own.stop is None:
            await capture.bind(connection, own)
        if own.stop is not None:
            logger.warning("%s is not captured: %s", ".".join(own.name), own.stop)
    readable = {name: wanted for name, wanted in operations.items() if name not in unreadable}
    plans = plan_triggers(await _triggers(connection, readable, settings), installed)
    for plan in plans:
        is_needed = plan.table in present or plan.table == needed
        await _carry_out(connection, plan, settings.get(plan.table), is_needed=is_needed)
    return plans


async def _triggers(
    connection: Connection, operations: Mapping[TableName, frozenset[str]], settings: Mapping[TableName, TableSettings]
) -> dict[TableName, tuple[Trigger, ...]]:
    """Return the triggers that make tables captured, for those that can be."""
    found, watches = await capture.find_tables(connection, operations), await backfills.watches(connection)
    return {
        name: triggers_for(
            name,
            operations[name],
            settings.get(name),
            watches.get(name),
            relation=table.relation,
            is_partitioned=table.is_partitioned,
        )
        for name, table in found.items()
        if table.refusal is None
    }


def _told(triggers: Iterable[Installed]) -> set[str]:
    return {operation for trigger in triggers for operation in trigger.operations}


async def keep_all_in_step(database: Database) -> None:
    """Put triggers on all tables where webhooks want them and take the others away, some tables at a time.

    Raises:
        BusyError: Another process is changing triggers.
    """
    async with database.connection() as connection:
        names = {*await capture.subscribed_tables(connection), *await capture.captured_tables(connection)}
    ordered = iter(sorted(names))
    while some := list(islice(ordered, TABLES_AT_ONCE)):
        async with database.transaction() as connection:
            await keep_in_step(connection, named=some)
    async with database.transaction() as connection:
        await capture.lock(connection)
        await conditions.drop_unused_guards(connection)


async def _carry_out(connection: Connection, plan: Plan, settings: TableSettings | None, *, is_needed: bool) -> None:
    """Change the triggers of a table, all or none: between two states a change would be told twice, or not.

    Args:
        settings: Those that the triggers were made from. Their names are looked at again once the triggers hold their lock on
            the table: until then columns could be renamed.
    """
    shown = ".".join(plan.table)
    try:
        async with connection.transaction():
            for name in plan.remove:
                await capture.remove(connection, plan.table, name)
            for trigger in plan.install:
                await capture.install(connection, plan.table, trigger)
            if plan.install:
                await _check_names(connection, plan.table, settings)
    except (BusyError, InvalidInputError) as error:
        if is_needed:
            raise
        logger.warning("the triggers on %s stay as they are for now: %s", shown, error.message)
    else:
        told = ", ".join(operation for trigger in plan.install for operation in trigger.operations)
        logger.info("%s: %s", shown, f"capturing {told}" if told else "no longer captured")


async def change_settings(connection: Connection, settings: TableSettings) -> None:
    """Set how a table is captured, in the caller's transaction: its events are so from its commit on.

    Raises:
        BusyError: The table is locked by someone else's transaction.
        InvalidInputError: With the field at fault; there is no such table, or it cannot be captured.
    """
    table = (await capture.find_tables(connection, [settings.name])).get(settings.name)
    if table is None:
        schema, name = settings.name
        raise InvalidInputError("table", await _no_table(connection, DEFAULT_GROUP, TableFilter(name, schema)))
    if table.refusal is not None:
        raise InvalidInputError("table", table.refusal)
    numbers = {column.name: column.number for column in await capture.columns(connection, settings.name)}
    check_settings(settings, tuple(numbers))
    named = {name: numbers[name] for names in named_columns(settings).values() for name in names}
    bound = msgspec.structs.replace(settings, binding=Binding(table.relation, named))
    await capture.lock(connection)
    await _try_out(connection, bound, is_partitioned=table.is_partitioned)
    await capture.put_settings(connection, settings, table.relation, named)
    await keep_in_step(connection, needed=settings.name)


async def _check_names(connection: Connection, table: TableName, settings: TableSettings | None) -> None:
    now = (await capture.settings_of(connection, [table])).get(table)
    if _meaning(now) != _meaning(settings):
        raise BusyError(f"Columns of {'.'.join(table)} are being renamed. Try again.")


def _meaning(settings: TableSettings | None) -> TableSettings | None:
    """Return settings without what writing them down changes."""
    if settings is None or settings.binding is None:
        return settings
    return msgspec.structs.replace(settings, binding=msgspec.structs.replace(settings.binding, is_new=False))


async def _try_out(connection: Connection, settings: TableSettings, *, is_partitioned: bool) -> None:
    """Make every trigger that the settings can lead to, and take that back: a condition is refused now, not later."""
    attempt = connection.transaction()
    await attempt.start()
    try:
        every = triggers_for(settings.name, frozenset(OPERATIONS), settings, is_partitioned=is_partitioned)
        for trigger in every:
            await capture.install(connection, settings.name, trigger)
    finally:
        await attempt.rollback()


async def table_states(connection: Connection, webhook: Subscription) -> list[TableState]:
    """Return how each table that a webhook names is doing."""
    if not webhook.tables:
        return []
    async with as_owner(connection):
        return [state for state, _ in (await _states(connection, webhook.tables)).values()]


async def states(connection: Connection, names: Collection[TableName]) -> dict[TableName, tuple[TableState, frozenset[str]]]:
    """Return how tables are doing, and what webhooks want of each: of a table that none wants, `unwanted` and nothing."""
    async with as_owner(connection):
        return await _states(connection, await capture.subscribed_operations(connection, names), names)


async def _states(
    connection: Connection, wanted: Mapping[TableName, frozenset[str]], names: Collection[TableName] | None = None
) -> dict[TableName, tuple[TableState, frozenset[str]]]:
    names = wanted if names is None else names
    found = await capture.find_tables(connection, names)
    installed = await capture.installed(connection, names)
    settings = await capture.settings_of(connection, names)
    errors = await capture.capture_errors(connection, names)
    states = {
        name: _state(name, wanted[name], found.get(name), installed.get(name, []), settings.get(name), errors.get(name))
        if name in wanted
        else _unwanted(name, found.get(name), installed.get(name, []))
        for name in names
    }
    for name, state in states.items():
        if state.state in {"waiting", "left"} and (found[name].refusal is None or state.state == "left"):
            states[name] = await _with_rights(connection, state, installed.get(name, []))
    return {name: (state, wanted.get(name, frozenset())) for name, state in states.items()}


async def _with_rights(connection: Connection, state: TableState, there: list[Installed]) -> TableState:
    """Return a state with the statements that our role needs for it to change; as it is where it needs none."""
    name = (state.schema, state.table)
    if not (lacking := await roles.missing_on(connection, [name], ["trigger"])):
        return state
    if state.state == "left":
        return msgspec.structs.replace(state, reason=capture.left_behind(name, there[0].trigger, lacking))
    return msgspec.structs.replace(state, reason=capture.forbidden(name, lacking))


def _unwanted(name: TableName, found: FoundTable | None, there: list[Installed]) -> TableState:
    if found is None:
        return TableState(*name, "missing", _GONE)
    if there:
        return TableState(*name, "left", "No webhook names it. Its trigger is taken away within a minute.")
    return TableState(*name, "unwanted", found.refusal or "No webhook names it, but such as were disabled.")


def _state(
    name: TableName,
    operations: frozenset[str],
    found: FoundTable | None,
    there: list[Installed],
    settings: TableSettings | None,
    error: str | None,
) -> TableState:
    schema, table = name
    if found is None:
        return TableState(schema, table, "missing", _GONE)
    if settings is not None and settings.stop is not None:
        return TableState(schema, table, "stopped", settings.stop)
    of_another = settings is not None and settings.binding is not None and settings.binding.is_new
    if not operations <= _told(there) or of_another:
        return TableState(schema, table, "waiting", found.refusal or "The trigger is put there within a minute.")
    if disabled := next((trigger.trigger for trigger in there if not trigger.is_enabled), None):
        return TableState(schema, table, "disabled", f"The trigger {disabled} is disabled; ENABLE TRIGGER it.")
    return TableState(schema, table, "captured", f"Of a row of today or yesterday: {error}" if error is not None else None)
