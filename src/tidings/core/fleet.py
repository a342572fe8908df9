"""A fleet: databases where changes happen (sources), databases that deliveries are made from (homes), a stream between them.

Each group has one home, which has its webhooks and its history. Which one follows from the group's name, so that nobody has to
be asked (rendezvous hashing, Thaler and Ravishankar 1998), unless the fleet's directory says where the group was put. A home
that is added is not among those that names lead to until it is opened: no group is elsewhere because there is another home.

Members hear of a change within seconds, each at its own time. So that what one sends by an older directory is not sent in
circles between homes, all that travels carries the version by which it was sent (`Placing`).
"""

import re
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from tidings.core.errors import StartupError

MAX_HOMES: Final = 100
MAX_MOVED: Final = 10_000  # groups that are not where their names lead; all members hold them
MAX_PARKED: Final = 16  # groups that are moved at a time
SHOWN: Final = 5  # names in a sentence
_HOME: Final = "home_"  # with a sign that no name has
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


class Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all members of a fleet agree about.

    Attributes:
        homes: Their names, in order.
        version: Rises with every change.
        open_homes: The homes that groups' names lead to; empty: all of them.
        moved: The home of each group that is not where its name leads.
        parked: Groups that are about to move: sources keep what is for them until they have. In what is written down they are
            `held`, as they were called once: members of that time refuse any other word, and have written that one.
    """

    homes: tuple[str, ...]
    version: int = 0
    open_homes: tuple[str, ...] = ()
    moved: dict[str, str] = {}
    parked: tuple[str, ...] = msgspec.field(default=(), name="held")

    def home_of(self, group_id: str) -> str:
        """Return the home of a group."""
        return self.moved.get(group_id) or self.hashed_home_of(group_id)

    def hashed_home_of(self, group_id: str) -> str:
        """Return the home that a group's name leads to."""
        return max(self.open_homes or self.homes, key=lambda home: _weight(home, group_id))


class Placing(msgspec.Struct, frozen=True):
    """Where a home finds that groups live.

    Attributes:
        home: Its own name.
        left: Groups that lived here and were moved away: known in the transaction that moved them, before the fleet says so.
        parked: Groups that are at this moment moved away, or here: what comes for them waits.
    """

    home: str
    fleet: Fleet
    left: frozenset[str] = frozenset()
    parked: frozenset[str] = frozenset()

    def is_elsewhere(self, group_id: str, owned: Collection[str]) -> bool:
        """Whether events of a group are not to be routed here.

        A group with webhooks here is routed here whatever the fleet says: to send its events away would leave them without
        an end, and whoever runs the fleet has to move the group first.

        Args:
            owned: The groups that have webhooks here.
        """
        return (
            group_id in self.left
            or group_id in self.parked
            or (group_id not in owned and self.fleet.home_of(group_id) != self.home)
        )


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


def sender_of(home: str) -> str:
    """Return what a home is called where it sends on what is for others. No source can be called so."""
    return f"{_HOME}{home}"


def is_of_home(sender: str) -> bool:
    """Whether a flight was sent on by a home, and not sent by a source."""
    return sender.startswith(_HOME)


def home_of_sender(sender: str) -> str:
    """Return the home that sends under a name (`sender_of`)."""
    return sender.removeprefix(_HOME)


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


# Changes of the directory -----------------------------------------------------------------------------------------------------


def with_homes(fleet: Fleet, homes: Iterable[str], version: int) -> Fleet:
    """Return a fleet with these homes too. No group is elsewhere for that: what names lead to stays.

    Raises:
        StartupError: They are too many, or one cannot be called so.
    """
    every = fleet_of(tuple({*fleet.homes, *homes}))
    if every.homes == fleet.homes:
        return fleet
    return _changed(fleet, version, homes=every.homes, open_homes=fleet.open_homes or fleet.homes)


