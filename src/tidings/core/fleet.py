"""A fleet: databases where changes happen (sources), databases that deliveries are made from (homes), a stream between them.

Each group has one home, which has its webhooks and its history. Which one follows from the group's name, so that nobody has to
be asked, and another home beside those there are would move some groups and leave the others where they are (rendezvous
hashing, Thaler and Ravishankar 1998).
"""

import re
from hashlib import blake2b
from typing import Final

import msgspec

from tidings.core.errors import StartupError

MAX_HOMES: Final = 100
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


class Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all members of a fleet agree about. `homes`: their names, in order."""

    homes: tuple[str, ...]

    def home_of(self, group_id: str) -> str:
        """Return the home of a group."""
        return max(self.homes, key=lambda home: _weight(home, group_id))


def _weight(home: str, group_id: str) -> bytes:
    return blake2b(f"{home}\0{group_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()


def check_name(name: str, setting: str) -> str:
    """Return the name of a home or a source.

    Raises:
        StartupError: It is none.
    """
    if _NAME.fullmatch(name) is None:
        raise StartupError(
            f"{setting} is {name[:60]!r}. Write 1 to 30 small letters, digits and dashes, with no dash at either end."
        )
    return name


def fleet_of(homes: tuple[str, ...]) -> Fleet:
    """Return the fleet of these homes.

    Raises:
        StartupError: There are none, too many, or two of one name.
    """
    for home in homes:
        check_name(home, "A home's name")
    if not 1 <= len(homes) <= MAX_HOMES:
        raise StartupError(f"A fleet has 1 to {MAX_HOMES} homes; {len(homes)} were named.")
    if len(set(homes)) < len(homes):
        raise StartupError("Two homes have one name. Give each its own.")
    return Fleet(tuple(sorted(homes)))
