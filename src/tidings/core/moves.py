"""What is said of moves between the homes of a fleet that were broken off: until somebody goes on with one, its group rests."""

from collections.abc import Sequence
from datetime import datetime
from shlex import quote
from typing import Final

import msgspec

from tidings.core.pressure import Trouble, span

MAX_TOLD: Final = 10  # one by one; of the rest how many there are


class Unfinished(msgspec.Struct, frozen=True):
    """A move that nobody is at.

    Attributes:
        group_id: The group, which is delivered nowhere meanwhile.
        home: The home that it is to live at; None: it was broken off before either home was told, and sources alone know.
        begun_at: When; None where `home` is.
    """

    group_id: str
    home: str | None
    begun_at: datetime | None


def troubles_of(moves: Sequence[Unfinished], home: str, at: datetime) -> list[Trouble]:
    """Return what somebody should see to at a home, with the commands that do it.

    Args:
        home: What this home is called.
        at: The time now.
    """
    found = [_told(one, home, at) for one in moves[:MAX_TOLD]]
    if len(moves) > MAX_TOLD:
        text = (
            f"{len(moves) - MAX_TOLD} more groups rest, since moves of them were broken off. Finish those that are told first."
        )
        found.append(Trouble("move_unfinished", "", text))
    return found


def _told(one: Unfinished, home: str, at: datetime) -> Trouble:
    group = quote(one.group_id)
    if one.home is None or one.begun_at is None:
        text = (
            f"A move of {one.group_id} was broken off before it began: sources keep what comes for it. Where it lives, move it "
            f"again: tidings stream move {group} --to HOME --database URL; or call it off with the same and --abandon."
        )
        return Trouble("move_unfinished", one.group_id, text)
    seconds = max(0.0, (at - one.begun_at).total_seconds())
    if one.home == home:
        text = (
            f"{one.group_id} was to move here {span(seconds)} ago, and nobody is at it: nothing of it is delivered. Begin the "
            f"same again at the home that it comes from: tidings stream move {group} --to {home} --database URL."
        )
    else:
        text = (
            f"A move of {one.group_id} to {one.home} was begun {span(seconds)} ago, and nobody is at it: nothing of it is "
            f"delivered. Go on here: tidings stream move {group} --to {one.home} --database URL; or call it off with the same "
            "and --abandon."
        )
    return Trouble("move_unfinished", one.group_id, text, seconds)
