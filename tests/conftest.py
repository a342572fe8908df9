"""What every tier shares: one PostgreSQL for each process of a run, and a fresh database for each test that asks for one."""

import asyncio
import itertools
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import hypothesis
import msgspec
import pytest
import trustme
import uvloop

from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config

if TYPE_CHECKING:
    from tests.support.engine import Engine

# Databases of runs and processes that share a PostgreSQL (TEST_DATABASE_URL) do not meet.
_PREFIX = f"tidings_test_{os.getpid()}"
_numbers = itertools.count(1)

# Has engines of tests run under a role of this name, which owns nothing, while what users do in them is done as before.
RUNNING_ROLE = os.environ.get("TEST_RUNNING_ROLE")

# Begun first, so that the others run beside them: what takes long mostly waits. (Files that take ten seconds or more.)
_LONG = (
    "test_ledger.py",
    "test_alive.py",
    "test_embedded.py",
    "test_checks.py",
    "test_cron_processes.py",
    "test_backfill.py",
    "test_cli.py",
    "test_applications.py",
)

hypothesis.settings.register_profile("tidings", deadline=None)  # how fast a machine is decides no test
hypothesis.settings.load_profile("tidings")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run on the loop that the product runs on."""
    return {"uvloop": uvloop.new_event_loop}


class _AtOnce:
    """Tells of a failure as it happens: a run that somebody else ends never comes to its summary."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            terminal = self._config.pluginmanager.get_plugin("terminalreporter")
            assert terminal is not None
            phase = _PHASES.get(report.when, "run")
            terminal.write_line(f"\n{report.nodeid} failed as it was {phase}:\n{report.longreprtext}")


_PHASES: dict[str | None, str] = {"setup": "set up", "teardown": "taken down"}  # xdist knows none where a process ended


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give the run a folder of its own, and authorities that are read at once.

    Below pytest's usual folder, the next run as root would lock out the PostgreSQL of this one. To read a system's hundreds
    of authorities takes longer than many a test, and no test calls anybody they vouch for.
    """
    if hasattr(config, "workerinput"):
        return  # it has both from the process that started it
    folder = Path(tempfile.mkdtemp(prefix="tidings-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    config.option.basetemp = config.option.basetemp or str(folder / "t")
    config.pluginmanager.register(_AtOnce(config))
    authorities = str(folder / "authorities.pem")
    trustme.CA().cert_pem.write_to_path(authorities)
    os.environ["SSL_CERT_FILE"] = authorities


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long; then processes before databases before pure functions."""
    tiers = ("acceptance", "portal", "torture", "integration", "unit")

    def rank(item: pytest.Item) -> tuple[int, int]:
        is_long = item.path.name in _LONG
        return _LONG.index(item.path.name) if is_long else len(_LONG), tiers.index(item.path.parent.name)

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def _every_line_is_logged() -> None:
    """Undo what a command that ran inside this process set, so that tests can read the log whichever ran before them."""
    logging.getLogger("tidings").setLevel(logging.NOTSET)


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Have a line printed at the end of the run, whichever process the test runs in."""
    return lambda line: request.node.user_properties.append(("told", line))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    for report in reports:
        if isinstance(report, pytest.TestReport) and report.when == "call":
            for name, line in report.user_properties:
                if name == "told":
                    terminalreporter.write_line(str(line))


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A PostgreSQL of this process; yields the URL of its first database.

    TEST_DATABASE_URL names another, of an older version perhaps: postgresql://postgres:@/postgres?host=…
    """
    from tidings.store.embedded import start_embedded

    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return

    folder = _memory() or tmp_path_factory.mktemp("pg")
    server = start_embedded(folder)
    # Nothing here has to outlive a power cut. Crashes are tested on servers of their own.
    connection = await asyncpg.connect(server.get_uri())
    for setting in ("fsync = off", "full_page_writes = off", "max_wal_size = '100MB'"):
        await connection.execute(f"alter system set {setting}")
    await connection.execute("select pg_reload_conf()")
    await connection.close()
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder)


