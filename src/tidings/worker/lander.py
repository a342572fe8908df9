"""Landing by the outbox: what a flight carries is put there, in the transaction that notes it as landed, and routed from there.

That is the way of all that cannot be routed as it comes (`worker.intake`). Flights that came together are landed together. When
something of them is at fault each is landed alone, then each event of the one that is at fault: what nobody can read, or
PostgreSQL refuses, is set aside with the reason, and what came behind it lands.
"""

import logging
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from tidings.clock import Clock
from tidings.core import cargo
from tidings.core.answers import by_event
from tidings.core.cargo import CargoError, ForeignEventError, Unpacked, check_carried, origin_of
from tidings.core.event import Event
from tidings.core.fleet import is_of_home
from tidings.core.pauses import Pauses
from tidings.store import relay
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database, said
from tidings.worker.alone import Alone
from tidings.worker.landed import LANDED
from tidings.worker.plain import Flight, unpacked
from tidings.worker.signals import Signal
from tidings.worker.telemetry import Telemetry

logger = logging.getLogger("tidings.intake")


class Lander:
    """Puts flights into the outbox, each once, in the order it is given them."""

    def __init__(self, database: Database, alone: Alone, stopped: Signal, clock: Clock, telemetry: Telemetry | None) -> None:
        """Make it. `stopped`: set when we are to end; what cannot be landed then is left."""
        self._database = database
        self._alone = alone
        self._stopped = stopped
        self._clock = clock
        self._telemetry = telemetry
        self._is_unknown = False  # whether the database went as a transaction was committed

    async def land(self, arrived: Sequence[Flight], *, history: str | None = None) -> None:
        """Land flights together; when PostgreSQL refuses something of them, each alone, and of that one each event.

        Args:
            history: Of PostgreSQL, where we began to land; None: wherever.

        Raises:
            StoppedError: We are to end, and do not know what was answered to these.
            MovedError: This is another history.
            StreamAwayError: It cannot be known what was answered to these.
            UNAVAILABLE: The database is away, and we are to end; until then it is tried again.
        """
        pauses = Pauses()
        fault: Exception | None = None  # what they cannot be landed together by
        while True:
            try:
                if fault is None:
                    return await self._land_together(arrived, history)
                return await self._land_what_can_be(arrived[0], fault, history)
            except COLLISIONS:
                if await self._stopped.wait(pauses.next()):
                    raise
            except UNAVAILABLE as error:
                # They are kept at hand. Whoever lands them meanwhile, they are landed once.
                self._database.outages.failed(error)
                if self._is_unknown:
                    await self._alone.leave_to_database(arrived)
                else:
                    self._alone.doubt()
                if await self._stopped.wait(pauses.next()):
                    raise
            except (CargoError, asyncpg.PostgresError, ValueError, OverflowError) as error:
                if fault is not None:
                    raise
                if len(arrived) > 1:
                    for flight in arrived:
                        await self.land([flight], history=history)
                    return None
                fault = error

    async def _land_together(self, arrived: Sequence[Flight], history: str | None) -> None:
        self._is_unknown = False
        told = await self._alone.answers(arrived)  # before there is a transaction that waits for it
        outcomes, landed, received_at = [], list[Event](), self._clock.now()
        async with self._alone.landing(arrived), self._database.transaction() as connection:
            for flight in arrived:
                if flight.id is None:
                    raise CargoError("It has no id of a flight: no relay sent it.")
                found = await unpacked(flight)
                for event in found.events:
                    check_carried(event, is_of_home=is_of_home(flight.source))
                is_known = flight.whole is not None and await relay.is_landed(connection, flight.whole)
                is_new = not is_known and await relay.land(
                    connection, flight.id, found.events, origin_of(flight.source, found), found.placed_by,
                    answers=by_event(flight.id, found.events, told), history=history,
                )  # fmt: skip
                outcomes.append("landed" if is_new else "known")
                landed += found.events if is_new else []
            self._is_unknown = True
        self._is_unknown = False
        for outcome in outcomes:
            LANDED.labels(outcome).inc()
        if self._telemetry is not None:
            self._telemetry.landed(landed, received_at, self._clock.now())

    async def _land_what_can_be(self, flight: Flight, error: Exception, history: str | None) -> None:
        """Set a flight aside that cannot be read; of one that can, the events that PostgreSQL refuses."""
        self._is_unknown = False
        found = Unpacked([]) if isinstance(error, CargoError) else await unpacked(flight)
        told = {} if flight.id is None else by_event(flight.id, found.events, await self._alone.answers([flight]))
        async with self._alone.landing([flight]), self._database.transaction() as connection:
            if flight.whole is not None and await relay.is_landed(connection, flight.whole):
                return
            if flight.id is not None and not await relay.note_landed(connection, flight.id, history=history):
                return
            if not found.events:
                await relay.set_aside_flight(connection, flight.name, flight.source, flight.cargo, said(error))
            refused = await _without_room(connection, found.events)
            for event in found.events:
                if event.group_id not in refused:
                    await self._land_one(connection, flight, found, event, told)
            aside = [(one, str(relay.TooManyGroupsError(one.group_id))) for one in found.events if one.group_id in refused]
            if aside:
                await self._set_aside(connection, flight, found, aside)
            self._is_unknown = True
        self._is_unknown = False
        LANDED.labels("set aside" if not found.events else "landed").inc()
        logger.error("flight %s was set aside, whole or in part: %s", flight.name[:40], said(error))

    async def _land_one(
        self, connection: Connection, flight: Flight, found: Unpacked, event: Event, told: dict[UUID, bytes]
    ) -> None:
        try:
            async with connection.transaction():
                check_carried(event, is_of_home=is_of_home(flight.source))
                await relay.bring(connection, [event], origin_of(flight.source, found), found.placed_by, told)
        except (ForeignEventError, relay.TooManyGroupsError) as error:
            reason = str(error)
        except (*UNAVAILABLE, *COLLISIONS):
            raise
        except (asyncpg.PostgresError, ValueError, OverflowError) as error:
            reason = f"PostgreSQL refuses it: {said(error)}."
        else:
            return
        await self._set_aside(connection, flight, found, [(event, reason)])

    async def _set_aside(
        self, connection: Connection, flight: Flight, found: Unpacked, events: Sequence[tuple[Event, str]]
    ) -> None:
        """Set events of a flight aside, each with the reason."""
        try:
            async with connection.transaction():
                await relay.set_aside_events(connection, events, origin_of(flight.source, found))
        except (*UNAVAILABLE, *COLLISIONS):
            raise
        except (asyncpg.PostgresError, ValueError, OverflowError):
            if len(events) > 1:
                for one in events:
                    await self._set_aside(connection, flight, found, [one])
                return
            ((event, reason),) = events  # not even as JSON: as it came
            await relay.set_aside_flight(connection, flight.name, flight.source, cargo.alone(event), reason)


async def _without_room(connection: Connection, events: Sequence[Event]) -> set[str]:
    """Return groups that no event of a flight can be of, asked for once: groups are counted for it, and there are many then."""
    try:
        async with connection.transaction():
            return await relay.groups_without_room(connection, (event.group_id for event in events))
    except (*UNAVAILABLE, *COLLISIONS):
        raise
    except (asyncpg.PostgresError, ValueError):
        return set()  # one has a name that cannot be asked for, which is found where it is alone
