"""Jobs by the clock: every tick once, whatever happens to the processes."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.engine import Engine, engine_of, eventually, user_url
from tests.support.receiver import Receiver, answer, says
from tidings.app import make_worker, opened
from tidings.config import Config
from tidings.core.errors import InvalidInputError
from tidings.operations.sources import jobs
from tidings.operations.sources.job_changes import JobChange
from tidings.store import cron
from tidings.store.cron import Job


async def add_job(engine: Engine, number: int, schedule: str, **fields: Any) -> Job:
    """An SQL-free job whose webhook nobody minds: what counts is the ticks."""
    now = engine.clock.now()
    hook = await engine.add_webhook("http://127.0.0.1:9/", "never.sent", enabled=False)
    from tidings.core.schedule import parse_schedule

    job = Job(
        **{
            "id": hook.id, "group_id": "default", "name": f"job {number}", "schedule": schedule, "timezone": "UTC", "type": "http",
            "webhook_id": hook.id, "body": None, "content_type": None, "sql": None, "timeout_seconds": 30, "missed": "once", "enabled": True,
            "next_at": now, "created_at": now, "updated_at": now,
        } | fields
    )  # fmt: skip
    job = msgspec.structs.replace(job, next_at=parse_schedule(job.schedule, job.timezone).after(now))
    async with engine.services.wide.transaction() as connection:
        await cron.insert(connection, job)
    return job


async def test_two_processes_fire_every_tick_of_many_jobs_exactly_once(config: Config) -> None:
    """200 jobs, two workers, four virtual hours; one of the workers is away for a while."""
    schedules = ["* * * * *", "*/2 * * * *", "*/5 * * * *", "7 * * * *", "30 */2 * * *"]
    async with engine_of(config) as engine, opened(config) as other_services:
        other = make_worker(msgspec.structs.replace(other_services, clock=engine.clock))
        engine.clock.put_to(engine.clock.now().replace(second=1) + timedelta(minutes=1))  # as far from the next tick as can be
        jobs = [await add_job(engine, number, schedules[number % 5]) for number in range(200)]
        start = engine.clock.now()
        half_past = start.replace(second=30, microsecond=0) + timedelta(minutes=1)
        for minute in range(240):
            engine.clock.put_to(half_past + timedelta(minutes=minute))
            runs = [engine.worker.scheduler.run_once()]
            if not 60 < minute < 90:
                runs.append(other.scheduler.run_once())
            await asyncio.gather(*runs)
        end = engine.clock.now()
        fired = await engine.sql("select job_id, scheduled_at, event_id, missed_count from tidings.cron_runs")
        seen = Counter((row["job_id"], row["scheduled_at"]) for row in fired)
        expected = set()
        for job in jobs:
            at = job.times.after(start)
            while at <= end:
                expected.add((job.id, at))
                at = job.times.after(at)
        assert set(seen) == expected
        assert set(seen.values()) == {1}
        assert len(expected) > 200 * 50
        events = await engine.sql("select event_id, record from tidings.outbox where source = 'cron'")
        assert {row["event_id"] for row in events} == {row["event_id"] for row in fired}
        assert len(events) == len(fired)
        told = Counter((json.loads(row["record"])["id"], json.loads(row["record"])["scheduled_at"]) for row in events)
        assert set(told.values()) == {1}
        await other.stop()


async def test_missed_ticks_run_once_on_return_or_are_skipped(config: Config) -> None:
    async with engine_of(config) as engine:
        once = await add_job(engine, 1, "*/10 * * * *")
        skip = await add_job(engine, 2, "0 0 1 1 *", missed="skip", timezone="Europe/Berlin")
        engine.clock.ahead = timedelta(days=2)
        await engine.worker.scheduler.run_once()
        (run,) = await engine.sql("select * from tidings.cron_runs where job_id = $1", once.id)
        assert 286 <= run["missed_count"] <= 289
        assert engine.clock.now() - run["scheduled_at"] < timedelta(minutes=10)
        await engine.user.execute(
            "update tidings.cron_jobs set next_at = $2 where id = $1", skip.id, datetime(2026, 1, 1, tzinfo=UTC)
        )
        await engine.worker.scheduler.run_once()
        assert await engine.value("select count(*) from tidings.cron_runs where job_id = $1", skip.id) == 0
        assert await engine.value("select next_at from tidings.cron_jobs where id = $1", skip.id) > engine.clock.now()


async def test_a_tick_rolled_back_with_its_process_fires_again(config: Config) -> None:
    from tidings.sources import cron as ticks

    async with engine_of(config) as engine:
        await add_job(engine, 1, "* * * * *")
        engine.clock.ahead = timedelta(minutes=1)
        async with engine.services.wide.connection() as connection:
            dying = connection.transaction()
            await dying.start()
            assert (await ticks.fire_due(connection, engine.clock.now())).job_count == 1
            await dying.rollback()
        assert await engine.worker.scheduler.run_once() == 1
        assert await engine.value("select count(*) from tidings.outbox") == 1


async def test_a_thousand_jobs_that_missed_weeks_fire_at_one_look(config: Config) -> None:
    async with engine_of(config) as engine:
        job = await add_job(engine, 0, "* * * * *")
        await engine.user.execute(
            """
            insert into tidings.cron_jobs (id, group_id, name, schedule, timezone, type, sql, timeout_seconds, missed, enabled, next_at, created_at, updated_at)
            select gen_random_uuid(), 'default', 'sleeper ' || i, '* * * * *', 'Europe/Berlin', 'sql', 'select 1', 30, 'once', true, $1, now(), now()
            from generate_series(1, 999) i
            """,
            job.next_at,
        )
        engine.clock.ahead = timedelta(days=57)
        assert await engine.worker.scheduler.run_once() == 1000
        missed = await engine.sql("select missed_count, count(*) from tidings.cron_runs group by 1 order by 1")
        assert sum(row["count"] for row in missed) == 1000
        assert {row["missed_count"] for row in missed} <= {
            57 * 1440 - 1,
            57 * 1440,
            57 * 1440 + 1,
        }  # minutes may pass meanwhile
        await engine.worker.scheduler.settled()


async def test_while_jobs_that_were_missed_for_years_are_decided_others_have_their_turns(config: Config) -> None:
    from tidings.sources import cron as ticks

    async with engine_of(config) as engine:
        job = await add_job(engine, 1, "* * * * *")
        deciding = ticks._decide([job] * ticks.BATCH, engine.clock.now() + timedelta(days=10_000))
        turns = list(deciding.__await__())
        assert len(turns) > 10


async def test_a_job_that_cannot_be_read_is_set_aside_and_the_others_fire(
    api: Api,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = {}
    for name in ("whole", "no zone", "no schedule", "never"):
        body = {"name": name, "schedule": "* * * * *", "url": "http://127.0.0.1:9/"}
        made[name] = await api("POST", "/api/cron", 201, body)
    for name, change in (
        ("no zone", "timezone = 'Mars/Phobos'"),
        ("no schedule", "schedule = repeat('x', 5000)"),
        ("never", "schedule = '0 0 */9 * 1#5'"),
    ):
        await api.engine.user.execute(f"update tidings.cron_jobs set {change} where name = $1", name)
    api.engine.clock.ahead += timedelta(minutes=1)
    assert await api.engine.worker.scheduler.run_once() == 4
    assert len(await api("GET", f"/api/cron/{made['whole']['id']}/runs", 200)) == 1
    found = {job["name"]: job for job in (await api("GET", "/api/cron", 200))["items"]}
    assert [found[name]["active"] for name in made] == [True, False, False, False]
    assert found["whole"]["fault"] is None
    assert "'Mars/Phobos'" in found["no zone"]["fault"]
    assert "5000 characters" in found["no schedule"]["fault"]
    assert "never fires" in found["never"]["fault"]
    logged = [line for line in caplog.messages if "was made inactive" in line]
    assert sorted(logged) == sorted(
        f"job {job['id']} was made inactive: {job['fault']} Change the job to put it right."
        for job in found.values()
        if job["fault"]
    )
    api.engine.clock.ahead += timedelta(minutes=1)
    assert await api.engine.worker.scheduler.run_once() == 1
    assert len([line for line in caplog.messages if "was made inactive" in line]) == 3
    path = f"/api/cron/{made['no zone']['id']}"
    assert (await api("PATCH", path, 422, {"active": True}))["field"] == "timezone"
    mended = await api("PATCH", path, 200, {"timezone": "UTC", "active": True})
    assert (mended["active"], mended["fault"]) == (True, None)
    api.engine.clock.ahead += timedelta(minutes=1)
    assert await api.engine.worker.scheduler.run_once() == 2


@pytest.mark.parametrize("change", ["next_at = '-infinity'", "created_at = '4000-01-01 BC'", "timeout_seconds = 'NaN'"])
async def test_what_no_program_can_hold_is_not_taken_even_by_hand(config: Config, change: str) -> None:
    async with engine_of(config) as engine:
        await add_job(engine, 1, "* * * * *")
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await engine.user.execute(f"update tidings.cron_jobs set {change}")
        assert refused.value.constraint_name == "job_times_are_bounded"


# Over HTTP -------------------------------------------------------------------------------------------------------------


async def reach(api: Api, path: str) -> None:  # noqa: F811
    """Put the clock a second past a job's next tick: the one after is as far away as can be."""
    tick = datetime.fromisoformat((await api("GET", path, 200))["next"])
    api.engine.clock.put_to(tick + timedelta(seconds=1))
    await api.engine.worker.scheduler.run_once()


