"""The homes of a fleet as they ask each other: where they are, and which of them a request is for.

A home that is asked for a group of another home hands the request on, once (docs/fleet.md). Which group a request is about is
told by its header, its path, its body or its key; what is about the installation and no group is answered by whoever is asked.
"""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import msgspec

from tidings.core.errors import HomesDisagreeError, StartupError
from tidings.core.fleet import MAX_HOMES, check_name

SHORTEST_KEY: Final = 32  # characters: nobody finds such a one by trying
ASKED: Final = "/api/fleet/"  # what homes ask each other, below which nobody else is answered
KEYS: Final = f"{ASKED}keys"  # whether a key is one of theirs
ABOUT: Final = f"{ASKED}about"  # where browsers find them

# What an answer of another home is said to be unreadable by. ValueError: what is no UTF-8, or is not what was asked for;
# RecursionError: what is deeper than anybody reads; OverflowError: a time that no calendar here has.
UNREAD: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)

_SLASHES: Final = re.compile(r"/{2,}")
# What is about the installation, below /api/v1. Lists among these tell of all homes.
_OF_INSTALLATION: Final = frozenset(
    {"audit", "backfills", "diagnosis", "egress", "groups", "keys", "limits", "members", "sessions", "set-aside", "tables"}
)
_WAITING_FOR_RECEIVERS: Final = frozenset({"diagnose", "test"})
_NAMING: Final = {"groups": "id", "keys": "bound_to"}  # the member of a body that names a group


class Place(msgspec.Struct, frozen=True):
    """Where a request is answered, as far as its method and path tell.

    Attributes:
        group_id: The group that its path names; None: none.
        is_of_installation: It is about the home that is asked, unless it comes with a key for one group.
        field: The member of its body that names a group, where that is told there.
        key_id: It is about the key with this id, and lives where that does.
    """

    group_id: str | None = None
    is_of_installation: bool = False
    field: str | None = None
    key_id: str | None = None

    @property
    def acts_for_none(self) -> bool:
        """Whether it acts for no group, whatever its header says: it is about the installation, or the group in its path."""
        return self.is_of_installation or self.group_id is not None


_BY_GROUP: Final = Place()
_OF_HOME: Final = Place(is_of_installation=True)


def place_of(method: str, path: str) -> Place | None:
    """Return where a request is answered; None: here, since it is none of the API.

    Args:
        path: As a server has it, decoded once.
    """
    parts = _SLASHES.sub("/", path).strip("/").split("/")
    if parts[0] != "api" or len(parts) < 2:
        return None
    if parts[1] != "v1" or len(parts) < 3:
        return _BY_GROUP  # what other systems call the same
    name, rest = parts[2], parts[3:]
    if name == "groups" and rest:
        return Place(group_id=rest[0].replace("%2F", "/").replace("%2f", "/"))
    if name == "keys" and rest and rest[0] != "current":
        return Place(is_of_installation=True, key_id=rest[0])
    if name in _NAMING and method == "POST":
        return Place(is_of_installation=True, field=_NAMING[name])
    is_of_installation = name in _OF_INSTALLATION or (name, rest[:1]) == ("signing-keys", ["rotate"])
    return _OF_HOME if is_of_installation else _BY_GROUP


def waits_for_receiver(method: str, path: str) -> bool:
    """Whether a request is answered when a receiver has answered, whose own time may be five minutes."""
    return method == "POST" and path.strip("/").rpartition("/")[2] in _WAITING_FOR_RECEIVERS


def moved_to(group_id: str, home: str) -> HomesDisagreeError:
    """Return what is said of a group that has moved to another home."""
    return HomesDisagreeError(
        f"The group {group_id!r} lives at home {home}: it has moved. Nothing was done; ask that home, or try again in some "
        "seconds, when this one has heard of it."
    )


def parse_homes(text: str) -> dict[str, str]:
    """Return where homes are, by name: `eu=https://eu.internal us=https://us.internal`, with spaces or commas between.

    Raises:
        StartupError: It cannot be read, or one of them is none, or is there twice.
    """
    found: dict[str, str] = {}
    for part in filter(None, re.split(r"[\s,]+", text)):
        name, equals, url = part.partition("=")
        if not equals:
            raise StartupError(f"homes has {part[:80]!r}; write NAME=URL, such as eu=https://eu.internal.")
        check_name(name, "A name in homes")
        if name in found:
            raise StartupError(f"homes has {name} twice. Leave one out.")
        found[name] = _address(name, url)
    if len(found) > MAX_HOMES:
        raise StartupError(f"homes has {len(found)} homes; a fleet has {MAX_HOMES} at most.")
    return found


def check_homes(homes: dict[str, str], *, home: str | None, key: str | None) -> None:
    """Refuse settings of homes that do not fit each other.

    Raises:
        StartupError: With the remedy.
    """
    if home is None:
        raise StartupError("homes is set and home is not: say which of the fleet's homes this is.")
    if not set(homes) - {home}:
        raise StartupError("homes names no home but this one. Name the others, or leave it out.")
    if key is None or len(key) < SHORTEST_KEY or not key.isascii():
        raise StartupError(
            f"homes is set, and homes_key is {'not' if key is None else 'no key'}: write {SHORTEST_KEY} random characters of "
            "ASCII or more, the same at all homes. Try: openssl rand -base64 32"
        )


def _address(name: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    is_plain = url.isascii() and url.isprintable() and not any(sign in url for sign in "@?#\\")
    if parts.scheme not in {"http", "https"} or not host or port == 0 or not is_plain or parts.path not in {"", "/"}:
        raise StartupError(f"homes has {url[:200]!r} for {name}; write a scheme and a host, such as https://{name}.internal.")
    if parts.scheme == "http" and not _is_of_this_machine(host):
        raise StartupError(
            f"homes has {url[:200]!r} for {name}: what homes tell each other opens everything, so it goes by https:// alone, "
            "unless they are on one machine."
        )
    return url.rstrip("/")


def _is_of_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
