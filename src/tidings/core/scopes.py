"""What a key may do, as a small set of names. Which of them an operation needs is told by each door's own table."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from tidings.core.errors import InvalidInputError


class Scope(StrEnum):
    """What a key may do."""

    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    EVENTS_PUBLISH = "events:publish"
    EVENTS_READ = "events:read"
    DELIVERIES_READ = "deliveries:read"
    DELIVERIES_RETRY = "deliveries:retry"
    COLLECTIONS_READ = "collections:read"
    COLLECTIONS_WRITE = "collections:write"
    SOURCES_READ = "sources:read"
    SOURCES_WRITE = "sources:write"
    GROUPS_READ = "groups:read"
    GROUPS_WRITE = "groups:write"
    TABLES_ADMIN = "tables:admin"
    PRIVACY_READ = "privacy:read"
    PRIVACY_WRITE = "privacy:write"
    ADMIN = "admin"


_NAMES: Final = frozenset(scope.value for scope in Scope)


class Need(NamedTuple):
    """What an operation or a page needs.

    Attributes:
        scopes: All of these; none: any key that is good does.
        is_for_all_groups: A key that is for one group does not do.
    """

    scopes: tuple[Scope, ...]
    is_for_all_groups: bool = False


# Where nobody has said.
UNDECLARED: Final = Need((Scope.ADMIN,), is_for_all_groups=True)


# In words, for people who choose some of them.
SAID: Final[dict[Scope, str]] = {
    Scope.WEBHOOKS_READ: "see webhooks, their health, what was changed of them and request bins, without secrets",
    Scope.WEBHOOKS_WRITE: "make, change, test and delete webhooks and request bins, see secrets, and make and end portal links",
    Scope.EVENTS_PUBLISH: "publish events",
    Scope.EVENTS_READ: "see events, and why they go where",
    Scope.DELIVERIES_READ: "see deliveries, their attempts and statistics, and what came to request bins",
    Scope.DELIVERIES_RETRY: "send deliveries again",
    Scope.COLLECTIONS_READ: "see collections and records, and check the passwords of those who have one",
    Scope.COLLECTIONS_WRITE: "make, change and delete collections and records",
    Scope.SOURCES_READ: "see jobs, integrations and event types",
    Scope.SOURCES_WRITE: "make, change and delete jobs, integrations and event types",
    Scope.GROUPS_READ: "see groups, their limits and what is used of them, and portal links",
    Scope.GROUPS_WRITE: "make and delete groups, and set their limits",
    Scope.TABLES_ADMIN: "say which tables are captured and how, and backfill them",
    Scope.PRIVACY_READ: "see redaction rules, and erasures with their reports",
    Scope.PRIVACY_WRITE: "make, change and delete redaction rules, see what they hide of an event, and erase by subject",
    Scope.ADMIN: "everything, keys, the audit and the installation among it",
}

# Who may change something sees what came of it.
_INCLUDES: Final[dict[Scope, frozenset[Scope]]] = {
    Scope.WEBHOOKS_WRITE: frozenset({Scope.WEBHOOKS_READ}),
    Scope.DELIVERIES_RETRY: frozenset({Scope.DELIVERIES_READ}),
    Scope.COLLECTIONS_WRITE: frozenset({Scope.COLLECTIONS_READ}),
    Scope.SOURCES_WRITE: frozenset({Scope.SOURCES_READ}),
    Scope.GROUPS_WRITE: frozenset({Scope.GROUPS_READ}),
    Scope.PRIVACY_WRITE: frozenset({Scope.PRIVACY_READ}),
    Scope.ADMIN: frozenset(Scope),
}


@lru_cache(maxsize=1024)
def granted(scopes: tuple[Scope, ...]) -> frozenset[Scope]:
    """Return all that scopes allow: themselves, and what they include."""
    found: set[Scope] = set()
    for scope in scopes:
        found |= {scope} | _INCLUDES.get(scope, frozenset())
    return frozenset(found)


def parse_scopes(names: Sequence[str]) -> tuple[Scope, ...]:
    """Return the scopes of these names, each once, in the order in which they are told.

    Raises:
        InvalidInputError: There is none, or one that is none.
    """
    known = ", ".join(Scope)
    if not names:
        raise InvalidInputError("scopes", f"scopes is empty: such a key opens nothing. Write some of {known}.")
    for name in names:
        if name not in _NAMES:
            raise InvalidInputError("scopes", f"{name[:40]!r} is no scope; there are {known}.")
    return tuple(scope for scope in Scope if scope in names)


def known_scopes(names: Iterable[str]) -> tuple[Scope, ...]:
    """Return the scopes of names that were kept. One of a newer release opens nothing in a process of this one."""
    return tuple(Scope(name) for name in names if name in _NAMES)
