"""How the descriptors of a process are shared out, so that no door takes what another needs."""

import msgspec

RESERVED = 80  # PostgreSQL's connections (26), listeners, the event loop, files that are read, and some to spare
LEAST = 128  # descriptors; with fewer nothing is promised
MAX_INCOMING = 4096  # connections: what one event loop can answer well within a second
MAX_OUTGOING = 32_768
MAX_BACKLOG = 2048
MAX_HELD = 64  # answers of request bins that are put off: each keeps a client's connection


class Shares(msgspec.Struct, frozen=True):
    """What there is of a process's descriptors for each.

    Attributes:
        descriptors: How many it may have open.
        outgoing: Connections to receivers.
        incoming: Connections of clients.
        backlog: Clients that wait to be accepted: all of them can be accepted in one turn of the event loop, before the first
            is sent away.
    """

    descriptors: int
    outgoing: int
    incoming: int
    backlog: int

    @property
    def is_enough(self) -> bool:
        """Whether the process may have as many as it needs."""
        return self.descriptors >= LEAST

    @property
    def idle(self) -> int:
        """Of `outgoing`, how many connections are kept between two exchanges at most."""
        return self.outgoing // 4

    @property
    def sending(self) -> int:
        """Of `outgoing`, how many may have an exchange under way."""
        return self.outgoing - self.idle

    @property
    def held(self) -> int:
        """Of `incoming`, how many may wait for an answer that a request bin puts off."""
        return min(MAX_HELD, self.incoming // 8)

    @property
    def sentence(self) -> str:
        """How they are shared, for the log."""
        said = f"{self.descriptors} descriptors: {self.outgoing} connections to receivers, {self.incoming} of clients"
        return said if self.is_enough else f"{said}; allow at least {LEAST} (ulimit -n)"


def share_out(descriptors: int) -> Shares:
    """Return how so many descriptors are shared: half for deliveries, half for clients, after what the process itself needs."""
    usable = max(LEAST - RESERVED, descriptors - RESERVED)
    outgoing = usable // 2
    clients = usable - outgoing
    incoming = min(MAX_INCOMING, clients * 3 // 4)
    return Shares(descriptors, min(MAX_OUTGOING, outgoing), incoming, min(MAX_BACKLOG, clients - incoming))