async def test_an_http_job_is_made_fires_and_is_changed(api: Api, receiver: Receiver) -> None:  # noqa: F811
    receiver.scripts.append(says(answer(500)))
    body = {
        "name": "nightly", "schedule": "* * * * *", "type": "http", "url": receiver.url("/tick"), "method": "PUT", "headers": {"X-Mine": "1"},
        "body": '{"at": "{{record.scheduled_at}}", "n": 1}', "contentType": "json", "retryLimit": 2, "jwtEnabled": True,
    }  # fmt: skip
    made = await api("POST", "/api/cron", 201, body)
    assert {name: made[name] for name in body} == body
    assert (made["timezone"], made["missed"], made["active"], made["sql"]) == ("UTC", "once", True, None)
    path = f"/api/cron/{made['id']}"
    assert made == await api("GET", path, 200)
    page = await api("GET", "/api/v1/cron", 200)
    assert (page["totalItems"], page["items"]) == (1, [made])
    await reach(api, path)
    (request,) = await receiver.wait_for(1)
    assert (request.method, request.headers["x-mine"]) == ("PUT", "1")
    assert request.headers["authorization"].startswith("Bearer ey")
    assert json.loads(request.body) == {"at": made["next"].replace("+00:00", "Z"), "n": 1}
    api.engine.clock.ahead += timedelta(seconds=5)  # past the retry's pause

    await receiver.wait_for(2)
    (run,) = await api("GET", f"{path}/runs", 200)
    assert (run["scheduled"], run["status"], run["missed"]) == (made["next"], "fired", 0)
    delivery = (await api("GET", f"/api/v1/deliveries?event_id={run['event']}", 200))[0]
    assert delivery["event"] == "cron.fired"
    changed = await api(
        "PATCH", path, 200, {"schedule": "0 3 * * *", "timezone": "Europe/Berlin", "retryLimit": 9, "active": False}
    )
    assert (changed["schedule"], changed["retryLimit"], changed["active"], changed["next"]) == ("0 3 * * *", 9, False, None)
    assert (changed["body"], changed["headers"]) == (body["body"], {"X-Mine": "1"})
    api.engine.clock.ahead += timedelta(days=1)
    await api.engine.worker.scheduler.run_once()
    assert len(await api("GET", f"{path}/runs", 200)) == 1
    await api("POST", f"{path}/run", 409)
    await api("PATCH", path, 200, {"active": True, "body": "plain {{record.name}}", "contentType": "text"})
    await api("POST", f"{path}/run", 202)
    await receiver.wait_for(3)
    assert (receiver.received[2].body, receiver.received[2].headers["content-type"]) == (b"plain nightly", "text/plain")
    (hook,) = await api("GET", "/api/webhooks", 200)
    assert "job" in (await api("DELETE", f"/api/webhooks/{hook['id']}", 409))["error"]
    await api("DELETE", path, 204)
    await api("GET", path, 404)
    assert await api("GET", "/api/webhooks", 200) == []