def _memory() -> Path | None:
    """Return a folder in memory where there is plenty: a database is 300 files, which take a disk up to 30 times as long.

    What a run that was killed has left there is cleared away; a PostgreSQL that misses its folder ends by itself.
    """
    shared = Path("/dev/shm")
    if not shared.is_dir() or shutil.disk_usage(shared).free < 4 * 2**30:
        return None
    for left in shared.glob("tidings-tests-*"):
        if not Path("/proc", left.name.split("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"tidings-tests-{os.getpid()}-", dir=shared))


def url_of(postgres_url: str, database: str) -> str:
    return postgres_url.replace("/postgres?", f"/{database}?")


def how_to_copy(connection: asyncpg.Connection) -> str:
    """Return how a template is copied: as files takes half as long as by the log, and here no checkpoint waits for a disk."""
    return " strategy file_copy" if connection.get_server_version().major >= 15 else ""


@pytest.fixture(scope="session")
async def template(postgres: str) -> AsyncIterator[str]:
    """A migrated database with the partitions of these days, from which each test's is cloned."""
    from tidings.store import history, request_role, roles
    from tidings.store.database import open_database
    from tidings.store.migrations import migrate

    name = f"{_PREFIX}_template"
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"create database {name}")
    database = await open_database(url_of(postgres, name), max_connections=1)
    await migrate(database)
    await request_role.prepare(database, Config().request_role)
    async with database.connection() as inside:
        for ahead in range(-1, 4):
            await history.ensure_day(inside, datetime.now(UTC).date() + timedelta(days=ahead))
        if RUNNING_ROLE is not None:
            await inside.execute(
                f"do $$ begin create role {RUNNING_ROLE} login; exception when duplicate_object then end $$; "
                f"alter default privileges grant select, insert, update, delete, trigger on tables to {RUNNING_ROLE}; "
                f"alter default privileges grant usage on schemas to {RUNNING_ROLE}; "
                "grant usage, create on schema public to public"
            )
    if RUNNING_ROLE is not None:
        await roles.give(database, RUNNING_ROLE)
        await request_role.prepare(database, Config().request_role, takers=[RUNNING_ROLE])
    await database.close()
    yield name
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture
async def database_url(postgres: str, template: str) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database."""
    name = f"{_PREFIX}_{next(_numbers)}"
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"create database {name} template {template}{how_to_copy(connection)}")
    yield url_of(postgres, name)
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture
async def fresh_databases(postgres: str, template: str) -> AsyncIterator[Callable[[int], Awaitable[list[str]]]]:
    """Makes so many fresh, migrated databases, and returns their URLs."""
    connection = await asyncpg.connect(postgres)
    made: list[str] = []

    async def make(count: int) -> list[str]:
        names = [f"{_PREFIX}_{next(_numbers)}" for _ in range(count)]
        for name in names:
            await connection.execute(f"create database {name} template {template}")
            made.append(name)
        return [url_of(postgres, name) for name in names]

    yield make
    for name in made:
        await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture
async def empty_database_url(postgres: str) -> AsyncIterator[str]:
    """The URL of a fresh database without our schema."""
    name = f"{_PREFIX}_{next(_numbers)}"
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"create database {name}")
    yield url_of(postgres, name)
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture(scope="session")
async def api_server() -> AsyncIterator[ApiServer]:
    """Serves the API of whichever test asks."""
    server = ApiServer()
    running = asyncio.create_task(server.run())
    yield server
    server.stop()
    await running


@pytest.fixture
def config(database_url: str, tmp_path: Path) -> Config:
    return Config(
        database_url=database_url if RUNNING_ROLE is None else database_url.replace("//postgres:@", f"//{RUNNING_ROLE}:@"),
        data_dir=tmp_path,
        secret_key="test",
        admin_key="test",
        allow_private_networks="127.0.0.0/8",
        port=0,
        stop_grace_seconds=5,
    )


@pytest.fixture
def config_of_owner(config: Config, database_url: str) -> Config:
    """The same as the owner of the schema, whatever role others run under: for what only an owner does, such as migrating."""
    return msgspec.structs.replace(config, database_url=database_url)


@pytest.fixture
async def engine(config: Config) -> "AsyncIterator[Engine]":
    """A worker on a database of its own, which does its duties when the test says so."""
    from tests.support.engine import engine_of

    async with engine_of(config) as engine:
        yield engine


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()
