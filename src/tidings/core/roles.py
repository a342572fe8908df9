"""Roles of members: named sets of scopes, each for one group or for all.

What somebody may do in a group is what their role for it and their role for all groups say together. Where the group's own
role adds something, they act as whoever has a key for that group alone: else the owner of one group who may look at all of them
would be an owner of the installation.
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from tidings.core.errors import ConflictError, ForbiddenError, InvalidInputError
from tidings.core.scopes import Scope, granted

MAX_ROLES: Final = 100  # of one member
MAX_EMAIL: Final = 254  # characters (RFC 5321, 4.5.3.1.3)
MAX_NAME: Final = 200
NO_ROLE: Final = "none"  # in place of a role: it is taken away

_EMAIL: Final = re.compile(r"[^\s@\x00-\x1f<>\"(),:;\\]{1,64}@[a-z0-9.-]{1,250}")


class Role(StrEnum):
    """What a member is."""

    OWNER = "owner"
    DEVELOPER = "developer"
    SUPPORT = "support"
    VIEWER = "viewer"


# In words, for people who choose one.
SAID: Final[dict[Role, str]] = {
    Role.OWNER: "everything, members and keys among it",
    Role.DEVELOPER: "webhooks, events, collections, jobs and integrations, with their secrets",
    Role.SUPPORT: "look at everything but secrets, and send deliveries again",
    Role.VIEWER: "look at everything but secrets",
}

_LOOKS: Final = (
    Scope.WEBHOOKS_READ,
    Scope.EVENTS_READ,
    Scope.DELIVERIES_READ,
    Scope.COLLECTIONS_READ,
    Scope.SOURCES_READ,
    Scope.GROUPS_READ,
)

SCOPES: Final[dict[Role, tuple[Scope, ...]]] = {
    Role.OWNER: (Scope.ADMIN,),
    Role.DEVELOPER: (
        Scope.WEBHOOKS_WRITE,
        Scope.EVENTS_PUBLISH,
        Scope.EVENTS_READ,
        Scope.DELIVERIES_RETRY,
        Scope.COLLECTIONS_WRITE,
        Scope.SOURCES_WRITE,
        Scope.GROUPS_READ,
    ),
    Role.SUPPORT: (*_LOOKS, Scope.DELIVERIES_RETRY),
    Role.VIEWER: _LOOKS,
}


class Held(NamedTuple):
    """A role that somebody has. `group_id`: the one group that it is for; None: all of them."""

    role: Role
    group_id: str | None


class Allowed(NamedTuple):
    """What somebody may do who looks at one group.

    Attributes:
        group_id: The group.
        scopes: What they may.
        bound_to: The one group that this holds for; None: all.
        may_show: The groups that they may look at instead; None: any.
    """

    group_id: str
    scopes: tuple[Scope, ...]
    bound_to: str | None
    may_show: tuple[str, ...] | None


def allowed(held: Iterable[Held], group_id: str) -> Allowed | None:
    """Return what these roles allow in a group, or in the first that they are for when it is none of those; None: nothing."""
    of_all: set[Scope] = set()
    of_groups: dict[str, set[Scope]] = {}
    is_for_all = False
    for role, only in held:
        if only is None:
            of_all.update(SCOPES[role])
            is_for_all = True
        else:
            of_groups.setdefault(only, set()).update(SCOPES[role])
    if not is_for_all and group_id not in of_groups:
        if not of_groups:
            return None
        group_id = min(of_groups)
    together = of_all | of_groups.get(group_id, set())
    adds = granted(_ordered(together)) != granted(_ordered(of_all))
    bound_to = group_id if adds or not is_for_all else None
    return Allowed(group_id, _ordered(together), bound_to, None if is_for_all else tuple(sorted(of_groups)))


def _ordered(scopes: set[Scope]) -> tuple[Scope, ...]:
    return tuple(scope for scope in Scope if scope in scopes)


def roles_with(scope: Scope) -> tuple[Role, ...]:
    """Return the roles that have a scope."""
    return tuple(role for role in Role if scope in granted(SCOPES[role]))


def check_shown(may_show: tuple[str, ...] | None, group_id: str) -> None:
    """Refuse to show a group to whoever has no role in it. Whether there is one so called is not told.

    Raises:
        ForbiddenError: They have none.
    """
    if may_show is not None and group_id not in may_show:
        raise ForbiddenError("You may not look at the group that is asked for. Choose another one at the top of the page.")


def parse_role(text: str) -> Role:
    """Return a role of this name.

    Raises:
        InvalidInputError: There is none.
    """
    try:
        return Role(text)
    except ValueError as error:
        raise InvalidInputError("role", f"role is {text[:40]!r}; write one of {', '.join(Role)}.") from error


def parse_email(text: str) -> str:
    """Return an address as it is kept and compared: in small letters.

    A letter that is not ASCII stays one: the small letter of the sign for kelvin is a k, and who has the one mailbox need not
    have the other.

    Raises:
        InvalidInputError: It is none.
    """
    email = "".join(map(_small, text.strip()))
    if len(email) > MAX_EMAIL or not email.isprintable() or not _EMAIL.fullmatch(email):
        raise InvalidInputError("email", f"email is {text[:80]!r}; write an address such as ada@example.com.")
    return email


def _small(sign: str) -> str:
    small = sign.lower()
    return small if sign.isascii() or not any(one.isascii() for one in small) else sign


def check_count(held: Iterable[Held]) -> None:
    """Refuse more roles than are kept of one member.

    Raises:
        ConflictError: They are more.
    """
    if sum(1 for _ in held) > MAX_ROLES:
        raise ConflictError(f"A member has at most {MAX_ROLES} roles. Give one for all groups instead.")