async def test_a_job_without_a_body_says_which_job_it_is_and_a_get_says_nothing(api: Api, receiver: Receiver) -> None:  # noqa: F811
    for name, method in (("post", "POST"), ("get", "GET")):
        body = {"name": name, "schedule": "* * * * *", "url": receiver.url(f"/{name}"), "method": method}
        made = await api("POST", "/api/cron", 201, body)
    hears = await api.create(receiver.url("/hears"), "cron.fired")
    await reach(api, f"/api/cron/{made['id']}")
    requests = {request.path: request for request in (await receiver.wait_for(4))}
    said = json.loads(requests["/post"].body)
    assert (said["action"], said["collection"], said["record"]["name"]) == ("cron", "post", "post")
    assert (requests["/get"].method, requests["/get"].body) == ("GET", b"")
    assert json.loads(requests["/hears"].body)["type"] == "cron.fired"
    assert hears["managed_by"] is None


async def test_a_job_whose_receiver_is_gone_rests_until_it_is_activated_again(api: Api, receiver: Receiver) -> None:  # noqa: F811
    receiver.scripts.append(says(answer(410)))
    made = await api("POST", "/api/cron", 201, {"name": "x", "schedule": "* * * * *", "url": receiver.url()})
    path = f"/api/cron/{made['id']}"
    await reach(api, path)

    async def is_resting() -> bool:
        return (await api("GET", path, 200))["active"] is False

    await eventually(is_resting)
    api.engine.clock.ahead += timedelta(minutes=1)
    await api.engine.worker.scheduler.run_once()
    assert (await api("PATCH", path, 200, {"active": True}))["active"] is True
    await reach(api, path)
    await receiver.wait_for(2)
    assert len(await api("GET", f"{path}/runs", 200)) == 3
    assert len(receiver.received) == 2


