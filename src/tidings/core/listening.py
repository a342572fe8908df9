"""Listeners: what bounds them, and how each is kept, as one decision."""

from datetime import timedelta
from enum import StrEnum
from typing import Final

import msgspec

from tidings.core.retry import Delays

MAX_LISTENERS: Final = 50  # of a group
MAX_CLIENTS: Final = 16  # of a listener
MAX_LEFT: Final = 1_000  # clients of a listener that left within LEASE_SECONDS, which are still known
MAX_WAITING: Final = 10_000  # deliveries that wait for one; then it hears nothing more until half of them are gone
MAX_LEASED: Final = 64  # deliveries in one answer
MAX_HELD: Final = 512  # leases of one client
MAX_ANSWER_BYTES: Final = 4 * 2**20  # of one answer's bodies, of which there is one at least
MAX_RESULTS: Final = 128  # in one request
MAX_WAIT_SECONDS: Final = 10.0  # of one request for deliveries that are not there yet
MAX_NAME_LENGTH: Final = 100
MAX_BODY_CHARACTERS: Final = 16_384  # of a receiver's answer, as it is kept
LEASE_SECONDS: Final = 30.0  # since a client asked last
UNHEARD_FOR: Final = timedelta(days=3)  # after which a listener is deleted

SILENT: Final = f"The listener's client was not heard of for {LEASE_SECONDS:.0f} s, so what came of the attempt is unknown."
FULL: Final = (
    f"{MAX_WAITING:,} deliveries wait for this listener, so what comes now is not kept for it until its client has taken half "
    "of them. What it misses can be sent with: tidings recover --missing."
)
SKIPPED: Final = "Its listener skipped what waited."

# Of a listener that mirrors no webhook: somebody sits before it, and starts the receiver again in a moment.
QUICK: Final = Delays(delays=(1, 2, 5, 10, 30, 60, 300, 1800, 7200))


class Keeping(StrEnum):
    """What is done with a listener."""

    KEEP = "keep"
    PAUSE = "pause"  # too much waits
    RESUME = "resume"  # little enough does
    FORGET = "forget"  # nobody has asked for days


class State(msgspec.Struct, frozen=True):
    """A listener as far as its keeping depends on it. `is_full`: it was paused because too much waited."""

    enabled: bool
    is_full: bool
    waiting: int
    silence: timedelta


def decide_keeping(state: State) -> Keeping:
    """Return what is done with a listener."""
    if state.silence > UNHEARD_FOR:
        return Keeping.FORGET
    if state.enabled:
        return Keeping.PAUSE if state.waiting > MAX_WAITING else Keeping.KEEP
    return Keeping.RESUME if state.is_full and state.waiting <= MAX_WAITING // 2 else Keeping.KEEP
