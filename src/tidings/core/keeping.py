"""How long payloads are kept that are needed for a while: whole ones of events that rules hide something of."""

from datetime import datetime, timedelta
from typing import Final

FIRST: Final = timedelta(seconds=2)
LONGEST: Final = timedelta(minutes=10)
RETENTION_LATER: Final = timedelta(minutes=10)  # until a payload is looked at again that a delivery still needs


def next_look(look_count: int, now: datetime) -> datetime:
    """Return when to look again whether a delivery still needs a payload: later and later, ten minutes at most.

    So a payload outlives its last delivery by no more than the time that took, and by ten minutes at most.
    """
    return now + min(LONGEST, FIRST * (1 << min(look_count, 16)))


def decide_end(
    *, is_open: bool, has_failed: bool, resend_hours: int, look_count: int, ends_at: datetime | None, now: datetime
) -> tuple[datetime, bool] | None:
    """Return when to look at a sealed payload again, and whether that is its end; None: it is not needed any more.

    What ended well is needed no more at once; what did not can be sent again for the hours of its rule.
    """
    if is_open:
        return next_look(look_count, now), False
    if not has_failed or not resend_hours:
        return None
    if ends_at is None:
        return now + timedelta(hours=resend_hours), True
    return None if ends_at <= now else (ends_at, True)