async def test_what_is_no_job_is_refused(api: Api) -> None:  # noqa: F811
    url = "http://127.0.0.1:9/"
    for body, field in (
        ({}, "name"),
        ({"name": "x"}, "schedule"),
        ({"name": "x", "schedule": "* * * * *"}, "url"),
        ({"name": "x", "schedule": "0 0 30 2 *", "url": url}, "schedule"),
        ({"name": "x", "schedule": "* * * * * *", "url": url}, "schedule"),
        ({"name": "x", "schedule": "* * * * *", "timezone": "Moon", "url": url}, "timezone"),
        ({"name": "x", "schedule": "* * * * *", "url": "ftp://x"}, "url"),
        ({"name": "x", "schedule": "* * * * *", "url": url, "type": "ftp"}, "type"),
        ({"name": "x", "schedule": "* * * * *", "url": url, "missed": "all"}, "missed"),
        ({"name": "x", "schedule": "* * * * *", "url": url, "timeout": 0}, "timeout"),
        ({"name": "x", "schedule": "* * * * *", "url": url, "body": "no json"}, "body"),
        ({"name": "x", "schedule": "* * * * *", "url": url, "contentType": "yaml"}, "contentType"),
        ({"name": "x", "schedule": "* * * * *", "url": url, "sql": "select 1"}, "sql"),
        ({"name": "", "schedule": "* * * * *", "url": url}, "name"),
        ({"name": "x", "schedule": "* * * * *", "sql": "select 1"}, "sql"),
        ({"name": "x", "schedule": "* * * * *", "url": url, "jwtEnabled": True, "headers": {"Authorization": "x"}}, "headers.Authorization"),
    ):  # fmt: skip
        assert (await api("POST", "/api/cron", 422, body))["field"] == field, body
    await api("POST", "/api/cron", 201, {"name": "x", "schedule": "* * * * *", "url": url})
    await api("POST", "/api/cron", 409, {"name": "x", "schedule": "* * * * *", "url": url})
    assert (await api("GET", "/api/cron", 200))["totalItems"] == 1
    assert len(await api("GET", "/api/webhooks", 200)) == 1


