"""How many attempts this process has under way, and for which of those to come it keeps places."""

import time
from collections import Counter
from collections.abc import Callable
from uuid import UUID

from tidings.core.delivery import Delivery
from tidings.worker.signals import Signal

SLOW_SECONDS = 1.0  # an attempt older than this no longer takes a place from the quick ones
SLOW_PLACES = 8  # how many slow attempts there may be for each quick one
MAX_UNRECORDED = 2000  # results; with more of them nothing new begins, since then the database is what is slow
EASE_SECONDS = 1.0  # between two steps down, when this machine lacks what attempts need
RECOVER_SECONDS = 5.0  # between the steps up again
OTHERS_PART = 0.5  # of the places for quick attempts: what lanes that are not trusted may take of them,
OTHERS_SLOW_PART = 0.75  # and of those for slow ones: none of theirs begins while more than that are taken
BESIDE_PART = 0.125  # of the places for quick attempts: what groups that crowd others leave while those are about
PATIENCE = 0.1  # seconds that a batch waits for places, since slow receivers must not hold up routing
OWN_PATIENCE = 1.0  # seconds that it waits while it is this process that is slow: with results, or with what is queued


class Places:
    """An attempt takes a place while it is under way; batches and claims keep places for what they are about to lease.

    Receivers that accept and never answer must not take the places of those that do: an attempt that has lasted a second
    counts against a limit of its own, eight times as large, since waiting costs little. Of both limits, lanes that are not
    trusted (`core.lanes`) may use a part alone: however many of them there are, the others find places. And while groups share
    (`worker.sharing`), those that crowd leave some to those that do not.

    Attributes:
        called: Set when there is something to claim, or room for a claim again.
        unrecorded: Results that are not written yet.
    """

    def __init__(self, limit: int, *, connections: int | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Make places.

        Args:
            limit: For quick attempts.
            connections: How many there are for all attempts together, by the process's descriptors; None: enough.
        """
        self.called = Signal()
        self.unrecorded = 0
        self._full = limit if connections is None else max(1, min(limit, connections // 4))
        # A quick attempt may turn slow: so many count twice.
        self._for_slow = limit * SLOW_PLACES if connections is None else min(limit * SLOW_PLACES, connections - 2 * self._full)
        self._set_limit(self._full)
        self._eased_at = float("-inf")
        self._monotonic = monotonic
        self._quick: dict[Delivery, float] = {}  # in the order they began
        self._slow: set[Delivery] = set()
        self._slow_lanes: Counter[UUID] = Counter()  # how many slow attempts each has
        self._others_quick = 0  # of lanes that are not trusted
        self._others_promised = 0  # for batches and claims
        self._promised = 0  # for batches that are being routed
        self._claiming = 0  # for the claim under way
        self._wanted = 0  # what a batch waits for
        self._wake_at = -1  # attempts under way, at which there is room for it
        self._claim_waits = False
        self._others_wait = False
        self._is_shared = False  # some places are left to groups that do not crowd
        self._is_queue_long = False  # what would be added to it waits longer than it would in the outbox
        self._roomy = Signal()

    def enter(self, delivery: Delivery) -> None:
        """Take a place: an attempt begins."""
        self._quick[delivery] = self._monotonic()
        self._others_quick += not delivery.is_trusted

    def leave(self, delivery: Delivery) -> None:
        """Take note that an attempt has ended."""
        if self._quick.pop(delivery, None) is not None:
            self._others_quick -= not delivery.is_trusted
        elif delivery in self._slow:
            self._slow.discard(delivery)
            self._slow_lanes[delivery.webhook_id] -= 1
            if not self._slow_lanes[delivery.webhook_id]:
                del self._slow_lanes[delivery.webhook_id]
        if self._others_wait and self._free_for_others() >= self._for_claims_of_others:
            self._others_wait = False
            self.called.set()
        if len(self._quick) == self._wake_at:  # told once, not by each that ends
            self.look()

    def free(self, promised: int = 0) -> int:
        """Return how many more attempts may begin, in places that nobody was promised or in these that were."""
        if self._limit < self._full and self._monotonic() - self._eased_at >= RECOVER_SECONDS:
            self._eased_at = self._monotonic()
            self._set_limit(min(self._full, self._limit * 2))
        if self._quick:
            latest = self._monotonic() - SLOW_SECONDS
            while self._quick and self._quick[oldest := next(iter(self._quick))] < latest:
                del self._quick[oldest]
                self._slow.add(oldest)
                self._slow_lanes[oldest.webhook_id] += 1
                self._others_quick -= not oldest.is_trusted
        free = min(self._limit - len(self._quick), self._for_slow - len(self._slow))
        return max(0, free - self._promised - self._claiming + promised)

    def lend_to_others(self, *, at_most: int) -> int:
        """Keep places for lanes that are not trusted, of those that a batch was promised or a claim has.

        Returns:
            How many are kept, until `give_back`; 0 when they are so few that these lanes wait, until `called`.
        """
        free = self._free_for_others()
        self._others_wait = free < self._for_claims_of_others
        lent = 0 if self._others_wait else min(free, at_most)
        self._others_promised += lent
        return lent

    def give_back(self, count: int) -> None:
        """Take note that what places were lent for has begun, or never will."""
        self._others_promised -= count

    def is_slow(self, webhook_id: UUID) -> bool:
        """Whether a lane has slow attempts under way here: it is not trusted meanwhile, whatever came of the last."""
        return webhook_id in self._slow_lanes

    @property
    def others_wait(self) -> bool:
        """Whether lanes that are not trusted wait until `called`."""
        return self._others_wait

    def _free_for_others(self) -> int:
        # Of slow ones all count: those of lanes that were trusted until a second ago took none of the part that is kept free.
        free = min(self._for_others - self._others_quick, self._for_slow_others - len(self._slow))
        return max(0, free - self._others_promised)

    def ease(self) -> None:
        """Have fewer places for a while: this machine lacks what so many attempts need."""
        now = self._monotonic()
        if self._limit and now - self._eased_at >= EASE_SECONDS:
            self._eased_at = now
            self._set_limit(max(1, min(self._limit, len(self._quick) + len(self._slow)) // 2))

    @property
    def are_eased(self) -> bool:
        """Whether there are fewer places than there should be."""
        return self._limit < self._full

    def share(self, *, is_shared: bool) -> None:
        """Leave a part of the places to groups that do not crowd others, or no longer."""
        self._is_shared = is_shared

    def room(self, promised: int, *, is_beside: bool = False) -> int:
        """Return how many attempts a batch may begin that was promised so many places.

        Args:
            is_beside: It is of groups that do not crowd others: it has what is left to them as well.
        """
        return max(0, self.free(promised) - (0 if is_beside else self._left))

    async def promise(self, count: int, *, can_wait: bool, is_beside: bool = False) -> int:
        """Keep places for a batch that is about to be routed; wait until there are so many, but not for long.

        Args:
            count: How many.
            can_wait: There is time.
            is_beside: See `room`.

        Returns:
            How many are kept, until `keep_promise`.
        """
        if can_wait:
            await self._wait_for_room(count)
        promised = min(count, self.free() if is_beside else self._may_promise())
        self._promised += promised
        return promised

    def keep_promise(self, count: int) -> None:
        """Take note that the batch for which places were kept has begun, or never will."""
        self._promised -= count
        self.look()

    def claim(self) -> int:
        """Keep all free places for a claim, and return how many; 0 when they are too few for one."""
        free = max(0, self.free() - self._left)
        self._claim_waits = free < self._for_claims or self._is_recorder_behind
        if self._claim_waits:
            return 0
        self._claiming = free
        return free

    @property
    def are_too_few(self) -> bool:
        """Whether the last claim found too few, so that the next waits for a call."""
        return self._claim_waits

    def end_claim(self, taken: int) -> None:
        """Take note that the claim has begun what it found.

        Args:
            taken: Of trusted lanes: no batch waits for the backlog of others.
        """
        self._is_queue_long = taken > 0 and taken >= self._for_claims // 2
        self._claiming = 0
        self.look()

    def close(self) -> None:
        """Have no more places from now on."""
        self._full = self._limit = 0
        self.called.set()
        self._roomy.set()

    def look(self) -> None:
        """Wake those who wait for places, if there are enough."""
        if self._is_recorder_behind:
            return
        if self._claim_waits and self.free() - self._left >= self._for_claims:
            self.called.set()
        if not self._is_queue_long and self._may_promise() >= self._wanted:
            self._roomy.set()

    def _set_limit(self, limit: int) -> None:
        self._limit = limit
        self._for_claims = max(1, limit // 4)  # claims of this size keep places filled while the next is on its way
        self._for_routing = max(1, limit // 2)  # not all, since claims need places too
        self._for_others = max(1, int(limit * OTHERS_PART))
        self._for_slow_others = max(1, int(self._for_slow * OTHERS_SLOW_PART))
        self._for_claims_of_others = max(1, self._for_others // 8)

    async def _wait_for_room(self, count: int) -> None:
        count = min(count, self._for_routing)  # more is never promised
        until = time.monotonic() + (OWN_PATIENCE if self._is_behind else PATIENCE)
        while self._is_behind or self._may_promise() < count:
            self._wanted = count
            self._wake_at = self._limit - self._left - self._promised - self._claiming - count
            self._roomy.clear()
            if not await self._roomy.wait(until - time.monotonic()):
                return

    @property
    def _is_behind(self) -> bool:
        return self._is_recorder_behind or self._is_queue_long

    @property
    def _is_recorder_behind(self) -> bool:
        return self.unrecorded > MAX_UNRECORDED

    def _may_promise(self) -> int:
        return max(0, min(self.free() - self._left, self._for_routing - self._promised))

    @property
    def _left(self) -> int:
        return int(self._limit * BESIDE_PART) if self._is_shared else 0
