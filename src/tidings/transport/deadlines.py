"""The deadlines of all exchanges, swept together.

A timer for each exchange would be armed and disarmed at a price, only to expire for one in thousands. Here the exchanges whose
time is over within the same twentieth of a second share a bucket, and one timer looks at the buckets that are due. So an
exchange costs an entry in a set, and a sweep what has expired, however many are under way.
"""

import asyncio
from time import perf_counter

from tidings.transport.connection import Call

SWEEPS_PER_SECOND = 20  # an exchange outlives its deadline by this part of a second at most


class Deadlines:
    """Times out the calls that are not removed before their deadline. While there are none, nothing runs."""

    def __init__(self) -> None:
        self._buckets: dict[int, set[Call]] = {}  # by the sweep that ends them
        self._swept = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, call: Call) -> None:
        """Watch a call."""
        if self._timer is None:
            self._swept = int(perf_counter() * SWEEPS_PER_SECOND)
            self._arm()
        sweep = int((call.started + call.timeout_seconds) * SWEEPS_PER_SECOND) + 1
        if sweep <= self._swept:  # opening its connection took until its deadline
            sweep = self._swept + 1
        bucket = self._buckets.get(sweep)
        if bucket is None:
            bucket = self._buckets[sweep] = set()
        bucket.add(call)
        call.bucket = bucket

    @staticmethod
    def remove(call: Call) -> None:
        """Watch a call no more."""
        call.bucket.discard(call)

    def sweep(self, now: float) -> None:
        """Time out the calls whose deadline is over (`now` by `time.perf_counter`)."""
        present = int(now * SWEEPS_PER_SECOND)
        for sweep in range(self._swept + 1, present + 1):
            for call in list(self._buckets.pop(sweep, ())):
                if call.connection is not None:  # else it has ended since, by what another's end led to
                    call.connection.time_out()
        self._swept = present

    def _arm(self) -> None:
        now = perf_counter()
        wait = (int(now * SWEEPS_PER_SECOND) + 1) / SWEEPS_PER_SECOND - now
        self._timer = asyncio.get_running_loop().call_later(wait, self._tick)

    def _tick(self) -> None:
        self.sweep(perf_counter())
        if any(self._buckets.values()):
            self._arm()
        else:
            self._timer = None
            self._buckets.clear()
