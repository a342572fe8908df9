"""Flights that came by the stream, and which of them can be routed as they are."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol
from uuid import UUID

from tidings.core import cargo
from tidings.core.cargo import CargoError, ForeignEventError, Unpacked, check_carried
from tidings.core.fleet import is_of_home
from tidings.worker.supplies import MOST_BYTES, Arrival

UNPACKED_HERE: Final = 1_000_000  # bytes of a cargo that keep the event loop some milliseconds; a larger one goes to a thread


class Flight(Protocol):
    """A flight that came, until it is acknowledged."""

    @property
    def name(self) -> str:
        """What its sender called it."""

    @property
    def id(self) -> UUID | None:
        """Its id; None: whoever sent it was no relay."""

    @property
    def whole(self) -> UUID | None:
        """The flight that this is a piece of; None: it is none."""

    @property
    def is_new(self) -> bool:
        """Whether the stream has given it to nobody before."""

    @property
    def source(self) -> str:
        """Where it came from."""

    @property
    def sequence(self) -> int:
        """Its number in the stream, without gaps."""

    @property
    def cargo(self) -> bytes:
        """What it carries."""

    async def done(self) -> None:
        """Acknowledge it."""


async def plain(arrived: Sequence[Flight]) -> list[Arrival]:
    """Return what came, up to a flight of which more is to be asked than whether its groups live here.

    Such a flight has no id, or is a piece of one; it was sent on by a home; it is very large; it cannot be read; or an event in
    it is none that sources make.
    """
    found: list[Arrival] = []
    for flight in arrived:
        if flight.id is None or flight.whole is not None or is_of_home(flight.source) or len(flight.cargo) > MOST_BYTES:
            break
        try:
            events = (await unpacked(flight)).events
            for event in events:
                check_carried(event)
        except (CargoError, ForeignEventError):
            break
        found.append(Arrival(flight.id, flight.source, events, len(flight.cargo)))
    return found


async def unpacked(flight: Flight) -> Unpacked:
    """Return what a flight carries.

    Raises:
        CargoError: It cannot be read.
    """
    if len(flight.cargo) <= UNPACKED_HERE:
        return cargo.opened(flight.cargo)
    return await asyncio.to_thread(cargo.opened, flight.cargo)
