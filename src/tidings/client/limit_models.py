"""Limits of groups, as the API answers with them."""

from datetime import datetime

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """What a group may have and do; None: as much as it likes.

    Attributes:
        events_burst: How many events may come at once after a pause; None: as many as a second's.
        stored_bytes: Of records, old records and answers of receivers that are kept.
        payload_bytes: Of one event's data.
    """

    webhooks: int | None = None
    events_per_second: int | None = None
    events_burst: int | None = None
    stored_bytes: int | None = None
    payload_bytes: int | None = None


class LimitsUsed(msgspec.Struct, frozen=True):
    """What a group has and does. `events_left`: how many may be published at once, now; None: as many as it likes."""

    webhooks: int
    events_per_second: float
    events_left: int | None
    stored_bytes: int


class Overrun(msgspec.Struct, frozen=True):
    """A limit that a group is over, by what nobody refuses, such as captured changes."""

    limit: str
    since: datetime


class GroupLimits(msgspec.Struct, frozen=True):
    """The limits of a group, and what is used of them. `is_own`: they are not those of all groups."""

    group: str
    is_own: bool
    limits: Limits
    used: LimitsUsed
    over: list[Overrun]
