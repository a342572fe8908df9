"""What groups may publish: decided at the doors, mostly without asking the database (`core.limits` says what may be).

Limits in memory count as keys do (`operations.admission`): for a second from the last look at how often limits were changed,
which is the same look. A group without limits costs one look into a dictionary. For one with a limit of events a second a
process takes portions out of its bucket; for one with a limit of stored bytes it knows what there was within a second, and
adds what it has let through since. All groups that wait for either are asked for together.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from tidings.core.errors import LimitReachedError, TidingsError, UnavailableError
from tidings.core.limits import Hand, Limits, ahead, burst_exceeded, headers, payload_refused, rate_reached, stored_reached
from tidings.operations.admission import BELIEVED, LOOK_AFTER, Admission
from tidings.store import limits as stored_limits
from tidings.store.database import Database
from tidings.store.limits import Want

MAX_HELD: Final = 10_000  # groups in memory
MAX_LOOKS: Final = 3  # at what changes while it is looked at


class _Group:
    """What is known of a group that has limits."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.hand = Hand()
        self.stored = 0  # bytes, when somebody last looked
        self.stored_at = -BELIEVED
        self.since = 0  # bytes that were let through since

    @property
    def used(self) -> int:
        return self.stored + self.since

    def is_ready(self, need: int, now: float) -> bool:
        """Whether all that a decision takes is at hand."""
        if self.limits.stored_bytes is not None and now - self.stored_at >= BELIEVED:
            return False
        return self.has(need, now) or self.hand.is_dry(now)

    def has(self, need: int, now: float) -> bool:
        """Whether so many events may go through at once."""
        return self.limits.events_per_second is None or self.hand.has(need, now)

    def spend(self, need: int, now: float) -> int:
        """Let up to so many events through, and return how many that were."""
        return need if self.limits.events_per_second is None else self.hand.spend(need, now)

    def is_full(self, size: int) -> LimitReachedError | None:
        """Return why so many bytes more are not kept; None when they are."""
        limit = self.limits.stored_bytes
        return stored_reached(self.limits, self.used) if limit is not None and self.used + size > limit else None


class _Asked:
    """What is asked for together: how many tokens of each group. `done` has why it could not be asked, or None."""

    def __init__(self) -> None:
        self.needs: dict[str, int] = {}
        self.done: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()


