"""Tampering with the audit shows: changed, removed, inserted and reordered entries, a cut end, and a chain made anew."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.support.engine import Engine, engine_of
from tidings.config import Config
from tidings.core.audit import Action, Actor, Who
from tidings.core.audit_chain import Kind
from tidings.operations import audit
from tidings.store import audit as rows
from tidings.store import audit_chain
from tidings.worker.archivist import Forgetter, Sealer

Tamper = Callable[[Engine], Awaitable[Any]]
OPEN = "set session_replication_role = replica"  # what an owner of the tables can do: no trigger fires


async def write(engine: Engine, count: int, start: int = 0, **more: Any) -> None:
    services = engine.services
    async with services.wide.transaction() as connection:
        for number in range(start, start + count):
            actor = Actor(Who.KEY, uuid4(), "127.0.0.1", uuid4(), "ci")
            await rows.add(
                connection, services.installation.audit_key, Action.WEBHOOK_CHANGED, actor, now=engine.clock.now(),
                **{"group_id": "default", "subject_id": uuid4(), "subject": f"w{number}", "changes": {"name": ("a", f"w{number}")}} | more,
            )  # fmt: skip


async def sealed(engine: Engine, count: int) -> None:
    await write(engine, count)
    assert await sealer(engine).run_once() == count


def sealer(engine: Engine) -> Sealer:
    return Sealer(engine.services.wide, engine.services.box, engine.clock)


async def test_what_nobody_touched_is_as_it_was_written(engine: Engine) -> None:
    await sealed(engine, 7)
    await write(engine, 2, 7)
    found = await audit.verify(engine.services)
    assert (found.fault, found.checked, found.verified_to, found.waiting, found.next) == (None, 7, 7, 2, None)
    steps, after = [], 0
    while (step := await audit.verify(engine.services, after=after, limit=3)).next is not None:
        steps.append(step.checked)
        after = step.next
    assert ([*steps, step.checked], step.fault) == ([3, 3, 1], None)
    assert await audit.verify(engine.services, after=10**9) is not None


async def test_nothing_changes_an_entry(engine: Engine) -> None:
    await sealed(engine, 2)
    for statement in (
        "update tidings.audit set subject = 'x'", "delete from tidings.audit", "truncate tidings.audit", "truncate tidings.audit_chain",
        "delete from tidings.audit_chain", "update tidings.audit_chain set place = place + 10",
    ):  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only ever added to"):
            await engine.sql(statement)
    assert (await audit.verify(engine.services)).checked == 2


NUMBERED = "(select number from tidings.audit order by number offset 3 limit 1)"
COLUMNS = "at, group_id, action, who, who_id, address, subject_id, subject, key_id, key_name, changes"
EXCHANGE = (
    "update tidings.audit_chain c set number = -o.number from tidings.audit_chain o where (c.place, o.place) in ((4, 5), (5, 4));"
    "update tidings.audit_chain set number = -number where number < 0"
)


@pytest.mark.parametrize(
    ("statement", "kind", "place"),
    [
        *((f"update tidings.audit set {change} where number = {NUMBERED}", Kind.CHANGED, 4) for change in (
            "subject = 'another'", "group_id = 'other'", "action = 'webhook.created'", "who_id = null", "address = '10.0.0.1'",
            "at = at + interval '1 microsecond'", "changes = null", "changes = '{}'", "key_name = ''", "subject_id = null",
        )),
        (f"update tidings.audit set stamp = null where number = {NUMBERED}", Kind.CHANGED, 4),
        (f"delete from tidings.audit where number = {NUMBERED}", Kind.REMOVED, 4),
        (f"delete from tidings.audit_chain where number = {NUMBERED}; delete from tidings.audit where number = {NUMBERED}", Kind.REMOVED, 4),
        ("delete from tidings.audit_chain where place <= 2; delete from tidings.audit where number <= 2", Kind.REMOVED, 1),
        ("delete from tidings.audit_chain where place > 5; delete from tidings.audit where number > 5", Kind.REMOVED, 6),
        ("delete from tidings.audit_chain; delete from tidings.audit", Kind.REMOVED, 1),
        (EXCHANGE, Kind.REORDERED, 4),
        ("update tidings.audit_chain set hash = sha256('x') where place = 4", Kind.REORDERED, 4),
        ("update tidings.audit_chain set hash = sha256('x') where place = 8", Kind.REORDERED, 8),
        ("update tidings.audit_chain set sealed_at = sealed_at - interval '1 day' where place = 4", Kind.REORDERED, 4),
        (f"insert into tidings.audit ({COLUMNS}) select {COLUMNS} from tidings.audit limit 1", Kind.INSERTED, None),
        ("update tidings.audit_head set place = 5", Kind.HEAD, None),
        ("update tidings.audit_head set anchor_place = 5, anchor_hash = (select hash from tidings.audit_chain where place = 5)", Kind.HEAD, None),
        ("update tidings.audit_head set mac = null", Kind.HEAD, None),
        ("update tidings.audit_head set unstamped_places = 100", Kind.HEAD, None),
    ],
)  # fmt: skip
async def test_an_owner_of_the_tables_changes_nothing_unseen(
    engine: Engine, statement: str, kind: Kind, place: int | None
) -> None:
    await sealed(engine, 8)
    await engine.sql(OPEN)
    await engine.user.execute(statement)
    found = await audit.verify(engine.services)
    assert found.fault is not None
    assert (found.fault.kind, found.fault.place) == (kind, place), found.fault
    assert found.fault.sentence.startswith("The audit was tampered with: ")
    assert found.next is None


async def test_an_entry_that_was_inserted_past_tidings_shows_though_it_is_sealed(engine: Engine) -> None:
    await sealed(engine, 2)
    await engine.user.execute(f"insert into tidings.audit ({COLUMNS}) select {COLUMNS} from tidings.audit limit 1")
    with pytest.raises(asyncpg.UniqueViolationError):  # a stamp is good for one entry
        await engine.user.execute(
            f"insert into tidings.audit ({COLUMNS}, stamp) select {COLUMNS}, stamp from tidings.audit limit 1"
        )
    assert await sealer(engine).run_once() == 1
    found = await audit.verify(engine.services)
    assert found.fault is not None
    assert (found.fault.kind, found.fault.place) == (Kind.INSERTED, 3)


async def test_a_state_of_before_shows_against_a_head_that_was_noted(engine: Engine) -> None:
    await sealed(engine, 3)
    first = (await audit.verify(engine.services)).head
    keep = ["tidings.audit", "tidings.audit_chain", "tidings.audit_head"]
    for number, table in enumerate(keep):
        await engine.user.execute(f"create table public.kept{number} as table {table}")
    await sealed(engine, 3)
    noted = (await audit.verify(engine.services, head=first)).head
    assert (await audit.verify(engine.services, head=noted)).fault is None
    await engine.sql(OPEN)
    await engine.user.execute("delete from tidings.audit where number > 3; delete from tidings.audit_chain where place > 3")
    await engine.user.execute("update tidings.audit_head h set place = k.place, hash = k.hash, mac = k.mac from public.kept2 k")
    assert (await audit.verify(engine.services)).fault is None  # from the inside nobody can tell
    found = await audit.verify(engine.services, head=noted)
    assert found.fault is not None
    assert found.fault.kind is Kind.HEAD
    assert (await audit.verify(engine.services, head=first)).fault is None


async def test_old_entries_go_from_the_beginning_and_the_rest_is_verified_still(engine: Engine) -> None:
    await sealed(engine, 5)
    early = (await audit.verify(engine.services)).head
    engine.clock.ahead = timedelta(days=300)
    await sealed(engine, 4)
    forgetter = Forgetter(engine.services.wide, engine.services.box, engine.clock, audit_days=400)
    assert await forgetter.run_once() == 0
    engine.clock.ahead = timedelta(days=401)
    assert await forgetter.run_once() == 5
    assert await engine.value("select count(*) from tidings.audit") == 4
    found = await audit.verify(engine.services)
    assert (found.fault, found.checked, found.verified_to) == (None, 4, 9)
    assert (await audit.verify(engine.services, head=early)).fault is None
    await sealed(engine, 1)
    assert (await audit.verify(engine.services)).verified_to == 10


async def test_entries_are_sealed_once_whoever_does_so_and_in_whichever_order_they_commit(
    engine: Engine, config: Config
) -> None:
    services = engine.services
    async with engine_of(config) as other, services.wide.transaction() as slow:
        add = {"now": engine.clock.now(), "group_id": None, "subject_id": None}
        await rows.add(slow, services.installation.audit_key, Action.KEYS_ROTATED, Actor(), subject="slow", **add)
        await write(engine, 600, group_id=None)
        assert sum([await sealer(engine).run_once(), await sealer(other).run_once()]) == 600
        async with services.wide.transaction() as holding:
            await holding.fetch("select from tidings.audit_head for update")
            await write(engine, 1)
            assert await sealer(other).run_once() == 0  # somebody else does so: nobody waits
        assert await sealer(other).run_once() == 1
    assert await sealer(engine).run_once() == 1
    subjects = [one.entry.subject for one in (await audit.export(services, rows.Sought(), after=599, limit=10)).entries]
    assert subjects == ["w599", "w0", "slow"]
    assert (await audit.verify(services)).fault is None


async def test_a_key_that_was_written_over_stops_no_worker_and_starts_no_process(engine: Engine, config: Config) -> None:
    await sealed(engine, 1)
    await write(engine, 1)
    await engine.user.execute("update tidings.audit_head set sealed_key = decode(repeat('00', 60), 'hex')")
    assert await sealer(engine).run_once() == 0
    assert await audit_count(engine) == 1
    assert (await audit.verify(engine.services)).fault is None  # this process knows the key


async def audit_count(engine: Engine) -> int:
    async with engine.services.wide.connection() as connection:
        return await audit_chain.count_pending(connection)


async def test_entries_of_the_release_before_are_sealed_as_they_are(config: Config) -> None:
    async with engine_of(config) as engine:  # as the migration leaves it: no key yet, entries that wait
        await engine.sql(OPEN)
        await engine.user.execute(
            "update tidings.audit_head set sealed_key = null, mac = null;"
            "insert into tidings.audit (at, action, who, address, subject) values (now(), 'link.made', 'key', '', 'old');"
            "insert into tidings.audit_pending select number from tidings.audit"
        )
    async with engine_of(config) as engine:
        await engine.sql("set session_replication_role = origin")
        older = "insert into tidings.audit (at, action, who, address, subject) values (now(), 'link.made', 'key', '', 'beside')"
        await engine.user.execute(older)  # a process that is not replaced yet
        assert await sealer(engine).run_once() == 2
        assert (await audit.verify(engine.services)).fault is None
        engine.clock.ahead = timedelta(hours=2)
        await engine.user.execute(older)
        assert await sealer(engine).run_once() == 1
        found = await audit.verify(engine.services)
        assert found.fault is not None
        assert (found.fault.kind, found.fault.place) == (Kind.INSERTED, 3)
