"""What roles of PostgreSQL need and lack."""

from collections.abc import Sequence

from tidings.core.diagnosis import Problem
from tidings.core.errors import InvalidInputError
from tidings.core.grants import Found, Names, Step, Way, steps, way_of
from tidings.operations.sources.tables import name_of
from tidings.store import capture, request_role, roles
from tidings.store.database import Connection, Database

NEW_OWNER = "tidings"  # where a superuser asks, before there is a schema: better not owned by that one
MAX_TABLES = 10_000  # that are looked at


async def examine(
    database: Database, *, way: Way | None, owner: str | None, running: str | None, request: str, tables: Sequence[str] = ()
) -> tuple[Way, Names, list[Step]]:
    """Return the way that fits, who is what in it, and the statements.

    Args:
        way: None: found out.
        owner: Who is to own the schema; None: who does, or whoever asks.
        running: Who is to run Tidings; None: whoever asks, when that is not the owner.
        request: The role of requests.
        tables: Tables that are to be captured, beside those that webhooks name.

    Raises:
        InvalidInputError: The way of one role is asked for, with two.
    """
    async with database.transaction() as connection:
        here = await roles.look(connection)
        owner = owner or here.owner or (NEW_OWNER if here.is_superuser else here.role)
        if running is None:
            known = await roles.running_roles(connection) if here.may_use else []
            others = [here.role] if here.role != owner and not here.is_superuser and here.owner is not None else known
            running = others[0] if others else owner
        if way == "one" and running != owner:
            raise InvalidInputError(
                "way", f"{owner} owns the schema and {running} runs Tidings: these are two. Ask for --way two."
            )
        if way == "two" and running == owner:
            running = f"{owner}_run"
        names = Names(here.database, here.database_owner, owner, running, request, here.version)
        found = await _found(connection, names, tables, has_schema=here.owner is not None, may_use=here.may_use)
    chosen = way_of(way, has_two=running != owner, is_managed=here.is_managed)
    return chosen, names, steps(chosen, names, found)


async def problems(connection: Connection) -> list[Problem]:
    """Return what our role lacks now, each with its statements."""
    here = await roles.look(connection)
    told = []
    if here.is_running_role and (lacking := await roles.missing(connection, here.role)):
        told.append(
            f"The database role {here.role} lacks rights on schema tidings. As {here.owner} run: {roles.sentence_of(lacking)}"
        )
    wanted = await capture.subscribed_tables(connection)
    if forbidden := await roles.missing_on(connection, wanted, ["trigger"]):
        told.append(
            f"The database role {here.role} may not capture all tables that webhooks name. As {forbidden[0].owner}, or as an "
            f"administrator, run: {roles.sentence_of([one.statement for one in forbidden])}"
        )
    left = sorted({*await capture.captured_tables(connection)} - {*wanted})[:MAX_TABLES]
    if left and (stuck := await roles.missing_on(connection, left, ["trigger"])):
        told.append(
            f"Tables that no webhook names still have our triggers, which {here.role} may not take away: those of "
            f"{', '.join('.'.join(name) for name in left[:5])}. Let it, as {stuck[0].owner}: "
            f"{roles.sentence_of([one.statement for one in stuck])} Or drop them: the page of the table says how."
        )
    return [Problem("rights", sentence) for sentence in told]


async def _found(connection: Connection, names: Names, tables: Sequence[str], *, has_schema: bool, may_use: bool) -> Found:
    there = frozenset([name for name in {names.owner, names.running, names.request} if await roles.exists(connection, name)])
    asked = sorted({*map(name_of, tables), *(await roles.named_tables(connection) if has_schema and may_use else [])})[
        :MAX_TABLES
    ]
    capturing = await roles.missing_on(connection, asked, ["trigger"], names.running)
    known = {one.statement for one in capturing}
    reading = await roles.missing_on(connection, asked, ["select"], names.running)
    reading += await roles.missing_to_lock(connection, asked, names.running)
    is_given = has_schema and names.running in there and names.running != names.owner
    return Found(
        roles=there,
        may_take_request={names.request, names.running} <= there
        and await roles.may_take(connection, names.running, names.request),
        may_create=names.owner in there and await roles.may_create(connection, names.owner),
        has_schema=has_schema,
        lacking=tuple(await roles.missing(connection, names.running) if is_given else ()),
        requests=tuple(
            await request_role.differences(connection, names.request)
            if has_schema and may_use and names.request in there
            else ()
        ),
        on_tables=(
            *((one.owner, one.statement, True) for one in capturing),
            *((one.owner, one.statement, False) for one in reading if one.statement not in known),
        ),
    )
