"""What was seen, in PostgreSQL: one table, which makes itself and clears up after itself."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from tidings.receiving.answers import Seen

_NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?")

# In asyncpg's placeholders; the others' are made of them. Where another transaction has just begun the same key, this one waits
# for it, then sees nothing of it: that is `busy`.
_CREATE = "create table if not exists {table} (key text primary key, done boolean not null, until timestamptz not null)"
_BEGIN = """
with begun as (
  insert into {table} as seen (key, done, until) values ($1, false, now() + make_interval(secs => $2::float8))
  on conflict (key) do update set done = false, until = excluded.until where seen.until <= now()
  returning key
)
select case when exists (select from begun) then 'new'
            when exists (select from {table} where key = $1 and done) then 'done' else 'busy' end
"""
# With each that is done, some of which the time is over are forgotten, so that the table does not grow for ever.
_FINISH = """
with cleared as (
  delete from {table} where key in (select key from {table} where until <= now() and key <> $1 limit 10 for update skip locked)
)
insert into {table} as seen (key, done, until) values ($1, true, now() + make_interval(secs => $2::float8))
on conflict (key) do update set done = true, until = excluded.until
"""
_RELEASE = "delete from {table} where key = $1"


class _Statements:
    def __init__(self, table: str, placeholder: Callable[[str], str]) -> None:
        if not _NAME.fullmatch(table):
            raise ValueError(f"table is {table!r}; write a name in lower case, perhaps with a schema: app.seen.")
        self.create, self.begin, self.finish, self.release = (
            placeholder(text.replace("{table}", table)) for text in (_CREATE, _BEGIN, _FINISH, _RELEASE)
        )


class PostgresStore:
    """In PostgreSQL, on connections of psycopg, of Django, or of another driver by the DB-API with `%s`."""

    def __init__(self, borrow: Callable[[], AbstractContextManager[Any]], *, table: str = "tidings_seen") -> None:
        """Make a store. It asks nothing yet.

        Args:
            borrow: Lends a connection and commits at the end: `pool.connection` of psycopg's pool, or
                `lambda: psycopg.connect(…)`, or for Django `lambda: nullcontext(django.db.connection)`.
            table: Where; `create_table` makes it.

        Raises:
            ValueError: The table's name is none.
        """
        self._borrow = borrow
        self._sql = _Statements(table, lambda text: text.replace("$1", "%(key)s").replace("$2", "%(seconds)s"))

    def create_table(self) -> None:
        """Make the table where it is not there."""
        self._run(self._sql.create, {})

    def begin(self, key: str, lease_seconds: float) -> Seen:
        """Take what nobody has, or whose lease is over."""
        return Seen(self._run(self._sql.begin, {"key": key, "seconds": lease_seconds}, reads=True))

    def finish(self, key: str, keep_seconds: float) -> None:
        """Remember that it is done."""
        self._run(self._sql.finish, {"key": key, "seconds": keep_seconds})

    def release(self, key: str) -> None:
        """Forget it: it may come again."""
        self._run(self._sql.release, {"key": key})

    def _run(self, statement: str, values: dict[str, Any], *, reads: bool = False) -> Any:
        with self._borrow() as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchone()[0] if reads else None


class AsyncPostgresStore:
    """In PostgreSQL, on connections of asyncpg."""

    def __init__(self, borrow: Callable[[], AbstractAsyncContextManager[Any]], *, table: str = "tidings_seen") -> None:
        """Make a store. It asks nothing yet.

        Args:
            borrow: Lends a connection: `pool.acquire` of asyncpg's pool.
            table: Where; `create_table` makes it.

        Raises:
            ValueError: The table's name is none.
        """
        self._borrow = borrow
        self._sql = _Statements(table, str)

    async def create_table(self) -> None:
        """Make the table where it is not there."""
        async with self._borrow() as connection:
            await connection.execute(self._sql.create)

    async def begin(self, key: str, lease_seconds: float) -> Seen:
        """Take what nobody has, or whose lease is over."""
        async with self._borrow() as connection:
            return Seen(await connection.fetchval(self._sql.begin, key, lease_seconds))

    async def finish(self, key: str, keep_seconds: float) -> None:
        """Remember that it is done."""
        async with self._borrow() as connection:
            await connection.execute(self._sql.finish, key, keep_seconds)

    async def release(self, key: str) -> None:
        """Forget it: it may come again."""
        async with self._borrow() as connection:
            await connection.execute(self._sql.release, key)