class Allowance:
    """What groups may publish. One event loop reads and writes it."""

    def __init__(self, admission: Admission, database: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Make it, and have looks at keys tell it what they find.

        Args:
            database: What limits, buckets and bytes are read by, and nothing else: who publishes too much takes no connection
                from others.
        """
        self._admission = admission
        self._database = database
        self._monotonic = monotonic
        self._groups: OrderedDict[str, _Group | None] = OrderedDict()  # None: it has no limits
        self._version = 0
        self._looked_at = -BELIEVED
        self._changed_at = -BELIEVED
        self._next = _Asked()
        self._asking: asyncio.Task[None] | None = None
        admission.on_look = self._learn

    def is_free(self, group_id: str) -> bool:
        """Whether a group is known to have no limits of what it publishes: this is asked for every event."""
        age = self._monotonic() - self._looked_at
        if age >= LOOK_AFTER:
            if age >= BELIEVED:
                return False
            self._admission.look_soon()
        return self._groups.get(group_id, self) is None

    async def admit(self, group_id: str, sizes: Sequence[int]) -> list[TidingsError | None]:
        """Let events of a group through as far as its limits allow, in their order; return for each why not, or None.

        Args:
            sizes: The bytes of each one's data.
        """
        group, answers = await self._prepared(group_id, sizes)
        if group is None:
            return answers
        places = [place for place, answer in enumerate(answers) if answer is None]
        fit: list[int] = []
        for place in places:
            if (full := group.is_full(sizes[place])) is None:
                group.since += sizes[place]
                fit.append(place)
            answers[place] = full
        through = group.spend(len(fit), self._monotonic())
        for behind, place in enumerate(fit[through:], 1):
            answers[place] = rate_reached(group.limits, behind, group.hand.remaining)
            group.since -= sizes[place]
        left = self.headers(group_id)
        for refusal in filter(None, answers):
            refusal.left = left
        return answers

    async def check(self, group_id: str, sizes: Sequence[int]) -> None:
        """Let some events of a group through: all or none.

        Raises:
            LimitReachedError: They come too soon, or no more are kept.
            PayloadTooLargeError: One is larger than the group may send, or they are more than may ever come at once.
        """
        if self.is_free(group_id) or not sizes:
            return
        try:
            await self._take_all(group_id, sizes)
        except TidingsError as error:
            error.left = self.headers(group_id)
            raise

    async def _take_all(self, group_id: str, sizes: Sequence[int]) -> None:
        known = await self._known(group_id)
        if known is not None and known.limits.events_per_second is not None and len(sizes) > known.limits.burst:
            raise burst_exceeded(known.limits, len(sizes))  # before any token is taken: to come again would be of no use
        group, answers = await self._prepared(group_id, sizes)
        for refusal in filter(None, answers):
            raise refusal
        if group is None:
            return
        total, count, now = sum(sizes), len(sizes), self._monotonic()
        if (full := group.is_full(total)) is not None:
            raise full
        if not group.has(count, now):
            raise rate_reached(group.limits, count, group.hand.remaining)
        group.spend(count, now)
        group.since += total

    def is_counting(self, group_id: str) -> bool:
        """Whether who accepts an event of a group counts it: of a group with limits, what waits to be routed is to be known."""
        return self._groups.get(group_id) is not None

    def headers(self, group_id: str) -> dict[str, str]:
        """Return what tells a publisher how much is left; nothing for a group without limits."""
        group = self._groups.get(group_id)
        if group is None:
            return {}
        looked = group.stored_at > -BELIEVED
        left = group.hand.tokens + int(max(0.0, group.hand.remaining))
        return headers(group.limits, left, group.used if looked else None)

    def changed(self) -> None:
        """Believe nothing that was held until now: this process has changed limits."""
        self._looked_at, self._changed_at = -BELIEVED, self._monotonic()

    def close(self) -> None:
        """End what is under way."""
        if self._asking is not None:
            self._asking.cancel()

    # What is asked -----------------------------------------------------------------------------------------------------------

    async def _prepared(self, group_id: str, sizes: Sequence[int]) -> tuple[_Group | None, list[TidingsError | None]]:
        """Return what is known of a group, with all that a decision takes at hand, and which events are too large for it."""
        answers: list[TidingsError | None] = []
        group = None
        for _ in range(MAX_LOOKS):  # limits may change while somebody asks
            group = await self._known(group_id)
            if group is None:
                return None, [None] * len(sizes)
            answers = [_too_large(group.limits, size) for size in sizes]
            need = answers.count(None)
            if not need or group.is_ready(need, self._monotonic()):
                break
            await self._ask(group_id, need)
        return group, answers

    async def _known(self, group_id: str) -> _Group | None:
        """Return what is known of a group; None: it has no limits of what it publishes."""
        for _ in range(2):  # a look that is under way may have begun too long ago
            if self._monotonic() - self._looked_at < BELIEVED:
                break
            await self._admission.looked()
        if group_id in self._groups:
            return self._groups[group_id]
        async with self._database.connection() as connection:
            began = self._monotonic()
            found = await stored_limits.find(connection, group_id)
        self._learn(found.version, began)
        group = _Group(found.limits) if found.limits.are_of_events else None
        if found.version == self._version:
            group = self._groups.setdefault(group_id, group)
            while len(self._groups) > MAX_HELD:
                self._groups.popitem(last=False)
        return group

    def _learn(self, version: int, at: float) -> None:
        """Take note of what a look found that began then; looks may end in another order than they began in."""
        if at < max(self._looked_at, self._changed_at):
            return
        if version != self._version:
            self._groups.clear()
            self._version = version
        self._looked_at = at

    async def _ask(self, group_id: str, need: int) -> None:
        """Have what is missing of a group asked for, together with what others wait for.

        Raises:
            Exception: As whatever asks the database.
        """
        asked = self._next
        asked.needs[group_id] = asked.needs.get(group_id, 0) + need
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_beside(), name="ask for what groups may publish")
        await asyncio.wait([asked.done])  # who goes away takes nothing from the others
        if (fault := asked.done.result()) is not None:
            raise fault

    async def _ask_beside(self) -> None:
        try:
            while self._next.needs:
                asked, self._next = self._next, _Asked()
                fault: Exception | None = UnavailableError("Tidings is stopping; nothing was published.")
                try:
                    groups = {each: group for each in asked.needs if (group := self._groups.get(each)) is not None}
                    await self._ask_for(groups, asked.needs)
                    fault = None
                except Exception as error:  # noqa: BLE001 - raised by all who wait for it
                    fault = error
                finally:
                    asked.done.set_result(fault)
        finally:
            self._asking = None

    async def _ask_for(self, groups: dict[str, _Group], needs: dict[str, int]) -> None:
        now = self._monotonic()
        wants = []
        for group_id, group in groups.items():
            rate, missing = group.limits.events_per_second, group.hand.missing(needs[group_id], now)
            if rate is not None and missing and not group.hand.is_dry(now):
                wants.append(Want(group_id, rate, group.limits.burst, missing, ahead(rate)))
        stale = [
            group_id for group_id, group in groups.items()
            if group.limits.stored_bytes is not None and now - group.stored_at >= BELIEVED
        ]  # fmt: skip
        async with self._database.connection() as connection:
            if stale:
                began = self._monotonic()
                for group_id, used in (await stored_limits.stored(connection, stale)).items():
                    group = groups[group_id]
                    group.stored, group.stored_at, group.since = used, began, 0
            if wants:
                began = self._monotonic()  # before the bucket is asked: what is taken lapses sooner rather than later
                taken = await stored_limits.take(connection, wants)
                for want in wants:
                    gave = taken[want.group_id]
                    groups[want.group_id].hand.put(gave.granted, gave.remaining, want.rate, want.need, began)


def _too_large(limits: Limits, size: int) -> TidingsError | None:
    if limits.payload_bytes is not None and size > limits.payload_bytes:
        return payload_refused(limits.payload_bytes, size)
    return None