def without_home(fleet: Fleet, home: str, version: int, *, followed: int) -> Fleet:
    """Return a fleet without a home where no group lives and no name leads.

    Args:
        followed: The version that all who send go by: by an older one they may send there still.

    Raises:
        StartupError: The fleet has none of this name, groups live there, or it has changed since.
    """
    if fleet.version != followed:
        raise StartupError("Somebody else has changed where groups live at this moment. Try again.")
    if home not in fleet.homes:
        raise StartupError(f"The fleet has no home {home!r}; it has {', '.join(fleet.homes)}.")
    if home in (fleet.open_homes or fleet.homes):
        raise StartupError(
            f"Groups' names lead to {home}. Say which homes they lead to without it first: tidings stream spread."
        )
    if there := sorted(group_id for group_id, its in fleet.moved.items() if its == home):
        some = ", ".join(there[:SHOWN]) + (" and others" if len(there) > SHOWN else "")
        raise StartupError(
            f"{home} is the home of {some}. Move them first, with the settings of {home}: tidings stream move GROUP --to HOME "
            "--database URL."
        )
    return _changed(fleet, version, homes=tuple(one for one in fleet.homes if one != home))


def with_groups(fleet: Fleet, groups: Mapping[str, str], version: int) -> Fleet:
    """Return a fleet where these groups live at these homes.

    Raises:
        StartupError: The fleet has no such home, or too many groups are not where their names lead.
    """
    for home in set(groups.values()) - set(fleet.homes):
        raise StartupError(f"The fleet has no home {home!r}; it has {', '.join(fleet.homes)}.")
    moved = {
        group_id: home for group_id, home in (fleet.moved | dict(groups)).items() if fleet.hashed_home_of(group_id) != home
    }
    return _changed(fleet, version, moved=_bounded(moved))


def spread(fleet: Fleet, open_homes: Iterable[str], kept: Mapping[str, str], version: int) -> Fleet:
    """Return a fleet where names lead to these homes, and groups that there are stay where they are.

    Args:
        kept: The home of every group that there is.

    Raises:
        StartupError: The fleet has no such home, or too many groups would not be where their names lead.
    """
    opened = tuple(sorted(set(open_homes)))
    for home in set(opened) - set(fleet.homes):
        raise StartupError(f"The fleet has no home {home!r}; it has {', '.join(fleet.homes)}.")
    if not opened:
        raise StartupError("Names have to lead to a home. Say one, or more.")
    changed = _changed(fleet, version, open_homes=() if opened == fleet.homes else opened)
    stay = {group_id: home for group_id, home in kept.items() if changed.hashed_home_of(group_id) != home}
    placed = _bounded(stay | fleet.moved)  # with those that have nothing anywhere yet
    return msgspec.structs.replace(changed, moved=placed)


def parking(fleet: Fleet, group_id: str, version: int, *, is_parked: bool) -> Fleet:
    """Return a fleet whose sources keep what is for a group, or do no longer.

    Raises:
        StartupError: Too many groups are parked.
    """
    parked = {*fleet.parked, group_id} if is_parked else {*fleet.parked} - {group_id}
    if len(parked) > MAX_PARKED:
        raise StartupError(f"{MAX_PARKED} groups are being moved. Let one of them end first.")
    return _changed(fleet, version, parked=tuple(sorted(parked)))


def _changed(fleet: Fleet, version: int, **changes: object) -> Fleet:
    """Return a fleet with changes, under a version that was not before, even where the fleet was made anew."""
    return msgspec.structs.replace(fleet, version=max(version, fleet.version + 1), **changes)


def _bounded(moved: dict[str, str]) -> dict[str, str]:
    if len(moved) > MAX_MOVED:
        raise StartupError(
            f"{len(moved):,} groups would not be where their names lead, and a fleet remembers {MAX_MOVED:,}. Let names lead "
            "to the homes where most groups live: tidings stream spread."
        )
    return moved
