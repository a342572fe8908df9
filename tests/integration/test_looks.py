"""One look for the duties that have nothing to do most of the time."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from tidings.clock import Clock
from tidings.store.database import open_database
from tidings.worker.looks import FRESH_SECONDS, Looks

DUTIES = {"backfiller", "recoverer", "eraser", "shredder", "scheduler", "sealer"}

# A row with these values, and whatever stands for the others that it must have. References and checks are left aside.
_MADE = """
select format('insert into tidings.%1$I (%2$s) overriding system value values (%3$s)', $1::text,
  string_agg(quote_ident(attname), ', '), string_agg(coalesce(quote_literal($2::text::json ->> attname), case
    when atttypid = any ('{uuid}'::regtype[]) then quote_literal(gen_random_uuid()) when atttypid = any ('{text}'::regtype[]) then quote_literal('x')
    when typcategory = 'A' then quote_literal('{}') when typcategory = 'D' then 'now()' when typcategory = 'B' then 'true' when typname in ('json', 'jsonb') then quote_literal('{}')
    when typname = 'bytea' then quote_literal('') else '1' end), ', '))
from pg_attribute join pg_type t on t.oid = atttypid
where attrelid = ('tidings.' || $1)::regclass and attnum > 0 and not attisdropped and (attnotnull and not atthasdef or $2::text::json ->> attname is not null)
"""
_FREE = """
select string_agg(format('alter table tidings.%I drop constraint %I;', $1::text, conname), ' ') from pg_constraint
where conrelid = ('tidings.' || $1)::regclass and contype in ('c', 'f')
"""


async def _put(url: str, table: str, values: str) -> None:
    connection = await asyncpg.connect(url)
    if free := await connection.fetchval(_FREE, table):
        await connection.execute(free)
    await connection.execute(await connection.fetchval(_MADE, table, values))
    await connection.close()


@pytest.mark.parametrize(
    ("duty", "table", "values"),
    [
        ("backfiller", "backfills", '{"state": "running"}'),
        ("recoverer", "recoveries", '{"state": "waiting", "due_at": "2020-01-01T00:00:00Z"}'),
        ("recoverer", "recoveries", '{"state": "running", "due_at": "2020-01-01T00:00:00Z"}'),
        ("eraser", "erasures", '{"state": "waiting", "due_at": "2020-01-01T00:00:00Z"}'),
        ("eraser", "erasures", '{"state": "running", "due_at": "2020-01-01T00:00:00Z"}'),
        ("shredder", "sealed_payloads", '{"look_at": "2020-01-01T00:00:00Z"}'),
        ("shredder", "payload_ends", '{"due_at": "2020-01-01T00:00:00Z"}'),
        ("scheduler", "cron_jobs", "{}"),
        ("scheduler", "collections", "{}"),
        ("sealer", "audit_pending", "{}"),
    ],
)
async def test_a_duty_that_has_something_to_do_is_told_and_no_other(
    database_url: str, duty: str, table: str, values: str
) -> None:
    database = await open_database(database_url, max_connections=1)
    assert [name for name in DUTIES if await Looks(database, Clock()).has(name)] == []
    await _put(database_url, table, values)
    assert [name for name in DUTIES if await Looks(database, Clock()).has(name)] == [duty]
    await database.close()


@pytest.mark.parametrize(("table", "column"), [("recoveries", "due_at"), ("erasures", "due_at"), ("payload_ends", "due_at")])
async def test_what_is_due_later_is_nothing_to_do_yet(database_url: str, table: str, column: str) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await _put(database_url, table, f'{{"{column}": "{later}", "state": "waiting"}}')
    database = await open_database(database_url, max_connections=1)
    assert not [name for name in DUTIES if await Looks(database, Clock()).has(name)]
    await database.close()


async def test_an_answer_holds_for_a_moment_and_a_duty_is_done_only_when_there_is_something(database_url: str) -> None:
    database = await open_database(database_url, max_connections=1)
    now = [0.0]
    looks, done = Looks(database, Clock(), monotonic=lambda: now[0]), []

    class Noting:
        async def run_once(self) -> None:
            done.append(now[0])

    duty = looks.before("sealer", Noting())
    await duty.run_once()
    await _put(database_url, "audit_pending", "{}")
    now[0] = FRESH_SECONDS * 0.9
    await duty.run_once()
    assert done == [], "the look before holds"
    now[0] = FRESH_SECONDS
    await duty.run_once()
    assert done == [FRESH_SECONDS]
    await database.close()


async def test_a_duty_is_told_when_the_database_is_away(database_url: str) -> None:
    database = await open_database(database_url, max_connections=1)
    looks = Looks(database, Clock())
    await database.close()
    with pytest.raises(asyncpg.InterfaceError):
        await looks.has("sealer")


async def test_a_duty_that_no_look_looks_for_is_not_left_undone_in_silence(database_url: str) -> None:
    database = await open_database(database_url, max_connections=1)
    try:
        with pytest.raises(LookupError, match="dreamer"):
            await Looks(database, Clock()).has("dreamer")
    finally:
        await database.close()
