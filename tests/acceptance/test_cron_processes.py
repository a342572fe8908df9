"""Jobs fire once in a world of several processes, one of which is killed."""

import asyncio
from collections import Counter
from datetime import timedelta

from tests.integration.test_cron import add_job
from tests.support.engine import engine_of, eventually
from tests.support.process import Process
from tidings.config import Config

JOBS = 200
SPEED = 360  # virtual seconds in a real one: 18 minutes from one heartbeat, which sets a process's clock, to the next
HOURS = 3


async def test_two_servers_fire_every_tick_once_while_one_of_them_is_killed(config: Config) -> None:
    """PostgreSQL's clock is the one all processes go by. Here it runs fast, so that hours pass."""
    settings = {
        "database_url": config.database_url,
        "data_dir": config.data_dir,
        "secret_key": "test",
        "admin_key": "test",
        "port": 0,
    }
    async with engine_of(config) as engine:
        jobs = [await add_job(engine, number, f"{number % 60} * * * *") for number in range(JOBS)]
        begin = engine.clock.now()
        # Our sessions look names up in pg_catalog alone, so that is where it is put.
        await engine.user.execute(f"""
            alter function pg_catalog.clock_timestamp() rename to real_clock;
            create function pg_catalog.clock_timestamp() returns timestamptz language sql volatile as $$
              select timestamptz '{begin.isoformat()}' + (pg_catalog.real_clock() - timestamptz '{begin.isoformat()}') * {SPEED}
            $$;
        """)

        async def has_come_to(hours: float) -> bool:
            fired = await engine.value("select coalesce(max(scheduled_at), now()) from tidings.cron_runs")
            return fired > begin + timedelta(hours=hours)

        servers = list(await asyncio.gather(*(Process.start("serve", **settings) for _ in range(2))))
        try:
            await eventually(lambda: has_come_to(HOURS / 3), limit=60)
            await servers[0].kill()
            servers[0] = await Process.start("serve", **settings)
            await eventually(lambda: has_come_to(HOURS), limit=120)
            assert [await server.stop() for server in servers] == [0, 0]
        finally:
            for server in servers:
                await server.kill()
        runs = await engine.sql("select job_id, scheduled_at, event_id, missed_count from tidings.cron_runs")
        fired = Counter((run["job_id"], run["scheduled_at"]) for run in runs)
        expected = set()
        for job in jobs:
            at, until = job.next_at, await engine.value("select next_at from tidings.cron_jobs where id = $1", job.id)
            while at < until:
                expected.add((job.id, at))
                at = job.times.after(at)
        assert set(fired) <= expected
        assert set(fired.values()) == {1}
        # A machine that stops for ten seconds is an hour late here; what it misses is counted.
        assert len(runs) + sum(run["missed_count"] for run in runs) == len(expected)
        assert len(runs) >= JOBS
        told = await engine.sql(
            "select id from tidings.events where type = 'cron.fired' union all select event_id from tidings.outbox where type = 'cron.fired'"
        )
        assert sorted(row["id"] for row in told) == sorted(run["event_id"] for run in runs)
