"""The engine inside the test's own process: the real parts, driven by hand or left to run."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from tests.support.limits import PATIENCE
from tidings.app import make_worker, opened
from tidings.clock import Clock
from tidings.config import Config
from tidings.core.filters import parse_filter
from tidings.core.signature import new_secret
from tidings.core.webhook import Webhook
from tidings.operations.services import Services
from tidings.sources import tables
from tidings.store import webhooks
from tidings.worker.duties import SILENCE, Rescuer
from tidings.worker.service import Worker

_WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


class VirtualClock(Clock):
    """A clock that can be put forward."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = timedelta()
        self._stood_still_at: datetime | None = None

    def now(self) -> Any:
        return (self._stood_still_at or super().now()) + self.ahead

    def not_after(self, database_time: datetime) -> datetime:
        return self.now() if self._stood_still_at else min(self.now(), database_time + self.ahead)

    def stand_still(self) -> None:
        """Let time pass only when it is put forward, for tests of what is due to the second."""
        self._stood_still_at = super().now()

    def put_to(self, at: datetime) -> None:
        self.ahead += at - self.now()


class Engine:
    """A worker and a connection of a user beside it."""

    def __init__(self, services: Services, user: Any, clock: VirtualClock) -> None:
        self.services = services
        self.user = user
        self.clock = clock
        self.worker = make_worker(services)

    async def sql(self, sql: str, *args: Any) -> Any:
        return await self.user.fetch(sql, *args)

    async def value(self, sql: str, *args: Any) -> Any:
        return await self.user.fetchval(sql, *args)

    async def are_waiting(self, many: int) -> bool:
        """Tell whether so many sessions wait for what others hold: not to be asked in a transaction, which asks once."""
        return bool(await self.value(_WAITING) >= many)

    @asynccontextmanager
    async def holding(self, sql: str) -> AsyncIterator[None]:
        """Hold what a statement locks, in a session of its own."""
        blocker = await asyncpg.connect(self.services.wide.url)
        try:
            async with blocker.transaction():
                await blocker.execute(sql)
                yield
        finally:
            await blocker.close()

    async def add_webhook(self, url: str, *events: Any, **fields: Any) -> Webhook:
        """Subscribe a URL, the way the API does."""
        now = self.clock.now()
        async with self.services.wide.transaction() as connection:
            filters = tuple(parse_filter(item, position) for position, item in enumerate(events))
            webhook = Webhook(
                **{
                    "id": uuid4(), "group_id": "default", "name": "test", "url": url, "secret": new_secret(token_bytes(32)),
                    "created_at": now, "updated_at": now,
                    "events": await tables.resolve_filters(
                        connection, filters, are_elsewhere=self.services.are_tables_elsewhere
                    ),
                } | fields
            )  # fmt: skip
            await webhooks.insert_webhook(connection, self.services.box, webhook)
            await tables.keep_in_step(connection, needed_by=webhook)
        return webhook

    async def publish(self, type_: str = "order.paid", data: str = "{}") -> None:
        await self.user.execute("insert into tidings.outbox (source, type, record) values ('publish', $1, $2)", type_, data)

    async def cycle(self) -> int:
        """Route, claim, send and record once, and return how many results were recorded."""
        await self.worker.dispatcher.run_once()
        await self.worker.deliverer.run_once()
        await self.worker.attempts.drain(PATIENCE)
        return await self.worker.recorder.run_once()

    async def deliveries(self) -> list[Any]:
        return await self.user.fetch(
            "select id, webhook_id, event_id, status, attempt_count, last_status, last_error from tidings.deliveries order by id"
        )

    async def attempts(self, delivery: UUID | None = None) -> list[Any]:
        """All attempts: those that ended their delivery are in its row."""
        return await self.user.fetch(
            """select * from (
              select delivery_id, number, started_at, response_status, response_headers, response_body, is_truncated, failure, error,
                dns_ms, connect_ms, tls_ms, first_byte_ms, total_ms, webhook_version from tidings.attempts
              union all
              select id, attempt_count, started_at, last_status, response_headers, response_body, is_truncated, failure, last_error,
                dns_ms, connect_ms, tls_ms, first_byte_ms, total_ms, webhook_version from tidings.deliveries where started_at is not null
            ) a where $1::uuid is null or delivery_id = $1 order by delivery_id, number""",
            delivery,
        )

    async def unfinished(self) -> int:
        """How many deliveries wait or are under way."""
        return await self.user.fetchval(
            "select (select count(*) from tidings.queue) + (select coalesce(sum(cardinality(delivery_ids)), 0) from tidings.flights)"
        )


def user_url(config: Config) -> str:
    """Return the URL of the user's connections, where engines run under a role that owns nothing (TEST_RUNNING_ROLE)."""
    role = os.environ.get("TEST_RUNNING_ROLE")
    url = config.database_url or ""
    return url if role is None else url.replace(f"//{role}:@", "//postgres:@")


@asynccontextmanager
async def engine_of(config: Config, *, running: bool = False) -> AsyncIterator[Engine]:
    """An engine on a database. Not running: its duties happen when the test says so, at the time the test says."""
    clock = VirtualClock()
    async with opened(config) as services:
        user = await asyncpg.connect(user_url(config))
        await user.execute("set timezone = 'UTC'")
        import msgspec

        engine = Engine(msgspec.structs.replace(services, clock=clock), user, clock)
        if running:
            await engine.worker.start()
        else:
            await engine.worker.heart.begin()
        try:
            yield engine
        finally:
            await engine.user.close()  # it may be another than in the beginning
            await engine.worker.stop()


async def eventually(check: Any, limit: float = PATIENCE) -> Any:
    """Wait until a check answers something true; the only place where tests poll."""
    async with asyncio.timeout(limit):
        while not (answer := await check()):
            await asyncio.sleep(0.01)
        return answer


async def rescue_after_silence(engine: Engine, *alive: Engine) -> int:
    """Have this engine's rescuer look for longer than anybody may be silent, while the hearts of those who are alive beat."""
    seconds = 0.0
    rescuer = Rescuer(engine.services.wide, engine.worker.me, engine.worker.airborne, monotonic=lambda: seconds)
    freed = 0
    while seconds <= SILENCE.total_seconds():
        for each in alive:
            await each.worker.heart.run_once()
        freed += await rescuer.run_once()
        seconds += 2
    return freed


async def routed(engine: Engine) -> None:
    """Wait until what is in the outbox is routed, by this engine or by whoever runs beside it."""

    async def is_empty() -> bool:
        await engine.worker.dispatcher.run_once()
        return not await engine.value("select count(*) from tidings.outbox")

    await eventually(is_empty)


__all__ = ["Engine", "VirtualClock", "Worker", "engine_of", "eventually", "rescue_after_silence", "routed"]
