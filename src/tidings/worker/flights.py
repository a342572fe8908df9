"""The flights of this process: which deliveries each leases, and which of them have no result yet."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from tidings.core.delivery import Delivery

TRIM_AFTER = 1.0  # seconds; what lasts longer than this is made small in the database


class Flight:
    """One lease, as this process knows it.

    Attributes:
        left: The deliveries without a recorded result.
        size: How many the database has in it.
    """

    __slots__ = ("begun", "left", "size", "worker_id")

    def __init__(self, worker_id: UUID, deliveries: Sequence[Delivery]) -> None:
        self.worker_id = worker_id
        self.left = set(deliveries)
        self.size = len(self.left)
        self.begun = time.monotonic()


class Flights:
    """Written by those who lease (`board`) and by the recorder, which changes it only once the database has the results."""

    def __init__(self) -> None:
        self._flights: dict[int, Flight] = {}  # in the order they began

    def board(self, worker_id: UUID, deliveries: Sequence[Delivery]) -> None:
        """Take note of deliveries that one flight leases."""
        self._flights[deliveries[0].flight_id] = Flight(worker_id, deliveries)

    @property
    def known(self) -> list[int]:
        """The flights that are not landed."""
        return list(self._flights)

    def worker_of(self, delivery: Delivery) -> UUID | None:
        """Return the name a delivery is leased under; None when it is not under way, as far as it is known here."""
        flight = self._flights.get(delivery.flight_id)
        return flight.worker_id if flight is not None and delivery in flight.left else None

    def has(self, delivery: Delivery) -> bool:
        """Tell whether a delivery is under way, as far as it is known here."""
        flight = self._flights.get(delivery.flight_id)
        return flight is not None and delivery in flight.left

    def ended_by(self, counts: Mapping[int, int]) -> set[int]:
        """Return the flights that have no delivery left once so many of each are recorded."""
        return {number for number, count in counts.items() if (f := self._flights.get(number)) and len(f.left) <= count}

    def recorded(self, deliveries: Iterable[Delivery]) -> None:
        """Take note that deliveries have a recorded result, or that theirs was refused."""
        for delivery in deliveries:
            flight = self._flights.get(delivery.flight_id)
            if flight is None:
                continue
            flight.left.discard(delivery)
            if not flight.left:
                del self._flights[delivery.flight_id]

    def forget(self, flight_ids: Iterable[int]) -> None:
        """Forget flights that were grounded: their results will be refused."""
        for flight_id in flight_ids:
            self._flights.pop(flight_id, None)

    def to_trim(self) -> dict[int, list[Delivery]]:
        """Return what is left in flights that last, and are more than twice as large in the database."""
        latest = time.monotonic() - TRIM_AFTER
        found = {}
        for number, flight in self._flights.items():
            if flight.begun > latest:
                break
            if flight.size > 2 * len(flight.left):
                found[number] = list(flight.left)
        return found

    def without(self, flight_ids: Iterable[int], gone: Collection[Delivery]) -> dict[int, list[Delivery]]:
        """Return what is left in flights once these deliveries are gone."""
        return {
            number: [d for d in flight.left if d not in gone] for number in flight_ids if (flight := self._flights.get(number))
        }

    def trimmed(self, left: dict[int, list[Delivery]]) -> None:
        """Take note that the database has only these left in their flights."""
        for number, deliveries in left.items():
            if (flight := self._flights.get(number)) is not None:
                flight.size = len(deliveries)

    def __len__(self) -> int:
        return len(self._flights)
