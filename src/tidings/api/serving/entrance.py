"""Who is let in: how many connections there are, of whom, and who makes way when there are too many.

All connections of one server share an entrance. It holds no descriptors and no timers but one: a look at all connections each
half second, whose number is bounded, costs less than a timer for each request would.
"""

import asyncio
import logging
from collections import Counter
from heapq import nlargest, nsmallest
from ipaddress import ip_address
from operator import itemgetter
from typing import Protocol

import msgspec
from prometheus_client import Counter as Metered

from tidings.core.attempts import network_of
from tidings.core.networks import Network

logger = logging.getLogger("tidings.api")

REFUSED = Metered("tidings_clients_refused_total", "Connections and requests that were refused unread.", ["reason"])

LOOK_INTERVAL = 0.5  # seconds; a deadline is outlived by this at most
REFILL_SECONDS_EACH = 5e-6  # for each connection, between searches for such as can make way: a tenth of the time at most
MAX_CANDIDATES = 64  # that are looked at for one newcomer, and addresses
# Seconds within which a connection need not make way for one of an address that has as many: when nothing is expected of it any
# more or its head is not there yet, which comes in one piece from whoever means well; and else.
PATIENCE = (0.2, 1.0, 1.0)
TOLD_INTERVAL = 60.0  # seconds between lines of the log about what was refused
REST_TIMES = 10.0  # as long as all connections take the loop for what is of no use, it does something else
MAX_HELD_BYTES = 134_217_728  # of bodies, of all requests under way


class Limits(msgspec.Struct, frozen=True):
    """What clients may take.

    Attributes:
        connections: At once, of all clients.
        per_address: At once, of one address that is no proxy's.
        header_bytes: Of a request's head, and of its trailers.
        header_seconds: From the first byte of a head to its last; of a new connection from its beginning.
        body_bytes: Of the largest body that any call takes.
        body_seconds: From the end of the head to the end of the body.
        idle_seconds: Between two requests.
        proxies: Whose connections are many clients'.
    """

    connections: int
    per_address: int
    header_bytes: int
    header_seconds: float
    body_bytes: int
    body_seconds: float
    idle_seconds: float
    proxies: tuple[Network, ...] = ()


class Visitor(Protocol):
    """A connection, as the entrance knows it."""

    address: str

    @property
    def held_bytes(self) -> int:
        """What it has of `Entrance.held_bytes`."""

    def idle_since(self) -> tuple[int, float] | None:
        """Return how easily it can make way (0 before 1 before 2), and since when; None: not at all."""

    def make_way(self) -> None:
        """End for the sake of another."""

    def look(self, now: float) -> None:
        """End if some deadline is over."""


