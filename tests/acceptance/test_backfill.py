"""A backfill outlives the process that does it."""

from tests.support.engine import engine_of, eventually
from tests.support.process import Process
from tidings.config import Config

ROWS = 60_000
KILLS = 3  # a worker does a few thousand rows before it is seen to have begun


async def test_a_backfill_interrupted_by_kill_goes_on_without_repeating_a_row(config: Config) -> None:
    settings = {
        "database_url": config.database_url, "data_dir": config.data_dir, "secret_key": "test",
        "admin_key": "test", "allow_private_networks": "127.0.0.0/8",
    }  # fmt: skip
    async with engine_of(config) as engine:
        from tests.integration.test_tables import start_backfill

        await engine.user.execute(f"create table t (id int primary key); insert into t select generate_series(1, {ROWS})")
        # A lane that is closed: what counts here is which events are made, not how fast they are taken.
        hook = await engine.add_webhook("http://127.0.0.1:9/", {"table": "t"})
        await start_backfill(engine, hook.id)
        await engine.user.execute("update tidings.lanes set open = false")

        async def row_count() -> int:
            return await engine.value("select row_count from tidings.backfills")

        for _ in range(KILLS):
            before = await row_count()
            process = await Process.start("worker", **settings)

            async def has_moved(before: int = before) -> bool:
                return await row_count() > before

            await eventually(has_moved)
            await process.kill()
            assert await engine.value("select state from tidings.backfills") == "running"
        process = await Process.start("worker", **settings)

        async def all_routed() -> bool:
            left = (
                "select exists (select from tidings.backfills where state = 'running') or exists (select from tidings.outbox)"
            )
            return not await engine.value(left)

        await eventually(all_routed)
        assert await process.stop() == 0
        counts = await engine.sql(
            "select count(*) as events, count(distinct record ->> 'id') as rows from tidings.events where operation = 'INSERT'"
        )
        assert tuple(counts[0]) == (ROWS, ROWS)
        assert await engine.value("select count(distinct event_id) from tidings.queue") == ROWS
        assert await row_count() == ROWS
