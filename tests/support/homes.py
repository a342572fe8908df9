"""Two homes of a fleet and a real stream between them, whose duties are turned by hand."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.engine import Engine
from tidings.core.fleet import Fleet, fleet_of, sender_of
from tidings.transport.stream import Stream
from tidings.worker.intake import Intake
from tidings.worker.placing import Follower
from tidings.worker.relay import Relay
from tidings.worker.rows import Elsewhere

HOMES = fleet_of(("east", "west"))


class Home:
    """A home whose duties are turned by hand."""

    def __init__(self, name: str, engine: Engine, way: Stream) -> None:
        services = engine.services
        self.name, self.engine, self.way = name, engine, way
        self.relay = Relay(
            services.wide, way.flights, HOMES, services.box, services.clock, source=sender_of(name), salt=services.installation.salt,
            rows=Elsewhere(name),
        )  # fmt: skip
        self.follower = Follower(
            way.bucket, sender_of(name), [self.relay.follow], lambda: self.relay.settled, database=services.wide, home=name
        )
        self.intake = Intake(services.wide, way.flights, name, again_seconds=0)

    @asynccontextmanager
    async def sending_on(self) -> AsyncIterator[None]:
        """Send on what is of others while the block runs."""
        running = asyncio.create_task(self.relay.run())
        await asyncio.wait([running, asyncio.create_task(self.relay.is_at_work.wait())], return_when=asyncio.FIRST_COMPLETED)
        try:
            yield
        finally:
            self.relay.stop()
            await running

    async def publish(self, group: str, numbers: range) -> None:
        await self.engine.sql("insert into tidings.groups (id) values ($1) on conflict do nothing", group)
        for number in numbers:
            await self.engine.sql(
                "select tidings.publish('order.paid', $1, group_id => $2)", json.dumps({"number": number}), group
            )

    async def numbers(self, group: str) -> list[int]:
        """What is in the outbox for a group, in its order."""
        rows = await self.engine.sql(
            "select record::jsonb ->> 'number' as number from tidings.outbox where group_id = $1 order by id", group
        )
        return [int(row["number"]) for row in rows]


def group_of(home: str, fleet: Fleet = HOMES) -> str:
    """Return a group that lives at a home by its name."""
    return next(name for number in range(100) if fleet.home_of(name := f"group-{number}") == home)