class Entrance:
    """Counts connections. One event loop reads and writes it.

    Attributes:
        refused: How many requests and connections were refused since it was made, by reason.
        held_bytes: Of bodies that wait for their end or for their answer.
        most_held_bytes: Of these, at a time.
        resting: How many connections are not read for a moment, for what they took of the event loop.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.refused: Counter[str] = Counter()
        self.held_bytes = 0
        self.most_held_bytes = MAX_HELD_BYTES
        self.resting = 0
        self._open: dict[Visitor, None] = {}  # in the order they came
        self._by_address: Counter[str] = Counter()
        self._candidates: dict[str, list[Visitor]] = {}
        self._refilled_at = self._told_at = float("-inf")
        self._told: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, visitor: Visitor, now: float) -> str | None:
        """Let a connection in, or return why not. Where there is no room, one that does nothing makes way."""
        is_proxy = self._is_proxy(visitor.address)
        address = visitor.address = network_of(visitor.address)
        is_full = self._by_address[address] >= self.limits.per_address and not is_proxy
        if is_full and not self._clear_one(address, address, now):
            return self.refuse("address", now)
        if len(self._open) >= self.limits.connections and not self._clear_one(None, address, now):
            return self.refuse("connections", now)
        self._open[visitor] = None
        self._by_address[address] += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_INTERVAL, self._look)
        return None

    def leave(self, visitor: Visitor) -> None:
        """Take note that a connection is over."""
        if visitor in self._open:
            del self._open[visitor]
            self._by_address[visitor.address] -= 1
            if not self._by_address[visitor.address]:
                del self._by_address[visitor.address]

    def has_room(self, visitor: Visitor) -> bool:
        """Whether what is held is within its bound, once those have made way who hold most and wait for their client.

        Of all addresses the one that holds most gives first, and of that the connection that does: few that send large bodies
        and never end them take nobody's place. A visitor that holds most itself makes nobody give way.
        """
        while self.held_bytes > self.most_held_bytes:
            heaviest = self._heaviest(visitor)
            if heaviest is visitor:
                return False
            heaviest.make_way()
            self.leave(heaviest)
        return True

    def refuse(self, reason: str, now: float) -> str:
        """Count something that is refused, and say so in the log once a minute at most."""
        self.refused[reason] += 1
        REFUSED.labels(reason).inc()
        if now - self._told_at >= TOLD_INTERVAL and reason != "stopping":  # those are summed up when all is over
            self._tell(now)
        return reason

    def close(self) -> None:
        """Say what was refused since it was said last: the server has stopped."""
        if self.refused - self._told:
            self._tell(asyncio.get_running_loop().time())

    def _tell(self, now: float) -> None:
        said = ", ".join(f"{reason} {count}" for reason, count in sorted((self.refused - self._told).items()))
        logger.warning("clients are refused (%s); %d connections are open", said, len(self._open))
        self._told, self._told_at = self.refused.copy(), now

    def rest_seconds(self, spent: float) -> float:
        """Return how long a connection is not read that took the event loop for so long with what is of no use.

        The more connections do so, the longer each rests: together they take a tenth of the loop, however many they are.
        """
        return spent * REST_TIMES * max(1, self.resting)

    def _is_proxy(self, address: str) -> bool:
        return bool(address) and any(ip_address(address) in network for network in self.limits.proxies)

    def _clear_one(self, address: str | None, newcomer: str, now: float) -> bool:
        """Have one connection make way, of one address or of those that have most."""
        if now - self._refilled_at >= len(self._open) * REFILL_SECONDS_EACH:
            self._refilled_at = now
            self._candidates = self._found_candidates()
        names = [address] if address is not None else list(self._candidates)
        for name in names:
            # Who has more than the newcomer makes way at once; who has not is given time to say what they came for.
            is_heavier = self._by_address[name] > self._by_address[newcomer] + 1
            for visitor in self._candidates.get(name, ()):
                idle = visitor.idle_since() if visitor in self._open else None
                if idle is not None and (is_heavier or now - idle[1] >= PATIENCE[idle[0]]):
                    visitor.make_way()
                    self.leave(visitor)  # its descriptor is free at the end of this turn
                    return True
        return False

    def _heaviest(self, visitor: Visitor) -> Visitor:
        """Return who holds most, of the address that does: a visitor, or another that waits for bytes of its client."""
        held: dict[str, list[Visitor]] = {visitor.address: [visitor]}
        for other in self._open:
            if other is not visitor and other.held_bytes and other.idle_since() is not None:
                held.setdefault(other.address, []).append(other)
        of_one = max(held.values(), key=lambda those: sum(one.held_bytes for one in those))
        return max(of_one, key=lambda one: one.held_bytes)

    def _found_candidates(self) -> dict[str, list[Visitor]]:
        """Return who can make way: by address, those with most connections first, and of each the most useless first."""
        found: dict[str, list[tuple[tuple[int, float], Visitor]]] = {}
        for visitor in self._open:
            if (idle := visitor.idle_since()) is not None:
                found.setdefault(visitor.address, []).append((idle, visitor))
        names = nlargest(MAX_CANDIDATES, found, key=lambda name: self._by_address[name])
        return {name: [one for _, one in nsmallest(MAX_CANDIDATES, found[name], key=itemgetter(0))] for name in names}

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for visitor in list(self._open):
            visitor.look(now)
        self._timer = loop.call_later(LOOK_INTERVAL, self._look) if self._open else None
