"""What every tier shares: one PostgreSQL for the run, and a fresh database for each test that asks for one."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
import uvloop

from tests.support.receiver import Receiver
from tidings.config import Config

_numbers = itertools.count(1)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run on the loop that the product runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of this run; yields the URL of its first database.

    TEST_DATABASE_URL names another, of an older version perhaps: postgresql://postgres:@/postgres?host=…
    """
    from tidings.store.embedded import start_embedded

    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return

    server = start_embedded(tmp_path_factory.mktemp("pg"))
    yield server.get_uri()
    server.cleanup()


def url_of(postgres_url: str, database: str) -> str:
    return postgres_url.replace("/postgres?", f"/{database}?")


@pytest.fixture(scope="session")
async def template(postgres: str) -> str:
    """A migrated database, from which each test's is cloned."""
    from tidings.store.database import open_database
    from tidings.store.migrations import migrate

    connection = await asyncpg.connect(postgres)
    await connection.execute("create database tidings_template")
    database = await open_database(url_of(postgres, "tidings_template"), max_connections=1)
    await migrate(database)
    await database.close()
    await connection.close()
    return "tidings_template"


@pytest.fixture
async def database_url(postgres: str, template: str) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database."""
    name = f"test_{next(_numbers)}"
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"create database {name} template {template}")
    yield url_of(postgres, name)
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture
async def empty_database_url(postgres: str) -> AsyncIterator[str]:
    """The URL of a fresh database without our schema."""
    name = f"test_{next(_numbers)}"
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"create database {name}")
    yield url_of(postgres, name)
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture
def config(database_url: str, tmp_path: Path) -> Config:
    return Config(
        database_url=database_url,
        data_dir=tmp_path,
        secret_key="test",
        admin_key="test",
        allow_private_networks="127.0.0.0/8",
        port=0,
        stop_grace_seconds=5,
    )


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()