# SQL -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def reporter(config: Config) -> Any:
    """A configuration whose group runs SQL as a role that may do little."""
    url = user_url(config)  # of somebody who may make roles
    connection = await asyncpg.connect(url)
    role = f"reporter_{await connection.fetchval('select current_database()')}"
    await connection.execute(f"drop role if exists {role}; create role {role} login")
    await connection.execute(
        f"create table totals (n int); grant insert, select on totals to {role}; create table secrets (n int)"
    )
    yield msgspec.structs.replace(config, sql_jobs={"default": url.replace("postgres:@", f"{role}:@")})
    await connection.execute(f"drop owned by {role}; drop role {role}")
    await connection.close()


async def test_sql_runs_in_the_role_of_its_group_with_a_limit_of_time(reporter: Config) -> None:
    async with engine_of(reporter) as engine:
        for number, sql in enumerate(
            [
                "insert into totals select 1 from generate_series(1, 3)",
                "insert into secrets values (1)",
                "reset role; set session authorization postgres; insert into secrets values (1)",
                "select pg_sleep(60)",
                "select nonsense",
            ]
        ):
            await add_job(engine, number, "* * * * *", type="sql", webhook_id=None, sql=sql, timeout_seconds=0.3)
        engine.clock.ahead = timedelta(minutes=1)
        await engine.worker.scheduler.run_once()
        await engine.worker.scheduler.settled()
        runs = await engine.sql(
            "select status, result, error from tidings.cron_runs r join tidings.cron_jobs j on j.id = r.job_id order by j.name"
        )
        assert [(run["status"], run["result"]) for run in runs] == [("succeeded", "INSERT 0 3")] + [("failed", None)] * 4
        errors = [run["error"] for run in runs]
        assert "permission denied for table secrets" in errors[1]
        assert "permission denied to set session authorization" in errors[2] or "permission denied" in errors[2]
        assert "cut off" in errors[3] or "statement timeout" in errors[3]
        assert "nonsense" in errors[4]
        assert await engine.value("select count(*) from totals") == 3
        assert await engine.value("select count(*) from secrets") == 0
        told = [
            json.loads(row["record"]) for row in await engine.sql("select record from tidings.outbox where source = 'cron'")
        ]
        assert min((said["name"], said["result"]) for said in told) == ("job 0", "INSERT 0 3")
        assert len(told) == 5

        # Ended by PostgreSQL too, not left to run.
        async def is_over() -> bool:
            return not await engine.value("select count(*) from pg_stat_activity where application_name = 'tidings cron'")

        await eventually(is_over)


