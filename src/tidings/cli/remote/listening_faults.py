"""What goes wrong on purpose with a delivery that `tidings listen` forwards: pure, and the same again for the same seed."""

import re
from random import Random
from typing import Final, NamedTuple

from tidings.cli.remote.failures import USAGE, CommandError

SHUFFLE_SECONDS: Final = 1.0  # for which deliveries are held at most, so that others overtake them
MAX_DELAY_SECONDS: Final = 300.0

_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*(%?)")
_TIME: Final = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*(ms|s|m|min)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0}


class Faults(NamedTuple):
    """What is asked for: shares from 0 to 1, and seconds."""

    seed: int = 0
    fail: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    delay_seconds: float = 0.0
    reorder: bool = False

    @property
    def are_any(self) -> bool:
        """Whether anything goes wrong."""
        return self._replace(seed=0) != Faults()


class Plan(NamedTuple):
    """What is done with one attempt.

    Attributes:
        hold_seconds: For how long it is held before it is sent.
        is_dropped: It is not sent at all, and told as a connection that was reset.
        is_failed: It is sent, and its answer is told as lost: what a receiver has done comes again.
        copies: How often it is sent; the first answer counts.
    """

    hold_seconds: float = 0.0
    is_dropped: bool = False
    is_failed: bool = False
    copies: int = 1


def plan_for(faults: Faults, delivery_id: str, attempt_number: int) -> Plan:
    """Return what is done with an attempt: whatever came before it, the same for the same seed."""
    if not faults.are_any:
        return Plan()
    chance = Random(f"{faults.seed}:{delivery_id}:{attempt_number}")
    dropped, failed, doubled, shuffled = (chance.random() for _ in range(4))
    return Plan(
        hold_seconds=faults.delay_seconds + (shuffled * SHUFFLE_SECONDS if faults.reorder else 0.0),
        is_dropped=dropped < faults.drop,
        is_failed=failed < faults.fail,
        copies=2 if doubled < faults.duplicate else 1,
    )


def share(text: str, option: str) -> float:
    """Return a share from `20%` or `0.2`.

    Raises:
        CommandError: It is none.
    """
    said = _SHARE.fullmatch(text.strip())
    value = -1.0 if said is None else float(said[1]) / (100 if said[2] else 1)
    if not 0 <= value <= 1:
        raise CommandError(f"{option} {text}: write a share from 0% to 100%.", USAGE)
    return value


def seconds(text: str, option: str) -> float:
    """Return seconds from `2s`, `500ms` or `1m`.

    Raises:
        CommandError: It is no such time, or too long.
    """
    said = _TIME.fullmatch(text.strip())
    value = -1.0 if said is None else float(said[1]) * _UNITS[said[2]]
    if not 0 <= value <= MAX_DELAY_SECONDS:
        raise CommandError(f"{option} {text}: write a time such as 500ms or 2s, of {MAX_DELAY_SECONDS:.0f}s at most.", USAGE)
    return value
