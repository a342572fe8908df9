"""Names that are hard on SQL: columns and fields called as we call things, quoted, 63 bytes long; tables with line breaks."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.integration.test_tables import start_backfill
from tests.support.engine import engine_of
from tests.support.torture import LONG
from tests.unit.test_profiles import row, sent, to
from tidings.config import Config
from tidings.core.capture import TableSettings
from tidings.profiles import PROFILES
from tidings.sources import tables

NOWHERE = "http://127.0.0.1:9/"
OURS = (
    "t", "m", "p", "r", "w", "k", "c", "new", "old", "given", "whole", "holds", "key", "name", "place", "record", "value", "told", "made", "x",
    "tidings_row", "tidings_capture", "select", "user", "group", "order", "excluded", "renamed", "relation", "number", "Ümläut",
)  # fmt: skip
HOSTILE = (
    *OURS,
    'quoted "name"',
    "it's",
    "back\\slash",
    "a,b",
    "{a}",
    "{",
    "line\nbreak",
    "tab\t",
    "$1",
    "%I",
    "%1$s",
    "a" * 63,
    "ä" * 31,
    " ",
    ".",
    "new.id",
    "--",
    ";",
)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_columns = st.lists(
    st.sampled_from(HOSTILE)
    | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=20),
    min_size=2,
    max_size=8,
    unique=True,
)
_columns = _columns.filter(lambda names: "id" not in names)


async def test_a_table_is_captured_and_filled_back_whatever_its_columns_are_called(config: Config) -> None:
    async with engine_of(config) as engine:
        user = await asyncpg.connect(config.database_url, statement_cache_size=0)
        await user.execute("create table t (id int primary key)")
        hook = await engine.add_webhook(NOWHERE, {"table": "t"})
        loop = asyncio.get_running_loop()

        async def play(names: list[str], is_key: bool) -> None:
            await user.execute("drop table t; truncate tidings.outbox, tidings.captured_tables, tidings.backfills cascade")
            key = names[-1] if is_key else "id"
            await user.execute(
                f"create table t ({'' if is_key else 'id int primary key, '}"
                f"{', '.join(f'{quoted(name)} text' for name in names)}{f', primary key ({quoted(key)})' if is_key else ''})"
            )
            wanted = TableSettings(
                "public", "t", excluded_columns=(names[0],) if key != names[0] else (), renamed_columns={names[1]: "told as"},
                changed_columns=(names[1],), conditions={"INSERT": f"new.{quoted(names[1])} is not null"},
            )  # fmt: skip
            async with engine.services.wide.transaction() as connection:
                await tables.change_settings(connection, wanted)
            await tables.keep_all_in_step(engine.services.wide)
            values = {name: f"v{place}" for place, name in enumerate(names)} | ({} if is_key else {"id": "1"})
            places = ", ".join(f"${place}" + ("::text::int" if name == "id" else "") for place, name in enumerate(values, 1))
            await user.execute(f"insert into t ({', '.join(map(quoted, values))}) values ({places})", *values.values())
            left_out = set(wanted.excluded_columns)
            expected = {
                "told as" if name == names[1] else name: value for name, value in values.items() if name not in left_out
            }
            (told,) = await user.fetch("delete from tidings.outbox returning record, capture_error")
            assert {name: str(value) for name, value in json.loads(told["record"]).items()} == expected
            assert told["capture_error"] is None
            await start_backfill(engine, hook.id)
            await engine.worker.backfiller.run_once()
            (done,) = await user.fetch("select state, error, row_count from tidings.backfills")
            assert tuple(done) == ("finished", None, 1)
            (told,) = await user.fetch("delete from tidings.outbox returning record")
            assert {name: str(value) for name, value in json.loads(told["record"]).items()} == expected

        @settings(max_examples=800 if LONG else 25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(_columns, st.booleans())
        def attack(names: list[str], is_key: bool) -> None:
            names = [name for name in names if len(name.encode()) <= 63]
            if len(names) > 1:
                asyncio.run_coroutine_threadsafe(play(names, is_key), loop).result()

        await loop.run_in_executor(None, attack)
        await play(list(OURS), is_key=False)
        await play(list(HOSTILE), is_key=True)
        await user.close()


async def test_a_collection_is_written_and_listed_whatever_its_fields_are_called(api: Api) -> None:  # noqa: F811
    names = [name for name in OURS if name not in {"author", "id"}] + ["a b-c", "a" * 63]
    await api("POST", "/api/collections", 201, {"name": "m", "schema": [{"name": name, "type": "text"} for name in names]})
    await api("POST", "/api/collections/m/records", 201, {"id": "r1"} | dict.fromkeys(names, "one"))
    many = await api("POST", "/api/collections/m/records", 201, [{"id": "r2"} | dict.fromkeys(names, "two"), {"id": "r3"}])
    assert len(many) == 2 or many
    for name in names:
        await api("PATCH", "/api/collections/m/records/r3", 200, {name: f"three {name}"})
        if " " not in name:
            listed = await api("GET", f'/api/collections/m/records?sort=-{name}&filter={name} ~ "three"', 200)
            assert [item[name] for item in listed["items"]] == [f"three {name}"]
            listed = await api("GET", f"/api/collections/m/records?sort={name}", 200)
            assert [item["id"] for item in listed["items"]] == ["r1", "r3", "r2"], name
    for number in (1, 2, 3):
        await api("DELETE", f"/api/collections/m/records/r{number}", 204)


@pytest.mark.parametrize("name", ["a\r\nX-Evil: 1", "a\nb", "a\tb", "", " ", "a\0b", "a;b", 'a"b', "1a", "a" * 64])
async def test_a_collection_with_such_a_name_is_refused(api: Api, name: str) -> None:  # noqa: F811
    refused = await api("POST", "/api/collections", 422, {"name": name, "schema": [{"name": "title", "type": "text"}]})
    assert refused["field"] == "name"
    await api("POST", "/api/collections", 422, {"name": "fine", "schema": [{"name": name, "type": "text"}]})


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_table_with_a_line_break_in_its_name_adds_no_header(profile: str) -> None:
    name = "a\r\nX-Evil: 1"
    of = row("UPDATE", table_name=name, type=f"table.{name}.updated", subject=f"public.{name}")
    request: Any = sent(of, to(profile))
    assert not any(name.lower() == "x-evil" or "\r" in value or "\n" in value for name, value in request.headers)