async def test_sql_that_its_role_may_not_run_is_refused_at_the_call_with_the_statement_that_lets_it(reporter: Config) -> None:
    async with engine_of(reporter) as engine:
        (role,) = [url.partition("//")[2].partition(":")[0] for url in reporter.sql_jobs.values()]
        await engine.sql("create schema closed")
        await engine.sql("create table closed.books (n int)")
        await engine.sql("create function counted() returns int language sql as 'select 1'")
        await engine.sql("revoke execute on function counted() from public")
        for sql, statement in (
            ("insert into secrets select * from totals", f"GRANT INSERT ON public.secrets TO {role};"),
            ("delete from totals using secrets", f"GRANT DELETE ON public.totals TO {role};"),
            ("select * from closed.books", f"GRANT USAGE ON SCHEMA closed TO {role};"),
            ("select counted()", f"GRANT EXECUTE ON FUNCTION counted TO {role};"),
        ):
            asked = JobChange(name="night", schedule="0 3 * * *", sql=sql)
            with pytest.raises(InvalidInputError) as refused:
                await jobs.create(engine.services, asked)
            assert (refused.value.field, statement in refused.value.message) == ("sql", True), refused.value.message
            await engine.sql(statement)
        made = (await jobs.create(engine.services, JobChange(name="a", schedule="0 3 * * *", sql="select counted()"))).job
        with pytest.raises(InvalidInputError, match=r"GRANT UPDATE ON public\.totals"):
            await jobs.change(engine.services, made.id, JobChange(sql="update totals set n = 1"))
        # What it is already may be said again, whatever became of the role's rights.
        await engine.sql(f"revoke execute on function counted() from {role}")
        await jobs.change(engine.services, made.id, JobChange(sql="select counted()", timeout=9))
        # What cannot be looked at without running it is taken as before, and none of it has run.
        for sql in (
            "analyze delete from totals",
            "do $$ begin delete from secrets; end $$",
            "delete from secrets; select 1",
            "nonsense",
        ):
            await jobs.change(engine.services, made.id, JobChange(sql=sql))
        await engine.sql("insert into totals values (7)")
        await jobs.change(engine.services, made.id, JobChange(sql="delete from totals where n = 7"))
        assert await engine.value("select count(*) from totals") == 1


_CATCHES = "loop begin perform pg_sleep(60); exception when query_canceled then null; end; end loop;"


@pytest.mark.parametrize(
    "sql",
    [
        "set statement_timeout = 0; select pg_sleep(60)",
        f"do $$ begin {_CATCHES} end $$",
    ],
)
async def test_sql_that_takes_its_limit_away_ends_with_its_time(reporter: Config, sql: str) -> None:
    async with engine_of(reporter) as engine:
        await add_job(engine, 1, "* * * * *", type="sql", webhook_id=None, sql=sql, timeout_seconds=0.3)
        engine.clock.ahead = timedelta(minutes=1)
        await engine.worker.scheduler.run_once()
        await engine.worker.scheduler.settled()
        assert "cut off" in await engine.value("select error from tidings.cron_runs")

        async def is_over() -> bool:
            return not await engine.value("select count(*) from pg_stat_activity where application_name = 'tidings cron'")

        await eventually(is_over)


async def test_a_run_whose_process_died_is_given_up(config: Config) -> None:
    async with engine_of(config) as engine:
        engine.clock.stand_still()
        job = await add_job(engine, 1, "* * * * *", type="sql", webhook_id=None, sql="select 1", timeout_seconds=10)
        now = engine.clock.now()
        await engine.user.execute(
            "insert into tidings.cron_runs (job_id, scheduled_at, fired_at, status) values ($1, $2, $2, 'running')", job.id, now
        )
        engine.clock.ahead = timedelta(seconds=69)
        await engine.worker.scheduler.run_once()
        assert await engine.value("select status from tidings.cron_runs where scheduled_at = $1", now) == "running"
        engine.clock.ahead = timedelta(seconds=71)
        await engine.worker.scheduler.run_once()
        await engine.worker.scheduler.settled()
        assert await engine.value("select status from tidings.cron_runs where scheduled_at = $1", now) == "failed"
