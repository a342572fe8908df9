"""What a simulated fleet is made of: its size, its costs, its load, its receivers, what is lost when."""

from enum import Enum
from math import exp, log
from random import Random
from typing import Final

import msgspec

from tidings.core.fleet import Fleet
from tidings.core.outcome import Exchange

_SCATTER: Final = 0x9E3779B97F4A7C15  # what multiplies a number so that its upper bits look like chance (Knuth 6.4)
_MASK: Final = 2**64 - 1


class Kind(Enum):
    """What a receiver is like: its median answer in seconds, how that spreads (a lognormal's sigma), how many of a thousand."""

    FAST = ("fast", 0.04, 0.5, 680)
    USUAL = ("usual", 0.2, 0.8, 230)
    SLOW = ("slow", 2.0, 0.6, 50)
    DOWN = ("down for a while", 0.2, 0.8, 20)
    FAILING = ("failing", 0.05, 0.5, 15)
    HANGING = ("hanging", 0.0, 0.0, 5)

    def __init__(self, title: str, median: float, sigma: float, per_mille: int) -> None:
        self.title = title
        self.median = median
        self.sigma = sigma
        self.per_mille = per_mille

    @property
    def is_well(self) -> bool:
        """Whether it takes all that is sent to it."""
        return self in {Kind.FAST, Kind.USUAL, Kind.SLOW}


OK: Final = Exchange(status=200)
BROKEN: Final = Exchange(status=500)
REFUSED: Final = Exchange(failure="connect", error="The receiver refused the connection.")
HUNG: Final = Exchange(failure="timeout", error="The receiver did not answer.")

ORDERED: Final = 0.02  # of webhooks
LIMITED: Final = 0.02  # of the others: those with a rate
RATE: Final = 50.0  # a second, of those
_POPULAR: Final = 5000
_KINDS: Final = tuple(kind for kind in Kind for _ in range(kind.per_mille))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times are seconds since its beginning.

    Attributes:
        slowness: How many times slower its machines are than the measured one, so that some thousands of deliveries a
            second load them.
        engine_us, postgres_us: CPU of a delivery in a backlog (docs/benchmarks.md): of a worker's process, of its home's
            PostgreSQL.
        landing_us: CPU of the home's PostgreSQL to land an event that came by the stream.
        postgres_cores: Of each home.
        journey: To PostgreSQL and back with a commit, whatever the batch: life-size.
        max_in_flight: As the setting.
        loud_events: What one group commits at once at `loud_at`.
        loss_at: When `lost_share` of the machines are lost; homes go on at a standby at `homes_back_at`, workers are back at
            `workers_back_at`.
        drained_by: When the run ends, load or not; the load ends at `seconds`.
    """

    seed: int = 1
    homes: int = 16
    workers: int = 200
    webhooks: int = 1_000_000
    groups: int = 20_000
    per_second: float = 4000
    seconds: float = 120.0
    drained_by: float = 160.0
    slowness: float = 15.0
    engine_us: float = 45.0
    postgres_us: float = 20.0
    landing_us: float = 10.0
    postgres_cores: int = 2
    journey: float = 0.002
    max_in_flight: int = 2048
    down_from: float = 10.0
    down_until: float = 35.0
    loss_at: float = 40.0
    lost_share: float = 0.1
    homes_back_at: float = 70.0
    workers_back_at: float = 80.0
    loud_at: float = 95.0
    loud_events: int = 50_000


# A small fleet for a minute: some ten seconds of a processor.
SHORT: Final = Plan(
    homes=4, workers=24, webhooks=50_000, groups=1000, per_second=1500, seconds=55, drained_by=120, down_from=5, down_until=12,
    loss_at=20, lost_share=0.25, homes_back_at=28, workers_back_at=35, loud_at=42, loud_events=15_000,
)  # fmt: skip


class Webhook(msgspec.Struct, frozen=True, gc=False):
    """A webhook as its number says it: whose it is, what its receiver is like, what its lane keeps to."""

    number: int
    group: int
    kind: Kind
    ordered: bool
    rate: float | None


class World:
    """What there is, without a row for each of a million webhooks: all of it follows from numbers and the seed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.fleet = Fleet(tuple(f"h{number:02}" for number in range(plan.homes)))
        self._homes: dict[int, int] = {}
        self._webhooks: dict[int, Webhook] = {}
        self._popular, self._large = _LongTail(plan.webhooks, 50), _LongTail(plan.groups, 20)

    def home_of(self, group: int) -> int:
        """Return the number of a group's home."""
        found = self._homes.get(group)
        if found is None:
            found = self._homes[group] = self.fleet.homes.index(self.fleet.home_of(group_name(group)))
        return found

    def webhook(self, number: int) -> Webhook:
        """Return a webhook."""
        found = self._webhooks.get(number)
        if found is None:
            # Those that get the most are not: one attempt after the other, a receiver takes what its answers leave time for.
            ordered = number >= _POPULAR and _chance(number, 3) < ORDERED
            found = self._webhooks[number] = Webhook(
                number,
                self._large.at(_chance(number, 1)),
                _KINDS[int(_chance(number, 2) * len(_KINDS))],
                ordered,
                RATE if not ordered and _chance(number, 4) < LIMITED else None,
            )
        return found

    def busy_webhook(self, rng: Random) -> Webhook:
        """Return a webhook that an event is for: few get many, most get few."""
        return self.webhook(self._popular.at(rng.random()))

    def answer(self, kind: Kind, now: float, rng: Random) -> tuple[float, Exchange]:
        """Return after how many seconds a receiver answers, and what."""
        if kind is Kind.HANGING:
            return 30.0, HUNG
        if kind is Kind.DOWN and self.plan.down_from <= now < self.plan.down_until:
            return 0.001, REFUSED
        seconds = min(kind.median * exp(rng.gauss(0.0, kind.sigma)), 29.0)
        return seconds, BROKEN if kind is Kind.FAILING else OK


class _LongTail:
    """Numbers from 0 of which the first are the likeliest, as 1/(number + offset)."""

    def __init__(self, count: int, offset: int) -> None:
        self._count, self._offset = count, offset
        self._log = log((count + offset) / offset)

    def at(self, chance: float) -> int:
        return min(self._count - 1, int(self._offset * exp(self._log * chance)) - self._offset)


def _chance(number: int, salt: int) -> float:
    mixed = ((number + 1) * _SCATTER + salt * 0xD1B54A32D192ED03) & _MASK
    mixed = ((mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9) & _MASK
    return ((mixed ^ (mixed >> 32)) >> 11) / 2**53


def group_name(number: int) -> str:
    """Return what a group is called."""
    return f"g{number}"
